package memtable

import (
	"math/rand/v2"
	"testing"

	"github.com/strata-db/strata/internal/base"
	"github.com/strata-db/strata/iterator"
	"github.com/strata-db/strata/iterator/itertest"
)

// fill makes a table of kvs, inserted in random order.
func fill(t testing.TB, cmp *base.Comparer, kvs []iterator.KV, seed uint64) *Table {
	t.Helper()
	m := New(cmp, 1<<20)
	t.Cleanup(m.Unref)
	for _, i := range rand.New(rand.NewPCG(seed, 1)).Perm(len(kvs)) {
		k := kvs[i].K
		if !m.Reserve(1, int64(len(k.UserKey)+len(kvs[i].V))) {
			t.Fatalf("full at %d entries, %d bytes", m.Len(), m.Bytes())
		}
		m.Insert(k.UserKey, k.Trailer, kvs[i].V)
	}
	return m
}

// TestConformance walks tables of several shapes by the iterator contract.
func TestConformance(t *testing.T) {
	for _, cmp := range []*base.Comparer{base.Bytewise, itertest.Reverse} {
		for _, n := range []int{0, 1, 2, 14, 15, 16, 100, 2000} {
			for _, versions := range []int{1, 5, 100} {
				kvs := itertest.Entries(uint64(n), n, versions, cmp)
				m := fill(t, cmp, kvs, 1)
				itertest.Run(t, kvs, cmp, m.NewIter)
			}
		}
	}
}
