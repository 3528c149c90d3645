package iterator

import (
	"bytes"

	"github.com/strata-db/strata/internal/base"
)

// A Merging makes one ordered source out of several: the entries of all of them,
// in internal-key order; entries with equal keys come in the order of their
// sources. It owns the sources and closes them. An error of any source ends the
// merge: what the others hold behind the damage is not shown.
//
// It is a tree of losers: a knockout tournament in which each inner node remembers who lost there, so that
// after the winner has moved on, only the nodes on its path to the root are
// played again (Knuth volume 3, section 5.4.1).
//
//	   winner = 2          node 0 is the winner,
//	      [0]              node i has children 2i and 2i+1,
//	     /   \             source s sits at leaf len(its)+s
//	  [3]     [1]          and numbers are those of sources
//	 /   \   /   \
//	s2   s3 s0   s1
//
// Sorted files rarely alternate: the winner often wins again. Once it has, the
// best of the losers on its path is kept as the runner-up, and as long as the
// winner stays ahead of it a step costs one comparison.
//
// Invariant while err is nil: in the forward direction every source stands at
// its first entry that is not before the merge's position, or past its end; in
// the backward direction at its last entry that is not after it, or before its
// start. So a change of direction is one step of every source, and no seek. Of a
// source that is written to, such a step may give an entry that was not there
// before and lies on the wrong side of the position: Visible expects that.
type Merging struct {
	cmp      *base.Comparer
	bytewise bool
	its      []Iterator
	kvs      []*KV // where each source stands; nil: at its end
	losers   []int // losers[i] for inner node i; 0 is unused
	winner   int
	runnerUp int // best of the others; -1: not known
	back     bool
	err      error
}

// NewMerging returns a source of the entries of all its, which it owns: a Merging,
// or of one source that source.
func NewMerging(cmp *base.Comparer, its ...Iterator) Iterator { return new(Merging).Init(cmp, its...) }

// Init is NewMerging in the memory of m, which is new or closed. m keeps its.
func (m *Merging) Init(cmp *base.Comparer, its ...Iterator) Iterator {
	switch len(its) {
	case 0:
		return NewSlice(cmp, nil)
	case 1:
		return its[0]
	}
	*m = Merging{
		cmp: cmp, bytewise: cmp.IsBytewise(), its: its,
		kvs: resize(m.kvs, len(its)), losers: resize(m.losers, len(its)),
	}
	return m
}

// resize returns n zeros, in the memory of s if they fit.
func resize[T any](s []T, n int) []T {
	if cap(s) < n {
		return make([]T, n)
	}
	s = s[:n]
	clear(s)
	return s
}

// First implements Iterator.
func (m *Merging) First() *KV {
	return m.start(false, func(it Iterator) *KV { return it.First() })
}

// Last implements Iterator.
func (m *Merging) Last() *KV {
	return m.start(true, func(it Iterator) *KV { return it.Last() })
}

// SeekGE implements Iterator.
func (m *Merging) SeekGE(key base.InternalKey) *KV {
	return m.start(false, func(it Iterator) *KV { return it.SeekGE(key) })
}

// SeekLT implements Iterator.
func (m *Merging) SeekLT(key base.InternalKey) *KV {
	return m.start(true, func(it Iterator) *KV { return it.SeekLT(key) })
}

// start moves every source and plays the whole tournament.
func (m *Merging) start(back bool, move func(Iterator) *KV) *KV {
	m.back, m.err = back, nil
	for i, it := range m.its {
		if m.kvs[i] = move(it); m.kvs[i] == nil {
			if m.err = it.Err(); m.err != nil {
				return nil
			}
		}
	}
	m.winner = m.play(1)
	m.findRunnerUp()
	return m.kvs[m.winner]
}

// play fills in the losers of the subtree at node and returns its winner.
func (m *Merging) play(node int) int {
	if node >= len(m.its) {
		return node - len(m.its)
	}
	a, b := m.play(2*node), m.play(2*node+1)
	if m.before(b, a) {
		a, b = b, a
	}
	m.losers[node] = b
	return a
}

// before reports whether source a's entry comes before source b's in the current
// direction. A source at its end comes last.
func (m *Merging) before(a, b int) bool {
	x, y := m.kvs[a], m.kvs[b]
	if x == nil || y == nil {
		return y == nil && (x != nil || a < b)
	}
	var c int
	if m.bytewise {
		c = bytes.Compare(x.K.UserKey, y.K.UserKey)
	} else {
		c = m.cmp.Compare(x.K.UserKey, y.K.UserKey)
	}
	if c != 0 {
		return (c < 0) != m.back
	}
	if x.K.Trailer != y.K.Trailer {
		return (x.K.Trailer > y.K.Trailer) != m.back
	}
	return (a < b) != m.back
}

// Next implements Iterator.
func (m *Merging) Next() *KV {
	if m.back {
		return m.turn(false)
	}
	if m.err != nil || m.kvs[m.winner] == nil {
		return nil
	}
	return m.moved(m.its[m.winner].Next())
}

// Prev implements Iterator.
func (m *Merging) Prev() *KV {
	if !m.back {
		return m.turn(true)
	}
	if m.err != nil || m.kvs[m.winner] == nil {
		return nil
	}
	return m.moved(m.its[m.winner].Prev())
}

// moved finds the new winner after the old one has moved to kv.
func (m *Merging) moved(kv *KV) *KV {
	w := m.winner
	m.kvs[w] = kv
	if kv == nil {
		if m.err = m.its[w].Err(); m.err != nil {
			return nil
		}
	}
	if m.runnerUp >= 0 && m.before(w, m.runnerUp) {
		return kv
	}
	if len(m.its) == 2 {
		m.winner, m.runnerUp = m.runnerUp, w
		return m.kvs[m.winner]
	}
	return m.replay()
}

// replay plays the nodes on the winner's path again.
func (m *Merging) replay() *KV {
	old := m.winner
	w := old
	for node := (len(m.its) + old) / 2; node > 0; node /= 2 {
		if l := m.losers[node]; m.before(l, w) {
			m.losers[node], w = w, l
		}
	}
	m.winner, m.runnerUp = w, -1
	if w == old {
		m.findRunnerUp()
	}
	return m.kvs[w]
}

// findRunnerUp picks the best of those who lost to the winner.
func (m *Merging) findRunnerUp() {
	node := (len(m.its) + m.winner) / 2
	best := m.losers[node]
	for node /= 2; node > 0; node /= 2 {
		if l := m.losers[node]; m.before(l, best) {
			best = l
		}
	}
	m.runnerUp = best
}

// turn changes direction: by the invariant, one step of each source brings it to
// the other side of the merge's position. After an error there is no way but an
// absolute positioning.
func (m *Merging) turn(back bool) *KV {
	if m.err != nil {
		return nil
	}
	if back {
		return m.start(true, func(it Iterator) *KV { return it.Prev() })
	}
	return m.start(false, func(it Iterator) *KV { return it.Next() })
}

// Err implements Iterator.
func (m *Merging) Err() error { return m.err }

// Close implements Iterator.
func (m *Merging) Close() error {
	err := m.err
	for _, it := range m.its {
		if e := it.Close(); err == nil {
			err = e
		}
	}
	clear(m.kvs) // they hold on to what the sources were in
	m.its = nil
	return err
}
