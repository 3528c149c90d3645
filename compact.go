package strata

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/strata-db/strata/compaction"
	"github.com/strata-db/strata/internal/base"
	"github.com/strata-db/strata/internal/tablecache"
	"github.com/strata-db/strata/iterator"
	"github.com/strata-db/strata/sstable"
	"github.com/strata-db/strata/version"
)

// treeLocked is what a policy looks at. d.mu is held; v stays good as long as
// the caller holds it.
func (d *DB) treeLocked(v *version.Version) *compaction.Tree {
	t := &compaction.Tree{
		Version: v,
		Cmp:     d.cmp,
		Running: d.mu.background.running,
		Damaged: func(f *version.FileMeta) bool {
			_, bad := d.mu.background.quarantined[f.Num]
			return bad
		},
		Pointer:        d.set.Pointer,
		OldestSnapshot: base.SeqNumMax,
		Spare:          d.set.HasSpare,
	}
	if s := d.snapshots.oldest(); s != nil {
		t.OldestSnapshot = s.at
	}
	return t
}

// pickLocked asks the policy for the next compaction. d.mu is held.
func (d *DB) pickLocked() *compaction.Plan {
	v := d.set.Current()
	defer v.Unref()
	return d.opts.Policy.Pick(d.treeLocked(v))
}

// pausedMergeMemtables bounds a merge made while automatic compactions pause, in
// memtables; pausedMergeTables is the fewest tables worth one.
const (
	pausedMergeMemtables = 8
	pausedMergeTables    = 4
)

// pickPausedLocked returns what has to be done while automatic compactions pause,
// which may take long: if level 0 slows writers down, what was flushed since is
// merged inside it. That is in no manual operation's way. d.mu is held.
func (d *DB) pickPausedLocked() *compaction.Plan {
	if d.pressureLocked().level0 == 0 {
		return nil
	}
	v := d.set.Current()
	defer v.Unref()
	t := d.treeLocked(v)
	from := d.mu.background.pausedFrom
	t.Busy = func(f *version.FileMeta) bool { return f.Num < from }
	return compaction.RelieveLevel0(t, pausedMergeTables, pausedMergeMemtables*uint64(d.opts.MemtableBytes))
}

// startCompactionLocked runs plan in the background, until ctx ends or the DB is
// closed, and then calls done, if not nil, with how it ended. d.mu is held. The version that plan was made from is
// pinned by its files: they stay in every version until the plan's own edit.
func (d *DB) startCompactionLocked(ctx context.Context, plan *compaction.Plan, done func(error)) {
	b := &d.mu.background
	b.compacting++
	b.job++
	job := b.job
	b.running = append(b.running, plan)
	// Held until the job ends, so that the inputs' files do.
	v := d.set.Current()
	// Taken at once: a spare is forgotten when the older files of level 0 leave it.
	var spare base.FileNum
	if plan.NumHi != 0 {
		spare, _ = d.set.TakeSpare(plan.NumLo, plan.NumHi)
	}
	d.startJob("compaction", func() { d.compactJob(ctx, job, plan, spare, v, done) })
}

func (d *DB) compactJob(ctx context.Context, job int64, plan *compaction.Plan, spare base.FileNum, v *version.Version, done func(error)) {
	start := time.Now()
	info := CompactionInfo{Job: job, Reason: plan.Reason.String(), Plan: plan.String(), InputTables: plan.FileCount(), OutputLevel: plan.OutputLevel}
	emit(d.opts.Events.CompactionBegin, info)
	res, err := d.compact(ctx, plan, spare, v)
	info.Duration, info.Err = time.Since(start), publicError(err)
	info.BytesRead, info.BytesWritten = res.BytesRead, res.BytesWritten
	for _, f := range res.Outputs {
		info.Outputs = append(info.Outputs, f.Name())
	}

	// Counted before anybody sees that it has ended.
	if err == nil {
		d.counters.compactions[plan.Reason].Add(1)
		d.counters.compactedRead.Add(int64(res.BytesRead))
		d.counters.compactedWritten.Add(int64(res.BytesWritten))
	}
	var wait time.Duration
	d.mu.Lock()
	b := &d.mu.background
	b.compacting--
	for i, p := range b.running {
		if p == plan {
			b.running = append(b.running[:i:i], b.running[i+1:]...)
			break
		}
	}
	switch {
	case err == nil:
		b.compactRetry = retryState{}
		for _, f := range plan.Files() {
			delete(b.quarantined, f.Num)
		}
	case cancelled(err):
	case errors.Is(err, ErrCorruption):
		// The tree goes on without these tables; what is wrong with them has
		// been said, and a read that meets the damage says it again.
		d.quarantineLocked(plan, err)
	default:
		wait = d.failedLocked(&b.compactRetry, err)
	}
	retired := d.publishStateLocked()
	event := d.updateStallLocked()
	d.scheduleLocked()
	d.mu.Unlock()
	retired.retire()
	v.Unref()
	event()
	if err != nil && !cancelled(err) {
		d.backgroundRetry("compaction", err, wait)
	} else if err == nil {
		d.opts.Logger.Info("compacted", "job", job, "plan", info.Plan, "read", info.BytesRead, "written", info.BytesWritten, "took", info.Duration)
	}
	emit(d.opts.Events.CompactionEnd, info)
	if done != nil {
		done(err)
	}
}

