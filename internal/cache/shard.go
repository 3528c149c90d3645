package cache

import (
	"fmt"
	"sync"

	"github.com/strata-db/strata/internal/invariant"
)

// A shard is one clock: a ring of blocks and the hand that walks it.
type shard struct {
	mu       sync.Mutex
	capacity int64
	bytes    int64 // sum of the charges of the ring's blocks; at most capacity
	blocks   int64
	hand     *Block // next to be looked at; nil when the ring is empty

	inserts, evictions int64

	_ [64]byte // keeps neighbours' mutexes off this cache line
}

// setCapacity sets the share and evicts what no longer fits.
func (s *shard) setCapacity(n int64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.capacity = n
	s.makeRoom(0)
}

// insert puts b into its slot and the ring, unless another block is there
// already, and returns the one to use.
func (s *shard) insert(t *Table, b *Block, cold bool) *Block {
	s.mu.Lock()
	defer s.mu.Unlock()
	need := b.charge()
	if need > s.capacity {
		return b
	}
	slot := &t.slots[b.index]
	// A reader that finds the slot before the lines below have run uses the
	// block, which is complete; those who would unlink it wait for the mutex.
	if !slot.CompareAndSwap(nil, b) {
		if w := slot.Load(); w != nil {
			return w
		}
		return b // the winner was evicted meanwhile
	}
	// Only now: Drop sets the flag before it looks at the slots, so if the flag
	// is not seen here, Drop will see the block, and wait for the mutex.
	if t.dropped.Load() {
		slot.Store(nil)
		return b
	}
	s.makeRoom(need)
	s.link(t, b, cold)
	s.inserts++
	return b
}

// drop removes b if it still is in the ring, from which an eviction, another Drop
// or insert itself may have kept it.
func (s *shard) drop(b *Block) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if b.table != nil {
		s.unlink(b)
	}
}

// makeRoom evicts until need more bytes fit.
func (s *shard) makeRoom(need int64) {
	// Readers set flags while the hand clears them. One turn of mercy is
	// enough: after it a block goes, used or not.
	mercy := s.blocks
	for s.hand != nil && s.bytes+need > s.capacity {
		b := s.hand
		if mercy > 0 && b.used.Load() {
			b.used.Store(false)
			s.hand = b.next
			mercy--
			continue
		}
		s.unlink(b)
		s.evictions++
	}
}

// link puts b into the ring: directly behind the hand, or at it if cold.
func (s *shard) link(t *Table, b *Block, cold bool) {
	b.table = t
	if s.hand == nil {
		b.next, b.prev = b, b
		s.hand = b
	} else {
		b.next, b.prev = s.hand, s.hand.prev
		b.prev.next, b.next.prev = b, b
		if cold {
			s.hand = b
		}
	}
	s.blocks++
	s.bytes += b.charge()
	s.check()
}

// unlink takes b out of the ring and empties its slot.
func (s *shard) unlink(b *Block) {
	b.table.slots[b.index].Store(nil)
	b.prev.next, b.next.prev = b.next, b.prev
	if s.hand == b {
		s.hand = b.next
	}
	// A reader may keep b for long: it must not keep its neighbours alive.
	b.table, b.next, b.prev = nil, nil, nil
	s.blocks--
	s.bytes -= b.charge()
	if s.blocks == 0 {
		s.hand = nil
	}
	s.check()
}

func (s *shard) check() {
	if invariant.Enabled && (s.bytes < 0 || s.blocks < 0 || (s.blocks == 0) != (s.hand == nil) || (s.blocks == 0 && s.bytes != 0)) {
		panic(fmt.Sprintf("cache: shard holds %d blocks of %d bytes, hand %v", s.blocks, s.bytes, s.hand != nil))
	}
}

func (s *shard) addMetrics(m *Metrics) {
	s.mu.Lock()
	defer s.mu.Unlock()
	m.Bytes += s.bytes
	m.Blocks += s.blocks
	m.Inserts += s.inserts
	m.Evictions += s.evictions
}
