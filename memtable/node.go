package memtable

import (
	"runtime"
	"sync/atomic"
)

const (
	slots      = 14            // entries a node can hold
	half       = slots / 2     // what a split in the middle leaves on the left
	nodeAlign  = 64            // a cache line
	leafBytes  = 3 * nodeAlign // three lines
	innerBytes = 4 * nodeAlign // four lines
	maxLevels  = 16            // a level number fits the low bits of the root word
)

// A node is one link of a level's list. See the package comment for what is in
// it; inner nodes have their children behind it.
//
// perm, meta, next, prev, word and ent are read without a lock and are therefore
// loaded and stored atomically once the node is published. They are written by
// the holder of the node's lock only, except prev, which the left neighbour's
// holder writes.
type node struct {
	perm uint64
	meta uint32
	next uint32 // node to the right, 0 at the end of the level
	prev uint32 // a node to the left, not always the nearest; 0 for the first
	low  uint32 // entry that bounds the node below; 0 for the first. Fixed.
	word [slots]uint64
	ent  [slots]uint32
}

type inner struct {
	node
	child  [slots]uint32
	child0 uint32 // of the level's first node: child below all separators. Fixed.
	_      uint32
}

// perm is the order of a node's entries in one word, after Masstree: the low
// four bits count the entries, nibble i after them is the slot of the i-th in
// order, nibbles past the count are the free slots. The top bit is the node's
// lock.
type perm uint64

const (
	lockBit  perm = 1 << 63
	identity perm = 0x00dcba9876543210 << 4
)

func (p perm) count() int       { return int(p & 15) }
func (p perm) slot(i int) int   { return int(p>>(4+4*uint(i))) & 15 }
func (p perm) cut(n int) perm   { return p&^15 | perm(n) }
func (p perm) same(q perm) bool { return (p^q)&^lockBit == 0 }

// insert returns p with the first free slot moved to place i, and that slot.
// There must be one.
func (p perm) insert(i int) (perm, int) {
	n := p.count()
	s := p.slot(n)
	body := p &^ (lockBit | 15)
	lo := perm(1)<<(4+4*uint(i)) - 1
	hi := perm(1)<<(8+4*uint(n)) - 1
	return p&lockBit | body&^hi | (body&(hi>>4)&^lo)<<4 | perm(s)<<(4+4*uint(i)) | body&lo | perm(n+1), s
}

// meta says how to read a node's words, and changes whenever slots of the node
// may come to hold something else: a reader that finds it unchanged after a
// search has seen one consistent state.
//
//	bits 0-7   skip: the words hold the eight key bytes after this many
//	bit  8     busy: the words are being rewritten, use the keys
//	bit  9     loose: see loose
//	bits 10-31 version
type meta uint32

const (
	maxSkip      = 255
	busyBit meta = 1 << 8

	// looseBit is set where the node's bounds do not vouch that every key that
	// belongs into it begins with the skipped bytes. Those present do; a key
	// that is looked up is compared with the first of them.
	looseBit meta = 1 << 9
	oneSplit meta = 1 << 10
)

func makeMeta(skip int, loose bool) meta {
	if loose {
		return meta(skip) | looseBit
	}
	return meta(skip)
}

func (m meta) skip() int   { return int(m & 255) }
func (m meta) busy() bool  { return m&busyBit != 0 }
func (m meta) loose() bool { return m&looseBit != 0 }

// with returns the next version of m with other contents.
func (m meta) with(skip int, loose bool) meta {
	return (m+oneSplit)&^(oneSplit-1) | makeMeta(skip, loose)
}

func (n *node) loadPerm() perm       { return perm(atomic.LoadUint64(&n.perm)) }
func (n *node) storePerm(p perm)     { atomic.StoreUint64(&n.perm, uint64(p)) }
func (n *node) loadMeta() meta       { return meta(atomic.LoadUint32(&n.meta)) }
func (n *node) storeMeta(m meta)     { atomic.StoreUint32(&n.meta, uint32(m)) }
func (n *node) loadNext() uint32     { return atomic.LoadUint32(&n.next) }
func (n *node) loadEnt(s int) uint32 { return atomic.LoadUint32(&n.ent[s]) }

// lock waits for the node's lock and returns its order, without the lock bit.
// Locks are held for a split at most, and taken left to right and from the
// leaves up, so that nobody waits in a circle.
func (n *node) lock() perm {
	for spins := 1; ; spins++ {
		p := n.loadPerm()
		if p&lockBit == 0 && atomic.CompareAndSwapUint64(&n.perm, uint64(p), uint64(p|lockBit)) {
			return p
		}
		if spins%32 == 0 {
			runtime.Gosched()
		}
	}
}

// unlock publishes p, the order the holder leaves behind.
func (n *node) unlock(p perm) { n.storePerm(p &^ lockBit) }
