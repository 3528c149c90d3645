package sstable

import (
	"bytes"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/strata-db/strata/internal/base"
	"github.com/strata-db/strata/iterator"
)

// An Iter that is closed twice goes to one new owner, not to two.
func TestIterClosedTwice(t *testing.T) {
	b, _ := buildTable(t, WriterOptions{}, []iterator.KV{{K: base.MakeKey([]byte("a"), 1, base.KindSet)}})
	r := openTable(t, b, nil, nil)
	for range 100 { // the pool may forget what it is given
		it := r.NewIter(IterOptions{})
		it.First()
		require.NoError(t, it.Close())
		require.NoError(t, it.Close())
		x, y := r.NewIter(IterOptions{}), r.NewIter(IterOptions{})
		require.NotSame(t, x, y)
		x.Close()
		y.Close()
	}
}

// What an Iter needed for enormous keys is not kept for its next owner.
func TestClosedIterIsSmall(t *testing.T) {
	var kvs []iterator.KV
	for i := range 20 {
		kvs = append(kvs, iterator.KV{K: base.MakeKey(append(bytes.Repeat([]byte("k"), 1<<20), byte(i)), 1, base.KindSet)})
	}
	b, _ := buildTable(t, WriterOptions{BlockBytes: 64 << 20}, kvs)
	r := openTable(t, b, nil, nil)
	it := r.NewIter(IterOptions{})
	for _, move := range []func() *iterator.KV{it.First, it.Next, it.Last, it.Prev} {
		require.NotNil(t, move())
	}
	require.NoError(t, it.Close())
	require.Less(t, it.blk.MemoryBytes(), 1<<20)
}
