package memtable

import (
	"bytes"
	"sync/atomic"

	"github.com/strata-db/strata/internal/base"
)

// An item is what goes into a slot: an entry, in an inner node with the child
// whose lower bound it is.
type item struct {
	ukey  []byte
	tr    base.Trailer
	ent   uint32
	child uint32
}

// insert adds an entry. One with the same key and trailer is replaced.
func (t *tree) insert(ukey []byte, tr base.Trailer, value []byte) {
	x := item{ukey: ukey, tr: tr, ent: t.newEntry(ukey, tr, value)}
	var path [maxLevels]uint32
	if t.appending.Load() != 0 && t.insertLast(&x, &path) {
		return
	}
	at, from := t.descend(0, ukey, tr, &path)
	pause()
	p := at.nd.lock()
	// While the parent is unchanged and the leaf is locked, the leaf has not
	// been split below the key: splits are posted before they unlock.
	if !from.holds() {
		at, p = t.settleLocked(at, p, ukey, tr)
	}
	t.insertLocked(0, at, p, &x, &path)
}

// insertLast inserts x at the end of the table if it belongs there.
func (t *tree) insertLast(x *item, path *[maxLevels]uint32) bool {
	off := t.tail.Load()
	nd := t.mem.node(off)
	p := nd.lock()
	n := p.count()
	if nd.next != 0 || n == 0 || t.compare(nd.ent[p.slot(n-1)], x.ukey, x.tr) >= 0 {
		nd.unlock(p)
		t.appending.Store(0)
		return false
	}
	t.insertLocked(0, place{off: off, nd: nd}, p, x, path)
	return true
}

// settleLocked walks right from a locked node to the one the key belongs to, and
// returns that, locked.
func (t *tree) settleLocked(at place, p perm, ukey []byte, tr base.Trailer) (place, perm) {
	for {
		next := at.nd.next
		if next == 0 || t.compare(t.mem.node(next).low, ukey, tr) > 0 {
			return at, p
		}
		at.nd.unlock(p)
		at.off, at.nd = next, t.mem.node(next)
		p = at.nd.lock()
	}
}

// insertLocked inserts x into the node it belongs to, which is locked, and
// unlocks it.
func (t *tree) insertLocked(level int, at place, p perm, x *item, path *[maxLevels]uint32) {
	nd := at.nd
	m := t.admit(nd, p, x.ukey)
	i, equal, _ := t.rank(nd, m, p, x.ukey, x.tr)
	if equal {
		atomic.StoreUint32(&nd.ent[p.slot(i)], x.ent)
		t.replaced.Add(1)
		nd.unlock(p)
		return
	}
	n := p.count()
	if level == 0 && i == n && nd.next == 0 && t.appending.Load() == 0 {
		t.appending.Store(1)
	}
	if n < slots {
		nd.unlock(t.put(level, at.off, p, m, i, x))
		return
	}
	t.split(level, at, p, m, i, x, path)
}

// put writes x into a free slot and returns the order that makes it the i-th.
// Nobody reads the slot: no order since the last change of meta names it.
func (t *tree) put(level int, off uint32, p perm, m meta, i int, x *item) perm {
	p, s := p.insert(i)
	nd := t.mem.node(off)
	if t.bytewise {
		atomic.StoreUint64(&nd.word[s], wordOf(x.ukey, m.skip()))
	}
	atomic.StoreUint32(&nd.ent[s], x.ent)
	if level > 0 {
		atomic.StoreUint32(&t.mem.inner(off).child[s], x.child)
	}
	return p
}

// split makes two nodes of a full, locked one and inserts x as the i-th of both
// together. It unlocks the node when everything is in place:
//
//  1. the right node is filled, then linked: readers that come to it see all.
//     It is locked, so that until the next step both say the same;
//  2. the left is cut, then its meta changes: its slots may be used again. The
//     right is unlocked;
//  3. the right node is posted in the parent;
//  4. only then may the left's words rely on the new bound.
func (t *tree) split(level int, at place, p perm, m meta, i int, x *item, path *[maxLevels]uint32) {
	nd, next := at.nd, at.nd.next
	keep := half
	switch {
	case i == slots && next == 0: // ascending: leave full nodes behind
		keep = slots
	case i == 0 && nd.low == 0: // descending
		keep = 0
	}
	toRight := i > keep || keep == slots
	off := t.newNode(level)
	t.fillRight(level, off, at, p, m, keep, i, x, toRight)

	atomic.StoreUint32(&nd.next, off)
	pause()
	if next != 0 {
		atomic.StoreUint32(&t.mem.node(next).prev, off)
	}
	p = p.cut(keep)
	nd.storePerm(p | lockBit)
	pause()
	m = m.with(m.skip(), m.loose())
	nd.storeMeta(m)
	right := t.mem.node(off)
	right.unlock(perm(right.perm))
	if !toRight {
		p = t.put(level, at.off, p, m, i, x)
		nd.storePerm(p | lockBit)
	}
	pause()
	t.post(level+1, at.off, off, path)
	if level == 0 && next == 0 {
		t.tail.Store(off)
	}
	t.tighten(nd, p, m, off)
	nd.unlock(p)
}

