package block

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/strata-db/strata/internal/base"
	"github.com/strata-db/strata/iterator"
)

var testWhere = Where{File: "000007.ldb", Offset: 4096}

// reverseCmp is an order without prefix tricks.
var reverseCmp = &base.Comparer{Name: "test.reverse", Compare: func(a, b []byte) int { return bytes.Compare(b, a) }, EqualIsIdentical: true}

// makeEntries returns n sorted entries of keys that share much, some with
// several versions, some that are prefixes of others and end like trailers.
func makeEntries(cmp *base.Comparer, n int, rng *rand.Rand) []iterator.KV {
	var kvs []iterator.KV
	for len(kvs) < n {
		var k []byte
		switch rng.IntN(4) {
		case 0:
			k = fmt.Appendf(nil, "%016d", rng.IntN(3*n))
		case 1:
			k = bytes.Repeat([]byte{byte(rng.IntN(3))}, rng.IntN(12))
		case 2:
			k = fmt.Appendf(nil, "key/%d/", rng.IntN(n))
		default:
			k = append(fmt.Appendf(nil, "key/%d/", rng.IntN(n)), 1, byte(rng.IntN(4)), 0, 0, 0)
		}
		for v := rng.IntN(3); v >= 0; v-- {
			val := make([]byte, rng.IntN(200))
			kvs = append(kvs, iterator.KV{K: base.MakeKey(k, base.SeqNum(rng.IntN(1000)), base.Kind(rng.IntN(2))), V: val})
		}
	}
	slices.SortFunc(kvs, func(a, b iterator.KV) int { return cmp.CompareInternal(a.K, b.K) })
	kvs = slices.CompactFunc(kvs, func(a, b iterator.KV) bool { return cmp.CompareInternal(a.K, b.K) == 0 })
	for i := range kvs {
		for j := range kvs[i].V {
			kvs[i].V[j] = byte(i)
		}
	}
	return kvs
}

func build(kvs []iterator.KV, interval int) []byte {
	var w Writer
	w.Init(interval)
	for _, kv := range kvs {
		w.Add(kv.K, kv.V)
	}
	if w.Size() != len(w.buf)+4*max(1, len(w.restarts))+4 {
		panic("size")
	}
	size := w.Size()
	b := slices.Clone(w.Finish())
	if len(b) != size {
		panic(fmt.Sprintf("Size said %d, Finish made %d", size, len(b)))
	}
	return b
}

func indexFor(cmp *base.Comparer, data []byte) Index {
	if cmp.IsBytewise() {
		return NewIndex(data)
	}
	return Index{}
}

func sameKV(a *iterator.KV, want *iterator.KV) bool {
	if a == nil || want == nil {
		return a == nil && want == nil
	}
	return bytes.Equal(a.K.UserKey, want.K.UserKey) && a.K.Trailer == want.K.Trailer && bytes.Equal(a.V, want.V)
}

// A random walk of every movement must show what a sorted slice shows, for
// every restart interval, with and without prefixes, and for another order.
func TestIterAgainstSlice(t *testing.T) {
	for _, cmp := range []*base.Comparer{base.Bytewise, reverseCmp} {
		for _, interval := range []int{1, 2, 3, 16, 128} {
			for seed := range uint64(8) {
				rng := rand.New(rand.NewPCG(seed, 1))
				kvs := makeEntries(cmp, []int{1, 5, 40, 300}[seed%4], rng)
				data := build(kvs, interval)
				if err := Check(data, testWhere); err != nil {
					t.Fatal(err)
				}
				var it Iter
				it.Init(cmp, data, indexFor(cmp, data), testWhere)
				walk(t, fmt.Sprintf("%s interval %d seed %d", cmp.Name, interval, seed), &it, cmp, kvs, rng)
				if seed == 0 {
					it.Init(cmp, data, Index{}, testWhere)
					walk(t, "no index", &it, cmp, kvs, rng)
				}
			}
		}
	}
}

