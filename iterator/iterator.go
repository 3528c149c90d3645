// Package iterator is the contract of every ordered source of entries in the
// engine, and the combinators that make one source out of several.
//
// A source walks entries in internal-key order (see package base): user key
// ascending, newest entry of a key first. Sources may yield every version of a
// key; which of them a reader sees is decided above, by Visible.
//
// # The contract
//
// Every positioning method returns the entry it landed on, or nil when there is
// none. nil means the end of the source or an error: Err tells which, and is
// sticky until the next absolute positioning (First, Last, SeekGE, SeekLT).
// After a *CorruptionError a source never steps over the damage.
//
//	SeekGE(k)  the first entry >= k
//	SeekLT(k)  the last entry < k
//	First, Last
//	Next       the entry after the current one; after SeekLT or Last or Prev
//	           returned nil without error (before the start), the first entry
//	Prev       the entry before the current one; after a forward move returned
//	           nil without error (past the end), the last entry
//
// Next and Prev may be called only after an absolute positioning. Directions may
// be mixed freely.
//
// The *KV and the bytes it points at belong to the source. They are valid, and
// must not be modified, until the next positioning call or Close. A source is
// used by one goroutine at a time.
package iterator

import "github.com/strata-db/strata/internal/base"

// KV is one entry.
type KV struct {
	K base.InternalKey
	V []byte
}

// Iterator is an ordered source of entries. See the package comment for the
// contract.
type Iterator interface {
	First() *KV
	Last() *KV
	SeekGE(key base.InternalKey) *KV
	SeekLT(key base.InternalKey) *KV
	Next() *KV
	Prev() *KV

	// Err returns the error that ended the last movement, nil at a plain end.
	Err() error

	// Close releases what the source holds and returns Err's error. It may be
	// called once; nothing else may be called after it.
	Close() error
}
