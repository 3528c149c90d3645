package exchange

import (
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/strata-db/strata"
	"github.com/strata-db/strata/internal/testcorpus"
)

// An op is one write: a value, or nil to delete; nothing in ops of kind compact.
type op struct {
	key, value []byte
	delete     bool
	compact    bool // compact everything instead
}

// A model is what a database should hold, in key order.
type model struct {
	order   *strata.Comparer
	entries []testcorpus.Entry
}

func (m *model) find(key []byte) (int, bool) {
	return slices.BinarySearchFunc(m.entries, key, func(e testcorpus.Entry, k []byte) int { return m.order.Compare(e.Key, k) })
}

func (m *model) apply(ops []op) {
	for _, o := range ops {
		i, found := m.find(o.key)
		switch {
		case o.compact:
		case o.delete && found:
			m.entries = slices.Delete(m.entries, i, i+1)
		case o.delete:
		case found:
			m.entries[i] = testcorpus.EntryOf(o.key, o.value)
		default:
			m.entries = slices.Insert(m.entries, i, testcorpus.EntryOf(o.key, o.value))
		}
	}
}

// A shape is a way for a database to look.
type shape struct {
	name    string
	order   *strata.Comparer
	options strata.Options // for Strata; small buffers if not set
	ops     func(rng *rand.Rand, order *strata.Comparer) []op
	// during, if set, is called in the middle of Strata's writes and returns what
	// to do before Close.
	during func(t *testing.T, db *strata.DB) (before func())
}

// shapes are written by Strata, and as far as their operations go by the peers.
var shapes = []shape{
	{name: "empty", ops: writes(0, 0, 0)},
	{name: "one key", ops: writes(1, 10, 0)},
	{name: "log only", ops: writes(50, 100, 10)},
	{name: "emptied", ops: func(rng *rand.Rand, order *strata.Comparer) []op {
		ops := writes(200, 50, 0)(rng, order)
		for _, o := range slices.Clone(ops) {
			ops = append(ops, op{key: o.key, delete: true})
		}
		return ops
	}},
	{name: "flushed", ops: writes(300, 300, 10)},
	{name: "several levels", ops: writes(6000, 200, 20)},
	{name: "compacted", ops: func(rng *rand.Rand, order *strata.Comparer) []op {
		ops := append(writes(3000, 200, 30)(rng, order), op{compact: true})
		return append(ops, writes(100, 50, 30)(rng, order)...)
	}},
	{name: "big values", ops: func(rng *rand.Rand, order *strata.Comparer) []op {
		ops := writes(20, 70_000, 10)(rng, order)
		return append(ops, op{key: testcorpus.NewKey(order, 1_000_000), value: noise(rng, 3<<20)})
	}},
	{name: "edge keys", ops: edgeKeys},
	{name: "reverse order", order: testcorpus.Reverse, ops: writes(2000, 100, 20)},
	{name: "shorter first", order: testcorpus.LenFirst, ops: writes(2000, 100, 20)},
	{name: "indexeddb", order: testcorpus.IndexedDB, ops: writes(2000, 100, 20)},
	{name: "no compression, no filter", options: strata.Options{Compression: strata.NoCompression, FilterBitsPerKey: -1}, ops: writes(2000, 100, 20)},
	{name: "tiny blocks", options: strata.Options{BlockBytes: 256, FilterBitsPerKey: 2}, ops: writes(2000, 100, 20)},
	{name: "huge blocks", options: strata.Options{BlockBytes: 1 << 20}, ops: writes(2000, 100, 20)},
	{name: "leveldb filter", options: strata.Options{LevelDBFilter: true}, ops: writes(2000, 100, 20)},
	{name: "tiered", options: strata.Options{Policy: strata.Tiered(strata.TieredOptions{})}, ops: writes(6000, 200, 20)},
	{name: "fifo", options: strata.Options{Policy: strata.FIFO(strata.FIFOOptions{})}, ops: writes(2000, 100, 0)},
	{name: "write calls", options: strata.Options{WAL: strata.WALWrite}, ops: writes(500, 100, 10)},
	{name: "default options", options: strata.Options{MemtableBytes: 64 << 20, TableBytes: 16 << 20}, ops: writes(500, 100, 10)},
	{name: "snapshot held", ops: writes(3000, 200, 30), during: func(t *testing.T, db *strata.DB) func() {
		s := db.NewSnapshot()
		return func() {
			if err := db.CompactRange(context.Background(), nil, nil); err != nil {
				t.Errorf("compact: %v", err)
			}
			if err := s.Close(); err != nil {
				t.Errorf("close snapshot: %v", err)
			}
		}
	}},
}

// strataOptions are the shape's options for Strata.
func (s *shape) strataOptions() *strata.Options {
	o := s.options
	o.Comparer = s.comparer()
	if o.MemtableBytes == 0 {
		o.MemtableBytes = 64 << 10
	}
	if o.TableBytes == 0 {
		o.TableBytes = 64 << 10
	}
	return &o
}

func (s *shape) comparer() *strata.Comparer {
	if s.order != nil {
		return s.order
	}
	return strata.BytewiseComparer
}

// seeded returns the shape's operations; round tells one use from the next.
func (s *shape) seeded(round uint64) []op {
	seed := round
	for _, c := range s.name {
		seed = seed*31 + uint64(c)
	}
	return s.ops(rand.New(rand.NewPCG(seed, 1)), s.comparer())
}

// writes returns n writes over about n/2 keys, with values up to twice
// valueBytes, of which deletePercent are deletions.
func writes(n, valueBytes, deletePercent int) func(rng *rand.Rand, order *strata.Comparer) []op {
	return func(rng *rand.Rand, order *strata.Comparer) []op {
		var ops []op
		for range n {
			o := op{key: testcorpus.NewKey(order, rng.IntN(n/2+1))}
			if rng.IntN(100) < deletePercent {
				o.delete = true
			} else {
				o.value = noise(rng, rng.IntN(2*valueBytes+1))
			}
			ops = append(ops, o)
		}
		return ops
	}
}

// noise is n bytes that compress to about half.
func noise(rng *rand.Rand, n int) []byte {
	b := make([]byte, n)
	for i := range b {
		b[i] = byte('a' + rng.IntN(16))
	}
	return b
}

// edgeKeys are keys at the borders of what a format can get wrong.
func edgeKeys(rng *rand.Rand, _ *strata.Comparer) []op {
	keys := [][]byte{{}, {0}, {0, 0}, {0xff}, {0xff, 0xff}, []byte("a"), []byte("a\x00"), []byte("a\xff")}
	for n := 1; n <= 20_000; n *= 3 {
		keys = append(keys, noise(rng, n))
	}
	for i := range 300 {
		keys = append(keys, fmt.Appendf(nil, "shared-prefix-%s-%05d", noise(rand.New(rand.NewPCG(1, 1)), 100), i))
	}
	var ops []op
	for i, k := range keys {
		ops = append(ops, op{key: k, value: noise(rng, i%7*(i%50))})
	}
	return ops
}
