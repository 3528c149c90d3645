package sstable

import (
	"io"
	"testing"

	"github.com/strata-db/strata/internal/base"
	"github.com/strata-db/strata/internal/cache"
)

// Adding an entry must not allocate: a table's memory is a few buffers, used
// again by the next Writer.
func TestAddDoesNotAllocate(t *testing.T) {
	const n = 20_000
	values := benchValues(1000)
	for _, o := range []WriterOptions{{FilterBitsPerKey: 10}, {Compression: Snappy, FilterBitsPerKey: 10}} {
		allocs := testing.AllocsPerRun(3, func() { writeBench(t, io.Discard, o, n, values) })
		if allocs > n/100 {
			t.Errorf("%v: %v allocations for %d entries", o.Compression, allocs, n)
		}
	}
}

// A read that finds its block in the cache must not allocate, and reads that are
// not to fill the cache must leave it alone.
func TestReadsAndTheCache(t *testing.T) {
	b, _ := buildTable(t, WriterOptions{BlockBytes: 512, FilterBitsPerKey: 10, Compression: Snappy}, makeEntries(base.Bytewise, 2000, 1))
	c := cache.New(4 << 20)
	r := openTable(t, b, nil, c)
	for _, o := range []IterOptions{{}, {Compaction: true}, {Compaction: true, FillCache: true}} {
		it := r.NewIter(o)
		for kv := it.First(); kv != nil; kv = it.Next() {
		}
		it.Close()
		if m := c.Metrics(); m.Bytes != 0 {
			t.Errorf("%+v put %d bytes into the cache", o, m.Bytes)
		}
	}
	it := r.NewIter(IterOptions{FillCache: true})
	defer it.Close()
	for kv := it.First(); kv != nil; kv = it.Next() {
	}
	if m := c.Metrics(); m.Blocks != int64(r.index.len()) {
		t.Errorf("a scan left %d of %d blocks in the cache", m.Blocks, r.index.len())
	}
	key := it.Last().K.Clone()
	h := HashKey(key.UserKey)
	allocs := testing.AllocsPerRun(100, func() {
		if _, _, ok, err := r.Get(key.UserKey, base.SeqNumMax, h); !ok || err != nil {
			t.Fatal(ok, err)
		}
		it.SeekGE(key)
		it.Prev()
		it.Next()
	})
	if allocs != 0 {
		t.Errorf("%v allocations for cached reads", allocs)
	}
}
