package strata

import (
	"context"
	"errors"
	"fmt"
	"io"
	"iter"
	"sync"
	"sync/atomic"
	"time"

	"github.com/strata-db/strata/internal/base"
	"github.com/strata-db/strata/internal/cache"
	"github.com/strata-db/strata/internal/tablecache"
	"github.com/strata-db/strata/version"
	"github.com/strata-db/strata/vfs"
	"github.com/strata-db/strata/wal"
)

// A DB is an open database. Make one with Open. All methods may be called
// concurrently.
type DB struct {
	// Fixed by Open.
	opts   Options // completed
	dir    string
	fs     vfs.FS
	cmp    *base.Comparer
	lock   io.Closer // nil if there was nothing to lock
	set    *version.Set
	log    *wal.Log // nil if read-only
	blocks *cache.Cache
	tables *tablecache.Cache

	// unboundedLevel0: the policy keeps everything in level 0, so its count is no
	// reason to stall.
	unboundedLevel0 bool

	// state is what reads pin; nil once closed.
	state  atomic.Pointer[readState]
	states stateTracker
	closed atomic.Bool // what iterators look at

	commits   commitPipeline
	snapshots snapshotList
	iterators iteratorList
	stall     stallControl
	pacer     pacer
	deleter   deleter
	counters  counters

	// checkpoints is held while one is being made.
	checkpoints sync.Mutex

	// firstLog is the first log segment of this DB's own; older ones were replayed.
	firstLog base.FileNum

	// replayed is the newest memtable that came from the log, until it is flushed.
	replayed atomic.Pointer[memEntry]

	// calls counts the slow calls in flight (Flush, CompactRange, …), so that
	// Close can wait for them.
	calls sync.WaitGroup
	// jobs are the goroutines of background work, to their very end.
	jobs sync.WaitGroup
	// closing is closed when Close begins, closeDone when it ends.
	closing, closeDone chan struct{}

	mu struct {
		sync.Mutex
		// cond is signalled whenever anything here changes.
		cond *sync.Cond

		closed bool
		mem    *memEntry   // being filled; nil if read-only and nothing was replayed
		imm    []*memEntry // sealed, oldest first

		// segments are the live log segments, ascending.
		segments []segment
		// named is the highest log that a manifest may name, also if it is not
		// known whether the edit that does is on disk.
		named base.FileNum

		background backgroundState
	}
}

// segment is a live log segment and the first sequence number in it.
type segment struct {
	num   base.FileNum
	first base.SeqNum
}

// Put sets the value of key. Both are copied. nil is the empty string.
func (d *DB) Put(key, value []byte, wo *WriteOptions) error {
	if err := checkSizes(key, value); err != nil {
		return err
	}
	w := write{kind: KindSet, key: key, value: value, count: 1, bytes: int64(len(key) + len(value))}
	return d.commit(&w, wo.wantSync())
}

// Delete removes key, which need not be there.
func (d *DB) Delete(key []byte, wo *WriteOptions) error {
	if err := checkSizes(key, nil); err != nil {
		return err
	}
	w := write{kind: KindDelete, key: key, count: 1, bytes: int64(len(key))}
	return d.commit(&w, wo.wantSync())
}

// Write applies b: all of it or none. b is not modified. An empty batch with
// Sync returns after everything committed before it is on disk; nil is one.
func (d *DB) Write(b *Batch, wo *WriteOptions) error {
	if b == nil {
		return d.writeNothing(wo.wantSync())
	}
	if b.err != nil {
		return b.err
	}
	if b.count == 0 {
		return d.writeNothing(wo.wantSync())
	}
	w := write{batch: b.data, count: b.count, bytes: int64(len(b.data))}
	return d.commit(&w, wo.wantSync())
}

func (d *DB) writeNothing(sync bool) error {
	switch {
	case d.closed.Load():
		return ErrClosed
	case d.opts.ReadOnly:
		return ErrReadOnly
	case sync:
		return d.Sync()
	}
	return nil
}

// Sync returns after everything that was written is on disk.
func (d *DB) Sync() error {
	if d.opts.ReadOnly {
		return ErrReadOnly
	}
	if !d.begin() {
		return ErrClosed
	}
	defer d.calls.Done()
	if err := d.healLog(); err != nil {
		return err
	}
	return d.syncLog()
}

// Flush writes the memtable to a table in level 0 and waits for it, and for
// every flush before it. An empty memtable makes no table.
func (d *DB) Flush() error {
	if d.opts.ReadOnly {
		return ErrReadOnly
	}
	if !d.begin() {
		return ErrClosed
	}
	defer d.calls.Done()
	return d.flush()
}

func (d *DB) flush() error {
	d.retryFlush()
	c := &d.commits
	c.mu.Lock()
	if c.closed {
		c.mu.Unlock()
		return ErrClosed
	}
	var err error
	if c.mem.logBytes > 0 {
		err = d.sealLocked()
	}
	c.mu.Unlock()
	if err != nil {
		return publicError(err)
	}
	d.mu.Lock()
	var last *memEntry
	if n := len(d.mu.imm); n > 0 {
		last = d.mu.imm[n-1]
	}
	d.mu.Unlock()
	return publicError(d.waitFlushed(func() bool { return last == nil || !d.hasImmLocked(last) }))
}

