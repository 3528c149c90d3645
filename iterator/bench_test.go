package iterator_test

import (
	"fmt"
	"testing"

	"github.com/strata-db/strata/internal/base"
	"github.com/strata-db/strata/iterator"
)

// dealt returns n entries dealt out to sources: by turns, or in runs as disjoint
// files have them.
func dealt(n, sources, run int) []iterator.Iterator {
	parts := make([][]iterator.KV, sources)
	for i := range n {
		s := i / run % sources
		parts[s] = append(parts[s], iterator.KV{
			K: base.MakeKey(fmt.Appendf(nil, "%016d", i), base.SeqNum(i), base.KindSet),
			V: make([]byte, 100),
		})
	}
	its := make([]iterator.Iterator, sources)
	for i := range its {
		its[i] = iterator.NewSlice(base.Bytewise, parts[i])
	}
	return its
}

const benchEntries = 20000

func BenchmarkMerging(b *testing.B) {
	for _, c := range []struct {
		name         string
		sources, run int
	}{
		{"1", 1, 1},
		{"2-disjoint", 2, benchEntries / 2},
		{"2-interleaved", 2, 1},
		{"4-disjoint", 4, benchEntries / 4},
		{"4-runs-of-8", 4, 8},
		{"4-interleaved", 4, 1},
		{"16-interleaved", 16, 1},
	} {
		it := iterator.NewMerging(base.Bytewise, dealt(benchEntries, c.sources, c.run)...)
		b.Run(c.name+"/next", func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if it.Next() == nil {
					it.First()
				}
			}
		})
		b.Run(c.name+"/prev", func(b *testing.B) {
			for b.Loop() {
				if it.Prev() == nil {
					it.Last()
				}
			}
		})
		b.Run(c.name+"/seek", func(b *testing.B) {
			b.ReportAllocs()
			k := base.SeekKey([]byte("0000000000010003"), base.SeqNumMax)
			for b.Loop() {
				it.SeekGE(k)
			}
		})
	}
}

func BenchmarkVisible(b *testing.B) {
	upper := []byte("1")
	for _, c := range []struct {
		name    string
		sources int
		upper   []byte
	}{{"1", 1, nil}, {"1-bounded", 1, upper}, {"2-disjoint", 2, nil}} {
		src := iterator.NewMerging(base.Bytewise, dealt(benchEntries, c.sources, benchEntries/c.sources)...)
		v := iterator.NewVisible(base.Bytewise, src, base.SeqNumMax, nil, c.upper)
		b.Run(c.name+"/next", func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if !v.Next() {
					v.First()
				}
			}
		})
		b.Run(c.name+"/prev", func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if !v.Prev() {
					v.Last()
				}
			}
		})
		b.Run(c.name+"/source", func(b *testing.B) {
			src.First()
			for b.Loop() {
				if src.Next() == nil {
					src.First()
				}
			}
		})
	}
}
