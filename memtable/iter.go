package memtable

import (
	"sync"
	"sync/atomic"

	"github.com/strata-db/strata/internal/base"
	"github.com/strata-db/strata/iterator"
)

// An iter walks a table. It works on a copy of one leaf's order at a time, so
// inserts do not disturb it: it yields every entry that was there when it was
// positioned, and those that came later or not.
type iter struct {
	t  *Table
	tr *tree // nil as long as the table has no memory
	kv iterator.KV

	// The copy: entries of leaf nd in order, and its right neighbour then.
	nd   *node
	off  uint32
	next uint32
	n    int
	ent  [slots]uint32

	i     int  // current entry; valid only if inside
	in    bool // on an entry
	after bool // not on one: past the end rather than before the start

	touched byte // nothing: it keeps the loads of fetch from being left out
}

// iterPool holds closed iterators.
var iterPool = sync.Pool{New: func() any { return new(iter) }}

// load copies the leaf at off.
func (it *iter) load(off uint32) {
	nd := it.tr.mem.node(off)
	for {
		m, p := nd.loadMeta(), nd.loadPerm()
		it.copyOrder(nd, p)
		if nd.loadMeta() == m {
			break
		}
	}
	it.off, it.nd = off, nd
	it.fetch()
}

// fetch touches all entries of the copy at once: entries of neighbouring keys lie
// far apart, and the processor waits for all these cache misses together.
func (it *iter) fetch() {
	var x byte
	for _, e := range it.ent[:it.n] {
		_, rest := splitKey(it.tr.mem.from(e))
		x ^= rest[base.TrailerLen] // key and trailer may lie in two cache lines
	}
	it.touched = x
}

// copyOrder copies order p of nd. It counts only if nd's meta is unchanged
// afterwards.
func (it *iter) copyOrder(nd *node, p perm) {
	it.n = p.count()
	for i := range it.n {
		pause()
		it.ent[i] = nd.loadEnt(p.slot(i))
	}
	pause()
	it.next = nd.loadNext()
}

// at makes entry i of the copy the current one.
func (it *iter) at(i int) *iterator.KV {
	it.i, it.in = i, true
	it.kv.K.UserKey, it.kv.K.Trailer, it.kv.V = splitEntry(it.tr.mem.from(it.ent[i]))
	return &it.kv
}

// outside leaves the entries, past the end or before the start.
func (it *iter) outside(after bool) *iterator.KV {
	it.in, it.after = false, after
	return nil
}

// ready begins an absolute positioning. It reports whether the table has memory
// yet, which may be another than last time as long as nothing was in it.
func (it *iter) ready() bool {
	it.tr = it.t.tree.Load()
	return it.tr != nil
}

func (it *iter) First() *iterator.KV {
	if !it.ready() {
		return it.outside(true)
	}
	for it.load(it.tr.first); it.n == 0; it.load(it.next) {
		if it.next == 0 {
			return it.outside(true)
		}
	}
	return it.at(0)
}

func (it *iter) Last() *iterator.KV {
	if !it.ready() {
		return it.outside(false)
	}
	off := it.tr.tail.Load()
	for it.load(off); it.next != 0; it.load(off) {
		off = it.next
	}
	if it.n == 0 {
		return it.outside(false)
	}
	return it.at(it.n - 1)
}

func (it *iter) SeekGE(key base.InternalKey) *iterator.KV {
	if !it.ready() {
		return it.outside(true)
	}
	if i := it.seek(key); i < it.n {
		return it.at(i)
	}
	return it.forward(key.UserKey, key.Trailer)
}

func (it *iter) SeekLT(key base.InternalKey) *iterator.KV {
	if !it.ready() {
		return it.outside(false)
	}
	if i := it.seek(key); i > 0 {
		return it.at(i - 1)
	}
	return it.backward()
}

// seek copies the leaf that key belongs to and returns how many of its entries
// are less.
func (it *iter) seek(key base.InternalKey) int {
	t := it.tr
	at, _ := t.descend(0, key.UserKey, key.Trailer, nil)
	for {
		p := at.nd.loadPerm()
		i, _, _ := t.rank(at.nd, at.m, p, key.UserKey, key.Trailer)
		it.copyOrder(at.nd, p)
		if at.nd.loadMeta() != at.m {
			at = t.settle(at.off, key.UserKey, key.Trailer)
			continue
		}
		if i == it.n && it.next != 0 && t.compare(t.mem.node(it.next).low, key.UserKey, key.Trailer) <= 0 {
			at = t.settle(it.next, key.UserKey, key.Trailer)
			continue
		}
		it.off, it.nd = at.off, at.nd
		return i
	}
}

func (it *iter) Next() *iterator.KV {
	if !it.in {
		if it.after {
			return nil
		}
		return it.First()
	}
	if it.i+1 < it.n {
		return it.at(it.i + 1)
	}
	k, rest := splitKey(it.tr.mem.from(it.ent[it.i]))
	tr, _ := splitTrailer(rest)
	return it.forward(k, tr)
}

// forward moves to the first entry after the key in the leaves to the right of
// the copied one. A leaf copied while it was split may have held what is now in
// the next, so entries up to the key are passed over.
func (it *iter) forward(ukey []byte, tr base.Trailer) *iterator.KV {
	for it.next != 0 {
		it.load(it.next)
		i := 0
		for i < it.n && it.tr.compare(it.ent[i], ukey, tr) <= 0 {
			i++
		}
		if i < it.n {
			return it.at(i)
		}
	}
	return it.outside(true)
}

func (it *iter) Prev() *iterator.KV {
	if !it.in {
		if !it.after {
			return nil
		}
		return it.Last()
	}
	if it.i > 0 {
		return it.at(it.i - 1)
	}
	return it.backward()
}

// backward moves to the last entry before the copied leaf. A leaf's link to the
// left may be out of date; then the nearest leaf is some way to the right of it.
// And that one may still hold what a split has just moved into the copied leaf:
// it counts up to the bound between the two only.
func (it *iter) backward() *iterator.KV {
	for it.nd.low != 0 {
		from, bound := it.off, it.nd.low
		it.load(atomic.LoadUint32(&it.nd.prev))
		for it.next != from {
			it.load(it.next)
		}
		ukey, rest := splitKey(it.tr.mem.from(bound))
		tr, _ := splitTrailer(rest)
		for it.n > 0 && it.tr.compare(it.ent[it.n-1], ukey, tr) >= 0 {
			it.n--
		}
		if it.n > 0 {
			return it.at(it.n - 1)
		}
	}
	return it.outside(false)
}

func (it *iter) Err() error { return nil }

// Close gives the iterator to the next caller of NewIter. A second call does
// nothing, unless that caller has it already.
func (it *iter) Close() error {
	if it.t == nil {
		return nil
	}
	it.t, it.tr, it.nd, it.kv = nil, nil, nil, iterator.KV{}
	iterPool.Put(it)
	return nil
}
