// Package cache keeps decoded blocks of tables in memory, up to a number of
// bytes, and may be shared by several databases.
//
// There is no map. Each table has an array with one slot for each of its
// blocks, and a slot points at the cached block or at nothing:
//
//	Table          slots                      shard (ring of its blocks)
//	+-------+      +---+---+---+---+---+
//	| slots |----->| * | - | - | * | - |       ... -> B -> B -> B -> ...
//	+-------+      +-|-+---+---+-|-+---+                   ^
//	                 v           v                         hand
//	                Block       Block
//
// A hit is one atomic load of the slot, and a store of the block's used flag if
// nobody has set it since the hand last passed: blocks in steady use are only
// read, so processors share their cache lines.
//
// # Memory
//
// Blocks are ordinary Go memory and immutable once they are in the cache. A
// reader may keep a block, or a slice of it, for as long as it likes: eviction
// only forgets the block, and the collector frees it after the last reader let
// go. There are no reference counts and nothing is reused, so a slice can never
// show other bytes than it did. The price is the collector's: blocks hold no
// pointers inside, so they cost no scan, but GOGC headroom applies to them.
//
// # Eviction
//
// Each block belongs to one shard, chosen by a hash of its slot. A shard has a
// mutex, a ring, a hand and its share of the bytes. To make room the hand walks
// the ring: a block whose used flag is set loses the flag and is passed, the
// first without it goes (the clock of Corbató, 1968, "A paging experiment with
// the Multics system"). A new block enters directly behind the hand, so it has
// one full turn to be used. A block put as cold enters at the hand and is the
// next to go unless somebody uses it: a long scan replaces its own blocks and
// nobody else's.
//
// Invariants: the bytes of a shard never exceed its share; a block is in the ring
// of its shard if and only if its slot points at it, whenever the shard's mutex
// is free.
package cache
