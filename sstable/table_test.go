package sstable

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/strata-db/strata/internal/base"
	"github.com/strata-db/strata/internal/cache"
	"github.com/strata-db/strata/iterator"
	"github.com/strata-db/strata/iterator/itertest"
)

var reverseCmp = &base.Comparer{Name: "test.reverse", Compare: func(a, b []byte) int { return bytes.Compare(b, a) }, EqualIsIdentical: true}

// foldCmp calls keys equal that differ in case.
var foldCmp = &base.Comparer{Name: "test.fold", Compare: func(a, b []byte) int { return bytes.Compare(bytes.ToLower(a), bytes.ToLower(b)) }}

// makeEntries returns about n sorted entries: decimal keys, keys that are
// prefixes of others, several versions of some.
func makeEntries(cmp *base.Comparer, n int, seed uint64) []iterator.KV {
	rng := rand.New(rand.NewPCG(seed, 2))
	var kvs []iterator.KV
	for len(kvs) < n {
		var k []byte
		switch rng.IntN(3) {
		case 0:
			k = fmt.Appendf(nil, "%016d", rng.IntN(3*n))
		case 1:
			k = bytes.Repeat([]byte{byte(rng.IntN(3)), 'A'}, rng.IntN(9))
		default:
			k = fmt.Appendf(nil, "Key/%d/", rng.IntN(n))
		}
		for v := rng.IntN(3); v >= 0; v-- {
			val := make([]byte, rng.IntN(120))
			for i := range val {
				val[i] = byte(rng.IntN(16))
			}
			kvs = append(kvs, iterator.KV{K: base.MakeKey(k, base.SeqNum(1+rng.IntN(1000)), base.Kind(rng.IntN(2))), V: val})
		}
	}
	slices.SortStableFunc(kvs, func(a, b iterator.KV) int { return cmp.CompareInternal(a.K, b.K) })
	return slices.CompactFunc(kvs, func(a, b iterator.KV) bool { return cmp.CompareInternal(a.K, b.K) == 0 })
}

func buildTable(t testing.TB, o WriterOptions, kvs []iterator.KV) ([]byte, Meta) {
	t.Helper()
	var buf bytes.Buffer
	w := NewWriter(&buf, o)
	for _, kv := range kvs {
		if err := w.Add(kv.K, kv.V); err != nil {
			t.Fatal(err)
		}
	}
	m, err := w.Finish()
	if err != nil {
		t.Fatal(err)
	}
	if m.Size != uint64(buf.Len()) || m.Entries != uint64(len(kvs)) || w.Len() != len(kvs) {
		t.Fatalf("meta says %d bytes, %d entries; made %d, %d", m.Size, m.Entries, buf.Len(), len(kvs))
	}
	return buf.Bytes(), m
}