// fillRight fills the unpublished node at off with the items of the full node
// at, from the keep-th on, and with x among them if toRight. It is locked.
func (t *tree) fillRight(level int, off uint32, at place, p perm, m meta, keep, i int, x *item, toRight bool) {
	from, to := at.nd, t.mem.node(off)
	n := 0
	add := func(word uint64, ent, child uint32) {
		to.word[n], to.ent[n] = word, ent
		if level > 0 {
			t.mem.inner(off).child[n] = child
		}
		n++
	}
	for j := keep; j <= slots; j++ {
		if toRight && j == i {
			add(wordOf(x.ukey, m.skip()), x.ent, x.child)
		}
		if j < slots {
			s := p.slot(j)
			child := uint32(0)
			if level > 0 {
				child = t.mem.inner(at.off).child[s]
			}
			add(from.word[s], from.ent[s], child)
		}
	}
	if level > 0 {
		t.mem.inner(off).child0 = 0
	}
	to.perm = uint64(identity.cut(n) | lockBit)
	to.next, to.prev, to.low = from.next, at.off, to.ent[0]
	to.meta = uint32(t.rightMeta(to, n, from.ent[p.slot(0)], m))
}

// rightMeta chooses the bytes that the words of a new node skip, given the meta
// of the node it was split from and that one's first entry, and rewrites the
// words if need be.
func (t *tree) rightMeta(to *node, n int, first uint32, m meta) meta {
	if !t.bytewise {
		return makeMeta(0, true)
	}
	skip, loose := m.skip(), to.next == 0
	bound := 0
	if loose {
		// No upper bound: what its keys and its neighbour's share will do.
		bound = shared(t.key(first), t.key(to.ent[n-1]))
	} else {
		bound = shared(t.key(to.low), t.key(t.mem.node(to.next).low))
		loose = m.loose() && skip > bound
	}
	if bound >= skip+worthSkip {
		skip = bound
		for i := range n {
			to.word[i] = wordOf(t.key(to.ent[i]), skip)
		}
	}
	return makeMeta(skip, loose)
}

// worthSkip is by how many bytes the common prefix must have grown before words
// are computed anew: that reads every key of the node, and as long as fewer
// bytes of a word are the same in all keys, the others tell them apart well.
const worthSkip = 4

// post enters the node right, just split from left, into the level above.
func (t *tree) post(level int, left, right uint32, path *[maxLevels]uint32) {
	e := t.mem.node(right).low
	k, rest := splitKey(t.mem.from(e))
	tr, _ := splitTrailer(rest)
	x := item{ukey: k, tr: tr, ent: e, child: right}
	if int(t.root.Load()%maxLevels) < level && t.grow(level, left, &x) {
		return
	}
	off := path[level]
	if off == 0 {
		at, _ := t.descend(level, k, tr, path)
		off = at.off
	}
	at := place{off: off, nd: t.mem.node(off)}
	p := at.nd.lock()
	at, p = t.settleLocked(at, p, k, tr)
	t.insertLocked(level, at, p, &x, path)
}

// grow puts a root of the given level on top of a tree that ends below it, with
// x as its only item. It reports false if another split was faster.
func (t *tree) grow(level int, left uint32, x *item) bool {
	t.growMu.Lock()
	defer t.growMu.Unlock()
	r := t.root.Load()
	if int(r%maxLevels) >= level {
		return false
	}
	off := t.newNode(level)
	in := t.mem.inner(off)
	in.next, in.prev, in.low = 0, 0, 0
	in.child0 = r &^ (maxLevels - 1)
	skip := 0
	if t.bytewise {
		if l := t.mem.node(left); l.loadPerm().count() > 0 {
			skip = shared(t.key(l.loadEnt(l.loadPerm().slot(0))), x.ukey)
		}
	}
	in.word[0], in.ent[0], in.child[0] = wordOf(x.ukey, skip), x.ent, x.child
	in.perm, in.meta = uint64(identity.cut(1)), uint32(makeMeta(skip, true))
	t.root.Store(off | uint32(level))
	return true
}

// admit makes sure that ukey may be put into the locked node: that it begins
// with the bytes the node's words skip. It returns the node's meta.
func (t *tree) admit(nd *node, p perm, ukey []byte) meta {
	m := nd.loadMeta()
	if !t.bytewise || !m.loose() || m.skip() == 0 || p.count() == 0 {
		return m
	}
	first := t.key(nd.ent[p.slot(0)])
	if skip := m.skip(); len(ukey) < skip || !bytes.Equal(first[:skip], ukey[:skip]) {
		return t.rewrite(nd, p, m, shared(first, ukey), true)
	}
	return m
}

// tighten lets the words of a locked node rely on the bound that its new right
// neighbour, already posted, has given it.
func (t *tree) tighten(nd *node, p perm, m meta, right uint32) {
	if !t.bytewise || p.count() == 0 {
		return
	}
	first := nd.low
	if first == 0 {
		first = nd.ent[p.slot(0)]
	}
	bound := shared(t.key(first), t.key(t.mem.node(right).low))
	switch {
	case bound >= m.skip()+worthSkip:
		t.rewrite(nd, p, m, bound, nd.low == 0)
	case m.loose() && nd.low != 0 && m.skip() <= bound:
		nd.storeMeta(m.with(m.skip(), false))
	}
}

// rewrite computes the words of a locked node anew. Meanwhile readers go by the
// keys.
func (t *tree) rewrite(nd *node, p perm, m meta, skip int, loose bool) meta {
	m = m.with(m.skip(), m.loose()) | busyBit
	nd.storeMeta(m)
	for i := range p.count() {
		s := p.slot(i)
		pause()
		atomic.StoreUint64(&nd.word[s], wordOf(t.key(nd.ent[s]), skip))
	}
	m = m.with(skip, loose)
	nd.storeMeta(m)
	return m
}
