// Package strata is an embedded, ordered key-value store: a log-structured
// merge-tree that reads and writes LevelDB's on-disk format.
//
//	db, err := strata.Open("/path/to/db", nil) // made if it is missing
//	if err != nil { ... }
//	defer db.Close()
//	err = db.Put([]byte("k"), []byte("v"), strata.Sync)
//	v, err := db.Get([]byte("k"))
//
// A directory of LevelDB or goleveldb is opened in place, and either of them
// can open it again after a clean Close.
//
// # What a returned write promises
//
//	                 after kill -9   after power loss
//	NoSync (or nil)  kept            may be lost, as a suffix of the commit order
//	Sync             kept            kept, and all that was committed before it
//	batch            all or none     all or none
//
// # Concurrency and ownership
//
// A DB, a Snapshot and a Cache may be used by any number of goroutines. An
// Iterator and a Batch belong to one goroutine at a time. Arguments are copied
// before a call returns. Get returns a slice the caller owns. What View hands to
// its function is valid inside it, what an Iterator returns until it moves;
// neither may be modified.
//
// Reads never block writes, nor the reverse.
//
// # Errors
//
// Errors are compared with errors.Is against the Err variables of this package.
// Damaged bytes give a *CorruptionError naming file and offset: an error, never
// a wrong answer. Operations on a closed DB give ErrClosed.
package strata
