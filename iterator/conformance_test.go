package iterator_test

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"sort"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/strata-db/strata/internal/base"
	"github.com/strata-db/strata/iterator"
	"github.com/strata-db/strata/iterator/itertest"
)

var comparers = []*base.Comparer{base.Bytewise, itertest.Reverse}

// each runs f for both comparers and sizes from nothing up.
func each(t *testing.T, f func(t *testing.T, cmp *base.Comparer, want []iterator.KV)) {
	for _, cmp := range comparers {
		for _, n := range []int{0, 1, 2, 7, 300} {
			t.Run(fmt.Sprintf("%s/%d", cmp.Name, n), func(t *testing.T) {
				f(t, cmp, itertest.Entries(uint64(n), n, 3, cmp))
			})
		}
	}
}

func TestSlice(t *testing.T) {
	each(t, func(t *testing.T, cmp *base.Comparer, want []iterator.KV) {
		itertest.Run(t, want, cmp, func() iterator.Iterator { return iterator.NewSlice(cmp, want) })
	})
}

// strict passes entries on in buffers of its own that it overwrites at every
// move, as the contract allows: whoever keeps old bytes sees garbage.
type strict struct {
	iterator.Iterator
	kv iterator.KV
}

func (s *strict) out(kv *iterator.KV) *iterator.KV {
	for i := range s.kv.K.UserKey {
		s.kv.K.UserKey[i] = 0xee
	}
	for i := range s.kv.V {
		s.kv.V[i] = 0xee
	}
	if kv == nil {
		return nil
	}
	s.kv.K.UserKey = append(s.kv.K.UserKey[:0], kv.K.UserKey...)
	s.kv.K.Trailer = kv.K.Trailer
	s.kv.V = append(s.kv.V[:0], kv.V...)
	return &s.kv
}

func (s *strict) First() *iterator.KV                    { return s.out(s.Iterator.First()) }
func (s *strict) Last() *iterator.KV                     { return s.out(s.Iterator.Last()) }
func (s *strict) SeekGE(k base.InternalKey) *iterator.KV { return s.out(s.Iterator.SeekGE(k)) }
func (s *strict) SeekLT(k base.InternalKey) *iterator.KV { return s.out(s.Iterator.SeekLT(k)) }
func (s *strict) Next() *iterator.KV                     { return s.out(s.Iterator.Next()) }
func (s *strict) Prev() *iterator.KV                     { return s.out(s.Iterator.Prev()) }

// split deals entries out to n sources; run is how many in a row go to one.
func split(r *rand.Rand, cmp *base.Comparer, kvs []iterator.KV, n, run int) []iterator.Iterator {
	parts := make([][]iterator.KV, n)
	for i := 0; i < len(kvs); {
		p, l := r.IntN(n), 1+r.IntN(run)
		for ; l > 0 && i < len(kvs); l, i = l-1, i+1 {
			parts[p] = append(parts[p], kvs[i])
		}
	}
	its := make([]iterator.Iterator, n)
	for i := range its {
		its[i] = &strict{Iterator: iterator.NewSlice(cmp, parts[i])}
	}
	return its
}

func TestMerging(t *testing.T) {
	for _, sources := range []int{0, 1, 2, 3, 4, 5, 8, 13} {
		for _, run := range []int{1, 20} {
			t.Run(fmt.Sprintf("%d sources in runs to %d", sources, run), func(t *testing.T) {
				each(t, func(t *testing.T, cmp *base.Comparer, want []iterator.KV) {
					if sources == 0 {
						want = nil
					}
					for seed := range itertest.Seeds() / 8 {
						r := rand.New(rand.NewPCG(seed, 3))
						it := iterator.NewMerging(cmp, split(r, cmp, want, sources, run)...)
						itertest.Walk(t, seed, it, want, cmp)
						require.NoError(t, it.Close())
					}
				})
			})
		}
	}
}

// Entries with one internal key come in the order of their sources, in both
// directions and across turns.
func TestMergingEqualKeys(t *testing.T) {
	for _, cmp := range comparers {
		for _, sources := range []int{2, 3, 5} {
			keys := itertest.Entries(1, 60, 2, cmp)
			var want []iterator.KV
			parts := make([][]iterator.KV, sources)
			r := rand.New(rand.NewPCG(uint64(sources), 8))
			for _, kv := range keys {
				for s := range sources {
					if r.IntN(2) == 0 {
						e := iterator.KV{K: kv.K, V: fmt.Appendf(nil, "of source %d", s)}
						parts[s] = append(parts[s], e)
						want = append(want, e)
					}
				}
			}
			itertest.Run(t, want, cmp, func() iterator.Iterator {
				its := make([]iterator.Iterator, sources)
				for i := range its {
					its[i] = &strict{Iterator: iterator.NewSlice(cmp, parts[i])}
				}
				return iterator.NewMerging(cmp, its...)
			})
		}
	}
}

