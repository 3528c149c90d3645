package block

import (
	"fmt"
	"math/rand/v2"
	"testing"

	"github.com/strata-db/strata/internal/base"
	"github.com/strata-db/strata/iterator"
)

func benchBlock() ([]iterator.KV, []byte) {
	var kvs []iterator.KV
	for i := range 35 {
		kvs = append(kvs, iterator.KV{K: base.MakeKey(fmt.Appendf(nil, "%016d", 123400+i*3), base.SeqNum(i*977%500), base.KindSet), V: make([]byte, 100)})
	}
	return kvs, build(kvs, 16)
}

func BenchmarkNext(b *testing.B) {
	_, data := benchBlock()
	var it Iter
	it.Init(base.Bytewise, data, NewIndex(data), Where{})
	for b.Loop() {
		if it.Next() == nil {
			it.First()
		}
	}
}

func BenchmarkPrev(b *testing.B) {
	_, data := benchBlock()
	var it Iter
	it.Init(base.Bytewise, data, NewIndex(data), Where{})
	it.Last()
	for b.Loop() {
		if it.Prev() == nil {
			it.Last()
		}
	}
}

func BenchmarkSeekGE(b *testing.B) {
	kvs, data := benchBlock()
	var it Iter
	it.Init(base.Bytewise, data, NewIndex(data), Where{})
	rng := rand.New(rand.NewPCG(1, 1))
	for b.Loop() {
		it.SeekGE(kvs[rng.IntN(len(kvs))].K)
	}
}

func BenchmarkGet(b *testing.B) {
	kvs, data := benchBlock()
	p := NewIndex(data)
	rng := rand.New(rand.NewPCG(1, 1))
	for b.Loop() {
		Get(base.Bytewise, data, p, Where{}, kvs[rng.IntN(len(kvs))].K)
	}
}

func BenchmarkCheckAndIndex(b *testing.B) {
	_, data := benchBlock()
	b.ReportAllocs()
	for b.Loop() {
		if err := Check(data, Where{}); err != nil {
			b.Fatal(err)
		}
		NewIndex(data)
	}
}

func BenchmarkWriterAdd(b *testing.B) {
	kvs, _ := benchBlock()
	var w Writer
	w.Init(16)
	i := 0
	for b.Loop() {
		w.Add(kvs[i].K, kvs[i].V)
		if i++; i == len(kvs) {
			w.Finish()
			w.Reset()
			i = 0
		}
	}
}
