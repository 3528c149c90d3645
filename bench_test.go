package strata

import (
	"context"
	"encoding/binary"
	"math/rand/v2"
	"runtime"
	"runtime/metrics"
	"testing"
)

// Benchmarks of the calls that programs make most. Whole-engine figures beside
// other engines come from bench/peers.

const benchKeys = 500_000

// benchKey is the i-th of benchKeys 16-byte keys in a random order.
func benchKey(dst []byte, i int) []byte {
	// A product with an odd constant permutes the numbers of 64 bits.
	n := uint64(i) * 0x9e3779b97f4a7c15
	return binary.BigEndian.AppendUint64(binary.BigEndian.AppendUint64(dst[:0], n), uint64(i))
}

func benchDB(b *testing.B, o Options) *DB {
	db, err := Open(b.TempDir(), &o)
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { db.Close() })
	return db
}

func loadedDB(b *testing.B) *DB {
	db := benchDB(b, Options{CacheBytes: 256 << 20})
	key, value := make([]byte, 16), make([]byte, 100)
	for i := range benchKeys {
		binary.LittleEndian.PutUint64(value, uint64(i))
		if err := db.Put(benchKey(key, i), value, nil); err != nil {
			b.Fatal(err)
		}
	}
	if err := db.CompactRange(context.Background(), nil, nil); err != nil {
		b.Fatal(err)
	}
	return db
}

func BenchmarkPutRandom(b *testing.B) {
	db := benchDB(b, Options{})
	key, value := make([]byte, 16), make([]byte, 100)
	i := 0
	b.ReportAllocs()
	for b.Loop() {
		if err := db.Put(benchKey(key, i), value, nil); err != nil {
			b.Fatal(err)
		}
		i++
	}
}

func BenchmarkPutSequential(b *testing.B) {
	db := benchDB(b, Options{})
	key, value := make([]byte, 16), make([]byte, 100)
	i := uint64(0)
	b.ReportAllocs()
	for b.Loop() {
		binary.BigEndian.PutUint64(key, i)
		if err := db.Put(key, value, nil); err != nil {
			b.Fatal(err)
		}
		i++
	}
}

func BenchmarkGetHit(b *testing.B) {
	db := loadedDB(b)
	key, dst := make([]byte, 16), make([]byte, 0, 128)
	r := rand.New(rand.NewPCG(1, 2))
	b.ReportAllocs()
	for b.Loop() {
		var err error
		if dst, err = db.Append(dst[:0], benchKey(key, r.IntN(benchKeys))); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkGetMiss(b *testing.B) {
	db := loadedDB(b)
	key := make([]byte, 16)
	r := rand.New(rand.NewPCG(1, 2))
	b.ReportAllocs()
	for b.Loop() {
		if ok, err := db.Has(append(benchKey(key, r.IntN(benchKeys)), 'x')); ok || err != nil {
			b.Fatal(ok, err)
		}
	}
}

func BenchmarkNext(b *testing.B) {
	db := loadedDB(b)
	it := db.NewIterator(nil)
	defer it.Close()
	b.ReportAllocs()
	for b.Loop() {
		if !it.Next() {
			it.First()
		}
	}
}

func BenchmarkPrev(b *testing.B) {
	db := loadedDB(b)
	it := db.NewIterator(nil)
	defer it.Close()
	b.ReportAllocs()
	for b.Loop() {
		if !it.Prev() {
			it.Last()
		}
	}
}

func BenchmarkSeek(b *testing.B) {
	db := loadedDB(b)
	it := db.NewIterator(nil)
	defer it.Close()
	key := make([]byte, 16)
	r := rand.New(rand.NewPCG(1, 2))
	b.ReportAllocs()
	for b.Loop() {
		if !it.SeekGE(benchKey(key, r.IntN(benchKeys))) {
			b.Fatal(it.Err())
		}
	}
}

// BenchmarkSeekNew makes an iterator for each seek, as most programs do.
func BenchmarkSeekNew(b *testing.B) {
	db := loadedDB(b)
	key := make([]byte, 16)
	r := rand.New(rand.NewPCG(1, 2))
	b.ReportAllocs()
	for b.Loop() {
		it := db.NewIterator(nil)
		if !it.SeekGE(benchKey(key, r.IntN(benchKeys))) {
			b.Fatal(it.Err())
		}
		it.Close()
	}
}

// BenchmarkGetUncached reads from a database seven times the size of its cache,
// and reports what keeping blocks in ordinary memory costs: the collector's share
// of the processors, and the heap beside the cache's capacity.
func BenchmarkGetUncached(b *testing.B) {
	const cacheBytes = 8 << 20
	db := benchDB(b, Options{CacheBytes: cacheBytes})
	key, value := make([]byte, 16), make([]byte, 100)
	for i := range benchKeys {
		if err := db.Put(benchKey(key, i), value, nil); err != nil {
			b.Fatal(err)
		}
	}
	if err := db.CompactRange(context.Background(), nil, nil); err != nil {
		b.Fatal(err)
	}
	sample := []metrics.Sample{
		{Name: "/cpu/classes/gc/total:cpu-seconds"}, {Name: "/cpu/classes/user:cpu-seconds"}, {Name: "/gc/heap/goal:bytes"},
	}
	runtime.GC()
	metrics.Read(sample)
	gc, user := sample[0].Value.Float64(), sample[1].Value.Float64()
	dst := make([]byte, 0, 128)
	r := rand.New(rand.NewPCG(1, 2))
	b.ReportAllocs()
	for b.Loop() {
		var err error
		if dst, err = db.Append(dst[:0], benchKey(key, r.IntN(benchKeys))); err != nil {
			b.Fatal(err)
		}
	}
	runtime.GC()
	metrics.Read(sample)
	gc, user = sample[0].Value.Float64()-gc, sample[1].Value.Float64()-user
	b.ReportMetric(100*gc/(gc+user), "gc-%")
	b.ReportMetric(float64(sample[2].Value.Uint64())/(1<<20), "heap-goal-MiB")
}
