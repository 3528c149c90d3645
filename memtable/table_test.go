package memtable

import (
	"bytes"
	"cmp"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/strata-db/strata/internal/base"
	"github.com/strata-db/strata/iterator"
	"github.com/strata-db/strata/iterator/itertest"
)

// lengthFirst orders short keys before long ones: neither bytewise nor its
// mirror image.
var lengthFirst = &base.Comparer{
	Name: "memtable.LengthFirst",
	Compare: func(a, b []byte) int {
		return cmp.Or(cmp.Compare(len(a), len(b)), bytes.Compare(a, b))
	},
}

// foldCase calls different bytes equal.
var foldCase = &base.Comparer{
	Name:    "memtable.FoldCase",
	Compare: func(a, b []byte) int { return bytes.Compare(bytes.ToLower(a), bytes.ToLower(b)) },
}

var comparers = []*base.Comparer{base.Bytewise, itertest.Reverse, lengthFirst}

// add reserves and inserts one entry and fails the test if the table is full.
func add(t testing.TB, m *Table, kv iterator.KV) {
	t.Helper()
	if !m.Reserve(1, int64(len(kv.K.UserKey)+len(kv.V))) {
		t.Fatalf("full at %d entries, %d bytes", m.Len(), m.Bytes())
	}
	m.Insert(kv.K.UserKey, kv.K.Trailer, kv.V)
}

// fill makes a table of kvs, inserted in random order.
func fill(t testing.TB, cmp *base.Comparer, kvs []iterator.KV, seed uint64) *Table {
	t.Helper()
	m := New(cmp, 16<<20)
	t.Cleanup(m.Unref)
	for _, i := range rand.New(rand.NewPCG(seed, 1)).Perm(len(kvs)) {
		add(t, m, kvs[i])
	}
	return m
}

// TestConformance walks tables of several shapes by the iterator contract.
func TestConformance(t *testing.T) {
	for _, cmp := range comparers {
		for _, n := range []int{0, 1, slots, slots + 1, 400} {
			for _, versions := range []int{1, 5, 100} {
				kvs := itertest.Entries(uint64(n), n, versions, cmp)
				m := fill(t, cmp, kvs, 1)
				itertest.Run(t, kvs, cmp, m.NewIter)
			}
		}
	}
}

// A keyMaker makes keys of one shape: shapes differ in how much keys share, as
// the words of a node depend on it.
type keyMaker struct {
	name string
	key  func(r *rand.Rand, i int) []byte
}

var keyMakers = []keyMaker{
	{"random", func(r *rand.Rand, i int) []byte { return fmt.Appendf(nil, "%016x", r.Uint64()) }},
	{"ascending", func(r *rand.Rand, i int) []byte { return fmt.Appendf(nil, "a/long/common/prefix/%08d", i) }},
	{"descending", func(r *rand.Rand, i int) []byte { return fmt.Appendf(nil, "prefix/%08d", 99999999-i) }},
	{"zigzag", func(r *rand.Rand, i int) []byte { return fmt.Appendf(nil, "%c%08d", 'a'+i%3, i) }},
	{"tenants", func(r *rand.Rand, i int) []byte {
		p := strings.Repeat("tenant/", 1+r.IntN(4))
		return fmt.Appendf(nil, "%s%03d/%s%04d", p, r.IntN(20), p, r.IntN(1000))
	}},
	// Zeros, high bytes and lengths around the eight bytes of a word.
	{"ragged", func(r *rand.Rand, i int) []byte {
		k := make([]byte, r.IntN(22))
		for j := range k {
			k[j] = []byte{0, 0, 0, 1, 'a', 0xff}[r.IntN(6)]
		}
		return k
	}},
	{"huge prefix", func(r *rand.Rand, i int) []byte {
		return fmt.Appendf(bytes.Repeat([]byte{'p'}, 100*r.IntN(4)), "%03d", r.IntN(400))
	}},
	{"hot", func(r *rand.Rand, i int) []byte { return fmt.Appendf(nil, "hot%d", r.IntN(3)) }},
}

// makeEntries returns n entries in the order they are to be inserted; no two
// have the same key and trailer.
func makeEntries(mk keyMaker, seed uint64, n int) []iterator.KV {
	r := rand.New(rand.NewPCG(seed, 9))
	kvs := make([]iterator.KV, n)
	for i := range kvs {
		kind := base.KindSet
		if r.IntN(5) == 0 {
			kind = base.KindDelete
		}
		kvs[i].K = base.MakeKey(mk.key(r, i), base.SeqNum(i+1), kind)
		if kind == base.KindSet {
			kvs[i].V = bytes.Repeat([]byte{byte(i)}, r.IntN(200))
		}
	}
	return kvs
}

