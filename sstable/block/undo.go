package block

import (
	"encoding/binary"

	"github.com/strata-db/strata/internal/base"
	"github.com/strata-db/strata/iterator"
)

// Where the keys of a restart interval are long, they are not kept one by one for
// walking backwards: thousands of entries of a few bytes may share one enormous
// key, and to copy it for each would take minutes. What is kept is what each entry
// took away from the key before it:
//
//	entry        key      taken away
//	0 "banana"   banana
//	3 "dit"      bandit   ana
//	4 "age"      bandage  it
//
// So from "bandage" to "bandit" is to cut at 4 and to append "it". Iter.key is the
// key of Iter.off here, as it is going forwards; a log of which that is not the
// last entry is out of date. All of it is no longer than the interval.

// undoEntries is how many entries a log may have at least. An interval of many more
// is walked in pieces, each of a sixteenth of its bytes in entries, so that the log
// takes little more memory than the block, and a walk decodes an entry a few times.
const undoEntries = 8 << 10

// fillUndo makes the log of the entries that end at end, back to the last restart
// before it, or to as far as the log may reach. Iter.key becomes the last one's.
func (i *Iter) fillUndo(end int) bool {
	b := &i.back
	start := restartAt(i.block, len(i.data), b.restart)
	most := max(undoEntries, (end-start)/16)
	log, taken, key, data := b.entries[:0], b.keys[:0], i.key[:0], i.data[:end]
	for off := start; off != end; {
		e, ok := decode(data, off)
		if !ok || e.shared > len(key) || e.shared+e.keyEnd-e.key < base.TrailerLen {
			return i.backlogDamage("malformed entry at byte %d", off)
		}
		if len(log) == most {
			log, taken = log[:0], taken[:0]
		}
		at := len(taken)
		taken = append(taken, key[e.shared:]...)
		key = append(key[:e.shared], data[e.key:e.keyEnd]...)
		t := base.Trailer(binary.LittleEndian.Uint64(key[len(key)-base.TrailerLen:]))
		if !t.Kind().Known() {
			return i.backlogDamage("the key at byte %d has unknown kind %d", off, byte(t.Kind()))
		}
		log = append(log, backEntry{
			off: uint32(off), value: uint32(e.keyEnd), end: uint32(e.end),
			key: uint32(at), keyEnd: uint32(e.shared), trailer: t,
		})
		off = e.end
	}
	b.entries, b.keys, b.n, b.undo, i.key = log, taken, 0, len(log), key
	return true
}

// fromUndo goes back from the last entry of the log to the one before.
func (i *Iter) fromUndo() *iterator.KV {
	b := &i.back
	b.undo--
	e := &b.entries[b.undo]
	i.key = append(i.key[:e.keyEnd], b.keys[e.key:]...)
	b.keys = b.keys[:e.key]
	return i.undone()
}

// undone makes the last entry of the log the current one.
func (i *Iter) undone() *iterator.KV {
	e := &i.back.entries[i.back.undo-1]
	i.off, i.next = int(e.off), int(e.end)
	n := len(i.key) - base.TrailerLen
	i.kv.K.UserKey = i.key[:n:n]
	i.kv.K.Trailer = e.trailer
	i.kv.V = i.data[e.value:e.end:e.end]
	return &i.kv
}
