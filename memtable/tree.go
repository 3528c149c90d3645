package memtable

import (
	"fmt"
	"sync"
	"sync/atomic"

	"github.com/strata-db/strata/internal/base"
)

// A tree is the sorted contents of one arena. insert, get and iterators may be
// used concurrently.
type tree struct {
	// Fixed by newTree.
	mem      *arena
	cmp      *base.Comparer
	bytewise bool
	first    uint32 // first leaf

	// root is the offset of the first node of the highest level, plus the
	// number of that level; leaves are level 0. Nodes are aligned, so the low
	// bits are free.
	root atomic.Uint32
	// tail is the last leaf, or one that was a moment ago.
	tail atomic.Uint32
	// appending is 1 if the last entry went to the end of the table and the next
	// is likely to.
	appending atomic.Uint32
	growMu    sync.Mutex // serialises new roots

	_ [64]byte // the counters below change with every insert
	// used counts entries in its high half; the low half is where the next entry
	// goes. Entries grow upward from the arena's start.
	used atomic.Uint64
	_    [56]byte
	// nodes is where the lowest node begins. Nodes grow downward from the
	// arena's end: close together, they need few pages.
	nodes    atomic.Uint32
	replaced atomic.Int64 // entries whose key was inserted again
}

const oneEntry = 1 << 32

func newTree(mem *arena, cmp *base.Comparer) *tree {
	t := &tree{mem: mem, cmp: cmp, bytewise: cmp.IsBytewise()}
	t.used.Store(1)
	t.nodes.Store(uint32(len(mem.mem) / granule))
	t.first = t.newNode(0)
	nd := t.mem.node(t.first)
	nd.perm, nd.meta = uint64(identity), uint32(makeMeta(0, true))
	nd.next, nd.prev, nd.low = 0, 0, 0
	t.tail.Store(t.first)
	t.root.Store(t.first)
	return t
}

// newNode returns the offset of memory for a node of the given level. Its
// content is arbitrary.
func (t *tree) newNode(level int) uint32 {
	size := uint32(leafBytes / granule)
	if level > 0 {
		size = innerBytes / granule
	}
	off := t.nodes.Add(-size)
	if end := uint32(t.used.Load()); off < end {
		panic(fmt.Sprintf("memtable: node at %d in entries up to %d: insert without reserve", off, end))
	}
	return off
}

// newEntry copies an entry into the arena and returns its offset.
func (t *tree) newEntry(ukey []byte, tr base.Trailer, value []byte) uint32 {
	n := uint32(entryBytes(ukey, value) / granule)
	end := uint32(t.used.Add(oneEntry + uint64(n)))
	if nodes := t.nodes.Load(); end > nodes {
		panic(fmt.Sprintf("memtable: entry up to %d in nodes from %d: insert without reserve", end, nodes))
	}
	putEntry(t.mem.from(end-n), ukey, tr, value)
	return end - n
}

// len returns the number of entries.
func (t *tree) len() int64 { return int64(t.used.Load()/oneEntry) - t.replaced.Load() }

// entryEnd and nodeStart return the borders of the unused middle of the arena.
func (t *tree) entryEnd() int64  { return int64(uint32(t.used.Load())) * granule }
func (t *tree) nodeStart() int64 { return int64(t.nodes.Load()) * granule }

// bytes returns how much of the arena is in use.
func (t *tree) bytes() int64 { return t.entryEnd() + int64(len(t.mem.mem)) - t.nodeStart() }

// worstBytes returns the most that n entries with together kv bytes of keys and
// values can take of an arena, whatever their sizes and order.
func worstBytes(n, kv int64) int64 {
	// An entry has a trailer, two lengths and padding. A length takes one byte
	// and at most one more for each 128 bytes, and never more than five.
	entries := kv + n*(base.TrailerLen+2+granule-1) + min(8*n, kv/128)
	// Splits leave at least half of the slots filled in all nodes of a level but
	// its first and last.
	leaves := worstNodes(n)
	total := granule + entries + leaves*leafBytes
	for m := leaves; m > 1; {
		m = worstNodes(m - 1)
		total += m * innerBytes
	}
	return total
}

func worstNodes(n int64) int64 {
	if n <= slots {
		return 1
	}
	return 2 + n/half
}