func sorted(kvs []iterator.KV, cmp *base.Comparer) []iterator.KV {
	s := slices.Clone(kvs)
	slices.SortFunc(s, func(a, b iterator.KV) int { return cmp.CompareInternal(a.K, b.K) })
	return s
}

// checkGets compares Get with the sorted truth, at, before and beside each key.
func checkGets(t *testing.T, m *Table, want []iterator.KV, cmp *base.Comparer, seed uint64) {
	t.Helper()
	r := rand.New(rand.NewPCG(seed, 2))
	for range 4 * len(want) {
		ukey := slices.Clone(want[r.IntN(len(want))].K.UserKey)
		switch r.IntN(6) {
		case 0:
			ukey = append(ukey, 0)
		case 1:
			ukey = ukey[:len(ukey)/2]
		case 2:
			if len(ukey) > 0 {
				ukey[r.IntN(len(ukey))]++
			}
		}
		at := base.SeqNum(r.IntN(len(want) + 2))
		i, _ := slices.BinarySearchFunc(want, base.SeekKey(ukey, at), func(kv iterator.KV, k base.InternalKey) int {
			return cmp.CompareInternal(kv.K, k)
		})
		found := i < len(want) && cmp.Compare(want[i].K.UserKey, ukey) == 0
		v, kind, ok := m.Get(ukey, at)
		if ok != found || ok && (kind != want[i].K.Kind() || !bytes.Equal(v, want[i].V)) {
			t.Fatalf("seed %d: Get(%s, %d) = %d bytes, %s, %v; want found %v", seed, base.FormatKey(ukey), at, len(v), kind, ok, found)
		}
	}
}

// TestModel inserts keys of every shape in every order and compares with a
// sorted slice, by Get, by the iterator contract and by the tree's own rules.
func TestModel(t *testing.T) {
	for _, mk := range keyMakers {
		for _, cmp := range comparers {
			t.Run(mk.name+"/"+cmp.Name, func(t *testing.T) {
				for seed := range uint64(2) {
					kvs := makeEntries(mk, seed, 2000)
					m := New(cmp, 8<<20)
					defer m.Unref()
					for i, kv := range kvs {
						add(t, m, kv)
						if i%500 == 77 {
							checkTree(t, m)
							checkGets(t, m, sorted(kvs[:i+1], cmp), cmp, seed)
						}
					}
					want := sorted(kvs, cmp)
					checkTree(t, m)
					checkGets(t, m, want, cmp, seed)
					it := m.NewIter()
					itertest.Walk(t, seed, it, want, cmp)
					if m.Len() != int64(len(kvs)) {
						t.Fatalf("Len %d, want %d", m.Len(), len(kvs))
					}
				}
			})
		}
	}
}

// checkTree checks what the package comment promises of every node of a table
// at rest.
func checkTree(t *testing.T, m *Table) {
	t.Helper()
	tr := m.tree.Load()
	root := tr.root.Load()
	first := root &^ (maxLevels - 1)
	below := map[uint32]uint32{} // child to low
	for level := int(root % maxLevels); level >= 0; level-- {
		children := map[uint32]uint32{}
		prev := uint32(0)
		for off := first; off != 0; off = tr.mem.node(off).next {
			nd := tr.mem.node(off)
			checkNode(t, tr, level, off, prev)
			if low, ok := below[off]; level < int(root%maxLevels) && (!ok || low != nd.low) {
				t.Fatalf("level %d: node %d is not posted as %d", level, off, nd.low)
			}
			if level > 0 {
				in := tr.mem.inner(off)
				if prev == 0 {
					children[in.child0] = 0
				}
				for i := range perm(nd.perm).count() {
					s := perm(nd.perm).slot(i)
					children[in.child[s]] = nd.ent[s]
				}
			}
			prev = off
		}
		if len(below) > 0 && level < int(root%maxLevels) && tr.mem.node(prev).next != 0 {
			t.Fatal("level does not end")
		}
		below = children
		if level > 0 {
			first = tr.mem.inner(first).child0
		}
	}
	if first != tr.first {
		t.Fatalf("leaves begin at %d, want %d", first, tr.first)
	}
}

