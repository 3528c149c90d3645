package main

import (
	"fmt"
	"slices"
	"strings"
)

// The settings that every engine runs with, as far as it has them.
const (
	memtableBytes = 64 << 20
	cacheBytes    = 128 << 20
	blockBytes    = 4 << 10
	filterBits    = 10
	openFiles     = 1000
	compactors    = 2
)

// A DB is an open database of any engine, reduced to what the workloads do. Its
// methods may be called by several goroutines.
type DB interface {
	// Put writes one entry; with sync it returns when the entry is on disk.
	Put(key, value []byte, sync bool) error
	Delete(key []byte) error
	// NewBatch returns an atomic batch for one goroutine.
	NewBatch() Batch
	// Get appends the value to dst and reports whether there is one. Every
	// engine pays for the copy, as a value that outlives the call needs it.
	Get(dst, key []byte) ([]byte, bool, error)
	// NewIter returns an iterator for one goroutine, not positioned. Engines
	// whose iterators have one direction take it from reverse.
	NewIter(reverse bool) (Iter, error)
	// Sync returns when all that was written is with the disk.
	Sync() error
	// WaitIdle waits until no flush or compaction is running or due. It
	// returns the part of the wait, in seconds, that only served to notice.
	WaitIdle() (idle float64, err error)
	// Compact merges everything into as few sorted runs as there can be.
	Compact() error
	Close() error
}

// A Batch collects writes. Put and Delete copy what they are given.
type Batch interface {
	Put(key, value []byte) error
	Delete(key []byte) error
	// Commit applies the entries and empties the batch.
	Commit(sync bool) error
}

// An Iter walks keys in order. Key and Value are valid until it moves.
type Iter interface {
	SeekGE(key []byte) bool
	First() bool
	Last() bool
	Next() bool
	Prev() bool
	Key() []byte
	Value() []byte
	// Error returns what ended the walk, nil at a plain end.
	Error() error
	Close() error
}

// An engine is one of the contestants.
type engine struct {
	name   string
	module string // or Debian's package, if native
	open   func(dir string) (DB, error)
	// openSynced, if not nil, opens it for a workload that syncs every write.
	openSynced func(dir string) (DB, error)
	// native engines are written in C++ and run by a program of their own.
	native bool
	// loadBatch is how many writes its experts would put into one transaction
	// when loading; 1 where single writes are cheap.
	loadBatch int
	// lsm: a log-structured merge-tree.
	lsm   bool
	notes string
}

var engines = []engine{
	{name: "strata", module: "github.com/strata-db/strata", open: openStrata, loadBatch: 1, lsm: true,
		notes: "WAL reaches the OS with each write"},
	{name: "goleveldb", module: "github.com/syndtr/goleveldb", open: openGoleveldb, loadBatch: 1, lsm: true,
		notes: "WAL reaches the OS with each write; seek compactions off; one compaction at a time"},
	{name: "pebble", module: "github.com/cockroachdb/pebble/v2", open: openPebble, loadBatch: 1, lsm: true,
		notes: "WAL of unsynced writes is buffered in the process; CockroachDB's thresholds and index blocks; memtables, which it takes out of the cache, come on top"},
	{name: "leveldb", module: "libleveldb-dev", native: true, loadBatch: 1, lsm: true,
		notes: "WAL reaches the OS with each write; one background thread; compacts because of seeks, too"},
	{name: "rocksdb", module: "librocksdb-dev", native: true, loadBatch: 1, lsm: true,
		notes: "WAL reaches the OS with each write; full filters; dynamic level sizes; glibc's malloc"},
	{name: "badger", module: "github.com/dgraph-io/badger/v4", open: openBadger, openSynced: openBadgerSynced, loadBatch: 1000, lsm: true,
		notes: "loads in batches of 1,000; conflict detection off; values in the LSM; SyncWrites where each write is synced"},
	{name: "bbolt", module: "go.etcd.io/bbolt", open: openBbolt, loadBatch: 1000,
		notes: "loads in batches of 1,000; no compression, no cache (mapped), no checksums; freelist not synced; synced writers share transactions"},
}

func findEngine(name string) (engine, error) {
	var known []string
	for _, e := range engines {
		if e.name == name {
			return e, nil
		}
		known = append(known, e.name)
	}
	return engine{}, fmt.Errorf("no engine %q; there are %s", name, strings.Join(known, ", "))
}

// A loader writes many entries the way the engine likes it: one by one or in
// transactions. It belongs to one goroutine.
type loader struct {
	db      DB
	batch   Batch
	every   int
	pending int
}

func newLoader(e engine, db DB) *loader {
	l := &loader{db: db, every: e.loadBatch}
	if l.every > 1 {
		l.batch = db.NewBatch()
	}
	return l
}

func (l *loader) put(key, value []byte) error {
	if l.batch == nil {
		return l.db.Put(key, value, false)
	}
	return l.add(l.batch.Put(key, value))
}

func (l *loader) delete(key []byte) error {
	if l.batch == nil {
		return l.db.Delete(key)
	}
	return l.add(l.batch.Delete(key))
}

func (l *loader) add(err error) error {
	if l.pending++; err != nil || l.pending < l.every {
		return err
	}
	return l.flush()
}

// flush commits what is pending.
func (l *loader) flush() error {
	if l.pending == 0 {
		return nil
	}
	l.pending = 0
	return l.batch.Commit(false)
}

// settings says what every engine runs with.
var settings = fmt.Sprintf("Settings: memtable %d MiB, block cache %d MiB, filter %d bits a key, block %d KiB, snappy, checksums verified,\n"+
	"up to %d compactions at once, no sync unless named; every Get copies the value into the caller's buffer.",
	memtableBytes>>20, cacheBytes>>20, filterBits, blockBytes>>10, compactors)

// engineTable tells the engines' versions and particulars, a head first.
func (rec recording) engineTable() [][]string {
	out := [][]string{{"engine", "version", "particulars"}}
	for _, e := range engines {
		if slices.Contains(rec.engineNames(), e.name) {
			out = append(out, []string{e.name, rec.header.Versions[e.name], e.notes})
		}
	}
	return out
}
