// Package itertest puts a source of entries through the contract of package
// iterator. Every implementation of iterator.Iterator in the module is walked by
// it:
//
//	func TestConformance(t *testing.T) {
//		itertest.Run(t, want, base.Bytewise, func() iterator.Iterator { return r.NewIter(...) })
//	}
//
// want is the truth, a sorted slice; the walk moves a finger over it by the
// contract's words and compares each step.
package itertest

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"sort"
	"strings"
	"testing"

	"github.com/strata-db/strata/internal/base"
	"github.com/strata-db/strata/iterator"
)

// Seeds is how many walks Run makes.
func Seeds() uint64 {
	if testing.Short() {
		return 16
	}
	return 64
}

// Run walks fresh sources that open makes, one for each seed, and closes them.
func Run(t testing.TB, want []iterator.KV, cmp *base.Comparer, open func() iterator.Iterator) {
	t.Helper()
	for seed := range Seeds() {
		it := open()
		Walk(t, seed, it, want, cmp)
		if err := it.Close(); err != nil {
			t.Fatalf("seed %d: close: %v", seed, err)
		}
	}
}

// Walk moves it at random and compares every step with want, which holds all of
// its entries in order. It leaves it open. A failure prints the seed and the last
// moves.
func Walk(t testing.TB, seed uint64, it iterator.Iterator, want []iterator.KV, cmp *base.Comparer) {
	t.Helper()
	w := &walk{t: t, it: it, want: want, cmp: cmp, seed: seed, r: rand.New(rand.NewPCG(seed, 77))}
	w.ends()
	w.whole()
	for range 40 {
		w.absolute()
		for range w.r.IntN(12) {
			w.relative()
		}
		// A long straight run crosses the borders of blocks and files.
		for range w.r.IntN(2) * w.r.IntN(min(len(want), 60)+1) {
			w.straight()
		}
	}
}

type walk struct {
	t    testing.TB
	it   iterator.Iterator
	want []iterator.KV
	cmp  *base.Comparer
	seed uint64
	r    *rand.Rand

	i     int // -1 before the start, len(want) past the end
	ahead bool

	moves int
	last  [12]step // move n is at n%12
}

// step is one move for the log. It keeps copies in buffers that are reused: a
// walk makes many moves, and hardly any is ever printed.
type step struct {
	move    string
	seek    base.InternalKey
	gotSome bool
	got     iterator.KV
}

func (s *step) set(move string, seek base.InternalKey, got *iterator.KV) {
	s.move, s.gotSome = move, got != nil
	s.seek = base.InternalKey{UserKey: append(s.seek.UserKey[:0], seek.UserKey...), Trailer: seek.Trailer}
	if got != nil {
		s.got.K = base.InternalKey{UserKey: append(s.got.K.UserKey[:0], got.K.UserKey...), Trailer: got.K.Trailer}
		s.got.V = append(s.got.V[:0], got.V...)
	}
}

func (s *step) String() string {
	out := s.move
	if strings.HasPrefix(out, "Seek") {
		out += " " + s.seek.String()
	}
	if !s.gotSome {
		return out + " -> nil"
	}
	return out + " -> " + format(&s.got)
}

// ends walks over both edges, where the contract has most to say.
func (w *walk) ends() {
	w.t.Helper()
	w.first()
	w.prev()
	w.prev()
	w.next()
	w.toLast()
	w.next()
	w.next()
	w.prev()
	w.seekLT(base.SeekKey(nil, base.SeqNumMax)) // before everything in byte order
	w.next()
	if n := len(w.want); n > 0 {
		w.seekLT(w.want[0].K)
		w.next()
		w.seekGE(base.MakeKey(w.want[n-1].K.UserKey, 0, 0))
		w.next()
		w.prev()
	}
}

// whole walks from end to end and back.
func (w *walk) whole() {
	w.t.Helper()
	for w.first(); w.i < len(w.want); {
		w.next()
	}
	for w.toLast(); w.i >= 0; {
		w.prev()
	}
}

func (w *walk) absolute() {
	w.t.Helper()
	switch w.r.IntN(8) {
	case 0:
		w.first()
	case 1:
		w.toLast()
	case 2, 3, 4:
		w.seekGE(w.key())
	default:
		w.seekLT(w.key())
	}
}

func (w *walk) relative() {
	w.t.Helper()
	if w.r.IntN(3) == 0 {
		w.ahead = !w.ahead
	}
	w.straight()
}

func (w *walk) straight() {
	w.t.Helper()
	if w.ahead {
		w.next()
	} else {
		w.prev()
	}
}

