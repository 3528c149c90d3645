package sstable

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"runtime"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/strata-db/strata/internal/base"
)

// A table must not depend on whether its blocks were compressed on another
// goroutine, nor must the size by which outputs are cut while it is written.
func TestEncodingElsewhereChangesNothing(t *testing.T) {
	write := func(o WriterOptions, procs int) (file []byte, sizes []uint64) {
		defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(procs))
		var buf bytes.Buffer
		w := NewWriter(&buf, o)
		r := rand.New(rand.NewPCG(7, 7))
		for i := range 3000 {
			n := r.IntN(200)
			if i%1000 == 500 {
				n = maxGrouped + 100 // a block too large for a group
			}
			value := bytes.Repeat([]byte{byte(i)}, n)
			for j := range min(n, 100) {
				value[j] = byte(r.Uint32())
			}
			require.NoError(t, w.Add(base.MakeKey(fmt.Appendf(nil, "%08d", i), base.SeqNum(i), base.KindSet), value))
			sizes = append(sizes, w.EstimatedSize())
		}
		_, err := w.Finish()
		require.NoError(t, err)
		return buf.Bytes(), sizes
	}
	for _, o := range []WriterOptions{
		{Compression: Snappy, FilterBitsPerKey: 10, LevelDBFilter: true},
		{Compression: Zstd},
		{Compression: NoCompression, LevelDBFilter: true, FilterBitsPerKey: 10},
		{Compression: Snappy, BlockBytes: 256},
		{Compression: Snappy, BlockBytes: 256 << 10},
	} {
		t.Run(fmt.Sprintf("%+v", o), func(t *testing.T) {
			one, sizesOne := write(o, 1)
			two, sizesTwo := write(o, max(2, runtime.NumCPU()))
			require.True(t, bytes.Equal(one, two), "the tables differ")
			require.True(t, slices.Equal(sizesOne, sizesTwo), "the sizes on the way differ")
			r := openTable(t, one, nil, nil)
			it := r.NewIter(IterOptions{Compaction: true})
			n := 0
			for kv := it.First(); kv != nil; kv = it.Next() {
				n++
			}
			require.NoError(t, it.Close())
			require.Equal(t, 3000, n)
		})
	}
}

// A Writer that is given up half way leaves no goroutine.
func TestAbandonedWriter(t *testing.T) {
	before := runtime.NumGoroutine()
	for range 20 {
		w := NewWriter(&bytes.Buffer{}, WriterOptions{Compression: Snappy})
		for i := range 2000 {
			require.NoError(t, w.Add(base.MakeKey(fmt.Appendf(nil, "%08d", i), 1, base.KindSet), make([]byte, 100)))
		}
	}
	noMoreGoroutines(t, before)
}

// TestIndexTooLarge: the index of a table that grew without bound was written whatever
// its size, and the table could never be opened; a compaction deleted what it was made
// from.
func TestIndexTooLarge(t *testing.T) {
	w := NewWriter(&bytes.Buffer{}, WriterOptions{Cmp: foldCmp, BlockBytes: 64})
	w.maxBlock = 2000
	for i := range 100 {
		require.NoError(t, w.Add(base.MakeKey(fmt.Appendf(nil, "%050d", i), 1, base.KindSet), nil))
	}
	_, err := w.Finish()
	require.ErrorContains(t, err, "make smaller tables")
	_, again := w.Finish()
	require.Equal(t, err, again)
}
