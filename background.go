package strata

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"runtime/pprof"
	"slices"
	"time"

	"github.com/strata-db/strata/compaction"
	"github.com/strata-db/strata/internal/base"
	"github.com/strata-db/strata/iterator"
	"github.com/strata-db/strata/version"
	"github.com/strata-db/strata/wal"
)

// Background work: one flush at a time, in order of age, and up to
// Options.Workers compactions of disjoint files. Goroutines exist only while
// there is work. Every job does
//
//	plan under the lock · work without it · publish under it · delete after
//
// and a crash between any two leaves the old tree or the new one, plus files
// that the next Open removes.

// backgroundState is guarded by DB.mu.
type backgroundState struct {
	flushing   bool
	compacting int
	paused     int // manual operations that want no automatic compaction
	// pausedFrom is, while paused, above the numbers of the tables that a manual
	// operation is about.
	pausedFrom base.FileNum

	flushRetry, compactRetry retryState

	// quarantined are tables that a compaction found damaged: they are left
	// alone, so that the rest of the tree goes on.
	quarantined map[base.FileNum]error

	running []*compaction.Plan
	job     int64
}

// retryState is a kind of work that failed and waits for its next try.
type retryState struct {
	err     error
	tries   int
	waiting bool // a timer will schedule the next try
}

func (b *backgroundState) busy() bool { return b.flushing || b.compacting > 0 }

// err returns why background work cannot go on now.
func (b *backgroundState) err() error { return errors.Join(b.flushRetry.err, b.compactRetry.err) }

// The pause between two tries of failed work doubles from retryFirst to
// retryLast, each with up to half of it added at random.
const (
	retryFirst = 20 * time.Millisecond
	retryLast  = 5 * time.Second
)

// failedLocked notes a failed try and sets the timer for the next. d.mu is held.
func (d *DB) failedLocked(r *retryState, err error) time.Duration {
	r.err, r.waiting = err, true
	wait := min(retryFirst<<min(r.tries, 16), retryLast)
	wait += rand.N(wait/2 + 1)
	r.tries++
	time.AfterFunc(wait, func() {
		d.mu.Lock()
		r.waiting = false
		d.scheduleLocked()
		d.mu.Unlock()
	})
	return wait
}

func (d *DB) backgroundError(op string, err error) { d.backgroundRetry(op, err, 0) }

func (d *DB) backgroundRetry(op string, err error, in time.Duration) {
	d.counters.backgroundErrors.Add(1)
	d.opts.Logger.Error("background work failed", "op", op, "err", err, "retry_in", in)
	emit(d.opts.Events.BackgroundError, BackgroundErrorInfo{Op: op, Err: publicError(err), RetryIn: in})
}

// scheduleLocked starts whatever work is due. d.mu is held.
func (d *DB) scheduleLocked() {
	b := &d.mu.background
	d.mu.cond.Broadcast()
	if d.mu.closed || d.opts.ReadOnly {
		return
	}
	if len(d.mu.imm) > 0 && !b.flushing && !b.flushRetry.waiting {
		b.flushing = true
		d.startJob("flush", d.flushJob)
	}
	if d.opts.testing.disableAuto || b.compactRetry.waiting {
		return
	}
	for b.compacting < d.opts.Workers {
		pick := d.pickLocked
		if b.paused > 0 {
			pick = d.pickPausedLocked
		}
		plan := pick()
		if plan == nil {
			return
		}
		d.startCompactionLocked(context.Background(), plan, nil)
	}
}

// forgottenLocked reports that work may be due without anything that will start
// it: opening a table for a read tells how many tombstones it has, and so makes a
// compaction due that was not when work was last scheduled. d.mu is held.
func (d *DB) forgottenLocked() bool {
	b := &d.mu.background
	return !b.busy() && b.paused == 0 && !b.flushRetry.waiting && !b.compactRetry.waiting
}

// startJob runs fn on a goroutine with pprof labels naming the engine and the
// work. A job tells that it has ended under DB.mu, and then still removes files
// and calls events: Close waits for all of it.
func (d *DB) startJob(work string, fn func()) {
	d.jobs.Go(func() {
		pprof.Do(context.Background(), pprof.Labels("strata", work, "dir", d.dir), func(context.Context) { fn() })
	})
}

// idleLocked reports that nothing runs and nothing is due. d.mu is held.
func (d *DB) idleLocked() bool {
	b := &d.mu.background
	if b.busy() || len(d.mu.imm) > 0 {
		return false
	}
	return d.opts.testing.disableAuto || d.opts.ReadOnly || d.pickLocked() == nil
}