func TestConcat(t *testing.T) {
	for _, files := range []int{1, 2, 3, 9} {
		t.Run(fmt.Sprint(files, " files"), func(t *testing.T) {
			each(t, func(t *testing.T, cmp *base.Comparer, want []iterator.KV) {
				if len(want) < files {
					t.Skip("a file has at least one entry")
				}
				for seed := range itertest.Seeds() / 4 {
					c := newRun(rand.New(rand.NewPCG(seed, 4)), cmp, want, files)
					it := iterator.NewConcat(cmp, files, c.bounds, c.open)
					itertest.Walk(t, seed, it, want, cmp)
					require.Equal(t, 1, c.live, "one file is open")
					require.NoError(t, it.Close())
					require.Zero(t, c.live)
				}
			})
		})
	}
	it := iterator.NewConcat(base.Bytewise, 0, nil, nil)
	itertest.Walk(t, 1, it, nil, base.Bytewise)
	require.NoError(t, it.Close())
}

// run is a run of files for concat: cut anywhere, also between two versions of
// one user key.
type run struct {
	cmp   *base.Comparer
	files [][]iterator.KV
	live  int
	fail  map[int]error
}

func newRun(r *rand.Rand, cmp *base.Comparer, kvs []iterator.KV, n int) *run {
	c := &run{cmp: cmp, fail: map[int]error{}}
	cuts := r.Perm(len(kvs) - 1)[:n-1]
	for i := range cuts {
		cuts[i]++
	}
	cuts = append(cuts, len(kvs))
	sort.Ints(cuts)
	from := 0
	for _, to := range cuts {
		c.files = append(c.files, kvs[from:to])
		from = to
	}
	return c
}

func (c *run) bounds(i int) (smallest, largest base.InternalKey) {
	f := c.files[i]
	return f[0].K, f[len(f)-1].K
}

func (c *run) open(i int) (iterator.Iterator, error) {
	if err := c.fail[i]; err != nil {
		return nil, err
	}
	c.live++
	return &closing{&strict{Iterator: iterator.NewSlice(c.cmp, c.files[i])}, &c.live}, nil
}

type closing struct {
	iterator.Iterator
	live *int
}

func (c *closing) Close() error { *c.live--; return c.Iterator.Close() }

// damaged is a source whose entry bad cannot be read.
type damaged struct {
	iterator.Iterator
	bad base.InternalKey
	cmp *base.Comparer
	err error
}

var errDamaged = errors.New("damaged")

func (d *damaged) see(kv *iterator.KV) *iterator.KV {
	if d.err != nil {
		return nil
	}
	if kv != nil && d.cmp.CompareInternal(kv.K, d.bad) == 0 {
		d.err = errDamaged
		return nil
	}
	return kv
}

func (d *damaged) First() *iterator.KV { d.err = nil; return d.see(d.Iterator.First()) }
func (d *damaged) Last() *iterator.KV  { d.err = nil; return d.see(d.Iterator.Last()) }
func (d *damaged) SeekGE(k base.InternalKey) *iterator.KV {
	d.err = nil
	return d.see(d.Iterator.SeekGE(k))
}
func (d *damaged) SeekLT(k base.InternalKey) *iterator.KV {
	d.err = nil
	return d.see(d.Iterator.SeekLT(k))
}
func (d *damaged) Next() *iterator.KV {
	if d.err != nil {
		return nil
	}
	return d.see(d.Iterator.Next())
}
func (d *damaged) Prev() *iterator.KV {
	if d.err != nil {
		return nil
	}
	return d.see(d.Iterator.Prev())
}
func (d *damaged) Err() error { return d.err }

