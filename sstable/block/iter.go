package block

import (
	"encoding/binary"

	"github.com/strata-db/strata/internal/base"
	"github.com/strata-db/strata/iterator"
)

// An Iter walks the entries of one block of internal keys. It is an
// iterator.Iterator, and reusable: Init makes it walk another block and keeps its
// buffers, so that no movement allocates once they have grown.
//
// Values alias the block; keys are the Iter's own. An Iter must not be copied.
type Iter struct {
	data []byte // the entries alone
	// next is the offset of the entry after the current one, off that of the
	// current one. Before the start both are 0, past the end both are len(data).
	// After an error next is len(data), so that Next need not look at err.
	next, off int
	key       []byte // the current key, or that of the entry before next; see back
	kv        iterator.KV
	back      backlog

	cmp      *base.Comparer
	block    []byte // entries and restarts
	restarts int
	index    Index
	where    Where
	err      error

	small [64]byte // where key begins: ordinary keys need no more
}

// Init makes i walk data, which must have passed Check, and puts it before the
// start. x is what NewIndex returned for data if cmp is the bytewise order, else
// the zero Index. data must stay as it is while i is in use.
func (i *Iter) Init(cmp *base.Comparer, data []byte, x Index, at Where) {
	limit, n := x.layout(data)
	if n == 0 {
		var ok bool
		if limit, n, ok = layout(data); !ok {
			limit, n = 0, 0
		}
	}
	if i.key == nil {
		i.key = i.small[:0]
	}
	i.cmp, i.block, i.restarts, i.index, i.where = cmp, data, n, x, at
	i.data = data[:limit:limit]
	i.toStart()
}

// Reset lets go of the block. i is at the end of an empty source afterwards.
func (i *Iter) Reset() {
	i.block, i.data, i.restarts, i.index = nil, nil, 0, Index{}
	i.kv = iterator.KV{}
	i.toStart()
}

func (i *Iter) toStart() {
	i.next, i.off, i.err = 0, 0, nil
	i.key = i.key[:0]
	i.back.n, i.back.undo = 0, 0
}

func (i *Iter) toEnd() *iterator.KV {
	i.next, i.off = len(i.data), len(i.data)
	i.back.n = 0
	return nil
}

// First implements iterator.Iterator.
func (i *Iter) First() *iterator.KV {
	i.toStart()
	return i.Next()
}

// Next implements iterator.Iterator.
func (i *Iter) Next() *iterator.KV {
	if i.back.n != 0 {
		i.leaveBacklog()
	}
	off := i.next
	if off >= len(i.data) {
		if i.err == nil {
			i.off = off
		}
		return nil
	}
	e, ok := decode(i.data, off)
	if !ok || e.shared > len(i.key) {
		return i.fail(off)
	}
	i.key = append(i.key[:e.shared], i.data[e.key:e.keyEnd]...)
	n := len(i.key) - base.TrailerLen
	if n < 0 {
		return i.fail(off)
	}
	t := base.Trailer(binary.LittleEndian.Uint64(i.key[n:]))
	if !t.Kind().Known() {
		return i.fail(off)
	}
	i.off, i.next = off, e.end
	i.kv.K.UserKey = i.key[:n:n]
	i.kv.K.Trailer = t
	i.kv.V = i.data[e.keyEnd:e.end:e.end]
	return &i.kv
}

// SeekGE implements iterator.Iterator.
func (i *Iter) SeekGE(target base.InternalKey) *iterator.KV {
	i.toStart()
	if len(i.data) == 0 {
		return nil
	}
	j := seekRestart(i.cmp, i.block, len(i.data), i.restarts, i.index, target)
	var start int
	if i.index.len() == 0 {
		start = restartAt(i.block, len(i.data), j)
	} else {
		start = i.index.offset(j)
		e, at, _, out := scan(i.data, start, target)
		switch out {
		case found:
			i.key = append(i.key[:0], target.UserKey[:e.shared]...)
			i.next = at
			return i.Next()
		case ended:
			return i.toEnd()
		}
	}
	i.next = start
	for kv := i.Next(); kv != nil; kv = i.Next() {
		if i.cmp.CompareInternal(kv.K, target) >= 0 {
			return kv
		}
	}
	return nil
}

// SeekLT implements iterator.Iterator.
func (i *Iter) SeekLT(target base.InternalKey) *iterator.KV {
	i.SeekGE(target)
	if i.err != nil {
		return nil
	}
	return i.Prev()
}

// fail stops i at the damaged entry at off.
func (i *Iter) fail(off int) *iterator.KV {
	i.err = i.describe(off)
	return i.toEnd()
}

// describe says what is wrong with the entry at off, given the key before it in
// i.key or, for an unknown kind, the key itself.
func (i *Iter) describe(off int) error {
	e, ok := decode(i.data, off)
	switch {
	case !ok:
		return i.where.corrupt("the entry at byte %d does not fit", off)
	case e.shared+e.keyEnd-e.key < base.TrailerLen:
		return i.where.corrupt("the key at byte %d is too short for a trailer", off)
	}
	if k, ok := base.ParseInternalKey(i.key); ok && !k.Kind().Known() {
		return i.where.corrupt("the key at byte %d has unknown kind %d", off, byte(k.Kind()))
	}
	return i.where.corrupt("the key at byte %d shares %d bytes with a shorter one", off, e.shared)
}

// Err implements iterator.Iterator.
func (i *Iter) Err() error { return i.err }

// maxKept is the largest buffer that a closed Iter keeps, in bytes.
const maxKept = 4 * backlogKeyBytes

// Close implements iterator.Iterator. i may be used again after Init.
func (i *Iter) Close() error {
	err := i.err
	i.Reset()
	if i.MemoryBytes() > maxKept {
		i.key, i.back.keys, i.back.entries = nil, nil, nil
	}
	return err
}

// MemoryBytes returns the size of the buffers that i has grown.
func (i *Iter) MemoryBytes() int {
	return cap(i.key) + cap(i.back.keys) + cap(i.back.entries)*backEntryBytes
}