// waitBackground returns when no job runs. The DB is closed, so none is started.
func (d *DB) waitBackground() {
	d.mu.Lock()
	for d.mu.background.busy() {
		d.mu.cond.Wait()
	}
	d.mu.Unlock()
	d.jobs.Wait()
}

// hasImmLocked reports whether m still waits for its flush.
func (d *DB) hasImmLocked(m *memEntry) bool {
	for _, e := range d.mu.imm {
		if e == m {
			return true
		}
	}
	return false
}

// waitFlushed waits for done, or for a flush to fail.
func (d *DB) waitFlushed(done func() bool) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	tries := d.mu.background.flushRetry.tries
	for !done() {
		b := &d.mu.background
		if b.flushRetry.err != nil && (b.flushRetry.tries > tries || b.flushRetry.waiting) {
			return b.flushRetry.err
		}
		if d.mu.closed && !b.flushing {
			return ErrClosed
		}
		d.mu.cond.Wait()
	}
	return nil
}

// retryFlush tries a flush that has failed again at once.
func (d *DB) retryFlush() {
	d.mu.Lock()
	d.mu.background.flushRetry.waiting = false
	d.scheduleLocked()
	d.mu.Unlock()
}

// flushGroupLocked returns the oldest sealed memtable with those that share its
// log segments, as a recovery leaves them. They become one table: with a part of
// a segment in the tree and the segment still live, a power cut that takes the
// segment's unsynced end would make the log end before the tree, and sequence
// numbers would be given out again. d.mu is held.
func (d *DB) flushGroupLocked() []*memEntry {
	n := 1
	for n < len(d.mu.imm) && d.mu.imm[n].minLog <= d.mu.imm[n-1].maxLog {
		n++
	}
	return d.mu.imm[:n:n]
}

// flushJob flushes the oldest sealed memtable.
func (d *DB) flushJob() {
	d.mu.Lock()
	ms := d.flushGroupLocked()
	d.mu.background.job++
	job := d.mu.background.job
	d.mu.Unlock()

	// Only what is visible may be flushed: a snapshot made meanwhile must not
	// be older than an entry that hides another one here.
	d.commits.waitVisible(ms[len(ms)-1].lastSeq)

	start := time.Now()
	info := FlushInfo{Job: job}
	for _, m := range ms {
		info.Input += m.table.Bytes()
	}
	emit(d.opts.Events.FlushBegin, info)
	res, err := d.flushTable(ms)
	if err == nil {
		err = d.installFlush(ms, res)
	}
	info.Duration, info.Err = time.Since(start), publicError(err)
	for _, f := range res.Outputs {
		info.Table, info.Bytes = f.Name(), f.Size
	}

	var wait time.Duration
	d.mu.Lock()
	d.mu.background.flushing = false
	if err == nil {
		d.mu.background.flushRetry = retryState{}
	} else {
		wait = d.failedLocked(&d.mu.background.flushRetry, err)
	}
	d.scheduleLocked()
	d.mu.Unlock()
	if err != nil {
		d.backgroundRetry("flush", err, wait)
	} else {
		d.opts.Logger.Info("flushed", "job", job, "table", info.Table, "bytes", info.Bytes, "took", info.Duration)
	}
	emit(d.opts.Events.FlushEnd, info)
}

// flushTable writes ms to their table, which has the number of the last one.
// Empty memtables make none.
func (d *DB) flushTable(ms []*memEntry) (*compaction.Result, error) {
	var its []iterator.Iterator
	for _, m := range slices.Backward(ms) {
		if !m.table.Empty() {
			its = append(its, m.table.NewIter())
		}
	}
	if len(its) == 0 {
		return &compaction.Result{}, nil
	}
	m := ms[len(ms)-1]
	if m.flushed != nil {
		return m.flushed, nil
	}
	plan := compaction.FlushPlan()
	env := d.compactionEnv()
	// Flushes go by age, so the tree has everything older: tombstones that hide
	// nothing need not be written at all.
	env.Version = d.set.Current()
	defer env.Version.Unref()
	env.NewOutput = func() (compaction.Output, error) { return d.newOutput(m.tableNum) }
	return d.runPlan(context.Background(), plan, env, its...)
}

