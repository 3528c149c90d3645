// Package memtable is the sorted table in memory that takes every write before
// it is flushed to a file.
//
//	t := memtable.New(base.Bytewise, 64<<20)
//	if !t.Reserve(1, int64(len(ukey)+len(value))) {
//		// full: seal t, go on with a new one
//	}
//	t.Insert(ukey, base.MakeTrailer(seq, base.KindSet), value)
//	value, kind, found := t.Get(ukey, seq)
//	t.Unref() // its memory goes to the next table
//
// Inserts may run in several goroutines at once; they lock one node each. Get
// and iterators take no lock and may run beside them. Nothing is ever removed.
//
// # The arena
//
// A table lives in one arena of fixed size: contiguous memory outside the Go
// heap, addressed by 32-bit offsets in units of four bytes. It is resident only
// where it was touched.
//
//	+---+---------+---------+-- … --+ unused +-- … --+--------+--------+
//	| 0 | entry   | entry   |       |        |       | node   | node   |
//	+---+---------+---------+-- … --+        +-- … --+--------+--------+
//	      grow upward →                        ← grow downward, 64-aligned
//
// An entry is written once and never moves:
//
//	+---------+----------+---------+-----------+------------+---------+
//	| key len | user key | trailer | value len | value      | padding |
//	+---------+----------+---------+-----------+------------+---------+
//	  uvarint   bytes      u64 le    uvarint     bytes        to 4
//
// Example: a#17,SET with value "xy" is the thirteen bytes
// 01 61 01 11 00 00 00 00 00 00 02 78 79 and three of padding.
//
// # Nodes and levels
//
// The entries are linked up by nodes of up to fourteen. Level 0 is the list of
// leaves, which name all entries in order. Each level above lists the nodes of
// the one below, as a skip list's levels do, but by separators: the entry that
// bounds a node below, and that node. The highest level has one node, or had
// until a moment ago.
//
//	level 2   [ · g ]
//	            |  \
//	level 1   [ · d ] --------→ [ g k ]
//	            |  \              |  \
//	level 0   [a b c] → [d e f] → [g h i] → [k l m]
//
// A node takes three cache lines as a leaf, four as an inner node:
//
//	 0      8      12     16     20    24              136          192
//	+------+------+------+------+-----+---------------+------------+------------+--------+
//	| perm | meta | next | prev | low | 14 words      | 14 entries | 14 children| child0 |
//	+------+------+------+------+-----+---------------+------------+------------+--------+
//	  u64    u32    u32    u32    u32   u64 each        u32 each     u32 each     u32
//
// Slot i of words, entries and children belongs together. perm holds the order of
// the slots, so an insert fills a free slot and then publishes it by one atomic
// store of perm. A word holds eight bytes of the key, taken after meta.skip bytes
// that all keys of the node share: a search mostly compares words and touches
// the keys, which lie anywhere in the arena, only where words are equal. Words
// are for bytewise order; under any other Comparer searches go by the keys.
//
// # Splits, and readers beside them
//
// A full node is split: a new right node is filled, locked and linked, the left
// is cut, the right unlocked and posted in the level above, and only then may the left's words
// rely on its new bound (see tree.split). A node's lower bound, low, never
// changes. What keeps readers right without locks:
//
//   - A key at or beyond the next node's low belongs further right. A reader that
//     is past all entries of a node looks there.
//   - Slots that a split frees are used again. Before that, meta has a new
//     version: who finds meta unchanged after reading a node has read one state
//     of it, and otherwise reads again.
//   - The words rely only on bounds that are posted. A reader that came down from
//     the parent checks that the parent has not changed since.
//   - An iterator copies the order of one leaf at a time. The copy may be from
//     the middle of a split, when both nodes hold the same entries: it passes
//     over what it has already yielded, or goes up to the bound between the two.
//
// Ascending inserts go to the last leaf directly and leave full nodes behind.
//
// Sources: the node with its order word and key slices is the border node of
// Masstree (Mao, Kohler, Morris: Cache Craftiness for Fast Multicore Key-Value
// Storage, 2012); links to the right and splits posted afterwards are from the
// B-link tree (Lehman, Yao: Efficient Locking for Concurrent Operations on
// B-Trees, 1981).
package memtable