func walk(t *testing.T, name string, it iterator.Iterator, cmp *base.Comparer, kvs []iterator.KV, rng *rand.Rand) {
	t.Helper()
	at := func(i int) *iterator.KV {
		if i < 0 || i >= len(kvs) {
			return nil
		}
		return &kvs[i]
	}
	pos := 0
	for step := range 2000 {
		var got *iterator.KV
		op := rng.IntN(12)
		if step == 0 {
			op = 0
		}
		target := kvs[rng.IntN(len(kvs))].K.Clone()
		switch rng.IntN(4) {
		case 0:
			target = base.SeekKey(target.UserKey, base.SeqNum(rng.IntN(1000)))
		case 1:
			target.UserKey = append(target.UserKey, byte(rng.IntN(3)))
		case 2:
			target.UserKey = target.UserKey[:rng.IntN(len(target.UserKey)+1)]
		}
		switch op {
		case 0:
			got, pos = it.First(), 0
		case 1:
			got, pos = it.Last(), len(kvs)-1
		case 2, 3:
			got = it.SeekGE(target)
			pos, _ = slices.BinarySearchFunc(kvs, target, func(a iterator.KV, k base.InternalKey) int { return cmp.CompareInternal(a.K, k) })
		case 4:
			got = it.SeekLT(target)
			pos, _ = slices.BinarySearchFunc(kvs, target, func(a iterator.KV, k base.InternalKey) int { return cmp.CompareInternal(a.K, k) })
			pos--
		case 5, 6, 7, 8:
			got, pos = it.Next(), min(pos+1, len(kvs))
		default:
			got, pos = it.Prev(), max(pos-1, -1)
		}
		if want := at(pos); !sameKV(got, want) {
			t.Fatalf("%s, step %d, op %d, target %v: got %v, want %v at %d", name, step, op, target, got, want, pos)
		}
		if it.Err() != nil {
			t.Fatalf("%s, step %d: %v", name, step, it.Err())
		}
	}
}

// Get must find what a scan finds, for keys that are there and keys that are not.
func TestGetAgainstSlice(t *testing.T) {
	for _, cmp := range []*base.Comparer{base.Bytewise, reverseCmp} {
		rng := rand.New(rand.NewPCG(7, 7))
		kvs := makeEntries(cmp, 200, rng)
		for _, interval := range []int{1, 4, 16} {
			data := build(kvs, interval)
			for range 5000 {
				target := base.SeekKey(append(slices.Clone(kvs[rng.IntN(len(kvs))].K.UserKey), make([]byte, rng.IntN(2))...), base.SeqNum(rng.IntN(1100)))
				pos, _ := slices.BinarySearchFunc(kvs, target, func(a iterator.KV, k base.InternalKey) int { return cmp.CompareInternal(a.K, k) })
				v, tr, ok, more, err := Get(cmp, data, indexFor(cmp, data), testWhere, target)
				if err != nil || more != (pos == len(kvs)) {
					t.Fatalf("%v: more %v, err %v at %d", target, more, err, pos)
				}
				wantOK := pos < len(kvs) && bytes.Equal(kvs[pos].K.UserKey, target.UserKey)
				if ok != wantOK || ok && (tr != kvs[pos].K.Trailer || !bytes.Equal(v, kvs[pos].V)) {
					t.Fatalf("%v: got %v %v, want %v", target, ok, tr, wantOK)
				}
			}
		}
	}
}

// The example of the package comment, byte for byte, and the empty block.
func TestBytes(t *testing.T) {
	got := build([]iterator.KV{{K: base.MakeKey([]byte("a"), 7, base.KindSet), V: []byte("1")}}, 16)
	want := []byte{0, 9, 1, 'a', 1, 7, 0, 0, 0, 0, 0, 0, '1', 0, 0, 0, 0, 1, 0, 0, 0}
	if !bytes.Equal(got, want) {
		t.Errorf("block of a#7,SET:\n got %x\nwant %x", got, want)
	}
	if got, want := build(nil, 16), []byte{0, 0, 0, 0, 1, 0, 0, 0}; !bytes.Equal(got, want) {
		t.Errorf("empty block: got %x, want %x", got, want)
	}
}

