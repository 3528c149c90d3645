package memtable

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/strata-db/strata/internal/base"
	"github.com/strata-db/strata/iterator"
	"github.com/strata-db/strata/iterator/itertest"
)

// A stress run has several goroutines insert their own entries while others
// look: what a writer has finished must be found by whoever starts later.
type stress struct {
	t       *testing.T
	m       *Table
	cmp     *base.Comparer
	kvs     [][]iterator.KV // by writer, in the order of insertion
	done    []atomic.Int64  // how many of them are in
	sealed  atomic.Bool
	ordinal map[string]int // entry to writer<<24 | index
}

func entryName(k base.InternalKey) string { return fmt.Sprintf("%s#%d", k.UserKey, k.Trailer) }

func newStress(t *testing.T, mk keyMaker, cmp *base.Comparer, writers, n int) *stress {
	s := &stress{t: t, cmp: cmp, m: New(cmp, 64<<20), done: make([]atomic.Int64, writers), ordinal: map[string]int{}}
	all := makeEntries(mk, 5, n)
	s.kvs = make([][]iterator.KV, writers)
	var kv int64
	for i, e := range all {
		w := i % writers
		s.ordinal[entryName(e.K)] = w<<24 | len(s.kvs[w])
		s.kvs[w] = append(s.kvs[w], e)
		kv += int64(len(e.K.UserKey) + len(e.V))
	}
	if !s.m.Reserve(n, kv) {
		t.Fatal("no room")
	}
	return s
}

func (s *stress) write(w int) {
	for i, kv := range s.kvs[w] {
		s.m.Insert(kv.K.UserKey, kv.K.Trailer, kv.V)
		s.done[w].Store(int64(i + 1))
		if i%3 == 0 {
			s.get(kv)
		}
	}
}

func (s *stress) get(kv iterator.KV) {
	if v, kind, ok := s.m.Get(kv.K.UserKey, kv.K.SeqNum()); !ok || kind != kv.K.Kind() || !bytes.Equal(v, kv.V) {
		s.t.Errorf("Get(%s) = %d bytes, %s, %v; want %d bytes", kv.K, len(v), kind, ok, len(kv.V))
	}
}

// look gets what is there and what is not.
func (s *stress) look(r *rand.Rand) {
	w := r.IntN(len(s.kvs))
	if n := int(s.done[w].Load()); n > 0 {
		kv := s.kvs[w][r.IntN(n)]
		s.get(kv)
		s.m.Get(append(bytes.Clone(kv.K.UserKey), 0), base.SeqNumMax)
	}
}

// scan walks from end to end, or back, and checks the order and that all entries
// finished before it began are met, each once.
func (s *stress) scan(back bool) {
	before, met := make([]int, len(s.done)), make([]int, len(s.done))
	for w := range before {
		before[w] = int(s.done[w].Load())
	}
	it := s.m.NewIter()
	kv, move, sign := it.First(), it.Next, -1
	if back {
		kv, move, sign = it.Last(), it.Prev, 1
	}
	var last base.InternalKey
	for n := 0; kv != nil; kv = move() {
		if n > 0 && s.cmp.CompareInternal(last, kv.K)*sign <= 0 {
			s.t.Fatalf("scan back=%v: %s after %s", back, kv.K, last)
		}
		last, n = kv.K, n+1
		o, ok := s.ordinal[entryName(kv.K)]
		w, i := o>>24, o&(1<<24-1)
		if !ok || !bytes.Equal(kv.V, s.kvs[w][i].V) {
			s.t.Fatalf("scan: foreign entry %s", kv.K)
		}
		if i < before[w] {
			met[w]++
		}
	}
	for w, b := range before {
		if met[w] != b {
			s.t.Errorf("scan back=%v: %d of writer %d's %d entries", back, met[w], w, b)
		}
	}
}

// seek jumps to finished entries and walks a few steps to either side.
func (s *stress) seek(r *rand.Rand, it iterator.Iterator) {
	w := r.IntN(len(s.kvs))
	n := int(s.done[w].Load())
	if n == 0 {
		return
	}
	k := s.kvs[w][r.IntN(n)].K
	if kv := it.SeekGE(k); kv == nil || s.cmp.CompareInternal(kv.K, k) != 0 {
		s.t.Fatalf("SeekGE(%s) misses it", k)
	}
	if kv := it.SeekLT(k); kv != nil && s.cmp.CompareInternal(kv.K, k) >= 0 {
		s.t.Fatalf("SeekLT(%s) = %s", k, kv.K)
	}
	last := it.SeekGE(k).K
	for range r.IntN(40) {
		kv := it.Prev()
		if kv == nil {
			break
		}
		if s.cmp.CompareInternal(kv.K, last) >= 0 {
			s.t.Fatalf("Prev: %s after %s", kv.K, last)
		}
		last = kv.K
	}
}

