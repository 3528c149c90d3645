package memtable

import (
	"bytes"
	"encoding/binary"
	"math/bits"
	"sync/atomic"

	"github.com/strata-db/strata/internal/base"
)

// wordOf returns key[skip:skip+8] as a big-endian number, filled up with zeros.
// For keys that share their first skip bytes, a smaller word is a smaller key.
func wordOf(key []byte, skip int) uint64 {
	if len(key) >= skip+8 {
		return binary.BigEndian.Uint64(key[skip:])
	}
	if len(key) <= skip {
		return 0
	}
	var w uint64
	for i, c := range key[skip:] {
		w |= uint64(c) << (56 - 8*uint(i))
	}
	return w
}

// shared returns how many leading bytes a and b have in common, at most maxSkip.
func shared(a, b []byte) int {
	n := min(len(a), len(b), maxSkip)
	for i := range n {
		if a[i] != b[i] {
			return i
		}
	}
	return n
}

// key returns the user key of entry e.
func (t *tree) key(e uint32) []byte {
	k, _ := splitKey(t.mem.from(e))
	return k
}

// compare orders entry e against a key: user key ascending, trailer descending.
func (t *tree) compare(e uint32, ukey []byte, tr base.Trailer) int {
	k, rest := splitKey(t.mem.from(e))
	var r int
	if t.bytewise {
		r = bytes.Compare(k, ukey)
	} else {
		r = t.cmp.Compare(k, ukey)
	}
	if r != 0 {
		return r
	}
	et := base.Trailer(binary.LittleEndian.Uint64(rest))
	switch {
	case et > tr:
		return -1
	case et < tr:
		return 1
	}
	return 0
}

// rank returns how many of the node's entries are less than the key, and
// whether the one at that place equals it. tied is false if no entry of the node
// has the user key; true says nothing.
//
// m and p are the node's meta and order, loaded in this turn. Without the lock,
// the answer counts only if the meta is still m afterwards.
func (t *tree) rank(nd *node, m meta, p perm, ukey []byte, tr base.Trailer) (r int, equal, tied bool) {
	pause()
	n := p.count()
	if !t.bytewise || m.busy() {
		r, equal = t.rankByKey(nd, p, 0, n, ukey, tr)
		return r, equal, true
	}
	skip := m.skip()
	if m.loose() && skip > 0 && n > 0 {
		// The bounds of first are checked because the node may be changing.
		first := t.key(nd.loadEnt(p.slot(0)))
		if c := bytes.Compare(ukey[:min(skip, len(ukey))], first[:min(skip, len(first))]); c != 0 {
			return n * (c + 1) / 2, false, false
		}
	}
	// Counting beats bisection: no branch to mispredict, and the loads do not
	// wait for one another.
	w := wordOf(ukey, skip)
	var less, more uint64
	for i, q := n, p>>4; i > 0; i, q = i-1, q>>4 {
		v := atomic.LoadUint64(&nd.word[q&15])
		_, b := bits.Sub64(v, w, 0)
		less += b
		_, b = bits.Sub64(w, v, 0)
		more += b
	}
	if int(less+more) == n {
		return int(less), false, false
	}
	r, equal = t.rankByKey(nd, p, int(less), n-int(more), ukey, tr)
	return r, equal, true
}

// rankByKey is rank among the entries [lo, hi) in order, by their keys.
func (t *tree) rankByKey(nd *node, p perm, lo, hi int, ukey []byte, tr base.Trailer) (r int, equal bool) {
	for lo < hi {
		mid := int(uint(lo+hi) >> 1)
		c := t.compare(nd.loadEnt(p.slot(mid)), ukey, tr)
		switch {
		case c == 0:
			return mid, true
		case c < 0:
			lo = mid + 1
		default:
			hi = mid
		}
	}
	return lo, false
}

// A place is a node on the way to a key, with the meta under which the key may
// be searched in it.
type place struct {
	off uint32
	nd  *node
	m   meta
}

// A step is the state of an inner node that led to the place below it.
type step struct {
	nd *node
	m  meta
	p  perm
}

// holds reports that the node is still as it was.
func (s *step) holds() bool {
	return s.nd != nil && s.nd.loadMeta() == s.m && s.nd.loadPerm().same(s.p)
}

