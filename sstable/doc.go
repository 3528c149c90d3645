// Package sstable is the sorted file: an immutable table of entries in internal
// key order, in LevelDB's format. Writer makes one, Reader searches, walks and
// verifies one.
//
// # The file
//
//	+------------------------+
//	| data block 0           |  entries, about BlockBytes each before compression
//	| ...                    |
//	| data block n-1         |
//	+------------------------+
//	| filter.leveldb.Bui...2 |  optional: LevelDB's filter
//	| strata.bloom.v1        |  optional: filter over the whole table
//	| strata.properties      |  what the table says of itself
//	+------------------------+
//	| metaindex block        |  name -> handle of each block above, names ascending
//	| index block            |  separator -> handle of each data block
//	| footer                 |  48 bytes
//	+------------------------+
//
// Readers of LevelDB's format pass over names in the metaindex that they do not
// know. Every block is followed by a trailer of 5 bytes:
//
//	+----------+------+-----+
//	| contents | type | crc |   type: 0 as it is, 1 snappy, 2 zstd
//	+----------+------+-----+   crc:  CRC-32C of contents and type, masked, u32 le
//
// The contents of data, index, metaindex and properties blocks are described in
// package block. A handle is two varints: offset, and size without the trailer.
// The separator of a block is an internal key k with last key of the block <= k <
// first key of the next.
//
//	footer:  metaindex handle | index handle | zeros to 40 | 57 fb 80 8b 24 75 47 db
//
// The footer ends where the manifest says that the file ends: bytes behind it do
// no harm.
//
// # strata.bloom.v1
//
//	+--------+--------+--------+-------------------+
//	| m      | n      | k      | words             |
//	+--------+--------+--------+-------------------+
//	  u64 le   u64 le   u32 le   u64 le, ceil(m/64)
//
// A Bloom filter of m bits and k probes over the n distinct user keys; bit i is
// bit i%64 of word i/64. The bits are those of bits-and-blooms/bloom v3, so the
// words can be given to its FromWithM. Tables of an order that calls different
// bytes equal have no filter, as filters hash bytes. The block is never
// compressed.
//
// # strata.properties
//
// A block of plain keys, ascending, restart interval 1; numbers are varints. See
// Properties for their meaning. Readers pass over keys they do not know.
//
// # Damage
//
// Every block read from disk is checked against its checksum before it is
// decoded, and every length before memory is asked for. Damage gives a
// *base.CorruptionError with the file and the offset of the block. An unusable
// filter or metaindex costs reads only time; Verify reports it.
//
// Source: LevelDB, doc/table_format.md. Files are interchangeable with LevelDB
// and goleveldb, as long as zstd is not used.
package sstable
