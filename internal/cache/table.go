package cache

import (
	"sync/atomic"
	"unsafe"
)

// A Block is the decoded content of one block of a table. Whoever makes it fills
// in the exported fields and hands it to Put, once; from then on nobody may
// modify it or what it points at.
type Block struct {
	// Data is the block after decompression, without its trailer. It should own
	// its memory: a slice of something larger keeps all of that alive.
	Data []byte

	// Index and IndexSkip are the block reader's, to search by: the cache only
	// counts their bytes.
	Index     []uint64
	IndexSkip int

	// used says that somebody got the block since the hand last passed it.
	used atomic.Bool

	// shard is fixed by Put.
	shard uint32
	index uint32 // of the slot

	// The rest is guarded by the shard's mutex. table is nil outside a ring.
	table      *Table
	next, prev *Block
}

// blockOverhead is what a block costs besides its bytes: the struct and the two
// slices' allocation headers, about.
const blockOverhead = int64(unsafe.Sizeof(Block{})) + 32

// charge returns the bytes that b counts for.
func (b *Block) charge() int64 {
	return int64(len(b.Data)) + 8*int64(len(b.Index)) + blockOverhead
}

// A Table is the slots of one table's blocks, numbered from 0. All methods may be
// called concurrently. A nil *Table is a table whose blocks are never kept.
type Table struct {
	c     *Cache
	slots []atomic.Pointer[Block]
	seed  uint64

	// dropped is set before Drop looks at the slots, and Put looks at it after
	// it filled one, so one of the two clears what was put at that moment.
	dropped atomic.Bool
}

// NewTable returns the slots for a table of that many blocks: 8 bytes each,
// which count for the table, not for the cache. Of a nil cache it returns nil.
func (c *Cache) NewTable(blocks int) *Table {
	if c == nil {
		return nil
	}
	return &Table{
		c:     c,
		slots: make([]atomic.Pointer[Block], blocks),
		seed:  c.tables.Add(1) * 0xd1342543de82ef95, // spreads tables; any odd number does
	}
}

// Get returns block i if it is cached, nil otherwise. i must be below the number
// of blocks.
func (t *Table) Get(i int) *Block {
	if t == nil {
		return nil
	}
	b := t.slots[i].Load()
	if b == nil {
		t.c.counters.stripe().misses.Add(1)
		return nil
	}
	if !b.used.Load() {
		b.used.Store(true)
	}
	t.c.counters.stripe().hits.Add(1)
	return b
}

// Peek is Get for those who must leave no trace: it marks and counts nothing.
func (t *Table) Peek(i int) *Block {
	if t == nil {
		return nil
	}
	return t.slots[i].Load()
}

// Put offers b as block i and returns the block to use: b, or the one that
// another reader put first. b may not be kept at all, when the table was dropped
// or b is larger than a shard's share. cold says that b comes from a long scan
// and is not expected to be asked for again.
func (t *Table) Put(i int, b *Block, cold bool) *Block {
	if t == nil {
		return b
	}
	if w := t.slots[i].Load(); w != nil {
		return w
	}
	b.shard, b.index = t.c.shardOf(t, i), uint32(i)
	return t.c.shards[b.shard].insert(t, b, cold)
}

// Drop forgets all blocks of the table, in time linear in its number of slots,
// and keeps none from now on. It may be called more than once. Readers of the
// table may go on: they miss.
func (t *Table) Drop() {
	if t == nil {
		return
	}
	t.dropped.Store(true)
	for i := range t.slots {
		if b := t.slots[i].Load(); b != nil {
			t.c.shards[b.shard].drop(b)
		}
	}
}
