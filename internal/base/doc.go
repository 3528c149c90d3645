// Package base is the vocabulary that every other package of the engine speaks:
// sequence numbers, kinds, internal keys, the Comparer, file names and errors.
//
// It holds no state and does no I/O. Everything in it may be used from any
// goroutine.
//
// # Internal keys
//
// A user key is written many times; each write is an entry with its own
// internal key. On disk an internal key is the user key followed by eight
// bytes, little-endian:
//
//	+------------------+---------------------------------------+
//	| user key         | trailer: sequence number << 8 | kind  |
//	+------------------+---------------------------------------+
//	  n bytes            u64 le
//
// Internal keys sort by user key ascending under the Comparer, then by trailer
// descending, so the newest entry of a user key comes first. A trailer with the
// highest kind, KindSeek, sorts before every entry of its sequence number: that
// is the key to seek for "as of" reads.
//
// Example: user key "a" written as a set with sequence number 17 is the nine
// bytes 61 01 11 00 00 00 00 00 00, printed as a#17,SET.
//
// Source: LevelDB, db/dbformat.h. Files are interchangeable with it.
package base