// begin counts a slow call in, and reports false on a closed DB. The caller
// owes calls.Done.
func (d *DB) begin() bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.mu.closed {
		return false
	}
	d.calls.Add(1)
	return true
}

// WaitIdle returns when no flush or compaction is running or due, or ctx ends. If
// one has failed and nothing runs until its next try, it returns why.
func (d *DB) WaitIdle(ctx context.Context) error {
	if !d.begin() {
		return ErrClosed
	}
	defer d.calls.Done()
	stop := d.wakeOn(ctx)
	defer stop()
	d.mu.Lock()
	defer d.mu.Unlock()
	for {
		switch {
		case d.mu.closed:
			return ErrClosed
		case ctx.Err() != nil:
			return context.Cause(ctx)
		case d.idleLocked():
			return nil
		}
		if err := d.mu.background.err(); err != nil && !d.mu.background.busy() {
			return publicError(err)
		}
		if d.forgottenLocked() {
			d.scheduleLocked()
		}
		d.mu.cond.Wait()
	}
}

// wakeOn makes waiters on the condition look again when ctx ends.
func (d *DB) wakeOn(ctx context.Context) (stop func() bool) {
	return context.AfterFunc(ctx, func() {
		d.mu.Lock()
		d.mu.cond.Broadcast()
		d.mu.Unlock()
	})
}

// Range iterates over the keys in o, for use in a for statement:
//
//	var err error
//	for k, v := range db.Range(nil, &err) { … }
//	if err != nil { … }
//
// key and value are valid for the one step. The iterator behind it is closed
// when the loop ends, also by break. *errp is set before that; errp may be nil.
func (d *DB) Range(o *IterOptions, errp *error) iter.Seq2[[]byte, []byte] {
	return rangeOver(d, o, errp)
}

// Close waits for the calls in flight and for background work, and closes the
// files. It does not flush: the log keeps what the memtable holds. Iterators and
// snapshots that are still open give ErrClosed from then on; with Options.Debug
// the error names where they were made. Close may be called twice, and by several
// goroutines: each returns when everything is closed, the first with the error.
// Events must not call it, as it waits for them.
func (d *DB) Close() error {
	d.commits.mu.Lock()
	d.mu.Lock()
	if d.mu.closed {
		d.mu.Unlock()
		d.commits.mu.Unlock()
		<-d.closeDone
		return nil
	}
	defer close(d.closeDone)
	d.mu.closed = true
	close(d.closing)
	d.mu.cond.Broadcast()
	d.mu.Unlock()
	d.commits.closed = true
	last := d.commits.nextSeq - 1
	d.commits.mu.Unlock()

	if !d.opts.ReadOnly {
		d.commits.waitVisible(last)
	}
	d.calls.Wait()
	d.waitBackground()
	tidied := d.tidyLogs()
	d.closed.Store(true)
	if rs := d.state.Swap(nil); rs != nil {
		rs.retire()
	}
	d.states.wg.Wait()
	d.releaseMemtables()
	return errors.Join(tidied, d.leaks(), d.closeFiles())
}

// closeFiles lets go of everything Open took. It is also how a failed Open ends.
func (d *DB) closeFiles() error {
	var errs []error
	note := func(what string, err error) {
		if err != nil {
			errs = append(errs, fmt.Errorf("close %s: %w", what, err))
		}
	}
	if d.log != nil {
		note("log", d.log.Close())
		d.removeEmptyLog()
	}
	d.deleter.close(d)
	if d.tables != nil {
		note("tables", d.tables.Close())
	}
	if d.set != nil {
		note("manifest", d.set.Close())
	}
	if d.lock != nil {
		note("lock", d.lock.Close())
	}
	return errors.Join(errs...)
}

// leaks names the iterators and snapshots that were not closed, with
// Options.Debug.
func (d *DB) leaks() error {
	if !d.opts.Debug {
		return nil
	}
	var errs []error
	d.snapshots.Lock()
	for s := d.snapshots.root.next; s != &d.snapshots.root; s = s.next {
		errs = append(errs, fmt.Errorf("strata: snapshot open for %v, made at:\n%s", time.Since(s.made).Round(time.Millisecond), s.stack))
	}
	d.snapshots.Unlock()
	for _, it := range d.iterators.open() {
		errs = append(errs, fmt.Errorf("strata: iterator open for %v, made at:\n%s", time.Since(it.made).Round(time.Millisecond), it.stack))
	}
	return errors.Join(errs...)
}

// readError gives an error from a table its public form, and ErrClosed if it
// came from a file that Close closed under the reader.
func (d *DB) readError(err error) error {
	if d.closed.Load() && !errors.Is(err, ErrCorruption) {
		return ErrClosed
	}
	return publicError(err)
}
