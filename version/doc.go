// Package version knows which files are live: the Version, the Edit that leads
// from one to the next, the manifest that records the edits, and the pointer
// file that names the manifest. It opens no table and no log.
//
// # The pointer and the manifest
//
//	LevelDB's format             upgraded format
//	CURRENT                      STRATA
//	 |  "MANIFEST-000007\n"       |  "STRATA-000007\n" and more, see pointer.go
//	 v                            v
//	MANIFEST-000007              STRATA-000007
//	 |  edit edit edit            |  edit edit edit
//	 v                            v
//	000005.ldb 000006.log        000005.stbl 000006.swal
//
// A manifest is a log in the framing of package wal/record. Each record is one
// Edit, a sequence of tagged fields, all numbers varints:
//
//	1 comparer name      length, bytes
//	2 log number         number: logs below it are no longer needed
//	9 previous log       number: one older log that is needed all the same, or 0
//	3 next file number   number
//	4 last sequence      number
//	5 compact pointer    level, length, internal key
//	6 deleted file       level, number
//	7 added file         level, number, size, length, smallest key, length, largest key
//
// Example: "file 5 of 9 bytes, a#1,SET to a#1,SET, was added to level 2" is
//
//	07 02 05 09 09 61 01 01 00 00 00 00 00 00 09 61 01 01 00 00 00 00 00 00
//
// Fields may come in any order; they are written in the order above. Replay is
// cumulative: of a number the last one counts, and within one edit deletions come
// before additions, since a file that changes level is deleted and added at once.
// Tags 2, 3 and 4 must have occurred by the end. A missing tag 1 means the
// bytewise order. Unknown tags, tag 8 (retired by LevelDB) and levels above 6
// are damage; in an upgraded directory the tags 64 to 127 are kept for later
// releases, and one of them is reported as ErrNewerRelease instead.
//
// Each manifest begins with a snapshot of everything. The numbers come in the
// snapshot's last record, so that a manifest cut inside its snapshot lacks them and
// cannot pass for a smaller database.
//
// # What Load accepts
//
// A record torn by a crash at the very end of a manifest was never acknowledged:
// it is dropped and reported. All other damage is an error that names file and
// offset. A dropped edit must not cost anything that was acknowledged, so every
// live table must be in the directory, and so must the log that the log number
// names unless it is 0, and the previous log unless that is 0. (LOG and LOCK are
// something else: a text for people and a lock target. They may be missing.)
//
// # The last sequence
//
// Tag 4 must be lower than the first sequence number of every log that stays
// live: callers give the first sequence of the oldest such log, less 1, in each
// edit, compactions too. It is not the newest sequence number; replaying the logs
// finds that. goleveldb begins its replay at tag 4 and drops every batch below it
// as out of date, so a higher number would cost it the newest writes.
//
// # What is durable when
//
// Apply appends the edit's record and syncs it; then, and only then, the new
// Version becomes current. A new manifest is begun by the first Apply after Load
// (another process's file is never appended to), after a failed write or sync, and
// when the file outgrew its last snapshot:
//
//	write and sync the new manifest, with the edit in its snapshot
//	write and sync NNNNNN.dbtmp, the new pointer
//	sync the directory: both names are durable before anything points at them
//	rename NNNNNN.dbtmp over the pointer
//	sync the directory
//	remove the old manifest
//
// A file whose write or sync failed is retired for ever: after a failed fsync the
// kernel calls the lost pages clean, so a second fsync would prove nothing.
//
// Sources: LevelDB, db/version_edit.cc, db/version_set.cc and doc/impl.md.
// Directories in LevelDB's format are interchangeable with it and with goleveldb.
package version
