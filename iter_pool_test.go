package strata

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"
)

// poolKeys is how many keys the databases of TestPooledIterators have, some of
// them deleted in each generation.
const poolKeys = 300

func poolHas(generation, key int) bool { return (key*7+generation)%3 != 0 }

// writeGeneration makes every key that of one generation, in one batch.
func writeGeneration(db *DB, generation int) error {
	b := new(Batch)
	for k := range poolKeys {
		if poolHas(generation, k) {
			b.Put(fmt.Appendf(nil, "%04d", k), fmt.Appendf(nil, "%d %s", generation, bytes.Repeat([]byte{byte(k)}, k%60)))
		} else {
			b.Delete(fmt.Appendf(nil, "%04d", k))
		}
	}
	return db.Write(b, nil)
}

// walkGeneration walks at random with it, which shows the keys [lo, hi), and
// compares with what the generation that the first key shows must hold.
func walkGeneration(it *Iterator, r *rand.Rand, reverse bool, lo, hi int) error {
	if !it.First() {
		return cmp.Or(it.Err(), errors.New("no keys"))
	}
	var generation int
	if _, err := fmt.Sscan(string(it.Value()), &generation); err != nil {
		return err
	}
	var want []int
	for k := lo; k < hi; k++ {
		if poolHas(generation, k) {
			want = append(want, k)
		}
	}
	if reverse {
		for i, j := 0, len(want)-1; i < j; i, j = i+1, j-1 {
			want[i], want[j] = want[j], want[i]
		}
	}
	for i, ok := 0, true; ; {
		if !ok && it.Err() != nil {
			return it.Err()
		}
		if ok != (i >= 0 && i < len(want)) {
			return fmt.Errorf("at %d of %d: valid is %v", i, len(want), ok)
		}
		if ok {
			k := fmt.Sprintf("%04d", want[i])
			v := fmt.Sprintf("%d %s", generation, bytes.Repeat([]byte{byte(want[i])}, want[i]%60))
			if string(it.Key()) != k || string(it.Value()) != v {
				return fmt.Errorf("at %d of generation %d: %q %q, want %q", i, generation, it.Key(), it.Value(), k)
			}
		}
		switch n := r.IntN(100); {
		case n < 2:
			return nil
		case n < 10:
			i = r.IntN(len(want))
			ok = it.SeekGE(fmt.Appendf(nil, "%04d", want[i]))
		case n < 18:
			i = r.IntN(len(want)) - 1
			ok = it.SeekLT(fmt.Appendf(nil, "%04d", want[i+1]))
		case n < 20:
			i, ok = 0, it.First()
		case n < 22:
			i, ok = len(want)-1, it.Last()
		case n < 60:
			i, ok = min(i+1, len(want)), it.Next()
		default:
			i, ok = max(i-1, -1), it.Prev()
		}
	}
}

// Iterators of two databases with opposite orders share the memory of those that
// were closed. Whatever they were at before, with bounds, of snapshots, in the
// midst of a table that is gone, each shows one generation of its own database,
// beside writes, flushes and compactions, until it ends with ErrClosed when its
// database is closed.
func TestPooledIterators(t *testing.T) {
	backwards := &Comparer{Name: "test.backwards", Compare: func(a, b []byte) int { return bytes.Compare(b, a) }}
	var dbs [2]*DB
	for i, order := range []*Comparer{nil, backwards} {
		dbs[i] = openMem(t, &Options{Comparer: order, BlockBytes: 256, MaxOpenFiles: 16})
		require.NoError(t, writeGeneration(dbs[i], 0))
	}
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	var writers, readers sync.WaitGroup
	for i, db := range dbs {
		writers.Go(func() {
			for g := 1; ctx.Err() == nil; g++ {
				err := writeGeneration(db, g)
				if err == nil && g%3 == 0 {
					err = db.Flush()
				}
				if err == nil && g%20 == 0 {
					err = db.CompactRange(context.Background(), nil, nil)
				}
				if err != nil {
					t.Errorf("generation %d: %v", g, err)
					return
				}
			}
		})
		for seed := range uint64(2) {
			r := rand.New(rand.NewPCG(seed, uint64(i)))
			walk := func(from Reader) error {
				lo, hi := 0, poolKeys
				o := &IterOptions{NoCacheFill: r.IntN(2) == 0}
				if r.IntN(2) == 0 {
					lo = r.IntN(poolKeys - 10)
					hi = lo + 10 + r.IntN(poolKeys-lo-9)
					o.LowerBound, o.UpperBound = fmt.Appendf(nil, "%04d", lo), fmt.Appendf(nil, "%04d", hi)
					if i == 1 {
						o.LowerBound, o.UpperBound = fmt.Appendf(nil, "%04d", hi-1), fmt.Appendf(nil, "%04d", lo-1)
						if lo == 0 {
							o.UpperBound = nil
						}
					}
				}
				it := from.NewIterator(o)
				err := walkGeneration(it, r, i == 1, lo, hi)
				it.Close()
				if r.IntN(2) == 0 {
					it.Close()
				}
				return err
			}
			readers.Go(func() {
				for n := 0; ; n++ {
					if n == 150 && seed == 0 {
						cancel() // and Close comes while the others walk
					}
					var err error
					if r.IntN(3) == 0 {
						s := db.NewSnapshot()
						if err = walk(s); err == nil {
							err = walk(s)
						}
						s.Close()
					} else {
						err = walk(db)
					}
					if err != nil {
						if ctx.Err() == nil || !errors.Is(err, ErrClosed) {
							t.Errorf("database %d, seed %d, walk %d: %v", i, seed, n, err)
						}
						return
					}
				}
			})
		}
	}
	writers.Wait()
	for _, db := range dbs {
		require.NoError(t, db.Close())
	}
	readers.Wait()
}
