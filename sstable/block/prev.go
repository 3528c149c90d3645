package block

import (
	"encoding/binary"
	"slices"
	"sort"

	"github.com/strata-db/strata/internal/base"
	"github.com/strata-db/strata/iterator"
)

// backlogKeyBytes bounds the keys kept for walking backwards. A block may claim a
// long key for every three bytes; ordinary restart intervals need a few hundred
// bytes. Past the bound the interval is walked by an undo log (undo.go).
const backlogKeyBytes = 64 << 10

// A backlog holds entries of one restart interval, decoded front to back, so
// that walking backwards over them costs little more than forwards. While it is
// in use, Iter.off is that of entry n-1, the current one.
type backlog struct {
	n       int // entries from the first to the current one; 0 = not in use
	restart int // the interval's number, even when not in use: the next is likely the one before
	entries []backEntry
	keys    []byte
	undo    int // entries of the undo log, which entries and keys are then; 0 = none
}

// backEntry is an entry of a backlog: where it is in the block, which has less
// than 4 GiB, and its key in backlog.keys.
type backEntry struct {
	off, value, end uint32
	key, keyEnd     uint32
	trailer         base.Trailer
}

const backEntryBytes = 32

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
	if n := i.back.undo; n > 1 && int(i.back.entries[n-1].off) == i.off {
		return i.fromUndo()
	}
	if !i.fillBacklog(i.off) {
		return nil
	}
	if i.back.undo > 0 {
		return i.undone()
	}
	return i.fromBacklog()
}

// restartBefore returns the last restart before end, which is not 0.
func (i *Iter) restartBefore(end int) int {
	at := func(j int) int { return restartAt(i.block, len(i.data), j) }
	if j := i.back.restart - 1; j >= 0 && j+1 < i.restarts && at(j) < end && end <= at(j+1) {
		return j
	}
	if j := i.restarts - 1; at(j) < end {
		return j
	}
	return sort.Search(i.restarts, func(j int) bool { return at(j) >= end }) - 1
}

// shortKey is up to how many bytes it is quicker to copy by words than to call
// for.
const shortKey = 64

// fillBacklog decodes the entries that end at end, back to the last restart
// before it.
func (i *Iter) fillBacklog(end int) bool {
	b := &i.back
	b.restart, b.undo = i.restartBefore(end), 0
	entries, keys, data := b.entries[:0], b.keys[:0], i.data[:end]
	last, have := 0, 0 // where the last key begins in keys, and its length
	for off := restartAt(i.block, len(i.data), b.restart); off != end; {
		e, ok := decode(data, off)
		size := e.shared + e.keyEnd - e.key
		if !ok || e.shared > have || size < base.TrailerLen {
			return i.backlogDamage("malformed entry at byte %d", off)
		}
		if len(keys)+size > backlogKeyBytes && len(entries) > 0 {
			b.entries, b.keys = entries, keys
			return i.fillUndo(end)
		}
		at := len(keys)
		keys = slices.Grow(keys, size+8)
		if e.shared <= shortKey {
			room := keys[:at+e.shared+8] // what is copied too much is behind the shared bytes
			for k := 0; k < e.shared; k += 8 {
				binary.LittleEndian.PutUint64(room[at+k:], binary.LittleEndian.Uint64(room[last+k:]))
			}
			keys = keys[:at+e.shared]
		} else {
			keys = append(keys, keys[last:last+e.shared]...)
		}
		keys = append(keys, data[e.key:e.keyEnd]...)
		keyEnd := len(keys) - base.TrailerLen
		t := base.Trailer(binary.LittleEndian.Uint64(keys[keyEnd:]))
		if !t.Kind().Known() {
			return i.backlogDamage("the key at byte %d has unknown kind %d", off, byte(t.Kind()))
		}
		entries = append(entries, backEntry{
			off: uint32(off), value: uint32(e.keyEnd), end: uint32(e.end),
			key: uint32(at), keyEnd: uint32(keyEnd), trailer: t,
		})
		last, have = at, size
		off = e.end
	}
	b.entries, b.keys, b.n = entries, keys, len(entries)
	return true
}

// backlogDamage stops i at damage.
func (i *Iter) backlogDamage(format string, args ...any) bool {
	i.err = i.where.corrupt(format, args...)
	i.toEnd()
	return false
}

// fromBacklog makes entry n-1 of the backlog the current one.
func (i *Iter) fromBacklog() *iterator.KV {
	e := &i.back.entries[i.back.n-1]
	i.off, i.next = int(e.off), int(e.end)
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