// descend returns the node of the given level that the key belongs to, and the
// step that led there (none if that is the root). If path is not nil, it
// receives the inner nodes passed by level. The root must be at level or above.
//
// The key lies within the bounds the returned node had when its meta was loaded:
// a bound that a split adds is posted in the parent before the words of the
// split node rely on it, and the parent was seen unchanged after that load.
func (t *tree) descend(level int, ukey []byte, tr base.Trailer, path *[maxLevels]uint32) (at place, from step) {
	r := t.root.Load()
	at.off = r &^ (maxLevels - 1)
	at.nd = t.mem.node(at.off)
	at.m = at.nd.loadMeta()
	for l := int(r % maxLevels); l > level; {
		if path != nil {
			path[l] = at.off
		}
		p := at.nd.loadPerm()
		i, equal, _ := t.rank(at.nd, at.m, p, ukey, tr)
		if equal {
			i++
		}
		if i == p.count() {
			if next := at.nd.loadNext(); next != 0 && t.compare(t.mem.node(next).low, ukey, tr) <= 0 {
				at = t.settle(next, ukey, tr)
				continue
			}
		}
		child := t.child(at.off, p, i)
		nd := t.mem.node(child)
		pause()
		m := nd.loadMeta()
		pause()
		from = step{at.nd, at.m, p}
		if !from.holds() {
			at = t.settle(at.off, ukey, tr)
			continue
		}
		at = place{child, nd, m}
		l--
	}
	return at, from
}

// child returns the child of the inner node at off for a key with i separators
// at or below it.
func (t *tree) child(off uint32, p perm, i int) uint32 {
	in := t.mem.inner(off)
	if i == 0 {
		return in.child0
	}
	return atomic.LoadUint32(&in.child[p.slot(i-1)])
}

// settle walks right from a node at or before the key to the one it belongs to.
// The meta is loaded before the bound is checked, so it is from a time when the
// words relied on no bound that the key is beyond.
func (t *tree) settle(off uint32, ukey []byte, tr base.Trailer) place {
	for {
		nd := t.mem.node(off)
		m := nd.loadMeta()
		pause()
		next := nd.loadNext()
		if next == 0 || t.compare(t.mem.node(next).low, ukey, tr) > 0 {
			return place{off, nd, m}
		}
		off = next
	}
}

// get returns the newest entry of ukey with a sequence number of at most seq.
func (t *tree) get(ukey []byte, seq base.SeqNum) (value []byte, kind base.Kind, found bool) {
	tr := base.MakeTrailer(seq, base.KindSeek)
	at, _ := t.descend(0, ukey, tr, nil)
	for {
		e, moved := t.firstAt(&at, ukey, tr)
		if moved {
			continue
		}
		if e == 0 {
			return nil, 0, false
		}
		k, rest := splitKey(t.mem.from(e))
		if t.bytewise && !bytes.Equal(k, ukey) || !t.bytewise && t.cmp.Compare(k, ukey) != 0 {
			return nil, 0, false
		}
		etr, v := splitTrailer(rest)
		return v, etr.Kind(), true
	}
}

// firstAt returns the first entry at or after the key that may have its user
// key, 0 for none. If the node changed or the key is beyond it, it sets *at anew
// and reports moved.
func (t *tree) firstAt(at *place, ukey []byte, tr base.Trailer) (e uint32, moved bool) {
	p := at.nd.loadPerm()
	i, _, tied := t.rank(at.nd, at.m, p, ukey, tr)
	if i == p.count() {
		if next := at.nd.loadNext(); next != 0 {
			nd := t.mem.node(next)
			if t.compare(nd.low, ukey, tr) <= 0 {
				*at = t.settle(next, ukey, tr)
				return 0, true
			}
			// The entry that bounds a node stays its first. Through the order,
			// because an equal one may have replaced it.
			e = nd.loadEnt(nd.loadPerm().slot(0))
		}
	} else if tied {
		e = at.nd.loadEnt(p.slot(i))
	}
	pause()
	if at.nd.loadMeta() != at.m {
		*at = t.settle(at.off, ukey, tr)
		return 0, true
	}
	return e, false
}
