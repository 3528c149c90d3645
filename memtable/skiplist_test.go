package memtable

import (
	"bytes"
	"encoding/binary"
	"math/rand/v2"
	"sync/atomic"
	"unsafe"

	"github.com/strata-db/strata/internal/base"
	"github.com/strata-db/strata/iterator"
)

const maxHeight = 16

// A skipList is a plain skip list in an arena, p = 1/4. A node is an entry with
// its tower of links in front: link i of the node at off is the word at off-1-i.
type skipList struct {
	a      *arena
	cmp    *base.Comparer
	plain  bool
	head   uint32
	height atomic.Int32
	_      [64]byte
	pos    atomic.Int64 // granules
	n      atomic.Int64
}

func newSkipList(a *arena, cmp *base.Comparer) *skipList {
	l := &skipList{a: a, cmp: cmp, plain: !cmp.IsBytewise()}
	l.pos.Store(1)
	l.height.Store(1)
	l.head = l.alloc(maxHeight, 0)
	for i := range maxHeight {
		l.link(l.head, i).Store(0)
	}
	return l
}

func (l *skipList) alloc(height int, entry int64) uint32 {
	n := int64(height) + (entry+granule-1)/granule
	end := l.pos.Add(n)
	if end*granule > int64(len(l.a.mem)) {
		panic("memtable: arena overflow")
	}
	return uint32(end - n + int64(height))
}

func (l *skipList) link(off uint32, level int) *atomic.Uint32 {
	return (*atomic.Uint32)(unsafe.Pointer(&l.a.mem[(int(off)-1-level)*granule]))
}

func (l *skipList) compare(off uint32, ukey []byte, tr base.Trailer) int {
	k, rest := splitKey(l.a.from(off))
	var r int
	if l.plain {
		r = l.cmp.Compare(k, ukey)
	} else {
		r = bytes.Compare(k, ukey)
	}
	if r != 0 {
		return r
	}
	t := base.Trailer(binary.LittleEndian.Uint64(rest))
	switch {
	case t > tr:
		return -1
	case t < tr:
		return 1
	}
	return 0
}

// seek returns the last node < the key (or head) and the one after it.
func (l *skipList) seek(ukey []byte, tr base.Trailer) (prev, next uint32) {
	prev = l.head
	for level := int(l.height.Load()) - 1; level >= 0; level-- {
		prev, next = l.seekLevel(prev, level, ukey, tr)
	}
	return prev, next
}

func (l *skipList) seekLevel(prev uint32, level int, ukey []byte, tr base.Trailer) (uint32, uint32) {
	for {
		next := l.link(prev, level).Load()
		if next == 0 || l.compare(next, ukey, tr) >= 0 {
			return prev, next
		}
		prev = next
	}
}

func (l *skipList) insert(ukey []byte, tr base.Trailer, value []byte) {
	h := 1
	for r := rand.Uint32(); h < maxHeight && r&3 == 0; r >>= 2 {
		h++
	}
	for {
		old := l.height.Load()
		if int(old) >= h || l.height.CompareAndSwap(old, int32(h)) {
			break
		}
	}
	off := l.alloc(h, entryBytes(ukey, value))
	putEntry(l.a.from(off), ukey, tr, value)
	l.n.Add(1)
	var prevs, nexts [maxHeight]uint32
	prev := l.head
	for level := int(l.height.Load()) - 1; level >= 0; level-- {
		prev, nexts[level] = l.seekLevel(prev, level, ukey, tr)
		prevs[level] = prev
	}
	for level := range h {
		for {
			l.link(off, level).Store(nexts[level])
			if l.link(prevs[level], level).CompareAndSwap(nexts[level], off) {
				break
			}
			prevs[level], nexts[level] = l.seekLevel(prevs[level], level, ukey, tr)
		}
	}
}

func (l *skipList) get(ukey []byte, at base.SeqNum) ([]byte, base.Kind, bool) {
	_, off := l.seek(ukey, base.MakeTrailer(at, base.KindSeek))
	if off == 0 {
		return nil, 0, false
	}
	k, rest := splitKey(l.a.from(off))
	if l.cmp.Compare(k, ukey) != 0 {
		return nil, 0, false
	}
	tr, v := splitTrailer(rest)
	return v, tr.Kind(), true
}

type skipIter struct {
	l     *skipList
	off   uint32 // 0: outside
	after bool
	kv    iterator.KV
}

func (it *skipIter) at(off uint32, forward bool) *iterator.KV {
	it.off, it.after = off, forward
	if off == 0 || off == it.l.head {
		it.off = 0
		return nil
	}
	k, rest := splitKey(it.l.a.from(off))
	it.kv.K.UserKey = k
	it.kv.K.Trailer, it.kv.V = splitTrailer(rest)
	return &it.kv
}

func (it *skipIter) First() *iterator.KV {
	return it.at(it.l.link(it.l.head, 0).Load(), true)
}

func (it *skipIter) Last() *iterator.KV {
	prev := it.l.head
	for level := int(it.l.height.Load()) - 1; level >= 0; level-- {
		for next := it.l.link(prev, level).Load(); next != 0; next = it.l.link(prev, level).Load() {
			prev = next
		}
	}
	return it.at(prev, false)
}

func (it *skipIter) SeekGE(k base.InternalKey) *iterator.KV {
	_, next := it.l.seek(k.UserKey, k.Trailer)
	return it.at(next, true)
}

func (it *skipIter) SeekLT(k base.InternalKey) *iterator.KV {
	prev, _ := it.l.seek(k.UserKey, k.Trailer)
	return it.at(prev, false)
}

func (it *skipIter) Next() *iterator.KV {
	if it.off == 0 {
		if it.after {
			return nil
		}
		return it.First()
	}
	return it.at(it.l.link(it.off, 0).Load(), true)
}

func (it *skipIter) Prev() *iterator.KV {
	if it.off == 0 {
		if !it.after {
			return nil
		}
		return it.Last()
	}
	return it.SeekLT(it.kv.K)
}

func (it *skipIter) Err() error   { return nil }
func (it *skipIter) Close() error { return nil }
