package strata

import (
	"fmt"
	"math"
	"path/filepath"
	"slices"
	"strings"
	"sync"

	"github.com/strata-db/strata/internal/base"
	"github.com/strata-db/strata/internal/cache"
	"github.com/strata-db/strata/internal/tablecache"
	"github.com/strata-db/strata/memtable"
	"github.com/strata-db/strata/version"
	"github.com/strata-db/strata/vfs"
	"github.com/strata-db/strata/wal"
)

// Open opens the database in dir, and creates one if there is none. nil opts
// are the defaults. The DB must be closed.
//
// Opening reads the manifest and replays the log; it opens no table. The end of
// a log torn by a crash is normal: it is cut off and reported to
// Events.Recovered. Any other damage is a *CorruptionError; Repair may help.
func Open(dir string, opts *Options) (*DB, error) {
	o := opts.withDefaults()
	if err := o.validate(); err != nil {
		return nil, err
	}
	d := newDB(dir, o)
	if err := d.open(); err != nil {
		d.abandon()
		return nil, publicError(fmt.Errorf("open %s: %w", dir, err))
	}
	return d, nil
}

func newDB(dir string, o Options) *DB {
	d := &DB{opts: o, dir: dir, fs: o.FS, cmp: o.Comparer, closing: make(chan struct{}), closeDone: make(chan struct{})}
	d.unboundedLevel0 = o.Policy.Name() == "fifo"
	d.pacer.rate = o.CompactionBytesPerSecond
	d.mu.cond = sync.NewCond(&d.mu.Mutex)
	d.mu.background.quarantined = make(map[base.FileNum]error)
	d.snapshots.init()
	d.iterators.init()
	d.blocks = o.Cache
	if d.blocks == nil {
		d.blocks = cache.New(max(o.CacheBytes, 0))
	}
	return d
}

// abandon lets go of what a failed open took.
func (d *DB) abandon() {
	d.mu.Lock()
	d.mu.closed = true
	d.mu.Unlock()
	d.waitBackground()
	if rs := d.state.Swap(nil); rs != nil {
		rs.retire()
	}
	d.releaseMemtables()
	d.closeFiles()
}

// releaseMemtables gives up the memtables that were not flushed: the log has what
// is in them. Their memory is free when open iterators give theirs up, too.
func (d *DB) releaseMemtables() {
	d.mu.Lock()
	mems := d.mu.imm
	if m := d.commits.mem; m != nil {
		mems = append(slices.Clip(mems), m)
	}
	d.mu.imm, d.mu.mem = nil, nil
	d.mu.Unlock()
	for _, m := range mems {
		m.table.Unref()
	}
}

func (d *DB) open() error {
	if _, err := d.probe(); err != nil {
		return err
	}
	if err := d.acquire(); err != nil {
		return err
	}
	// Another process may have come and gone before the lock was ours.
	state, err := d.probe()
	if err != nil {
		return err
	}
	if err := d.openTree(state); err != nil {
		return err
	}
	return d.recover()
}

// probe decides by what is in the directory whether it may be opened at all, and
// returns which kind of database is there.
func (d *DB) probe() (version.State, error) {
	state, l, err := version.Exists(d.fs, d.dir)
	if err != nil {
		return state, err
	}
	exists := state != version.StateNew
	switch {
	case exists && d.opts.ErrorIfExists:
		return state, ErrExists
	case !exists && (d.opts.ErrorIfMissing || d.opts.ReadOnly):
		return state, ErrNotExist
	case strings.HasSuffix(filepath.Clean(d.dir), unfinishedSuffix) && slices.Contains(l.Foreign, unfinishedMark):
		return state, fmt.Errorf("%w: it is what a Checkpoint or Salvage that did not end has left; remove it, and make the copy again", ErrNotDatabase)
	case !exists && len(l.Foreign) > 0:
		names := l.Foreign[:min(len(l.Foreign), 5)]
		return state, fmt.Errorf("%w: it holds other files (%s); use an empty directory", ErrNotDatabase, strings.Join(names, ", "))
	}
	return state, nil
}

// acquire makes the directory and locks it. A read-only DB shares the lock with
// others of its kind, and goes without where there is no lock file.
func (d *DB) acquire() error {
	name := filepath.Join(d.dir, base.LockName)
	if d.opts.ReadOnly {
		lock, err := d.fs.Lock(name, true)
		if isNotExist(err) {
			return nil
		}
		d.lock = lock
		return err
	}
	if err := d.makeDir(); err != nil {
		return err
	}
	lock, err := d.fs.Lock(name, false)
	if err == nil {
		d.lock = lock
	}
	return err
}

// makeDir makes the directory if it is missing, durably.
func (d *DB) makeDir() error {
	_, err := d.fs.Stat(d.dir)
	if isNotExist(err) {
		return version.MakeDir(d.fs, d.dir)
	}
	return err
}

// openTree loads the version set, or creates one, and what stands on it.
func (d *DB) openTree(state version.State) error {
	d.tables = tablecache.New(tablecache.Options{
		FS: d.fs, Dir: d.dir, MaxOpenFiles: d.opts.MaxOpenFiles, MaxReaderBytes: d.opts.IndexBytes, Cmp: d.cmp, Blocks: d.blocks,
	})
	vo := version.Options{
		FS: d.fs, Dir: d.dir, Cmp: d.cmp, Logger: d.opts.Logger,
		Attach:          func(f *version.FileMeta) any { return d.tables.Attach(f) },
		Obsolete:        d.obsoleteTables,
		ReadOnly:        d.opts.ReadOnly,
		MinRewriteBytes: d.opts.testing.manifestMinRewrite,
	}
	if state == version.StateUpgraded && !d.opts.ReadOnly {
		if err := version.FinishUpgrade(vo); err != nil {
			return err
		}
	}
	var err error
	if state != version.StateNew {
		d.set, err = version.Load(vo)
	} else {
		d.set, err = version.Create(vo, d.opts.Compression == Zstd)
	}
	if err != nil {
		return err
	}
	if d.opts.Compression == Zstd && !d.set.Upgraded() && !d.opts.ReadOnly {
		return fmt.Errorf("%w: zstd blocks cannot be read by LevelDB; run Upgrade first, or use Snappy", ErrNeedsUpgrade)
	}
	return nil
}

