package memtable

import (
	"bytes"
	"testing"

	"github.com/strata-db/strata/internal/base"
	"github.com/strata-db/strata/iterator"
	"github.com/strata-db/strata/iterator/itertest"
)

// TestRecycledMemoryIsNotTrusted fills table after table in the memory of the
// one before, which is full of its bytes.
func TestRecycledMemoryIsNotTrusted(t *testing.T) {
	var p pool
	a := p.get(1 << 20)
	for i := range a.mem {
		a.mem[i] = 0xa5
	}
	for round := range 8 {
		tr := newTree(a, comparers[round%len(comparers)])
		kvs := makeEntries(keyMakers[round%len(keyMakers)], uint64(round), 1000)
		for _, kv := range kvs {
			tr.insert(kv.K.UserKey, kv.K.Trailer, kv.V)
		}
		m := &Table{cmp: tr.cmp}
		m.tree.Store(tr)
		checkTree(t, m)
		want := sorted(kvs, tr.cmp)
		itertest.Walk(t, 1, m.NewIter(), want, tr.cmp)
		checkGets(t, m, want, tr.cmp, 1)
	}
}

// TestUnrefRecycles: a table's memory goes to the next with the last reference,
// not before, and a slice kept too long can still be read.
func TestUnrefRecycles(t *testing.T) {
	ReleaseIdle()
	const size = 3<<20 + 123
	m := New(base.Bytewise, size)
	add(t, m, iterator.KV{K: base.MakeKey([]byte("k"), 1, base.KindSet), V: bytes.Repeat([]byte("v"), 1<<20)})
	kept, _, _ := m.Get([]byte("k"), 1)
	first := &m.tree.Load().mem.mem[0]
	m.Ref()
	m.Unref()

	other := New(base.Bytewise, size)
	other.Reserve(1, 1)
	if &other.tree.Load().mem.mem[0] == first {
		t.Fatal("memory in use was given away")
	}
	m.Unref()
	next := New(base.Bytewise, size)
	next.Reserve(1, 1)
	if &next.tree.Load().mem.mem[0] != first {
		t.Fatal("memory was not recycled")
	}
	if next.MemoryBytes() < 1<<20 {
		t.Fatalf("MemoryBytes %d hides what the former user left", next.MemoryBytes())
	}
	other.Unref()
	next.Unref()
	ReleaseIdle()
	// Its bytes are anybody's, but they are there.
	t.Logf("%d of %d bytes still read as they were", bytes.Count(kept, []byte("v")), len(kept))
	defer func() {
		if recover() == nil {
			t.Fatal("a reference dropped twice goes unnoticed")
		}
	}()
	m.Unref()
}

// TestIdleMemoryIsBounded: many tables at once, then none.
func TestIdleMemoryIsBounded(t *testing.T) {
	var p pool
	var as []*arena
	for i := range 10 {
		as = append(as, p.get(int64(1+i)<<20))
	}
	for _, a := range as {
		p.put(a, 64<<10, int64(len(a.mem))-64<<10)
	}
	warm := 0
	for _, a := range p.free {
		if a.touched > 0 {
			warm++
		}
	}
	if warm != maxWarmArenas {
		t.Fatalf("%d warm arenas, want %d", warm, maxWarmArenas)
	}
	mapped := as[0].mapped
	if mapped && len(p.free) != len(as) {
		t.Fatalf("%d arenas left, want %d: maps are kept for ever", len(p.free), len(as))
	}
	if !mapped && len(p.free) != maxWarmArenas {
		t.Fatalf("%d arenas left, want %d: the rest is the collector's", len(p.free), maxWarmArenas)
	}
	big := p.get(8 << 20)
	if len(big.mem) != 8<<20 {
		t.Fatalf("got %d bytes for 8 MiB", len(big.mem))
	}
	p.put(big, 8<<20, 8<<20)
	p.coolLocked(maxWarmArenas, 9<<20)
	if big.touched != 8<<20 {
		t.Fatal("the latest arena was dropped though it is within the bound")
	}
	p.coolLocked(maxWarmArenas, 8<<20-1)
	if big.touched != 0 {
		t.Fatal("an arena beyond the bound in bytes was kept")
	}
	p.coolLocked(0, 0)
	for _, a := range p.free {
		if a.touched > 0 {
			t.Fatal("memory kept after release")
		}
	}
	if p.get(maxArenaBytes+1) != nil {
		t.Fatal("an arena beyond the offsets")
	}
}

// TestManyIdleTablesAreCheap: a table without entries takes no arena.
func TestManyIdleTablesAreCheap(t *testing.T) {
	for i := range 1000 {
		m := New(base.Bytewise, 64<<20)
		if m.MemoryBytes() != 0 || m.tree.Load() != nil {
			t.Fatalf("table %d has memory", i)
		}
		m.Unref()
	}
}

// TestWordOrder: for keys that share the skipped bytes, words order as keys do,
// ties aside.
func TestWordOrder(t *testing.T) {
	keys := [][]byte{nil, {0}, {0, 0}, []byte("a"), []byte("a\x00"), []byte("a\x00\x00\x00\x00\x00\x00\x00"),
		[]byte("a\x00\x00\x00\x00\x00\x00\x00\x00"), []byte("abcdefgh"), []byte("abcdefghi"), {0xff}, bytes.Repeat([]byte{0xff}, 9)}
	for skip := range 4 {
		for _, a := range keys {
			for _, b := range keys {
				pa, pb := append(make([]byte, skip), a...), append(make([]byte, skip), b...)
				wa, wb := wordOf(pa, skip), wordOf(pb, skip)
				if c := bytes.Compare(a, b); wa < wb && c >= 0 || wa > wb && c <= 0 || c == 0 && wa != wb {
					t.Errorf("skip %d: words of %q and %q are %x and %x", skip, a, b, wa, wb)
				}
			}
		}
	}
}

// TestIterClosedTwice: it goes to one new owner, not to two.
func TestIterClosedTwice(t *testing.T) {
	m := New(base.Bytewise, 64<<10)
	defer m.Unref()
	for range 100 { // the pool may forget what it is given
		it := m.NewIter()
		it.Close()
		it.Close()
		a, b := m.NewIter(), m.NewIter()
		if a == b {
			t.Fatal("two owners")
		}
		a.Close()
		b.Close()
	}
}
