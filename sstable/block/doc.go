// Package block is the bytes of one block of a table: how sorted entries are
// packed, and how they are walked and searched. It knows no files and no cache.
//
// # The bytes
//
//	+---------+---------+-----+---------+--------------------+-------+
//	| entry 0 | entry 1 | ... | entry m | restart offset * n | n     |
//	+---------+---------+-----+---------+--------------------+-------+
//	                                      u32 le each          u32 le
//
//	entry:  varint shared | varint unshared | varint value length
//	        | key[unshared] | value
//
// A key is the first shared bytes of the key before it followed by the unshared
// bytes. Every few entries a key is written whole (shared = 0): a restart. The
// offsets of these entries stand at the end, so that a search can be a binary
// search over restarts and then a short walk. The first restart is offset 0. A
// block without entries has n = 1 and the restart 0.
//
// Example: a#7,SET = "1" alone in a block, 21 bytes:
//
//	00 09 01  61 01 07 00 00 00 00 00 00  31   shared 0, unshared 9, value 1
//	00 00 00 00                               restart 0
//	01 00 00 00                               one restart
//
// Source: LevelDB, table/block_builder.cc and doc/table_format.md. Files are
// interchangeable with it.
//
// # Invariants
//
// Bytes are never trusted. Check judges the restart array before a block is
// used; each entry is judged as it is decoded, against the entries' region alone,
// so that damage gives a *base.CorruptionError and never a panic or a read
// beyond the block. Order is not judged by Iter: on a block out of order a search
// may miss, and Walk, the strict reader, lets its caller find out.
package block