// key returns a key at, between, before or behind the entries.
func (w *walk) key() base.InternalKey {
	if len(w.want) == 0 || w.r.IntN(12) == 0 {
		b := make([]byte, w.r.IntN(5))
		for i := range b {
			b[i] = byte(w.r.Uint32())
		}
		return base.SeekKey(b, base.SeqNum(w.r.IntN(100)))
	}
	k := w.want[w.r.IntN(len(w.want))].K.Clone()
	switch w.r.IntN(8) {
	case 0:
		k.UserKey = append(k.UserKey, 0)
	case 1:
		if n := len(k.UserKey); n > 0 {
			k.UserKey = k.UserKey[:n-1]
		}
	case 2:
		k.Trailer = base.MakeTrailer(k.SeqNum(), base.KindSeek)
	case 3:
		k.Trailer = base.MakeTrailer(base.SeqNumMax, base.KindSeek)
	case 4:
		k.Trailer = 0
	case 5:
		k.Trailer++
	case 6:
		k.Trailer -= min(k.Trailer, 1)
	}
	return k
}

// search returns the index of the first wanted entry >= k.
func (w *walk) search(k base.InternalKey) int {
	return sort.Search(len(w.want), func(i int) bool { return w.cmp.CompareInternal(w.want[i].K, k) >= 0 })
}

func (w *walk) first() { w.t.Helper(); w.check("First", base.InternalKey{}, 0, w.it.First()) }
func (w *walk) toLast() {
	w.t.Helper()
	w.check("Last", base.InternalKey{}, len(w.want)-1, w.it.Last())
}
func (w *walk) next() { w.t.Helper(); w.check("Next", base.InternalKey{}, w.i+1, w.it.Next()) }
func (w *walk) prev() { w.t.Helper(); w.check("Prev", base.InternalKey{}, w.i-1, w.it.Prev()) }

func (w *walk) seekGE(k base.InternalKey) {
	w.t.Helper()
	w.check("SeekGE", k, w.search(k), w.it.SeekGE(k))
}

func (w *walk) seekLT(k base.InternalKey) {
	w.t.Helper()
	w.check("SeekLT", k, w.search(k)-1, w.it.SeekLT(k))
}

// check compares what the move gave with entry i of want.
func (w *walk) check(move string, seek base.InternalKey, i int, got *iterator.KV) {
	w.t.Helper()
	w.i = min(max(i, -1), len(w.want))
	w.last[w.moves%len(w.last)].set(move, seek, got)
	w.moves++
	var want *iterator.KV
	if w.i >= 0 && w.i < len(w.want) {
		want = &w.want[w.i]
	}
	if err := w.it.Err(); err != nil {
		w.fail("error %v", err)
	}
	if (got == nil) != (want == nil) || got != nil && (!bytes.Equal(got.K.UserKey, want.K.UserKey) || got.K.Trailer != want.K.Trailer || !bytes.Equal(got.V, want.V)) {
		w.fail("want %s, entry %d of %d", format(want), w.i, len(w.want))
	}
}

func (w *walk) fail(form string, args ...any) {
	w.t.Helper()
	for n := max(0, w.moves-len(w.last)); n < w.moves; n++ {
		w.t.Log(w.last[n%len(w.last)].String())
	}
	w.t.Fatalf("seed %d, after %d moves, the last of them above: "+form, append([]any{w.seed, w.moves}, args...)...)
}

func format(kv *iterator.KV) string {
	if kv == nil {
		return "nil"
	}
	return kv.K.String() + ":" + base.FormatKey(kv.V[:min(len(kv.V), 20)])
}

// Entries returns n distinct entries in order, of about n/versions user keys.
// Every seventh is a tombstone. Equal arguments give equal entries.
func Entries(seed uint64, n, versions int, cmp *base.Comparer) []iterator.KV {
	r := rand.New(rand.NewPCG(seed, 5))
	kvs := make([]iterator.KV, 0, n)
	for i := range n {
		k := base.MakeKey(fmt.Appendf(nil, "key%06d", r.IntN(max(n/max(versions, 1), 1))*3), base.SeqNum(i+1), base.KindSet)
		var v []byte
		if i%7 == 6 {
			k.Trailer = base.MakeTrailer(k.SeqNum(), base.KindDelete)
		} else {
			v = fmt.Appendf(nil, "value%d", i)
		}
		kvs = append(kvs, iterator.KV{K: k, V: v})
	}
	sort.Slice(kvs, func(i, j int) bool { return cmp.CompareInternal(kvs[i].K, kvs[j].K) < 0 })
	return kvs
}

// Reverse orders user keys backwards: a Comparer that is not bytewise, for tests
// that must not take the fast paths.
var Reverse = &base.Comparer{
	Name:             "itertest.Reverse",
	Compare:          func(a, b []byte) int { return bytes.Compare(b, a) },
	EqualIsIdentical: true,
}