func checkNode(t *testing.T, tr *tree, level int, off, prev uint32) {
	t.Helper()
	nd := tr.mem.node(off)
	p, mt := perm(nd.perm), meta(nd.meta)
	n := p.count()
	if p&lockBit != 0 || mt.busy() {
		t.Fatalf("level %d: node %d is locked or busy", level, off)
	}
	if nd.prev != prev {
		t.Fatalf("level %d: node %d has left neighbour %d, want %d", level, off, nd.prev, prev)
	}
	if n < half && prev != 0 && nd.next != 0 {
		t.Fatalf("level %d: node %d inside the level has %d entries", level, off, n)
	}
	if prev != 0 && tr.order(nd.low, nd.ent[p.slot(0)]) != 0 {
		t.Fatalf("level %d: node %d does not begin with its bound", level, off)
	}
	used := map[int]bool{}
	for i := range slots {
		used[p.slot(i)] = true
	}
	if len(used) != slots {
		t.Fatalf("level %d: node %d: order %x is no permutation", level, off, p)
	}
	for i := range n {
		s := p.slot(i)
		k := tr.key(nd.ent[s])
		if i > 0 && tr.order(nd.ent[p.slot(i-1)], nd.ent[s]) >= 0 {
			t.Fatalf("level %d: node %d: entries %d and %d out of order", level, off, i-1, i)
		}
		if nd.next != 0 && tr.order(nd.ent[s], tr.mem.node(nd.next).low) >= 0 {
			t.Fatalf("level %d: node %d: entry %d beyond the bound", level, off, i)
		}
		if tr.bytewise && (nd.word[s] != wordOf(k, mt.skip()) || shared(k, tr.key(nd.ent[p.slot(0)])) < mt.skip()) {
			t.Fatalf("level %d: node %d: wrong word for %q, skip %d", level, off, k, mt.skip())
		}
	}
	if tr.bytewise && !mt.loose() && mt.skip() > 0 {
		if prev == 0 || nd.next == 0 || shared(tr.key(nd.low), tr.key(tr.mem.node(nd.next).low)) < mt.skip() {
			t.Fatalf("level %d: node %d skips %d bytes its bounds do not vouch for", level, off, mt.skip())
		}
	}
}

// order compares two entries.
func (t *tree) order(a, b uint32) int {
	k, rest := splitKey(t.mem.from(b))
	tr, _ := splitTrailer(rest)
	return t.compare(a, k, tr)
}

// TestEdges covers single entries with nothing in them or a lot.
func TestEdges(t *testing.T) {
	m := New(base.Bytewise, 1<<20)
	defer m.Unref()
	if _, _, ok := m.Get(nil, base.SeqNumMax); ok || !m.Empty() || m.Bytes() != 0 || m.MemoryBytes() != 0 {
		t.Fatal("a new table is not empty")
	}
	it := m.NewIter() // before there is memory
	if it.First() != nil || it.Next() != nil || it.Last() != nil || it.Prev() != nil {
		t.Fatal("a new table has entries")
	}
	big := bytes.Repeat([]byte("0123456789abcdef"), 1<<16)
	kvs := []iterator.KV{
		{K: base.MakeKey(nil, 3, base.KindSet), V: []byte("empty key")},
		{K: base.MakeKey(nil, 1, base.KindDelete)},
		{K: base.MakeKey([]byte("a"), 9, base.KindSet), V: big},
		{K: base.MakeKey([]byte("b"), 2, base.KindSet)},
		{K: base.MakeKey(big, 5, base.KindSet), V: []byte("x")},
	}
	var total int64
	for _, kv := range kvs {
		total += int64(len(kv.K.UserKey) + len(kv.V))
	}
	if !m.Reserve(len(kvs), total) {
		t.Fatal("an empty table refused a batch larger than its limit")
	}
	for _, kv := range kvs {
		m.Insert(kv.K.UserKey, kv.K.Trailer, kv.V)
	}
	want := sorted(kvs, base.Bytewise)
	itertest.Walk(t, 1, it, want, base.Bytewise)
	checkGets(t, m, want, base.Bytewise, 1)
	if m.Len() != 5 || m.Tombstones() != 1 || m.Empty() {
		t.Fatalf("Len %d, Tombstones %d", m.Len(), m.Tombstones())
	}
	if m.Reserve(1, 1) {
		t.Fatal("a table beyond its limit took more")
	}
}

