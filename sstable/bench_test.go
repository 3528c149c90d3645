package sstable

import (
	"bytes"
	"fmt"
	"io"
	"math/rand/v2"
	"testing"

	"github.com/strata-db/strata/internal/base"
	"github.com/strata-db/strata/internal/cache"
)

// benchValues returns values of 100 bytes that compress to about half.
func benchValues(n int) []byte {
	rng := rand.New(rand.NewPCG(3, 3))
	b := make([]byte, n*100)
	for i := 0; i < len(b); i += 100 {
		for j := range 50 {
			b[i+j] = byte(rng.Uint32())
		}
		copy(b[i+50:i+100], b[i:i+50])
	}
	return b
}

func appendBenchKey(dst []byte, i int) []byte {
	dst = append(dst[:0], "0000000000000000"...)
	for p := 15; i > 0; p, i = p-1, i/10 {
		dst[p] = byte('0' + i%10)
	}
	return dst
}

func writeBench(b testing.TB, w io.Writer, o WriterOptions, n int, values []byte) Meta {
	t := NewWriter(w, o)
	var key []byte
	for i := range n {
		key = appendBenchKey(key, 3*i)
		v := values[i*100%len(values):][:100]
		if err := t.Add(base.MakeKey(key, base.SeqNum(1+i), base.KindSet), v); err != nil {
			b.Fatal(err)
		}
	}
	m, err := t.Finish()
	if err != nil {
		b.Fatal(err)
	}
	return m
}

func BenchmarkWriter(b *testing.B) {
	values := benchValues(10_000)
	const n = 100_000
	for _, o := range []WriterOptions{
		{FilterBitsPerKey: 10}, {Compression: Snappy, FilterBitsPerKey: 10}, {Compression: Zstd, FilterBitsPerKey: 10},
		{Compression: Snappy, FilterBitsPerKey: 10, LevelDBFilter: true},
	} {
		b.Run(fmt.Sprintf("%v/ldbfilter=%v", o.Compression, o.LevelDBFilter), func(b *testing.B) {
			b.SetBytes(n * 116)
			b.ReportAllocs()
			for b.Loop() {
				writeBench(b, io.Discard, o, n, values)
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/n, "ns/entry")
		})
	}
}

const benchEntries = 100_000

func benchReader(b *testing.B, o WriterOptions, cacheBytes int64) *Reader {
	var buf bytes.Buffer
	writeBench(b, &buf, o, benchEntries, benchValues(10_000))
	r, err := NewReader(bytes.NewReader(buf.Bytes()), int64(buf.Len()), ReaderOptions{Cache: cache.New(cacheBytes)})
	if err != nil {
		b.Fatal(err)
	}
	return r
}

var benchOptions = WriterOptions{Compression: Snappy, FilterBitsPerKey: 10}

func BenchmarkGet(b *testing.B) {
	for _, c := range []struct {
		name   string
		cache  int64
		offset int
	}{{"hit", 64 << 20, 0}, {"hit-uncached", 0, 0}, {"miss", 64 << 20, 1}} {
		b.Run(c.name, func(b *testing.B) {
			r := benchReader(b, benchOptions, c.cache)
			rng := rand.New(rand.NewPCG(1, 1))
			keys := make([][]byte, 1<<16)
			hashes := make([]KeyHash, len(keys))
			for i := range keys {
				keys[i] = appendBenchKey(nil, 3*rng.IntN(benchEntries)+c.offset)
				hashes[i] = HashKey(keys[i])
				r.Get(keys[i], base.SeqNumMax, hashes[i])
			}
			b.ReportAllocs()
			i := 0
			for b.Loop() {
				j := i & (len(keys) - 1)
				if _, _, _, err := r.Get(keys[j], base.SeqNumMax, hashes[j]); err != nil {
					b.Fatal(err)
				}
				i++
			}
		})
	}
}

func BenchmarkHashKey(b *testing.B) {
	key := appendBenchKey(nil, 12345)
	for b.Loop() {
		key[3]++
		HashKey(key)
	}
}

func BenchmarkScan(b *testing.B) {
	for _, c := range []struct {
		name  string
		cache int64
		o     IterOptions
		back  bool
	}{
		{"cached", 64 << 20, IterOptions{FillCache: true}, false},
		{"cached-reverse", 64 << 20, IterOptions{FillCache: true}, true},
		{"uncached", 0, IterOptions{FillCache: true}, false},
		{"uncached-reverse", 0, IterOptions{FillCache: true}, true},
		{"nofill", 0, IterOptions{}, false},
		{"compaction", 0, IterOptions{Compaction: true}, false},
	} {
		b.Run(c.name, func(b *testing.B) {
			r := benchReader(b, benchOptions, c.cache)
			b.ReportAllocs()
			for b.Loop() {
				it := r.NewIter(c.o)
				n := 0
				if c.back {
					for kv := it.Last(); kv != nil; kv = it.Prev() {
						n++
					}
				} else {
					for kv := it.First(); kv != nil; kv = it.Next() {
						n++
					}
				}
				if n != benchEntries || it.Close() != nil {
					b.Fatal(n)
				}
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/benchEntries, "ns/entry")
		})
	}
}

func BenchmarkSeekGE(b *testing.B) {
	r := benchReader(b, benchOptions, 64<<20)
	it := r.NewIter(IterOptions{FillCache: true})
	rng := rand.New(rand.NewPCG(1, 1))
	keys := make([]base.InternalKey, 1<<16)
	for i := range keys {
		keys[i] = base.SeekKey(appendBenchKey(nil, rng.IntN(3*benchEntries)), base.SeqNumMax)
		it.SeekGE(keys[i])
	}
	i := 0
	for b.Loop() {
		it.SeekGE(keys[i&(len(keys)-1)])
		i++
	}
}

func BenchmarkOpen(b *testing.B) {
	var buf bytes.Buffer
	writeBench(b, &buf, benchOptions, benchEntries, benchValues(10_000))
	b.ReportAllocs()
	for b.Loop() {
		if _, err := NewReader(bytes.NewReader(buf.Bytes()), int64(buf.Len()), ReaderOptions{}); err != nil {
			b.Fatal(err)
		}
	}
}
