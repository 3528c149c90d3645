package block

import (
	"encoding/binary"
	"sort"

	"github.com/strata-db/strata/internal/base"
	"github.com/strata-db/strata/iterator"
)

// backlogKeyBytes bounds the keys kept for walking backwards. A block may claim a
// long key for every three bytes; ordinary restart intervals need a few hundred
// bytes. Past the bound the oldest are dropped and decoded again when needed.
const backlogKeyBytes = 64 << 10

// A backlog holds entries of one restart interval, decoded front to back, so
// that walking backwards over them costs no more than forwards. While it is in
// use, Iter.off is that of entry n-1, the current one.
type backlog struct {
	n       int // entries from the first to the current one; 0 = not in use
	entries []backEntry
	keys    []byte
}

// backEntry is an entry of a backlog: where it is in the block, and its key in
// backlog.keys.
type backEntry struct {
	off, value, end int
	key, keyEnd     int
	trailer         base.Trailer
}

// Last implements iterator.Iterator.
func (i *Iter) Last() *iterator.KV {
	i.toStart()
	i.toEnd()
	return i.Prev()
}

// Prev implements iterator.Iterator.
func (i *Iter) Prev() *iterator.KV {
	if i.err != nil {
		return nil
	}
	if i.back.n > 1 {
		i.back.n--
		return i.fromBacklog()
	}
	if i.off == 0 {
		i.toStart()
		return nil
	}
	if !i.fillBacklog(i.off) {
		return nil
	}
	return i.fromBacklog()
}

// fillBacklog decodes the entries that end at end, back to the last restart
// before it.
func (i *Iter) fillBacklog(end int) bool {
	j := sort.Search(i.restarts, func(j int) bool { return restartAt(i.block, len(i.data), j) >= end }) - 1
	b := &i.back
	b.entries, b.keys = b.entries[:0], b.keys[:0]
	last := 0 // where the last key begins in b.keys
	for off := restartAt(i.block, len(i.data), j); off != end; {
		e, ok := decode(i.data[:end], off)
		have := len(b.keys) - last
		size := e.shared + e.keyEnd - e.key
		if !ok || e.shared > have || size < base.TrailerLen {
			i.err = i.where.corrupt("malformed entry at byte %d", off)
			i.toEnd()
			return false
		}
		if len(b.keys)+size > backlogKeyBytes && len(b.entries) > 0 {
			b.entries = b.entries[:0]
			b.keys = b.keys[:copy(b.keys, b.keys[last:])]
			last = 0
		}
		at := len(b.keys)
		b.keys = append(b.keys, b.keys[last:last+e.shared]...)
		b.keys = append(b.keys, i.data[e.key:e.keyEnd]...)
		keyEnd := len(b.keys) - base.TrailerLen
		t := base.Trailer(binary.LittleEndian.Uint64(b.keys[keyEnd:]))
		if !t.Kind().Known() {
			i.err = i.where.corrupt("the key at byte %d has unknown kind %d", off, byte(t.Kind()))
			i.toEnd()
			return false
		}
		b.entries = append(b.entries, backEntry{off: off, value: e.keyEnd, end: e.end, key: at, keyEnd: keyEnd, trailer: t})
		last = at
		off = e.end
	}
	b.n = len(b.entries)
	return true
}

// fromBacklog makes entry n-1 of the backlog the current one.
func (i *Iter) fromBacklog() *iterator.KV {
	e := &i.back.entries[i.back.n-1]
	i.off, i.next = e.off, e.end
	i.kv.K.UserKey = i.back.keys[e.key:e.keyEnd:e.keyEnd]
	i.kv.K.Trailer = e.trailer
	i.kv.V = i.data[e.value:e.end:e.end]
	return &i.kv
}

// leaveBacklog prepares for going forwards from the current entry.
func (i *Iter) leaveBacklog() {
	e := &i.back.entries[i.back.n-1]
	i.key = append(i.key[:0], i.back.keys[e.key:e.keyEnd+base.TrailerLen]...)
	i.back.n = 0
}