// A combinator never shows what lies behind the damage of one source: each entry
// it gives follows the one before in the truth, and it ends with the error, which
// stays until the next absolute positioning.
func TestErrorsEndTheWalk(t *testing.T) {
	cmp := base.Bytewise
	kvs := itertest.Entries(3, 200, 3, cmp)
	make2 := map[string]func(r *rand.Rand, bad base.InternalKey) iterator.Iterator{
		"merging": func(r *rand.Rand, bad base.InternalKey) iterator.Iterator {
			its := split(r, cmp, kvs, 1+r.IntN(6), 10)
			for i := range its {
				its[i] = &damaged{Iterator: its[i], bad: bad, cmp: cmp}
			}
			return iterator.NewMerging(cmp, its...)
		},
		"concat": func(r *rand.Rand, bad base.InternalKey) iterator.Iterator {
			n := 1 + r.IntN(6)
			c := newRun(r, cmp, kvs, n)
			return iterator.NewConcat(cmp, n, c.bounds, func(i int) (iterator.Iterator, error) {
				it, err := c.open(i)
				return &damaged{Iterator: it, bad: bad, cmp: cmp}, err
			})
		},
		"concat of unreadable files": func(r *rand.Rand, bad base.InternalKey) iterator.Iterator {
			n := 2 + r.IntN(6)
			c := newRun(r, cmp, kvs, n)
			for i := range n {
				if lo, hi := c.bounds(i); cmp.CompareInternal(lo, bad) <= 0 && cmp.CompareInternal(bad, hi) <= 0 {
					c.fail[i] = errDamaged
				}
			}
			return iterator.NewConcat(cmp, n, c.bounds, c.open)
		},
	}
	for name, mk := range make2 {
		t.Run(name, func(t *testing.T) {
			for seed := range uint64(200) {
				r := rand.New(rand.NewPCG(seed, 6))
				bad := r.IntN(len(kvs))
				it := mk(r, kvs[bad].K)
				start := r.IntN(len(kvs))
				i, step, move := start, 1, it.Next
				kv := it.SeekGE(kvs[start].K)
				if r.IntN(2) == 0 {
					kv, step, move = it.SeekLT(kvs[start].K), -1, it.Prev
					i--
				}
				for ; kv != nil; kv = move() {
					require.NotEqual(t, bad, i)
					require.Equal(t, kvs[i].K.String(), kv.K.String(), "seed %d", seed)
					i += step
				}
				if it.Err() != nil {
					require.ErrorIs(t, it.Err(), errDamaged)
					require.Nil(t, it.Next())
					require.Nil(t, it.Prev())
					require.Nil(t, it.Next())
					require.ErrorIs(t, it.Err(), errDamaged, "sticky")
					if kv := it.SeekGE(kvs[start].K); kv != nil {
						require.NoError(t, it.Err(), "an absolute positioning starts anew")
						require.Equal(t, kvs[start].K.String(), kv.K.String())
					}
				} else {
					require.True(t, i == len(kvs) || i == -1, "seed %d: a plain end at entry %d", seed, i)
					require.True(t, (bad >= start) != (step > 0), "seed %d: damage at %d was passed from %d", seed, bad, start)
				}
				it.Close()
			}
		})
	}
}

func TestNewError(t *testing.T) {
	it := iterator.NewMerging(base.Bytewise, iterator.NewSlice(base.Bytewise, itertest.Entries(1, 5, 1, base.Bytewise)), iterator.NewError(errDamaged))
	require.Nil(t, it.First())
	require.Nil(t, it.SeekGE(base.InternalKey{}))
	require.Nil(t, it.Last())
	require.ErrorIs(t, it.Err(), errDamaged)
	require.ErrorIs(t, it.Close(), errDamaged)
}

// closesWithErr gives at Close the error it ended with, as tables do.
type closesWithErr struct{ *damaged }

func (c closesWithErr) Close() error {
	c.Iterator.Close()
	return c.err
}

// The error of one file of a run is over with the next absolute positioning, in
// whatever file that is, though leaving the damaged one closes it.
func TestConcatLeavesDamagedFile(t *testing.T) {
	cmp := base.Bytewise
	kvs := itertest.Entries(3, 200, 3, cmp)
	c := newRun(rand.New(rand.NewPCG(1, 7)), cmp, kvs, 4)
	first, _ := c.bounds(0)
	other, _ := c.bounds(2)
	it := iterator.NewConcat(cmp, 4, c.bounds, func(i int) (iterator.Iterator, error) {
		f, err := c.open(i)
		return closesWithErr{&damaged{Iterator: f, bad: first, cmp: cmp}}, err
	})
	for range 2 {
		require.Nil(t, it.First())
		require.ErrorIs(t, it.Err(), errDamaged)
		kv := it.SeekGE(other)
		require.NotNil(t, kv, "%v", it.Err())
		require.Equal(t, other.String(), kv.K.String())
		require.NoError(t, it.Err())
	}
	require.NoError(t, it.Close())
	require.Zero(t, c.live)
}