// quarantineLocked leaves the inputs of a plan that met damage alone: the table
// the error names, or all of them if that is not clear. d.mu is held.
func (d *DB) quarantineLocked(plan *compaction.Plan, err error) {
	var ce *CorruptionError
	named := false
	if errors.As(err, &ce) {
		for _, f := range plan.Files() {
			if f.Name() == ce.File {
				d.mu.background.quarantined[f.Num] = err
				named = true
			}
		}
	}
	if !named {
		for _, f := range plan.Files() {
			d.mu.background.quarantined[f.Num] = err
		}
	}
}

// compact carries plan out: the merge, and the edit that publishes it. spare is the
// number of an output that must lie between others in level 0.
func (d *DB) compact(ctx context.Context, plan *compaction.Plan, spare base.FileNum, v *version.Version) (*compaction.Result, error) {
	res := &compaction.Result{}
	edit := &version.Edit{}
	switch {
	case plan.Move:
		for _, f := range plan.Files() {
			edit.Added = append(edit.Added, version.AddedFile{Level: plan.OutputLevel, Meta: f})
		}
	case plan.Drop:
	default:
		ctx, cancel := d.backgroundContext(ctx)
		defer cancel()
		env := d.compactionEnv()
		if plan.NumHi != 0 {
			env.NewOutput = func() (compaction.Output, error) {
				num := spare
				if spare = 0; num == 0 {
					return compaction.Output{}, fmt.Errorf("no free file number between %s and %s", plan.NumLo, plan.NumHi)
				}
				return d.newOutput(num)
			}
		}
		env.Version = v
		if d.pacer.rate > 0 {
			env.Pace = func(bytes int) { d.pacer.wait(ctx, bytes) }
		}
		var err error
		res, err = d.runPlan(ctx, plan, env)
		if spare != 0 {
			d.set.ReserveSpare(spare) // not used after all
		}
		if err != nil {
			return res, err
		}
		for _, f := range res.Outputs {
			edit.Added = append(edit.Added, version.AddedFile{Level: plan.OutputLevel, Meta: f})
		}
	}
	for level, f := range plan.Files() {
		edit.Deleted = append(edit.Deleted, version.DeletedFile{Level: level, Num: f.Num})
	}
	if plan.Pointer != nil {
		edit.Pointers = append(edit.Pointers, version.Pointer{Level: plan.PointerLevel, Key: plan.Pointer})
	}
	edit.LastSeqLog = d.set.LogNum() // a flush may change it before the edit is applied
	d.mu.Lock()
	d.logEditLocked(edit, edit.LastSeqLog)
	d.mu.Unlock()
	if err := d.set.Apply(edit); err != nil {
		// If it is not known whether the manifest has the edit, the set keeps
		// the outputs until a later manifest says that it has not.
		if !errors.Is(err, version.ErrUnsettled) {
			d.removeOutputs(res)
		}
		return res, fmt.Errorf("record the compaction: %w", err)
	}
	for _, f := range res.Outputs {
		emit(d.opts.Events.TableCreated, FileInfo{Name: f.Name(), Bytes: f.Size, Level: plan.OutputLevel})
	}
	return res, nil
}

// cancelled reports that work ended because its context did: nothing failed.
func cancelled(err error) bool {
	return errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded)
}

// backgroundContext ends with ctx, or when the DB is closed.
func (d *DB) backgroundContext(ctx context.Context) (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithCancel(ctx)
	stop := make(chan struct{})
	go func() {
		select {
		case <-d.closing:
			cancel()
		case <-stop:
		}
	}()
	return ctx, func() { close(stop); cancel() }
}

// removeOutputs removes tables that were never published.
func (d *DB) removeOutputs(res *compaction.Result) {
	for _, f := range res.Outputs {
		d.deleter.add(d, f.Name(), 0)
	}
	res.Outputs = nil
}

// compactionEnv is what a compaction of the current tree works with.
func (d *DB) compactionEnv() compaction.Env {
	return compaction.Env{
		Cmp: d.cmp,
		OpenTable: func(f *version.FileMeta) (iterator.Iterator, error) {
			r, err := f.Table.(*tablecache.Table).Reader()
			if err != nil {
				return nil, err
			}
			return r.NewIter(sstable.IterOptions{Compaction: true}), nil
		},
		NewOutput: func() (compaction.Output, error) { return d.newOutput(d.set.NewFileNum()) },
		Snapshots: d.snapshots.seqs(),
	}
}