// installFlush makes the flushed table part of the tree and lets the log go that
// held it.
func (d *DB) installFlush(ms []*memEntry, res *compaction.Result) error {
	m := ms[len(ms)-1]
	edit := &version.Edit{}
	for _, f := range res.Outputs {
		edit.Added = append(edit.Added, version.AddedFile{Level: 0, Meta: f})
	}
	d.mu.Lock()
	d.logEditLocked(edit, d.logAfterLocked(len(ms)))
	d.mu.Unlock()
	if err := d.anchorLog(edit); err != nil {
		m.flushed = res
		return err
	}
	if err := d.set.Apply(edit); err != nil {
		// The table is durable; only its edit is tried again. It may be in a
		// manifest already, so it must not be written a second time.
		m.flushed = res
		return fmt.Errorf("record the flushed table: %w", err)
	}
	d.counters.flushes.Add(1) // before anybody sees that it has ended
	for _, f := range res.Outputs {
		d.counters.flushedBytes.Add(int64(f.Size))
		emit(d.opts.Events.TableCreated, FileInfo{Name: f.Name(), Bytes: f.Size})
	}
	d.mu.Lock()
	d.mu.imm = append([]*memEntry(nil), d.mu.imm[len(ms):]...)
	d.replayed.CompareAndSwap(m, nil)
	retired := d.publishStateLocked()
	event := d.updateStallLocked()
	d.mu.Unlock()
	retired.retire()
	for _, m := range ms {
		m.table.Unref()
	}
	event()
	if edit.LogNum != nil {
		d.retireLogs(*edit.LogNum)
	}
	return nil
}

// logAfterLocked returns the first log segment needed once the n oldest sealed
// memtables are flushed. d.mu is held.
func (d *DB) logAfterLocked(n int) base.FileNum {
	if n < len(d.mu.imm) {
		return d.mu.imm[n].minLog
	}
	return d.mu.mem.minLog
}

// logEditLocked completes edit with the oldest log needed. Its last sequence is
// one less than that log's first: goleveldb begins its replay there and would
// drop older batches. d.mu is held.
func (d *DB) logEditLocked(edit *version.Edit, needed base.FileNum) {
	if needed > d.set.LogNum() {
		var none base.FileNum
		edit.LogNum, edit.PrevLogNum = &needed, &none
	}
	for _, s := range d.mu.segments {
		if s.num >= needed {
			last := s.first - 1
			edit.LastSeq = &last
			return
		}
	}
}

// anchorLog makes the name and the beginning of the log that edit names durable,
// before a manifest says that recovery begins there. Where that fails for ever,
// because a sync of that log did, edit gets to name an empty one right before it:
// otherwise nothing older could be let go, and so nothing be flushed. So it does for
// a log that was replayed, as its sync may have failed in the process that wrote it,
// unless no number is free.
func (d *DB) anchorLog(edit *version.Edit) error {
	if edit.LogNum == nil {
		return nil
	}
	num := *edit.LogNum
	d.mu.Lock()
	d.mu.named = max(d.mu.named, num)
	d.mu.Unlock()
	replayed := num < d.firstLog
	var err error
	if !replayed {
		if err = d.log.Anchor(num); err == nil {
			return nil
		}
	}
	first := *edit.LastSeq + 1
	anchor, aerr := d.log.AnchorBefore(num, first)
	if replayed && errors.Is(aerr, wal.ErrNoNumber) {
		return d.log.Anchor(num)
	}
	if aerr != nil {
		return fmt.Errorf("make log %s durable: %w", d.logName(num), errors.Join(err, aerr))
	}
	edit.LogNum = &anchor
	d.mu.Lock()
	defer d.mu.Unlock()
	i := slices.IndexFunc(d.mu.segments, func(s segment) bool { return s.num >= anchor })
	if d.mu.segments[i].num != anchor {
		d.mu.segments = slices.Insert(slices.Clone(d.mu.segments), i, segment{anchor, first})
	}
	return nil
}

// retireLogs removes the segments below needed.
func (d *DB) retireLogs(needed base.FileNum) {
	d.log.Retire(needed)
	var gone []base.FileNum
	d.mu.Lock()
	for len(d.mu.segments) > 0 && d.mu.segments[0].num < needed {
		gone = append(gone, d.mu.segments[0].num)
		d.mu.segments = d.mu.segments[1:]
	}
	d.mu.Unlock()
	for _, num := range gone {
		d.deleter.add(d, d.logName(num), 0)
		emit(d.opts.Events.LogDeleted, FileInfo{Name: d.logName(num)})
	}
}