// An empty block, in either of its two forms, is an empty source.
func TestEmptyBlock(t *testing.T) {
	for _, data := range [][]byte{{0, 0, 0, 0, 1, 0, 0, 0}, {0, 0, 0, 0}} {
		if err := Check(data, testWhere); err != nil {
			t.Fatal(err)
		}
		var it Iter
		it.Init(base.Bytewise, data, NewIndex(data), testWhere)
		k := base.SeekKey(nil, 1)
		if it.First() != nil || it.Next() != nil || it.Last() != nil || it.Prev() != nil || it.SeekGE(k) != nil || it.SeekLT(k) != nil || it.Err() != nil {
			t.Errorf("%x: not empty: %v", data, it.Err())
		}
	}
}

// Damage must give a *base.CorruptionError that names file and block, forwards,
// backwards and by search, and must stop the iterator for good.
func TestDamage(t *testing.T) {
	kvs := []iterator.KV{
		{K: base.MakeKey([]byte("aa"), 3, base.KindSet), V: []byte("x")},
		{K: base.MakeKey([]byte("ab"), 2, base.KindSet), V: []byte("y")},
		{K: base.MakeKey([]byte("b"), 1, base.KindSet), V: []byte("z")},
	}
	good := build(kvs, 16)
	// Entry 0 is bytes 0..14 (header 3, key 10, value 1), entry 1 begins at 14.
	for _, c := range []struct {
		name  string
		edit  func(b []byte) []byte
		frame bool // found by Check, before any entry is shown
	}{
		{"no bytes", func([]byte) []byte { return nil }, true},
		{"three bytes", func(b []byte) []byte { return b[:3] }, true},
		{"no restarts", func(b []byte) []byte { binary.LittleEndian.PutUint32(b[len(b)-4:], 0); return b }, true},
		{"2^24 restarts", func(b []byte) []byte { binary.LittleEndian.PutUint32(b[len(b)-4:], 1<<24); return b }, true},
		{"2^32-1 restarts", func(b []byte) []byte { binary.LittleEndian.PutUint32(b[len(b)-4:], 1<<32-1); return b }, true},
		{"restart beyond", func(b []byte) []byte { binary.LittleEndian.PutUint32(b[len(b)-8:], 1<<31+5); return b }, true},
		{"first restart not 0", func(b []byte) []byte { binary.LittleEndian.PutUint32(b[len(b)-8:], 14); return b }, true},
		{"restart shares", func(b []byte) []byte { b[0] = 99; return b }, true},
		{"lengths 0xff", func(b []byte) []byte { b[0], b[1], b[2] = 0xff, 0xff, 0xff; return b }, true},
		{"first key short", func(b []byte) []byte { b[1] = 7; return b }, true},
		{"shares too much", func(b []byte) []byte { b[14] = 11; return b }, false},
		{"varint too long", func(b []byte) []byte { copy(b[14:], "\xff\xff\xff\xff\xff\xff"); return b }, false},
		{"key beyond", func(b []byte) []byte { b[15] = 100; return b }, false},
		{"value beyond", func(b []byte) []byte { b[16] = 100; return b }, false},
		{"key short", func(b []byte) []byte { b[14], b[15] = 0, 3; return b }, false},
		{"unknown kind", func(b []byte) []byte { b[18] = 9; return b }, false},
	} {
		data := c.edit(slices.Clone(good))
		err := Check(data, testWhere)
		if c.frame != (err != nil) {
			t.Errorf("%s: Check: %v", c.name, err)
		}
		if err != nil {
			isDamage(t, c.name, err)
			continue
		}
		for _, x := range []Index{NewIndex(data), {}} {
			var it Iter
			it.Init(base.Bytewise, data, x, testWhere)
			if kv := it.First(); !sameKV(kv, &kvs[0]) {
				t.Errorf("%s: First: %v", c.name, kv)
			}
			for range 3 {
				if kv := it.Next(); kv != nil {
					t.Errorf("%s: Next stepped over the damage to %v", c.name, kv.K)
				}
			}
			isDamage(t, c.name, it.Err())
			if kv := it.Prev(); kv != nil {
				t.Errorf("%s: Prev after damage: %v", c.name, kv.K)
			}
			if kv := it.Last(); kv != nil {
				t.Errorf("%s: Last: %v", c.name, kv.K)
			}
			isDamage(t, c.name, it.Err())
			if kv := it.SeekGE(base.SeekKey([]byte("aa"), 9)); !sameKV(kv, &kvs[0]) || it.Err() != nil {
				t.Errorf("%s: SeekGE after damage: %v %v", c.name, kv, it.Err())
			}
			_, _, _, _, err := Get(base.Bytewise, data, x, testWhere, base.SeekKey([]byte("ab"), 9))
			isDamage(t, c.name, err)
		}
		isDamage(t, c.name, Walk(data, testWhere, base.TrailerLen, func([]byte, []byte) error { return nil }) /* kinds are the caller's */)
	}
}