func (s *stress) read(seed uint64) {
	r := rand.New(rand.NewPCG(seed, 1))
	it := s.m.NewIter()
	for round := 0; !s.sealed.Load(); round++ {
		s.look(r)
		s.seek(r, it)
		if round%50 == 0 {
			s.scan(round%100 == 0)
		}
	}
}

func (s *stress) run(readers int) {
	var writing, reading sync.WaitGroup
	for w := range s.kvs {
		writing.Go(func() { s.write(w) })
	}
	for i := range readers {
		reading.Go(func() { s.read(uint64(i)) })
	}
	writing.Wait()
	s.sealed.Store(true)
	reading.Wait()
	s.scan(false)
	s.scan(true)
	var all []iterator.KV
	for _, kvs := range s.kvs {
		all = append(all, kvs...)
	}
	checkTree(s.t, s.m)
	itertest.Walk(s.t, 1, s.m.NewIter(), sorted(all, s.cmp), s.cmp)
	checkGets(s.t, s.m, sorted(all, s.cmp), s.cmp, 1)
	s.m.Unref()
}

// TestConcurrent stresses every shape of keys with four writers and two readers.
// Under the race detector the arena lies in the Go heap, so that it sees every
// access.
func TestConcurrent(t *testing.T) {
	for _, mk := range keyMakers {
		for _, cmp := range comparers[:2] {
			t.Run(mk.name+"/"+cmp.Name, func(t *testing.T) {
				newStress(t, mk, cmp, 4, 6000).run(2)
			})
		}
	}
}

// TestSearchWhileWordsAreRewritten stops a rewrite half way: a reader must go by
// the keys.
func TestSearchWhileWordsAreRewritten(t *testing.T) {
	kvs := itertest.Entries(1, 500, 3, base.Bytewise)
	m := fill(t, base.Bytewise, kvs, 1)
	tr := m.tree.Load()
	for off := tr.first; off != 0; off = tr.mem.node(off).next {
		nd := tr.mem.node(off)
		nd.meta |= uint32(busyBit)
		for i := range nd.word {
			nd.word[i] *= 0x9e3779b97f4a7c15
		}
	}
	checkGets(t, m, kvs, base.Bytewise, 1)
	itertest.Walk(t, 1, m.NewIter(), kvs, base.Bytewise)
}

// TestScanOverLeafCopiedWhileSplit: a copy may have been made of a leaf before
// a split cut it, and of its link after. What moved right comes once only.
func TestScanOverLeafCopiedWhileSplit(t *testing.T) {
	m := New(base.Bytewise, 1<<20)
	defer m.Unref()
	key := func(i int) base.InternalKey { return base.MakeKey(fmt.Appendf(nil, "%04d", i), 1, base.KindSet) }
	for i := range slots {
		add(t, m, iterator.KV{K: key(10 * i)})
	}
	it := m.NewIter().(*iter)
	if kv := it.First(); kv == nil || it.n != slots {
		t.Fatalf("first leaf has %d entries", it.n)
	}
	add(t, m, iterator.KV{K: key(35)})
	if it.next = it.nd.loadNext(); it.next == 0 {
		t.Fatal("no split")
	}
	n, last := 1, it.kv.K
	for kv := it.Next(); kv != nil; kv = it.Next() {
		if base.Bytewise.CompareInternal(last, kv.K) >= 0 {
			t.Fatalf("%s after %s", kv.K, last)
		}
		last, n = kv.K, n+1
	}
	if n != slots {
		t.Fatalf("%d entries, want the %d that were there", n, slots)
	}
}

// TestScanBackOverLeafThatIsSplit stops a split between linking the right leaf
// and cutting the left: what both hold comes once only.
func TestScanBackOverLeafThatIsSplit(t *testing.T) {
	m := New(base.Bytewise, 1<<20)
	defer m.Unref()
	key := func(i int) base.InternalKey { return base.MakeKey(fmt.Appendf(nil, "%04d", i), 1, base.KindSet) }
	for i := range slots {
		add(t, m, iterator.KV{K: key(10 * i)})
	}
	tr := m.tree.Load()
	left := tr.mem.node(tr.first)
	whole := left.loadPerm()
	add(t, m, iterator.KV{K: key(95)})
	if left.next == 0 {
		t.Fatal("no split")
	}
	left.storePerm(whole)
	for _, from := range []func(it iterator.Iterator) *iterator.KV{
		func(it iterator.Iterator) *iterator.KV { return it.Last() },
		func(it iterator.Iterator) *iterator.KV { return it.SeekLT(key(135)) },
	} {
		it := m.NewIter()
		n, last := 0, key(9999)
		for kv := from(it); kv != nil; kv = it.Prev() {
			if base.Bytewise.CompareInternal(kv.K, last) >= 0 {
				t.Fatalf("%s after %s", kv.K, last)
			}
			last, n = kv.K, n+1
		}
		if n != slots+1 {
			t.Fatalf("%d entries, want %d", n, slots+1)
		}
	}
}
