package memtable

import (
	"sync/atomic"

	"github.com/strata-db/strata/internal/base"
	"github.com/strata-db/strata/iterator"
)

// A Table is a sorted table in memory. Its methods may be called concurrently by
// whoever holds a reference, except that Reserve and Unreserve are serialised by
// the caller.
type Table struct {
	// Fixed by New.
	cmp   *base.Comparer
	limit int64 // bytes at which the table counts as full

	// tree is nil until the first Reserve: an idle database has no arena.
	tree atomic.Pointer[tree]

	// What is booked. Guarded by whatever serialises Reserve.
	entries, kvBytes int64
	ahead            ahead
	outgrown         []*arena // replaced while nothing was in them; readers may look at them still

	tombstones atomic.Int64
	refs       atomic.Int32
}

// New returns an empty table ordered by cmp, with one reference. bytes is the
// size, in bytes of memory, at which it counts as full. It takes no memory until
// the first Reserve.
func New(cmp *base.Comparer, bytes int64) *Table {
	t := &Table{cmp: cmp, limit: bytes}
	t.refs.Store(1)
	return t
}

// Reserve books room for a batch of that many entries whose keys and values
// have that many bytes together, and reports whether there is room. If so, the
// inserts of the batch cannot fail. If not, the table is full and nothing was
// booked.
//
// A table in which nothing is booked takes any batch that fits an arena (16 GiB
// with the overhead; 1 GiB where int has 32 bits), however small its limit.
//
// Calls are serialised by the caller; inserts may go on meanwhile.
func (t *Table) Reserve(entries int, bytes int64) bool {
	n, kv := t.entries+int64(entries), t.kvBytes+bytes
	worst := worstBytes(n, kv)
	tr := t.tree.Load()
	switch {
	case t.entries == 0:
		if !t.provide(worst) {
			return false
		}
	case worst > int64(len(tr.mem.mem)) || tr.bytes()+bytes > t.limit:
		return false
	}
	if t.entries > 0 {
		t.ahead.reach(tr.mem, tr.entryEnd(), tr.nodeStart())
	}
	t.entries, t.kvBytes = n, kv
	return true
}

// Unreserve takes back a Reserve of which nothing was inserted, or will be.
func (t *Table) Unreserve(entries int, bytes int64) {
	t.entries -= int64(entries)
	t.kvBytes -= bytes
}

// provide makes sure that a table in which nothing is booked has an arena for
// need bytes.
func (t *Table) provide(need int64) bool {
	// Booking goes by the worst case, fullness by what is used. The arena is
	// larger than the limit by what lies between them.
	size := max(need, t.limit+t.limit/4)
	old := t.tree.Load()
	if old != nil && need <= int64(len(old.mem.mem)) {
		return true
	}
	mem := idle.get(size)
	if mem == nil {
		return false
	}
	if old != nil {
		old.mem.touched = max(old.mem.touched, t.ahead.asked(old.mem))
		t.outgrown = append(t.outgrown, old.mem)
	}
	t.ahead = newAhead(mem)
	t.tree.Store(newTree(mem, t.cmp))
	return true
}

// Insert adds an entry; ukey and value are copied. An entry with the same key
// and trailer is replaced. It may be called only for entries a Reserve has
// booked, by any number of goroutines. When it returns, every Get and every
// positioning of an iterator that begins sees the entry.
func (t *Table) Insert(ukey []byte, tr base.Trailer, value []byte) {
	if tr.Kind() == base.KindDelete {
		t.tombstones.Add(1)
	}
	t.tree.Load().insert(ukey, tr, value)
}

// Get returns the newest entry of ukey with a sequence number of at most at:
// its kind and, if that is a set, its value. It takes no lock. The value lies in
// the table's memory: it must not be modified and is valid as long as a
// reference is held.
func (t *Table) Get(ukey []byte, at base.SeqNum) (value []byte, kind base.Kind, found bool) {
	tr := t.tree.Load()
	if tr == nil {
		return nil, 0, false
	}
	return tr.get(ukey, at)
}

// NewIter returns an iterator over all entries. It may be used beside inserts:
// it yields every entry that was there when it was positioned; of later ones it
// may yield some. Its keys and values lie in the table's memory: the caller
// holds a reference to the table as long as it uses them.
func (t *Table) NewIter() iterator.Iterator {
	it := iterPool.Get().(*iter)
	*it = iter{t: t}
	return it
}

// Bytes returns the memory in use, by which the table counts as full.
func (t *Table) Bytes() int64 {
	if tr := t.tree.Load(); tr != nil {
		return tr.bytes()
	}
	return 0
}

// MemoryBytes returns the most memory the table may keep resident: what is in
// use, or what a former user of its arena left behind, if that is more.
func (t *Table) MemoryBytes() int64 {
	tr := t.tree.Load()
	if tr == nil {
		return 0
	}
	return max(tr.bytes(), tr.mem.touched)
}

// Len returns the number of entries, tombstones included.
func (t *Table) Len() int64 {
	if tr := t.tree.Load(); tr != nil {
		return tr.len()
	}
	return 0
}

// Tombstones returns the number of deletes inserted.
func (t *Table) Tombstones() int64 { return t.tombstones.Load() }

// Empty reports whether nothing was inserted.
func (t *Table) Empty() bool { return t.Len() == 0 }

// Ref adds a reference. The caller must hold one, or keep the last from being
// dropped.
func (t *Table) Ref() { t.refs.Add(1) }

// Unref drops a reference. With the last, the table's memory goes to the next
// table; slices of it that are kept beyond show other bytes from then on.
func (t *Table) Unref() {
	switch n := t.refs.Add(-1); {
	case n > 0:
		return
	case n < 0:
		panic("memtable: more references dropped than taken")
	}
	for _, a := range t.outgrown {
		idle.put(a, 0, int64(len(a.mem))-leafBytes)
	}
	if tr := t.tree.Load(); tr != nil {
		tr.mem.touched = max(tr.mem.touched, t.ahead.asked(tr.mem))
		idle.put(tr.mem, tr.entryEnd(), tr.nodeStart())
	}
}
