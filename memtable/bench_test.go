package memtable

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"

	"github.com/strata-db/strata/internal/base"
	"github.com/strata-db/strata/iterator"
)

// The benchmarks compare the table with the plain skip list of skiplist_test.go.
// Read the ratio of the two lines, not the figures.

const benchEntries = 500_000

// A store is what both cores have in common.
type store interface {
	insert(ukey []byte, tr base.Trailer, value []byte)
	get(ukey []byte, at base.SeqNum) ([]byte, base.Kind, bool)
	iter() iterator.Iterator
}

type listStore struct{ *skipList }

func (s listStore) iter() iterator.Iterator { return &skipIter{l: s.skipList} }

type tableStore struct{ *Table }

func (s tableStore) insert(ukey []byte, tr base.Trailer, value []byte) { s.Insert(ukey, tr, value) }
func (s tableStore) get(ukey []byte, at base.SeqNum) ([]byte, base.Kind, bool) {
	return s.Get(ukey, at)
}
func (s tableStore) iter() iterator.Iterator { return s.NewIter() }

var cores = []struct {
	name string
	open func(n, kv int64) (s store, done func())
}{
	{"list", func(n, kv int64) (store, func()) {
		a := idle.get(kv + n*60 + 1<<16)
		l := listStore{newSkipList(a, base.Bytewise)}
		return l, func() { idle.put(a, l.pos.Load()*granule, int64(len(a.mem))) }
	}},
	{"table", func(n, kv int64) (store, func()) {
		t := New(base.Bytewise, 1<<20)
		if !t.Reserve(int(n), kv) {
			panic("no room")
		}
		return tableStore{t}, t.Unref
	}},
}

// benchKeys are 24-byte keys: shapes name how they are made of i.
var benchKeys = []struct {
	name string
	put  func(k []byte, i int)
}{
	{"bytes", func(k []byte, i int) {
		binary.BigEndian.PutUint64(k, uint64(i)*0x9e3779b97f4a7c15)
		copy(k[8:], "0123456789abcdef")
	}},
	{"digits", func(k []byte, i int) { copy(k, fmt.Sprintf("%024d", i)) }},
	{"deep", func(k []byte, i int) { copy(k, fmt.Sprintf("user%02d/item/%04d/%06d", i%50, i/50%100, i)) }},
}

func makeKeys(put func(k []byte, i int), n int, random bool) [][]byte {
	all := make([]byte, 24*n)
	keys := make([][]byte, n)
	for i := range keys {
		keys[i] = all[24*i : 24*i+24]
		put(keys[i], i)
	}
	slices.SortFunc(keys, bytes.Compare)
	if random {
		rand.New(rand.NewPCG(1, 2)).Shuffle(n, func(i, j int) { keys[i], keys[j] = keys[j], keys[i] })
	}
	return keys
}

var benchValue = make([]byte, 100)

func fillStore(s store, keys [][]byte) {
	for i, k := range keys {
		s.insert(k, base.MakeTrailer(base.SeqNum(i+1), base.KindSet), benchValue)
	}
}

func perEntry(b *testing.B, n int) {
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/float64(n), "ns/entry")
	b.ReportMetric(0, "ns/op")
}

func BenchmarkInsert(b *testing.B) {
	for _, order := range []string{"random", "ascending"} {
		for _, shape := range benchKeys {
			keys := makeKeys(shape.put, benchEntries, order == "random")
			for _, c := range cores {
				b.Run(order+"/"+shape.name+"/"+c.name, func(b *testing.B) {
					for b.Loop() {
						s, done := c.open(benchEntries, benchEntries*124)
						fillStore(s, keys)
						done()
					}
					perEntry(b, benchEntries)
				})
			}
		}
	}
}

func BenchmarkInsertTwo(b *testing.B) {
	keys := makeKeys(benchKeys[0].put, benchEntries, true)
	for _, c := range cores {
		b.Run(c.name, func(b *testing.B) {
			for b.Loop() {
				s, done := c.open(benchEntries, benchEntries*124)
				var wg sync.WaitGroup
				for g := range 2 {
					wg.Go(func() { fillStore(s, keys[g*benchEntries/2:(g+1)*benchEntries/2]) })
				}
				wg.Wait()
				done()
			}
			perEntry(b, benchEntries)
		})
	}
}

func BenchmarkGet(b *testing.B) {
	for _, shape := range benchKeys {
		keys := makeKeys(shape.put, 2*benchEntries, true)
		for _, c := range cores {
			s, done := c.open(benchEntries, benchEntries*124)
			fillStore(s, keys[:benchEntries])
			for j, hit := range []string{"hit", "miss"} {
				b.Run(hit+"/"+shape.name+"/"+c.name, func(b *testing.B) {
					r, i := rand.New(rand.NewPCG(3, 3)), 0
					for b.Loop() {
						i = r.IntN(benchEntries)
						if _, _, ok := s.get(keys[j*benchEntries+i], base.SeqNumMax); ok != (j == 0) {
							b.Fatal("wrong answer")
						}
					}
				})
			}
			done()
		}
	}
}

func BenchmarkScan(b *testing.B) {
	keys := makeKeys(benchKeys[0].put, benchEntries, true)
	for _, c := range cores {
		s, done := c.open(benchEntries, benchEntries*124)
		fillStore(s, keys)
		b.Run("next/"+c.name, func(b *testing.B) {
			for b.Loop() {
				n := 0
				it := s.iter()
				for kv := it.First(); kv != nil; kv = it.Next() {
					n++
				}
				if n != benchEntries {
					b.Fatal(n)
				}
			}
			perEntry(b, benchEntries)
		})
		b.Run("prev/"+c.name, func(b *testing.B) {
			for b.Loop() {
				n := 0
				it := s.iter()
				for kv := it.Last(); kv != nil; kv = it.Prev() {
					n++
				}
				if n != benchEntries {
					b.Fatal(n)
				}
			}
			perEntry(b, benchEntries)
		})
		done()
	}
}
