package strata

import (
	"fmt"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/strata-db/strata/internal/base"
	"github.com/strata-db/strata/iterator"
	"github.com/strata-db/strata/iterator/itertest"
	"github.com/strata-db/strata/vfs"
)

// The conformance walk over a whole database: every version of every key, spread
// over memtables, level 0 and deeper levels, seen through the merge that reads
// use.
func TestConformance(t *testing.T) {
	db := openMem(t, &Options{MemtableBytes: 32 << 10, TableBytes: 32 << 10, BlockBytes: 256})
	snaps := []*Snapshot{}
	var want []iterator.KV
	for i := range 1500 {
		key := fmt.Appendf(nil, "%04d", i*7%500)
		value := fmt.Appendf(nil, "value %d", i)
		mustPut(t, db, string(key), string(value))
		snaps = append(snaps, db.NewSnapshot()) // keeps every version
		want = append(want, iterator.KV{K: base.MakeKey(key, base.SeqNum(i+1), base.KindSet), V: value})
		switch i {
		case 500:
			require.NoError(t, db.CompactRange(t.Context(), nil, nil))
		case 900, 1200:
			require.NoError(t, db.Flush())
		}
	}
	sortKVs(want)
	itertest.Run(t, want, base.Bytewise, func() iterator.Iterator {
		rs := holdState(db)
		return &holding{db.newInternalIterator(new(iterParts), rs, &IterOptions{}), rs}
	})
	for _, s := range snaps {
		require.NoError(t, s.Close())
	}
}

// holding lets go of a read state when its iterator is closed.
type holding struct {
	iterator.Iterator
	rs *readState
}

func (h *holding) Close() error {
	defer h.rs.unref()
	return h.Iterator.Close()
}

func sortKVs(kvs []iterator.KV) {
	slices.SortFunc(kvs, func(a, b iterator.KV) int { return base.Bytewise.CompareInternal(a.K, b.K) })
}

// Arbitrary bytes are a batch or an error; a batch survives its encoding, and
// writing it shows what Each lists.
func FuzzBatch(f *testing.F) {
	var b Batch
	b.Put([]byte("a"), []byte("1"))
	b.Delete([]byte("b"))
	f.Add(append([]byte{}, b.Bytes()...))
	f.Add([]byte{})
	f.Fuzz(func(t *testing.T, data []byte) {
		var b Batch
		if b.SetBytes(data) != nil {
			return
		}
		want := map[string]string{}
		require.NoError(t, b.Each(func(kind Kind, k, v []byte) error {
			delete(want, string(k))
			if kind == KindSet {
				want[string(k)] = string(v)
			}
			return nil
		}))
		db, err := Open("db", &Options{FS: vfs.NewMem(), MemtableBytes: 32 << 10})
		require.NoError(t, err)
		require.NoError(t, db.Write(&b, nil))
		got := map[string]string{}
		for k, v := range db.Range(nil, &err) {
			got[string(k)] = string(v)
		}
		require.NoError(t, err)
		require.Equal(t, want, got)
		require.NoError(t, db.Close())
	})
}

// holdState takes a reference to the current state, as an iterator does.
func holdState(db *DB) *readState {
	p := db.pin()
	defer p.unpin()
	p.refs.Add(1)
	return p.readState
}
