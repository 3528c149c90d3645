package memtable

import (
	"sync/atomic"

	"github.com/strata-db/strata/internal/base"
	"github.com/strata-db/strata/iterator"
)

// A Table is a sorted table in memory. Reserve is serialised by the caller; all
// other methods may be called concurrently by those who hold a reference.
type Table struct {
	cmp   *base.Comparer
	bytes int64

	list    atomic.Pointer[skipList]
	arena   *arena
	refs    atomic.Int32
	booked  int64
	entries int64
	dels    atomic.Int64
}

// New returns an empty table, referenced once, that counts as full at bytes.
func New(cmp *base.Comparer, bytes int64) *Table {
	t := &Table{cmp: cmp, bytes: bytes}
	t.refs.Store(1)
	return t
}

// Reserve books room for a batch.
func (t *Table) Reserve(entries int, bytes int64) bool {
	n := t.booked + bytes + int64(entries)*(21+4*maxHeight) + 256
	if t.booked == 0 {
		t.arena = idle.get(max(n, t.bytes+t.bytes/4) + pageBytes)
		if t.arena == nil {
			return false
		}
		t.list.Store(newSkipList(t.arena, t.cmp))
	} else if n > int64(len(t.arena.mem)) {
		return false
	}
	t.booked = n
	return true
}

// Insert adds an entry.
func (t *Table) Insert(ukey []byte, tr base.Trailer, value []byte) {
	if tr.Kind() == base.KindDelete {
		t.dels.Add(1)
	}
	t.list.Load().insert(ukey, tr, value)
}

// Get returns the newest entry of ukey visible at at.
func (t *Table) Get(ukey []byte, at base.SeqNum) (value []byte, kind base.Kind, found bool) {
	l := t.list.Load()
	if l == nil {
		return nil, 0, false
	}
	return l.get(ukey, at)
}

// NewIter returns an iterator over the table.
func (t *Table) NewIter() iterator.Iterator {
	l := t.list.Load()
	if l == nil {
		return iterator.NewSlice(t.cmp, nil)
	}
	return &skipIter{l: l}
}

// Bytes returns the bytes in use.
func (t *Table) Bytes() int64 {
	if l := t.list.Load(); l != nil {
		return l.pos.Load() * granule
	}
	return 0
}

// MemoryBytes returns the memory the table holds.
func (t *Table) MemoryBytes() int64 { return t.Bytes() }

// Len returns the number of entries.
func (t *Table) Len() int64 {
	if l := t.list.Load(); l != nil {
		return l.n.Load()
	}
	return 0
}

// Tombstones returns the number of tombstones.
func (t *Table) Tombstones() int64 { return t.dels.Load() }

// Empty reports whether the table holds no entry.
func (t *Table) Empty() bool { return t.Len() == 0 }

// Ref adds a reference.
func (t *Table) Ref() { t.refs.Add(1) }

// Unref drops a reference; the last one recycles the memory.
func (t *Table) Unref() {
	if t.refs.Add(-1) == 0 && t.arena != nil {
		idle.put(t.arena, t.Bytes())
	}
}