// TestSameKeyAndTrailer: replaying a foreign log may insert an entry twice. The
// later one counts, at every place in a node.
func TestSameKeyAndTrailer(t *testing.T) {
	for _, cmp := range comparers {
		kvs := makeEntries(keyMakers[0], 1, 1000)
		m := fill(t, cmp, kvs, 1)
		for i := range kvs {
			kvs[i].V = fmt.Appendf(nil, "again %d", i)
			add(t, m, kvs[i])
		}
		want := sorted(kvs, cmp)
		itertest.Walk(t, 1, m.NewIter(), want, cmp)
		checkGets(t, m, want, cmp, 1)
		if m.Len() != 1000 {
			t.Fatalf("Len %d, want 1000", m.Len())
		}
	}
}

// TestEqualKeysOfOtherBytes: the Comparer alone says which keys are equal.
func TestEqualKeysOfOtherBytes(t *testing.T) {
	m := New(foldCase, 1<<20)
	defer m.Unref()
	for i, k := range []string{"Key", "kEY", "keY", "other"} {
		add(t, m, iterator.KV{K: base.MakeKey([]byte(k), base.SeqNum(i+1), base.KindSet), V: []byte(k)})
	}
	for at, want := range []string{"", "Key", "kEY", "keY", "keY"} {
		if v, _, ok := m.Get([]byte("KEY"), base.SeqNum(at)); string(v) != want || ok != (at > 0) {
			t.Errorf("Get(KEY, %d) = %q, %v; want %q", at, v, ok, want)
		}
	}
}

// TestHotKey keeps many versions of one key between two neighbours.
func TestHotKey(t *testing.T) {
	const n = 100_000
	m := New(base.Bytewise, 64<<20)
	defer m.Unref()
	add(t, m, iterator.KV{K: base.MakeKey([]byte("a"), n+1, base.KindSet)})
	add(t, m, iterator.KV{K: base.MakeKey([]byte("z"), n+1, base.KindSet)})
	for i := range n {
		add(t, m, iterator.KV{K: base.MakeKey([]byte("hot"), base.SeqNum(i+1), base.KindSet), V: fmt.Appendf(nil, "%d", i+1)})
	}
	for at := 0; at <= n; at += 997 {
		v, _, ok := m.Get([]byte("hot"), base.SeqNum(at))
		if ok != (at > 0) || ok && string(v) != fmt.Sprint(at) {
			t.Fatalf("Get(hot, %d) = %q, %v", at, v, ok)
		}
	}
	it, seen := m.NewIter(), 0
	for kv := it.SeekGE(base.SeekKey([]byte("hot"), base.SeqNumMax)); string(kv.K.UserKey) == "hot"; kv = it.Next() {
		seen++
	}
	if seen != n {
		t.Fatalf("%d versions, want %d", seen, n)
	}
	checkTree(t, m)
}

// TestPerm compares the order word with a slice, for every count and place.
func TestPerm(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 1))
	for range 2000 {
		p, want := identity, []int(nil)
		for len(want) < slots {
			i := r.IntN(len(want) + 1)
			q, s := p.insert(i)
			want = slices.Insert(want, i, s)
			if locked, ls := (p | lockBit).insert(i); locked != q|lockBit || ls != s {
				t.Fatalf("insert(%d) into locked %x = %x, want %x", i, p, locked, q|lockBit)
			}
			p = q
			if r.IntN(20) == 0 {
				n := r.IntN(len(want) + 1)
				p, want = p.cut(n), want[:n]
			}
			for j, s := range want {
				if p.count() != len(want) || p.slot(j) != s {
					t.Fatalf("%x: want %v", p, want)
				}
			}
		}
	}
}

// An iterator positioned while the table was empty sees, positioned again, what
// was inserted since, also where the first batch booked was taken back and a
// larger one got another arena.
func TestIterOfOutgrownArena(t *testing.T) {
	m := New(base.Bytewise, 64<<10)
	defer m.Unref()
	m.Reserve(1, 10)
	it := m.NewIter()
	defer it.Close()
	if it.First() != nil {
		t.Fatal("an entry in an empty table")
	}
	m.Unreserve(1, 10)
	if !m.Reserve(1, 1<<20) {
		t.Fatal("full")
	}
	m.Insert([]byte("a"), base.MakeTrailer(1, base.KindSet), make([]byte, 1<<19))
	if it.SeekGE(base.SeekKey([]byte("a"), 1)) == nil || it.First() == nil || it.Last() == nil {
		t.Fatal("the entry is not seen")
	}
}
