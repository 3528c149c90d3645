package iterator_test

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"sort"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/strata-db/strata/internal/base"
	"github.com/strata-db/strata/iterator"
	"github.com/strata-db/strata/iterator/itertest"
)

// history is what was written, and what a reader must see of it.
type history struct {
	cmp  *base.Comparer
	kvs  []iterator.KV // every version, in order
	last base.SeqNum
}

// newHistory writes n entries to at most keys keys. heat is the chance in percent
// that a write goes to one of three hot keys, which then have long runs of
// versions.
func newHistory(r *rand.Rand, cmp *base.Comparer, n, keys, heat, deletes int) *history {
	h := &history{cmp: cmp}
	for range n {
		h.last += base.SeqNum(1 + r.IntN(2))
		k := r.IntN(keys)
		if r.IntN(100) < heat {
			k = r.IntN(3) * keys / 3
		}
		kv := iterator.KV{K: base.MakeKey(fmt.Appendf(nil, "k%04d", k), h.last, base.KindSet), V: fmt.Appendf(nil, "v%d", h.last)}
		if r.IntN(100) < deletes {
			kv = iterator.KV{K: base.MakeKey(kv.K.UserKey, h.last, base.KindDelete)}
		}
		h.kvs = append(h.kvs, kv)
	}
	sort.Slice(h.kvs, func(i, j int) bool { return cmp.CompareInternal(h.kvs[i].K, h.kvs[j].K) < 0 })
	return h
}

type pair struct{ k, v string }

// visible is the model: a map of the newest versions, without the deleted.
func (h *history) visible(at base.SeqNum, lower, upper []byte) []pair {
	newest := map[string]iterator.KV{}
	for _, kv := range h.kvs {
		k := string(kv.K.UserKey)
		if old, ok := newest[k]; kv.K.SeqNum() <= at && (!ok || old.K.SeqNum() < kv.K.SeqNum()) {
			newest[k] = kv
		}
	}
	var out []pair
	for k, kv := range newest {
		if kv.K.Kind() == base.KindSet &&
			(lower == nil || h.cmp.Compare([]byte(k), lower) >= 0) &&
			(upper == nil || len(upper) > 0 && h.cmp.Compare([]byte(k), upper) < 0) {
			out = append(out, pair{k, string(kv.V)})
		}
	}
	sort.Slice(out, func(i, j int) bool { return h.cmp.Compare([]byte(out[i].k), []byte(out[j].k)) < 0 })
	return out
}

// source returns the history behind strict sources, one or several.
func (h *history) source(r *rand.Rand) iterator.Iterator {
	return iterator.NewMerging(h.cmp, split(r, h.cmp, h.kvs, 1+r.IntN(3), 5)...)
}

func bound(r *rand.Rand, keys int) []byte {
	switch r.IntN(8) {
	case 0, 1, 2:
		return nil
	case 3:
		return []byte{}
	}
	return fmt.Appendf(nil, "k%04d", r.IntN(keys+2)-1)
}

// Random moves over random histories, numbers and bounds, compared with the
// model by the words of Visible's comment.
func TestVisibleModel(t *testing.T) {
	for _, cmp := range comparers {
		for seed := range itertest.Seeds() * 8 {
			r := rand.New(rand.NewPCG(seed, 11))
			keys := 1 + r.IntN(60)
			h := newHistory(r, cmp, r.IntN(400), keys, []int{0, 60, 95}[r.IntN(3)], []int{0, 30, 90}[r.IntN(3)])
			at := base.SeqNum(r.IntN(int(h.last) + 2))
			if r.IntN(3) == 0 {
				at = base.SeqNumMax
			}
			lower, upper := bound(r, keys), bound(r, keys)
			v := iterator.NewVisible(cmp, h.source(r), at, lower, upper)
			walkVisible(t, r, fmt.Sprintf("seed %d at %d in [%q,%q)", seed, at, lower, upper), v, h.visible(at, lower, upper), cmp, keys)
			require.NoError(t, v.Close())
			require.False(t, v.Valid())
		}
	}
}

// A source of distinct keys is walked without looking for versions, and shows the
// same.
func TestVisibleDistinct(t *testing.T) {
	const keys = 60
	for seed := range 4 * itertest.Seeds() {
		r := rand.New(rand.NewPCG(seed, 9))
		cmp := []*base.Comparer{base.Bytewise, itertest.Reverse}[seed%2]
		h := newHistory(r, cmp, r.IntN(100), keys, 10, 20)
		// Of each key the one version that a random choice leaves.
		kept := h.kvs[:0]
		for i, kv := range h.kvs {
			if i == 0 || cmp.Compare(kept[len(kept)-1].K.UserKey, kv.K.UserKey) != 0 {
				kept = append(kept, kv)
			} else if r.IntN(2) == 0 {
				kept[len(kept)-1] = kv
			}
		}
		h.kvs = kept
		at := base.SeqNum(r.Uint64N(uint64(h.last) + 2))
		lower, upper := bound(r, keys), bound(r, keys)
		v := iterator.NewVisible(cmp, h.source(r), at, lower, upper)
		v.AssumeDistinct()
		walkVisible(t, r, fmt.Sprintf("seed %d at %d in [%q,%q)", seed, at, lower, upper), v, h.visible(at, lower, upper), cmp, keys)
		require.NoError(t, v.Close())
	}
}

