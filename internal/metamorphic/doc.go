// Package metamorphic runs one list of operations under many sets of options and
// compares the answers.
//
// Options decide how fast a database is and how its bytes lie on disk, never what
// it answers. So the list that Generate makes from a seed (writes, reads, scans,
// snapshots and iterators held open, flushes, compactions, checkpoints, reopens)
// has one history, line by line, whatever the sizes, policy, compression, cache,
// log or file system:
//
//	seed ──Generate──► list of operations
//	                       │
//	        ┌──────────────┼──────────────┐
//	        ▼              ▼              ▼
//	    set "small"    set "tiered"   set "killed" …
//	        │              │              │
//	        ▼              ▼              ▼
//	     history    ==   history   ==   history
//
// No model of the database is needed, and so none can share a mistake with it.
// What is compared is what a program can see: values, keys in order, and whether
// something was found. A set also names the compactions that it exists for; if
// one of them never ran, the set has shown nothing and fails.
//
// FIFO drops data and has no such history. Its test has a model of its own: the
// survivors of each key are a suffix of what was written.
//
// Nothing here is safe for concurrent use, except that runs do not share
// anything.
package metamorphic