func (d *DB) newOutput(num base.FileNum) (compaction.Output, error) {
	t := d.set.TableType()
	name := base.FileName(t, num)
	// A flush that failed makes its table again, under the same number.
	d.deleter.forget(name)
	f, err := d.fs.Create(d.path(name))
	if err != nil {
		return compaction.Output{}, err
	}
	w := sstable.NewWriter(f, sstable.WriterOptions{
		Cmp: d.cmp, BlockBytes: d.opts.BlockBytes, Compression: d.opts.Compression.block(),
		FilterBitsPerKey: d.opts.FilterBitsPerKey, LevelDBFilter: d.opts.LevelDBFilter,
	})
	return compaction.Output{Num: num, Type: t, File: f, Writer: w}, nil
}

// runPlan runs plan and makes the names of its outputs durable. On an error what
// it made is removed.
func (d *DB) runPlan(ctx context.Context, plan *compaction.Plan, env compaction.Env, extra ...iterator.Iterator) (*compaction.Result, error) {
	res, err := compaction.Run(ctx, plan, env, extra...)
	if err == nil && len(res.Outputs) > 0 {
		err = d.fs.SyncDir(d.dir)
	}
	if err == nil {
		return res, nil
	}
	d.removeOutputs(res)
	return res, err
}

// CompactRange compacts every key in [lower, upper] until nothing of the range
// can be pushed further down: shadowed versions and tombstones that no snapshot
// needs are gone when it returns. nil is open; nil, nil is everything. Both ends
// are inclusive. The memtable is flushed first. It ends soon after ctx does, and
// leaves what was compacted by then.
func (d *DB) CompactRange(ctx context.Context, lower, upper []byte) error {
	if d.opts.ReadOnly {
		return ErrReadOnly
	}
	if !d.begin() {
		return ErrClosed
	}
	defer d.calls.Done()
	if err := d.flush(); err != nil {
		return err
	}
	if err := d.loadCounts(ctx, lower, upper); err != nil {
		return publicError(err)
	}
	return publicError(d.compactManually(ctx, lower, upper))
}

// loadCounts opens the tables of the range whose counts of tombstones and
// shadowed versions are not known, so that those that hold none need not be
// rewritten.
func (d *DB) loadCounts(ctx context.Context, lower, upper []byte) error {
	v := d.set.Current()
	defer v.Unref()
	for level := range version.NumLevels {
		for _, f := range v.Overlaps(level, lower, upper) {
			if _, known := f.Stats(); known {
				continue
			}
			if err := context.Cause(ctx); err != nil {
				return err
			}
			// A table that cannot be opened is met again by the compaction.
			if _, err := f.Table.(*tablecache.Table).Reader(); err != nil && !errors.Is(err, ErrCorruption) {
				return err
			}
		}
	}
	return nil
}

// compactManually runs the plans of a manual compaction until there are none.
// Automatic compactions pause meanwhile; those that run are waited for.
func (d *DB) compactManually(ctx context.Context, lower, upper []byte) error {
	stop := d.wakeOn(ctx)
	defer stop()
	d.mu.Lock()
	defer d.mu.Unlock()
	b := &d.mu.background
	b.paused++
	b.pausedFrom = d.set.NextFileNum()
	defer func() {
		b.paused--
		d.scheduleLocked()
	}()
	v := d.set.Current()
	m := compaction.NewManual(d.treeLocked(v), d.opts.Policy, lower, upper)
	v.Unref()
	var failed error
	running := 0
	finish := func(err error) {
		d.mu.Lock()
		running--
		failed = errors.Join(failed, err)
		d.mu.cond.Broadcast()
		d.mu.Unlock()
	}
	for {
		stopped := failed
		if d.mu.closed {
			stopped = ErrClosed
		} else if ctx.Err() != nil {
			stopped = context.Cause(ctx)
		}
		if stopped != nil {
			if running == 0 {
				return stopped
			}
			d.mu.cond.Wait()
			continue
		}
		if b.compacting < d.opts.Workers {
			v := d.set.Current()
			plan, done := m.Next(d.treeLocked(v))
			v.Unref()
			if plan != nil {
				running++
				d.startCompactionLocked(ctx, plan, finish)
				continue
			}
			if done && running == 0 {
				return nil
			}
			if !b.busy() {
				// Nothing runs whose end could free what is in the way.
				for _, err := range b.quarantined {
					return fmt.Errorf("a damaged table is in the way: %w", err)
				}
			}
		}
		d.mu.cond.Wait()
	}
}

// snapshotClosed is called when a snapshot was closed: what it kept may now be
// worth compacting away.
func (d *DB) snapshotClosed() {
	d.mu.Lock()
	d.scheduleLocked()
	d.mu.Unlock()
}
