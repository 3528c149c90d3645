// Package wal is the log of batches that makes writes survive: append, sync, and
// the replay of what an earlier process left.
//
// The log is a row of segments, files numbered in ascending order, of which the
// last is appended to. A segment is a file of package record whose records are
// batches of package internal/batch, one a record. Segments can be read by
// LevelDB, and LevelDB's and goleveldb's logs are replayed here.
//
// A Log appends. All its methods may be called concurrently, but Append and
// Rotate are serialised by the caller, who hands out the sequence numbers.
// Replay reads, and needs no Log.
//
// # Signature and marks
//
// A batch without entries is twelve bytes: the next sequence number and a count
// of 0. Users' empty batches are never logged, so such records can mean
// something:
//
//	offset 0                19               38
//	+----------------------+----------------+------------+-----+----------+---
//	| empty, sequence s    | empty, seq. s  | batch at s | ... | empty, t | ...
//	+----------------------+----------------+------------+-----+----------+---
//	 \________ signature ________/                              mark
//
// The signature, two in a row at offset 0, says that this engine began the
// segment and that s is its first sequence number. A mark, one alone, says that
// every byte before it in this segment, and every earlier segment that was live
// when it was written, is on disk, and that t is the next sequence number. A mark
// is appended after a successful sync, and only if nothing was appended since
// that sync began; under load, appends are held for one sync now and then so that
// a mark can be placed.
//
// To other engines these records are batches that change nothing. In their logs
// such records are users' empty batches and mean nothing.
//
// # Where replay ends
//
// After a power cut an unsynced segment can lack any of its pages. So damage
// alone does not tell a torn end, which is normal, from corruption, which is an
// error. What tells them apart is what follows.
//
// In a segment with a signature sequence numbers have no gaps. After damage,
// zeros, or the end of a segment, the stream goes on only where the next whole
// batch, mark, or signature of a later segment continues at exactly the next
// number: then nothing was lost. That is also how a writer goes on in a new
// segment after a failed append, and LevelDB behind our preallocated zeros.
// Otherwise the stream ends there. If a later mark says that what is missing was
// on disk, it is corruption; if none does, it was never promised, and the
// segments behind are dropped and reported.
//
// In a segment without signature sequence numbers may jump, and nothing is known
// about syncs. There, damage followed by any whole batch is corruption, and
// damage followed by none is a torn end. Such an end does not end the stream for
// further segments without signature: their writers synced each on its own, so
// a later one may hold synced writes although an earlier one is torn.
//
// In both, a record whose checksum is right and which is no well-formed batch is
// corruption.
//
// # What a caller of Log must do
//
//   - Take the first sequence number of a new segment right behind
//     Result.LastSeq or the last batch appended. A gap reads as a loss.
//   - Call Anchor before a manifest names a segment as the oldest one needed.
//   - After a failed sync, bring what the segment holds to a synced table and
//     Retire it; until then Sync fails, and says so.
//
// Source: LevelDB's log files; the signature and the marks are this engine's.
package wal