func openTable(t testing.TB, b []byte, cmp *base.Comparer, c *cache.Cache) *Reader {
	t.Helper()
	r, err := NewReader(bytes.NewReader(b), int64(len(b)), ReaderOptions{Cmp: cmp, Cache: c, Name: "000007.ldb"})
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// optionSets are the tables every test of reading is run on.
func optionSets() []WriterOptions {
	return []WriterOptions{
		{},
		{BlockBytes: 256, RestartInterval: 1, Compression: Snappy, FilterBitsPerKey: 10},
		{BlockBytes: 1024, RestartInterval: 3, Compression: Zstd, FilterBitsPerKey: 3, LevelDBFilter: true},
		{BlockBytes: 65536, RestartInterval: 128, Compression: Snappy, FilterBitsPerKey: 10, LevelDBFilter: true},
		{BlockBytes: 1, FilterBitsPerKey: 1},
		{Cmp: reverseCmp, BlockBytes: 512, FilterBitsPerKey: 10, Compression: Snappy},
		{Cmp: foldCmp, BlockBytes: 512, FilterBitsPerKey: 10, LevelDBFilter: true},
	}
}

func name(o WriterOptions, n int) string {
	o = o.withDefaults()
	return fmt.Sprintf("%s/block%d/restart%d/%v/bits%d/n%d", o.Cmp.Name, o.BlockBytes, o.RestartInterval, o.Compression, o.FilterBitsPerKey, n)
}

// What goes in must come out, by every way of reading, whatever the shape of the
// table: walked, sought, looked up, verified; with a cache, without, and as a
// compaction reads.
func TestRoundTrip(t *testing.T) {
	for _, o := range optionSets() {
		for _, n := range []int{0, 1, 2, 30, 600} {
			t.Run(name(o, n), func(t *testing.T) {
				cmp := o.withDefaults().Cmp
				kvs := makeEntries(cmp, n, uint64(n))
				b, m := buildTable(t, o, kvs)
				c := cache.New(1 << 20)
				r := openTable(t, b, cmp, c)
				checkMeta(t, r, m, kvs)
				for seed := range uint64(4) {
					for _, io := range []IterOptions{{}, {FillCache: true}, {Compaction: true}} {
						it := r.NewIter(io)
						itertest.Walk(t, seed, it, kvs, cmp)
						if err := it.Close(); err != nil {
							t.Fatal(err)
						}
					}
				}
				checkGets(t, r, cmp, kvs)
				checkGets(t, openTable(t, b, cmp, nil), cmp, kvs)
				stats, problems := r.Verify(context.Background())
				if len(problems) > 0 || stats.Entries != uint64(len(kvs)) {
					t.Fatalf("verified %d of %d entries: %v", stats.Entries, len(kvs), problems)
				}
				r.Close()
				if held := c.Metrics().Bytes; held != 0 {
					t.Errorf("cache holds %d bytes after Close", held)
				}
			})
		}
	}
}

func checkMeta(t *testing.T, r *Reader, m Meta, kvs []iterator.KV) {
	t.Helper()
	lo, hi, ok := r.SeqBounds()
	if len(kvs) == 0 {
		if ok {
			t.Errorf("empty table has sequence bounds %d, %d", lo, hi)
		}
		return
	}
	wantLo, wantHi := kvs[0].K.SeqNum(), kvs[0].K.SeqNum()
	for _, kv := range kvs {
		wantLo, wantHi = min(wantLo, kv.K.SeqNum()), max(wantHi, kv.K.SeqNum())
	}
	if !ok || lo != wantLo || hi != wantHi || m.SmallestSeq != lo || m.LargestSeq != hi {
		t.Errorf("sequence bounds %d, %d, want %d, %d", lo, hi, wantLo, wantHi)
	}
	first, last := kvs[0].K, kvs[len(kvs)-1].K
	if m.Smallest.String() != first.String() || m.Largest.String() != last.String() {
		t.Errorf("bounds %v, %v, want %v, %v", m.Smallest, m.Largest, first, last)
	}
	p, ok := r.Properties()
	if !ok || p.Entries != m.Entries || p.Comparer != r.cmp.Name {
		t.Errorf("properties %+v", p)
	}
	prev := uint64(0)
	for _, kv := range kvs {
		off := r.EstimateOffset(kv.K)
		if off < prev || off > m.DataBytes {
			t.Fatalf("offset %d of %v, after %d, of %d", off, kv.K, prev, m.DataBytes)
		}
		prev = off
	}
	if r.MemoryBytes() <= 0 {
		t.Error("reader holds nothing")
	}
}

func checkGets(t *testing.T, r *Reader, cmp *base.Comparer, kvs []iterator.KV) {
	t.Helper()
	rng := rand.New(rand.NewPCG(9, 9))
	for range 2000 {
		ukey := fmt.Appendf(nil, "%016d", rng.IntN(4000))
		if len(kvs) > 0 && rng.IntN(4) > 0 {
			ukey = append(slices.Clone(kvs[rng.IntN(len(kvs))].K.UserKey), make([]byte, rng.IntN(2))...)
		}
		at := base.SeqNum(rng.IntN(1100))
		if rng.IntN(2) == 0 {
			at = base.SeqNumMax
		}
		i, _ := slices.BinarySearchFunc(kvs, base.SeekKey(ukey, at), func(a iterator.KV, k base.InternalKey) int { return cmp.CompareInternal(a.K, k) })
		want := i < len(kvs) && cmp.Compare(kvs[i].K.UserKey, ukey) == 0
		v, tr, ok, err := r.Get(ukey, at, HashKey(ukey))
		if err != nil || ok != want || ok && (tr != kvs[i].K.Trailer || !bytes.Equal(v, kvs[i].V)) {
			t.Fatalf("Get(%q, %d): %v %v %v, want %v", ukey, at, tr, ok, err, want)
		}
	}
}

// The versions of one key over many blocks: every one of them must be found at
// its own sequence number.
func TestVersionsOverBlocks(t *testing.T) {
	var kvs []iterator.KV
	for _, k := range []string{"a", "k", "z"} {
		for seq := 500; seq > 0; seq -= 2 {
			kvs = append(kvs, iterator.KV{K: base.MakeKey([]byte(k), base.SeqNum(seq), base.KindSet), V: fmt.Appendf(nil, "%s at %d", k, seq)})
		}
	}
	b, _ := buildTable(t, WriterOptions{BlockBytes: 256, FilterBitsPerKey: 10, LevelDBFilter: true}, kvs)
	r := openTable(t, b, nil, cache.New(1<<20))
	for _, k := range []string{"a", "k", "z"} {
		for seq := base.SeqNum(1); seq <= 501; seq++ {
			want := fmt.Sprintf("%s at %d", k, seq&^1)
			v, _, ok, err := r.Get([]byte(k), seq, HashKey([]byte(k)))
			if err != nil || ok != (seq > 1) || ok && string(v) != want {
				t.Fatalf("%s at %d: %q %v %v", k, seq, v, ok, err)
			}
		}
	}
}

// A value far larger than a block, and larger than the writer's buffer.
func TestHugeValue(t *testing.T) {
	big := bytes.Repeat([]byte("0123456789abcdef"), 1<<16)
	kvs := []iterator.KV{
		{K: base.MakeKey([]byte("a"), 1, base.KindSet), V: []byte("small")},
		{K: base.MakeKey([]byte("b"), 2, base.KindSet), V: big},
		{K: base.MakeKey([]byte("c"), 3, base.KindSet), V: big[:100]},
	}
	for _, c := range []Compression{NoCompression, Snappy, Zstd} {
		b, _ := buildTable(t, WriterOptions{Compression: c}, kvs)
		r := openTable(t, b, nil, nil)
		it := r.NewIter(IterOptions{Compaction: true})
		for i, kv := 0, it.First(); i < len(kvs); i, kv = i+1, it.Next() {
			if kv == nil || !bytes.Equal(kv.V, kvs[i].V) {
				t.Fatalf("%v: entry %d: %v", c, i, it.Err())
			}
		}
		v, _, ok, err := r.Get([]byte("b"), 9, HashKey([]byte("b")))
		if err != nil || !ok || !bytes.Equal(v, big) {
			t.Fatalf("%v: Get: %v %v", c, ok, err)
		}
	}
}

// The Writer must refuse what would make a table that cannot be read.
func TestAddOutOfOrder(t *testing.T) {
	for _, c := range [][2]base.InternalKey{
		{base.MakeKey([]byte("b"), 1, base.KindSet), base.MakeKey([]byte("a"), 1, base.KindSet)},
		{base.MakeKey([]byte("a"), 1, base.KindSet), base.MakeKey([]byte("a"), 1, base.KindSet)},
		{base.MakeKey([]byte("a"), 1, base.KindSet), base.MakeKey([]byte("a"), 2, base.KindSet)},
	} {
		w := NewWriter(new(bytes.Buffer), WriterOptions{})
		if err := w.Add(c[0], nil); err != nil {
			t.Fatal(err)
		}
		if err := w.Add(c[1], nil); err == nil {
			t.Errorf("%v accepted after %v", c[1], c[0])
		}
		if _, err := w.Finish(); err == nil {
			t.Errorf("finished after an error")
		}
	}
}

// Many goroutines on one Reader with a small cache: everybody must see the table
// as it is. Run with -race.
func TestConcurrentReaders(t *testing.T) {
	kvs := makeEntries(base.Bytewise, 3000, 4)
	b, _ := buildTable(t, WriterOptions{BlockBytes: 512, FilterBitsPerKey: 10, Compression: Snappy}, kvs)
	r := openTable(t, b, nil, cache.New(64<<10))
	var wg sync.WaitGroup
	for g := range uint64(4) {
		wg.Go(func() {
			it := r.NewIter(IterOptions{FillCache: g%2 == 0, Compaction: g == 1})
			i := 0
			for kv := it.First(); kv != nil; kv = it.Next() {
				if kv.K.String() != kvs[i].K.String() || !bytes.Equal(kv.V, kvs[i].V) {
					t.Errorf("entry %d is %v", i, kv.K)
					break
				}
				if i%5 == 0 {
					if _, _, ok, err := r.Get(kv.K.UserKey, kv.K.SeqNum(), HashKey(kv.K.UserKey)); !ok || err != nil {
						t.Errorf("%v: %v %v", kv.K, ok, err)
					}
				}
				i++
			}
			if err := it.Close(); err != nil || i != len(kvs) {
				t.Errorf("%d of %d entries: %v", i, len(kvs), err)
			}
		})
	}
	wg.Wait()
}

// A source whose reads fail from some call on must give that error, not one of
// corruption, from whatever was asked; and no iterator may leave a goroutine.
func TestReadErrors(t *testing.T) {
	kvs := makeEntries(base.Bytewise, 2000, 4)
	b, _ := buildTable(t, WriterOptions{BlockBytes: 256, FilterBitsPerKey: 10}, kvs)
	before := runtime.NumGoroutine()
	for calls := range 40 {
		src := &failingSource{b: bytes.NewReader(b)}
		src.left.Store(int64(calls))
		r, err := NewReader(src, int64(len(b)), ReaderOptions{Cache: cache.New(1 << 20), Name: "000007.ldb"})
		if err != nil {
			isFailure(t, err)
			continue
		}
		for _, o := range []IterOptions{{Compaction: true}, {FillCache: true}, {FillCache: true, SameGoroutine: true}} {
			it := r.NewIter(o)
			n := 0
			for kv := it.First(); kv != nil; kv = it.Next() {
				n++
			}
			if err := it.Close(); n < len(kvs) || err != nil {
				isFailure(t, err)
			}
		}
		if _, _, _, err := r.Get(kvs[0].K.UserKey, base.SeqNumMax, HashKey(kvs[0].K.UserKey)); err != nil {
			isFailure(t, err)
		}
	}
	noMoreGoroutines(t, before)
}

var errFailing = errors.New("failing source")

type failingSource struct {
	b    *bytes.Reader
	left atomic.Int64
}

func (s *failingSource) ReadAt(p []byte, off int64) (int, error) {
	if s.left.Add(-1) < 0 {
		return 0, errFailing
	}
	return s.b.ReadAt(p, off)
}

func isFailure(t *testing.T, err error) {
	t.Helper()
	if !errors.Is(err, errFailing) || errors.Is(err, base.ErrCorruption) {
		t.Errorf("not the source's error: %v", err)
	}
}

// An iterator stopped anywhere in a scan that decodes ahead must end its
// goroutine, and may be repositioned first.
func TestPipelineStops(t *testing.T) {
	kvs := makeEntries(base.Bytewise, 2000, 4)
	b, _ := buildTable(t, WriterOptions{BlockBytes: 256}, kvs)
	r := openTable(t, b, nil, nil)
	before := runtime.NumGoroutine()
	for _, n := range []int{0, 1, 50, 300, 500, len(kvs)} {
		it := r.NewIter(IterOptions{Compaction: true})
		it.First()
		for range n {
			it.Next()
		}
		if n == 300 {
			if kv := it.Prev(); kv.K.String() != kvs[299].K.String() {
				t.Errorf("Prev of 300: %v", kv)
			}
			if kv := it.SeekGE(kvs[10].K); kv.K.String() != kvs[10].K.String() {
				t.Errorf("SeekGE of 10: %v", kv)
			}
			for i := 11; i < len(kvs); i++ {
				if kv := it.Next(); kv.K.String() != kvs[i].K.String() {
					t.Fatalf("entry %d: %v", i, kv)
				}
			}
		}
		if err := it.Close(); err != nil {
			t.Error(err)
		}
	}
	noMoreGoroutines(t, before)
}

// noMoreGoroutines waits for goroutines that have said their last word to be gone.
// The bound is in time, not in tries: on a busy machine the thread that is to run
// the last lines of a goroutine may itself be waiting for a processor.
func noMoreGoroutines(t *testing.T, before int) {
	t.Helper()
	for deadline := time.Now().Add(10 * time.Second); runtime.NumGoroutine() > before; runtime.Gosched() {
		if time.Now().After(deadline) {
			t.Fatalf("%d goroutines before, %d after", before, runtime.NumGoroutine())
		}
	}
}