func isDamage(t *testing.T, name string, err error) {
	t.Helper()
	var ce *base.CorruptionError
	if name == "unknown kind" && err == nil {
		return
	}
	if !errors.As(err, &ce) || ce.File != testWhere.File || ce.Offset != testWhere.Offset {
		t.Errorf("%s: got error %v, want a CorruptionError in %s at %d", name, err, testWhere.File, testWhere.Offset)
	}
}

// Walk must notice a restart inside an entry, which nobody else needs to.
func TestWalkNoticesMisplacedRestart(t *testing.T) {
	kvs := makeEntries(base.Bytewise, 40, rand.New(rand.NewPCG(1, 2)))
	data := build(kvs, 4)
	n := 0
	if err := Walk(data, testWhere, base.TrailerLen, func(k, v []byte) error { n++; return nil }); err != nil || n != len(kvs) {
		t.Fatalf("walked %d of %d: %v", n, len(kvs), err)
	}
	limit, _, _ := layout(data)
	binary.LittleEndian.PutUint32(data[limit+4:], 1)
	isDamage(t, "misplaced", Walk(data, testWhere, base.TrailerLen, func(k, v []byte) error { return nil }))
}

// A block whose every short entry claims a long key must not make walking
// backwards hold all of these keys.
func TestBackwardsMemoryIsBounded(t *testing.T) {
	var w Writer
	w.Init(1 << 30)
	long := bytes.Repeat([]byte("x"), 10_000)
	var kvs []iterator.KV
	for i := range 200 {
		kvs = append(kvs, iterator.KV{K: base.MakeKey(fmt.Appendf(slices.Clone(long), "%04d", i), 1, base.KindSet)})
		w.Add(kvs[i].K, nil)
	}
	data := w.Finish()
	var it Iter
	it.Init(base.Bytewise, data, NewIndex(data), testWhere)
	i := len(kvs) - 1
	for kv := it.Last(); kv != nil; kv = it.Prev() {
		if !sameKV(kv, &kvs[i]) {
			t.Fatalf("entry %d: got %v", i, kv.K)
		}
		i--
	}
	if i != -1 || cap(it.back.keys) > 4*backlogKeyBytes {
		t.Errorf("stopped at %d, holding %d bytes of keys", i, cap(it.back.keys))
	}
}

// A reused iterator must not allocate.
func TestNoAllocation(t *testing.T) {
	kvs := makeEntries(base.Bytewise, 100, rand.New(rand.NewPCG(1, 2)))
	data := build(kvs, 16)
	p := NewIndex(data)
	var it Iter
	target := kvs[50].K
	run := func() {
		it.Init(base.Bytewise, data, p, testWhere)
		for kv := it.First(); kv != nil; kv = it.Next() {
		}
		for kv := it.Last(); kv != nil; kv = it.Prev() {
		}
		it.SeekGE(target)
		it.SeekLT(target)
		Get(base.Bytewise, data, p, testWhere, target)
	}
	run()
	if n := testing.AllocsPerRun(20, run); n != 0 {
		t.Errorf("%v allocations", n)
	}
}