func walkVisible(t *testing.T, r *rand.Rand, name string, v *iterator.Visible, want []pair, cmp *base.Comparer, keys int) {
	t.Helper()
	i, fresh := 0, true
	ahead := r.IntN(2) == 0
	search := func(k []byte) int {
		return sort.Search(len(want), func(i int) bool { return cmp.Compare([]byte(want[i].k), k) >= 0 })
	}
	var log []string
	for range 150 {
		var ok bool
		var move string
		n := r.IntN(30)
		if n > 6 && r.IntN(6) == 0 {
			ahead = !ahead
		}
		switch {
		case n == 0:
			move, ok, i = "First", v.First(), 0
		case n == 1:
			move, ok, i = "Last", v.Last(), len(want)-1
		case n <= 6:
			k := fmt.Appendf(nil, "k%04d", r.IntN(keys+2)-1)
			if v.Valid() && r.IntN(4) == 0 {
				k = v.Key() // the view's own bytes are a legal argument
			}
			ge, lt := search(k), search(k)-1
			if n%2 == 0 {
				move, ok, i = fmt.Sprintf("SeekGE %q", k), v.SeekGE(k), ge
			} else {
				move, ok, i = fmt.Sprintf("SeekLT %q", k), v.SeekLT(k), lt
			}
		case ahead:
			if i++; fresh {
				i = 0
			}
			move, ok = "Next", v.Next()
		default:
			if i--; fresh {
				i = len(want) - 1
			}
			move, ok = "Prev", v.Prev()
		}
		fresh = false
		i = min(max(i, -1), len(want))
		log = append(log, move)
		in := i >= 0 && i < len(want)
		good := v.Err() == nil && ok == in && v.Valid() == in
		if in {
			good = good && want[i] == pair{string(v.Key()), string(v.Value())}
		} else {
			good = good && v.Key() == nil && v.Value() == nil
		}
		if !good {
			t.Fatalf("%s after %v: %v %q:%q, %v; want entry %d of %q", name, log[max(0, len(log)-8):], ok, v.Key(), v.Value(), v.Err(), i, want)
		}
	}
}

// counting counts the calls that reach a source.
type counting struct {
	iterator.Iterator
	steps, seeks int
}

func (c *counting) Next() *iterator.KV { c.steps++; return c.Iterator.Next() }
func (c *counting) Prev() *iterator.KV { c.steps++; return c.Iterator.Prev() }
func (c *counting) SeekGE(k base.InternalKey) *iterator.KV {
	c.seeks++
	return c.Iterator.SeekGE(k)
}
func (c *counting) SeekLT(k base.InternalKey) *iterator.KV {
	c.seeks++
	return c.Iterator.SeekLT(k)
}

// A key with a thousand versions costs a few steps and a seek or two, whichever
// versions are visible and whichever way the walk goes.
func TestLongRunsAreSkippedBySeeking(t *testing.T) {
	kvs := []iterator.KV{{K: base.MakeKey([]byte("a"), 1, base.KindSet)}}
	for seq := base.SeqNum(1000); seq > 0; seq-- {
		kvs = append(kvs, iterator.KV{K: base.MakeKey([]byte("b"), seq, base.KindSet), V: fmt.Append(nil, seq)})
	}
	kvs = append(kvs, iterator.KV{K: base.MakeKey([]byte("c"), 1, base.KindSet)})
	for _, at := range []base.SeqNum{1, 5, 500, 1000, base.SeqNumMax} {
		src := &counting{Iterator: iterator.NewSlice(base.Bytewise, kvs)}
		v := iterator.NewVisible(base.Bytewise, src, at, nil, nil)
		var got []string
		for v.Next() {
			got = append(got, string(v.Key())+string(v.Value()))
		}
		for v.Prev() {
			got = append(got, string(v.Key())+string(v.Value()))
		}
		b := fmt.Sprint("b", min(at, 1000))
		require.Equal(t, []string{"a", b, "c", "c", b, "a"}, got)
		for _, move := range []func() bool{v.Next, v.Next, v.Prev, v.Next, v.Next, v.Prev, v.Prev} {
			require.True(t, move())
		}
		require.Less(t, src.steps, 150, "at %d", at)
		require.Less(t, src.seeks, 20, "at %d", at)
	}
}