// recover replays the log and makes the DB ready for use.
func (d *DB) recover() error {
	rec, err := d.replay()
	if err != nil {
		return err
	}
	if rec.lastSeq >= base.SeqNumMax && !d.opts.ReadOnly {
		rec.release()
		// No log can begin behind that.
		return base.Corruptf(d.set.ManifestName(), -1, "sequence number %d is taken, which no counter reaches, "+
			"and none is left to write with; open it ReadOnly, and copy what it holds to a new database", uint64(rec.lastSeq))
	}
	c := &d.commits
	c.nextSeq = rec.lastSeq + 1
	c.visible.Store(uint64(rec.lastSeq))
	if !d.opts.ReadOnly {
		if err := d.settle(rec); err != nil {
			rec.release()
			return err
		}
		if err := d.beginLog(rec); err != nil {
			rec.release()
			return err
		}
	}
	d.mu.Lock()
	d.mu.imm = rec.mems
	if n := len(rec.mems); n > 0 {
		d.replayed.Store(rec.mems[n-1])
	}
	d.mu.mem = c.mem
	d.publishStateLocked()
	d.mu.Unlock()
	d.logRecovery(rec)
	emit(d.opts.Events.Recovered, rec.info)
	if d.opts.ReadOnly {
		return nil
	}
	if err := d.removeGarbage(); err != nil {
		return err
	}
	d.mu.Lock()
	d.scheduleLocked()
	d.mu.Unlock()
	return nil
}

func (d *DB) logRecovery(rec *recovery) {
	i := rec.info
	if i.TornFile != "" {
		d.opts.Logger.Warn("the log ended in a torn write", "file", i.TornFile, "offset", i.TornOffset,
			"bytes", i.TornBytes, "reason", i.TornReason, "dropped", i.DroppedLogs)
	}
	d.opts.Logger.Info("opened", "dir", d.dir, "logs", i.Logs, "batches", i.Batches, "took", i.Duration)
}

// beginLog makes the memtable and the log segment that take new writes.
func (d *DB) beginLog(rec *recovery) error {
	// A sealed memtable gets its table number before the next log gets one:
	// level 0 is in order of age by number.
	for _, m := range rec.mems {
		m.tableNum = d.set.NewFileNum()
		d.set.ReserveSpare(d.set.NewFileNum())
	}
	d.log = wal.New(wal.Options{FS: d.fs, Dir: d.dir, Type: d.set.LogType(), Append: d.appendOptions()})
	for _, s := range rec.segments {
		d.log.AddReplayed(s.num)
	}
	num := d.set.NewFileNum()
	if err := d.log.Rotate(num, d.commits.nextSeq); err != nil {
		return fmt.Errorf("begin the log: %w", err)
	}
	d.firstLog = num
	d.mu.segments = append(rec.segments, segment{num, d.commits.nextSeq})
	d.commits.mem = d.newMemEntry(num)
	d.commits.prepareAt = math.MaxInt64
	emit(d.opts.Events.LogCreated, FileInfo{Name: d.logName(num)})
	return nil
}

func (d *DB) newMemEntry(log base.FileNum) *memEntry {
	return &memEntry{table: memtable.New(d.cmp, d.opts.MemtableBytes), minLog: log, maxLog: log}
}

func (d *DB) appendOptions() vfs.AppendOptions {
	return vfs.AppendOptions{Mode: d.opts.WAL, MaxStepBytes: max(d.opts.MemtableBytes, 256<<10)}
}

func (d *DB) logName(num base.FileNum) string { return base.FileName(d.set.LogType(), num) }

func (d *DB) path(name string) string { return filepath.Join(d.dir, name) }

// removeEmptyLog removes the current segment if nothing was written to it and no
// manifest can name it, so that opening and closing leaves no trail of logs. It is
// called by Close after the log was closed.
func (d *DB) removeEmptyLog() {
	m := d.commits.mem
	if m == nil || m.logBytes > 0 || m.minLog == d.set.LogNum() || m.minLog <= d.mu.named || len(d.mu.segments) == 0 {
		return
	}
	num := d.mu.segments[len(d.mu.segments)-1].num
	if num != m.minLog {
		return
	}
	if err := d.fs.Remove(d.path(d.logName(num))); err != nil && !isNotExist(err) {
		d.opts.Logger.Warn("could not remove an empty log", "file", d.logName(num), "err", err)
	}
}

// tidyLogs lets go of replayed segments that nothing needs any more, so that a
// closed directory has one log. It is called by Close when background work has
// ended.
func (d *DB) tidyLogs() error {
	d.mu.Lock()
	m := d.commits.mem
	due := m != nil && m.logBytes > 0 && len(d.mu.imm) == 0 && len(d.mu.segments) > 1 && d.mu.segments[0].num < m.minLog
	var edit version.Edit
	if due {
		d.logEditLocked(&edit, m.minLog)
	}
	d.mu.Unlock()
	if !due {
		return nil
	}
	if err := d.anchorLog(&edit); err != nil {
		return err
	}
	if err := d.set.Apply(&edit); err != nil {
		return fmt.Errorf("let old logs go: %w", err)
	}
	d.retireLogs(*edit.LogNum)
	return nil
}