func TestVisibleStatsAndHook(t *testing.T) {
	var kvs []iterator.KV
	for i := range 100 {
		k := fmt.Appendf(nil, "k%02d", i)
		if i >= 10 && i < 90 {
			kvs = append(kvs, iterator.KV{K: base.MakeKey(k, 9, base.KindDelete)})
		}
		kvs = append(kvs, iterator.KV{K: base.MakeKey(k, 3, base.KindSet)})
	}
	v := iterator.NewVisible(base.Bytewise, iterator.NewSlice(base.Bytewise, kvs), 20, nil, nil)
	var hooks []string
	v.OnSkip(64, func(ukey []byte, n int) { hooks = append(hooks, fmt.Sprintf("%s %d", ukey, n)) })
	n := 0
	for v.Next() {
		n++
	}
	require.Equal(t, 20, n)
	require.Equal(t, iterator.SkipStats{Tombstones: 80, Dead: 80}, v.Stats())
	require.Equal(t, []string{"k41 64", "k73 128"}, hooks)
	for v.Prev() {
		n++
	}
	require.Equal(t, 40, n)
	require.Equal(t, iterator.SkipStats{Tombstones: 160, Dead: 160}, v.Stats())
	require.Equal(t, []string{"k41 64", "k73 128", "k58 64", "k26 128"}, hooks)

	old := iterator.NewVisible(base.Bytewise, iterator.NewSlice(base.Bytewise, kvs), 5, nil, nil)
	for n = 0; old.Next(); n++ {
	}
	require.Equal(t, 100, n)
	require.Equal(t, iterator.SkipStats{TooNew: 80}, old.Stats())
}

// Kinds of later releases are errors by name, not silence, where the view would
// have to understand them.
func TestVisibleUnknownKind(t *testing.T) {
	for _, kind := range []base.Kind{base.KindMerge, base.KindRangeDelete, 77} {
		kvs := []iterator.KV{
			{K: base.MakeKey([]byte("a"), 1, base.KindSet)},
			{K: base.MakeKey([]byte("b"), 7, base.KindSet)},
			{K: base.MakeKey([]byte("b"), 5, kind)},
			{K: base.MakeKey([]byte("c"), 1, base.KindSet)},
		}
		for _, at := range []base.SeqNum{5, 9} {
			v := iterator.NewVisible(base.Bytewise, iterator.NewSlice(base.Bytewise, kvs), at, nil, nil)
			for _, step := range []func() bool{v.Next, v.Prev} {
				move := v.First
				if at == 5 {
					move = v.Last
				}
				require.True(t, move())
				for step() {
					require.NotEqual(t, at == 5, string(v.Key()) == "b")
				}
			}
			for v.First(); v.Next(); {
			}
			require.ErrorIs(t, v.Err(), base.ErrCorruption)
			require.ErrorContains(t, v.Err(), kind.String())
			require.False(t, v.Next() || v.Prev() || v.Valid())
			for v.Last(); v.Prev(); {
			}
			require.ErrorContains(t, v.Err(), kind.String())
			require.True(t, v.First())
			require.NoError(t, v.Err())
		}
		v := iterator.NewVisible(base.Bytewise, iterator.NewSlice(base.Bytewise, kvs), 4, nil, nil)
		require.True(t, v.First() && v.Next() && string(v.Key()) == "c", "too new to matter")
	}
}

// An error of the source ends the view: nothing is shown that damage might have
// changed, in either direction.
func TestVisibleErrors(t *testing.T) {
	cmp := base.Bytewise
	for seed := range uint64(300) {
		r := rand.New(rand.NewPCG(seed, 12))
		h := newHistory(r, cmp, 150, 20, 50, 30)
		bad := h.kvs[r.IntN(len(h.kvs))].K
		v := iterator.NewVisible(cmp, &damaged{Iterator: h.source(r), bad: bad, cmp: cmp}, h.last, nil, nil)
		want := map[string]string{}
		for _, p := range h.visible(h.last, nil, nil) {
			want[p.k] = p.v
		}
		for _, move := range []func() bool{v.Next, v.Prev} {
			if seed%2 == 0 {
				v.First()
			} else {
				v.Last()
			}
			for ok := v.Valid(); ok; ok = move() {
				require.Equal(t, want[string(v.Key())], string(v.Value()), "seed %d", seed)
			}
			if err := v.Err(); err != nil {
				require.ErrorIs(t, err, errDamaged)
				require.False(t, v.Next() || v.Prev())
				require.ErrorIs(t, v.Err(), errDamaged, "sticky")
			}
		}
		v.Close()
	}
}

// Where different bytes are one key, both directions show those of the version
// that is shown, not of an older one.
func TestVisibleEqualKeysOfDifferentBytes(t *testing.T) {
	cmp := &base.Comparer{Name: "test.fold", Compare: func(a, b []byte) int { return bytes.Compare(bytes.ToLower(a), bytes.ToLower(b)) }}
	var kvs []iterator.KV
	for seq := base.SeqNum(20); seq > 0; seq-- {
		key := []byte("key")
		key[seq%3] -= 'a' - 'A'
		kvs = append(kvs, iterator.KV{K: base.MakeKey(key, seq, base.KindSet), V: key})
	}
	for at := base.SeqNum(1); at <= 20; at++ {
		v := iterator.NewVisible(cmp, &strict{Iterator: iterator.NewSlice(cmp, kvs)}, at, nil, nil)
		for _, move := range []func() bool{v.First, v.Last} {
			require.True(t, move())
			require.Equal(t, string(v.Value()), string(v.Key()), "at %d", at)
		}
		require.False(t, v.Prev())
		require.True(t, v.Next())
		require.False(t, v.Next())
		require.NoError(t, v.Close())
	}
}
