package strata

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"runtime"
	"strings"
	"sync"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/strata-db/strata/vfs"
)

// From Open to Close: what waits waits as long as it is said to, what failed is
// tried again by itself, and Close at any moment leaves nothing behind. Tests of
// time run in a synctest bubble, whose clock stands still while anything works.

// onTables matches calls on table files.
func onTables(op vfs.Op) bool { return strings.HasSuffix(op.Name, ".ldb") }

// A failing flush is tried again after pauses that double, each a bit longer by
// chance, up to a limit; nothing is needed to make it go on when the disk is well
// again; and then the pauses begin anew.
func TestRetriesBackOffAndHeal(t *testing.T) {
	for _, work := range []string{"flush", "compaction"} {
		t.Run(work, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) { testRetries(t, work) })
		})
	}
}

func testRetries(t *testing.T, work string) {
	var mu sync.Mutex
	var said []time.Duration
	var tried []time.Time
	o := Options{Policy: Leveled(LeveledOptions{L0Files: 2})}
	o.Events = &Events{BackgroundError: func(i BackgroundErrorInfo) {
		if i.Op == work {
			mu.Lock()
			said, tried = append(said, i.RetryIn), append(tried, time.Now())
			mu.Unlock()
		}
	}}
	f := vfs.NewFault(vfs.NewMem())
	o.FS = f
	db, err := Open("db", &o)
	require.NoError(t, err)
	fail := func(round int) {
		mu.Lock()
		said, tried = nil, nil
		mu.Unlock()
		mustPut(t, db, "a", "")
		if work == "flush" {
			f.FailAll(vfs.OpCreate, syscall.EIO)
			mustPut(t, db, "a", fmt.Sprint(round))
			require.ErrorIs(t, db.Flush(), syscall.EIO)
		} else {
			require.NoError(t, db.Flush())
			mustPut(t, db, "a", fmt.Sprint(round))
			// The second table in level 0 wants a compaction, whose output fails.
			f.Add(&vfs.Rule{Kind: vfs.OpCreate, Match: onTables, After: 1})
			require.NoError(t, db.Flush())
		}
		<-time.After(time.Minute)
		synctest.Wait()
		mu.Lock()
		defer mu.Unlock()
		require.Greater(t, len(said), 12)
		jitter := false
		for i, d := range said {
			base := min(retryFirst<<min(i, 16), retryLast)
			require.GreaterOrEqual(t, d, base, "try %d of round %d", i, round)
			require.LessOrEqual(t, d, base+base/2, "try %d of round %d", i, round)
			jitter = jitter || d != base
			if i > 0 {
				require.Equal(t, said[i-1], tried[i].Sub(tried[i-1]), "try %d of round %d", i, round)
			}
		}
		require.True(t, jitter)
	}
	for round := range 2 {
		fail(round)
		f.Clear()
		<-time.After(retryLast + retryLast/2)
		synctest.Wait()
		require.NoError(t, db.WaitIdle(t.Context()), "does not heal")
		require.Equal(t, 1, db.Metrics().Memtable.Count)
		v, err := db.Get([]byte("a"))
		require.NoError(t, err)
		require.Equal(t, fmt.Sprint(round), string(v))
	}
	require.NoError(t, db.Close())
	require.Empty(t, f.OpenFiles())
}

// A stopped writer waits exactly as long as the flush that it waits for takes,
// and events and metrics say so.
func TestStopLastsAsLongAsItsCause(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const slow = 7 * time.Second
		f := vfs.NewFault(vfs.NewMem())
		f.Add(&vfs.Rule{Kind: vfs.OpCreate, Match: onTables, Times: 1, Delay: func(vfs.Op) { <-time.After(slow) }})
		var ended []StallInfo
		db, err := Open("db", &Options{
			FS: f, MemtableBytes: 32 << 10, MaxMemtables: 2,
			Events: &Events{StallEnd: func(i StallInfo) { ended = append(ended, i) }},
		})
		require.NoError(t, err)
		start := time.Now()
		var longest time.Duration
		for i := 0; len(ended) == 0; i++ {
			before := time.Now()
			mustPut(t, db, fmt.Sprintf("%06d", i), "some value of some length, for filling")
			longest = max(longest, time.Since(before))
		}
		require.Equal(t, slow, time.Since(start))
		require.Equal(t, slow, longest)
		require.Equal(t, StallInfo{Cause: "memtables", Stopped: true, Duration: slow}, ended[0])
		require.Equal(t, StallMetrics{1, slow}, db.Metrics().Stalls["memtables"])
		require.NoError(t, db.Close())
	})
}

// Slowed writers get the bytes a second that the state of level 0 allows.
func TestSlowdownHasTheRateItSays(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o := Options{FS: vfs.NewMem(), Policy: Leveled(LeveledOptions{L0Files: 1})}
		o.testing.disableAuto, o.testing.l0Slow, o.testing.l0Stop = true, 2, 6
		db, err := Open("db", &o)
		require.NoError(t, err)
		for i := range 4 {
			mustPut(t, db, "a", fmt.Sprint(i))
			require.NoError(t, db.Flush())
		}
		rate, why := pressure{maxMemtables: 4, level0: 4, l0Slow: 2, l0Stop: 6}.slowdown()
		require.Equal(t, stallLevel0Slow, why)
		start, bytes := time.Now(), 0
		value := make([]byte, 32<<10)
		for range 300 {
			require.NoError(t, db.Put([]byte("a"), value, nil))
			bytes += len(value) + 1
		}
		want := time.Duration(float64(bytes) / float64(rate) * float64(time.Second))
		require.InDelta(t, want.Seconds(), time.Since(start).Seconds(), 0.01)
		require.NoError(t, db.Close())
	})
}

// A level far over its target slows writers, by how far, and no longer than it is.
func TestFullLevelSlowsWriters(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o := Options{FS: vfs.NewMem(), Policy: Leveled(LeveledOptions{L0Files: 1}), Compression: NoCompression}
		db, err := Open("db", &o)
		require.NoError(t, err)
		require.NoError(t, db.Put([]byte("a"), make([]byte, 90<<10), nil))
		require.NoError(t, db.Flush())
		require.NoError(t, db.WaitIdle(t.Context()))
		require.Equal(t, 1, db.Metrics().Levels[1].Tables)
		require.NoError(t, db.Close())

		var begun []StallInfo
		o.Policy = Leveled(LeveledOptions{BaseBytes: 10 << 10})
		o.Events = &Events{StallBegin: func(i StallInfo) { begun = append(begun, i) }}
		o.testing.disableAuto = true
		db, err = Open("db", &o)
		require.NoError(t, err)
		require.NoError(t, db.Put([]byte("b"), nil, nil))
		require.NoError(t, db.Flush())
		require.Equal(t, []StallInfo{{Cause: "debt-slowdown"}}, begun)
		start := time.Now()
		require.NoError(t, db.Put([]byte("b"), make([]byte, 1<<20), nil))
		want := float64(1<<20) / float64(slowedTo(9, levelSlow, levelSlowest))
		require.InDelta(t, want, time.Since(start).Seconds(), want/10)
		require.Positive(t, db.Metrics().Stalls["debt-slowdown"].Duration)

		db.mu.Lock()
		db.opts.testing.disableAuto = false
		db.mu.Unlock()
		require.NoError(t, db.WaitIdle(t.Context()))
		start = time.Now()
		require.NoError(t, db.Put([]byte("b"), make([]byte, 1<<20), nil))
		require.Zero(t, time.Since(start))
		require.NoError(t, db.Close())
	})
}

// Writers do not wait for a flush that fails: they get its error while the
// memtables are full, reads go on, and writes are taken again without any help.
func TestFailingFlushDoesNotHangWriters(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := vfs.NewFault(vfs.NewMem())
		db, err := Open("db", &Options{FS: f, MemtableBytes: 32 << 10, MaxMemtables: 3})
		require.NoError(t, err)
		f.Add(&vfs.Rule{Kind: vfs.OpCreate, Match: onTables, Err: syscall.ENOSPC})
		n := 0
		put := func() error {
			err := db.Put(fmt.Appendf(nil, "%06d", n), []byte("some value of some length, for filling"), nil)
			if err == nil {
				n++
			}
			return err
		}
		start := time.Now()
		for err = put(); err == nil; err = put() {
		}
		require.ErrorIs(t, err, ErrNoSpace)
		require.Less(t, time.Since(start), time.Second)
		require.LessOrEqual(t, db.Metrics().Memtable.Count, 3)
		has, err := db.Has([]byte("000000"))
		require.NoError(t, err)
		require.True(t, has)
		<-time.After(time.Hour)
		require.ErrorIs(t, put(), ErrNoSpace)
		f.Clear()
		<-time.After(retryLast + retryLast/2)
		synctest.Wait()
		for range 5000 {
			require.NoError(t, put())
		}
		require.NoError(t, db.Close())
		db, err = Open("db", &Options{FS: f})
		require.NoError(t, err)
		count := 0
		for range db.Range(nil, &err) {
			count++
		}
		require.NoError(t, err)
		require.Equal(t, n, count)
		require.NoError(t, db.Close())
	})
}

// Metrics tell the age of the oldest reader and the bytes on disk that readers
// keep, and forget both when they are closed.
func TestReadersInMetrics(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		db, err := Open("db", &Options{FS: vfs.NewMem(), MemtableBytes: 32 << 10, TableBytes: 32 << 10})
		require.NoError(t, err)
		fill := func() {
			for i := range 3000 {
				mustPut(t, db, fmt.Sprintf("%06d", i*7919%3000), "some value of some length, for filling")
			}
			require.NoError(t, db.CompactRange(t.Context(), nil, nil))
		}
		fill()
		var bytes uint64
		for _, l := range db.Metrics().Levels {
			bytes += l.Bytes
		}
		seq := db.Metrics().LastSeq
		snap, it := db.NewSnapshot(), db.NewIterator(nil)
		<-time.After(time.Minute)
		young, youngSnap := db.NewIterator(nil), db.NewSnapshot()
		<-time.After(time.Second)
		fill()
		m := db.Metrics()
		require.Equal(t, 2, m.Snapshots.Open)
		require.Equal(t, seq, m.Snapshots.OldestSeq)
		require.Equal(t, 61*time.Second, m.Snapshots.OldestAge)
		require.Equal(t, 2, m.Iterators.Open)
		require.Equal(t, 61*time.Second, m.Iterators.OldestAge)
		require.Equal(t, bytes, m.PinnedBytes)
		require.Contains(t, m.String(), "oldest 1m1s")
		require.NoError(t, it.Close())
		require.NoError(t, snap.Close())
		m = db.Metrics()
		require.Equal(t, time.Second, m.Snapshots.OldestAge)
		require.Equal(t, time.Second, m.Iterators.OldestAge)
		require.Equal(t, bytes, m.PinnedBytes)
		require.NoError(t, young.Close())
		require.NoError(t, youngSnap.Close())
		m = db.Metrics()
		require.Zero(t, m.PinnedBytes)
		require.Zero(t, m.Snapshots.OldestAge+m.Iterators.OldestAge)
		require.NoError(t, db.Close())
	})
}

// After reopening, it was a read that made known how many tombstones a table has,
// and so made a compaction due. Nothing started it, and WaitIdle waited for ever.
func TestWaitIdleStartsWhatAReadMadeDue(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o := Options{FS: vfs.NewMem(), MemtableBytes: 32 << 10}
		o.testing.disableAuto = true
		db, err := Open("db", &o)
		require.NoError(t, err)
		loadAndDelete(t, db, map[string]string{})
		require.NoError(t, db.Close())
		o.testing.disableAuto = false
		db, err = Open("db", &o)
		require.NoError(t, err)
		require.NoError(t, db.WaitIdle(t.Context()))
		require.Zero(t, db.Metrics().Compaction.Count["tombstones"])
		_, err = db.Get([]byte("key000001"))
		require.ErrorIs(t, err, ErrNotFound)
		require.NoError(t, db.WaitIdle(t.Context()))
		require.Positive(t, db.Metrics().Compaction.Count["tombstones"])
		require.NoError(t, db.Close())
	})
}

// A job was counted a moment after those who waited for it went on.
func TestMetricsCountWhatHasEnded(t *testing.T) {
	db := openMem(t, &Options{MemtableBytes: 32 << 10, Policy: Tiered(TieredOptions{Runs: 2, MaxSpaceAmpPercent: 1})})
	count := func() (n int64) {
		for _, c := range db.Metrics().Compaction.Count {
			n += c
		}
		return n
	}
	for i := range int64(500) {
		mustPut(t, db, "a", fmt.Sprint(i))
		require.NoError(t, db.Flush())
		require.Equal(t, i+1, db.Metrics().Flush.Count)
		require.NoError(t, db.WaitIdle(t.Context()))
		require.GreaterOrEqual(t, count(), i)
	}
}

// A second Close that ran beside the first returned at once, while the directory
// was still locked.
func TestEveryCloseWaitsForTheEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := vfs.NewFault(vfs.NewMem())
		db, err := Open("db", &Options{FS: f})
		require.NoError(t, err)
		mustPut(t, db, "a", "1")
		f.Add(&vfs.Rule{Kind: vfs.OpClose, Times: 1, Delay: func(vfs.Op) { <-time.After(time.Minute) }})
		first := make(chan error)
		go func() { first <- db.Close() }()
		synctest.Wait()
		require.NoError(t, db.Close())
		require.Empty(t, f.OpenFiles())
		require.NoError(t, <-first)
	})
}

// Close at any moment, by several goroutines at once: every call that is under
// way ends with what it promises or with ErrClosed, and no goroutine, file or lock
// is left when any Close has returned. What was acknowledged is there afterwards.
func TestCloseAtAnyMoment(t *testing.T) {
	rounds := 60
	switch {
	case os.Getenv("STRATA_LONG") != "":
		rounds = 1000
	case testing.Short():
		rounds = 15
	}
	for range rounds {
		seed := rand.Uint64() % 1e9
		if err := closeAtAMoment(t, seed); err != nil {
			t.Fatalf("seed %d: %v", seed, err)
		}
	}
}

func closeAtAMoment(t *testing.T, seed uint64) error {
	defer watchdog(fmt.Sprintf("close, seed %d", seed), time.Minute)()
	rnd := rand.New(rand.NewPCG(seed, 9))
	before := runtime.NumGoroutine()
	mem := vfs.NewMem()
	f := vfs.NewFault(mem)
	o := Options{FS: f, MemtableBytes: 32 << 10, TableBytes: 32 << 10, MaxMemtables: 2 + rnd.IntN(3), MaxOpenFiles: 8, Debug: true}
	if rnd.IntN(2) == 0 {
		o.Policy = Tiered(TieredOptions{TableBytes: 32 << 10, Runs: 3})
	}
	db, err := Open("db", &o)
	if err != nil {
		return err
	}
	// The moment is a call of the file system, so it falls into everything.
	moment := make(chan struct{})
	var once sync.Once
	f.Add(&vfs.Rule{After: 1 + rnd.Int64N(3000), Delay: func(vfs.Op) { once.Do(func() { close(moment) }) }})

	life := newBusyLife(db, mem, rnd)
	life.start()
	<-moment
	var closers sync.WaitGroup
	for range 1 + rnd.IntN(3) {
		closers.Go(func() {
			err := db.Close()
			if open := f.OpenFiles(); len(open) > 0 {
				life.fail(fmt.Errorf("open after Close: %v", open))
			}
			if err != nil && !strings.Contains(err.Error(), "open for") { // leaked readers
				life.fail(fmt.Errorf("close: %w", err))
			}
		})
	}
	closers.Wait()
	life.wait()
	life.checkReaders()
	if !eventually(func() bool { return runtime.NumGoroutine() <= before }) {
		return fmt.Errorf("%d goroutines, %d before", runtime.NumGoroutine(), before)
	}
	f.Clear()
	o.Debug = false
	if db, err = Open("db", &o); err != nil {
		return err
	}
	life.fail(life.checkContent(db))
	life.fail(db.Close())
	return errors.Join(life.errs...)
}

// busyLife is everything at once on one database, until it is closed.
type busyLife struct {
	db    *DB
	own   vfs.FS // for what the test itself does: the database has no part in it
	seeds [4]uint64
	wg    sync.WaitGroup

	mu    sync.Mutex
	errs  []error
	its   []*Iterator
	snaps []*Snapshot
	acked [4]int // last acknowledged write of each writer
}

func newBusyLife(db *DB, own vfs.FS, rnd *rand.Rand) *busyLife {
	l := &busyLife{db: db, own: own}
	for i := range l.seeds {
		l.seeds[i] = rnd.Uint64()
	}
	return l
}

func (l *busyLife) fail(err error) {
	if err == nil {
		return
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.errs = append(l.errs, err)
}

// until repeats step until the database is closed.
func (l *busyLife) until(what string, step func(i int) error) {
	l.wg.Go(func() {
		for i := 0; ; i++ {
			switch err := step(i); {
			case errors.Is(err, ErrClosed):
				return
			case err != nil:
				l.fail(fmt.Errorf("%s: %w", what, err))
				return
			}
		}
	})
}

func (l *busyLife) start() {
	ctx := context.Background()
	for w := range l.acked {
		l.until("write", func(i int) error { return l.write(w, i+1) })
	}
	l.until("flush", func(int) error { return l.db.Flush() })
	l.until("compact", func(int) error { return l.db.CompactRange(ctx, nil, nil) })
	l.until("checkpoint", func(i int) error {
		dir := fmt.Sprintf("copy%d", i)
		if err := l.db.Checkpoint(ctx, dir); err != nil {
			return err
		}
		return Destroy(dir, &Options{FS: l.own})
	})
	l.until("verify", func(int) error {
		r, err := l.db.Verify(ctx)
		if err != nil {
			return err
		}
		return r.Err()
	})
	l.until("wait", func(int) error { l.db.Metrics(); return l.db.WaitIdle(ctx) })
	l.until("read", l.read)
	l.until("keep", func(i int) error {
		it, snap := l.db.NewIterator(nil), l.db.NewSnapshot()
		it.First()
		if i >= 20 {
			return errors.Join(it.Close(), snap.Close(), l.db.Sync())
		}
		l.mu.Lock()
		l.its, l.snaps = append(l.its, it), append(l.snaps, snap)
		l.mu.Unlock()
		return it.Err()
	})
}

// write is the i-th batch of writer w: two entries that belong together.
func (l *busyLife) write(w, i int) error {
	var b Batch
	b.Put(fmt.Appendf(nil, "writer%d", w), fmt.Append(nil, i))
	b.Put(fmt.Appendf(nil, "row%d-%06d", w, i), make([]byte, 200))
	err := l.db.Write(&b, &WriteOptions{Sync: i%10 == 0})
	if err == nil {
		l.acked[w] = i
	}
	return err
}

// read walks everything, by an iterator that may be closed under it.
func (l *busyLife) read(int) error {
	it := l.db.NewIterator(nil)
	last := ""
	for k := range it.All() {
		if string(k) <= last && last != "" {
			return fmt.Errorf("%q after %q", k, last)
		}
		last = string(k)
	}
	err := it.Err()
	return errors.Join(err, it.Close())
}

func (l *busyLife) wait() { l.wg.Wait() }

// checkReaders uses what was left open after Close.
func (l *busyLife) checkReaders() {
	expect := func(what string, err error) {
		if !errors.Is(err, ErrClosed) {
			l.fail(fmt.Errorf("%s after Close: %v", what, err))
		}
	}
	for _, it := range l.its {
		if it.Next() || it.SeekGE(nil) || it.Valid() {
			l.fail(errors.New("an iterator moves after Close"))
		}
		expect("iterator", it.Err())
		l.fail(it.Close())
	}
	for _, s := range l.snaps {
		_, err := s.Get([]byte("writer0"))
		expect("snapshot", err)
		expect("snapshot iterator", s.NewIterator(nil).Err())
		l.fail(s.Close())
	}
}

// checkContent looks for every acknowledged write, and for whole batches.
func (l *busyLife) checkContent(db *DB) error {
	for w, acked := range l.acked {
		last := 0
		v, err := db.Get(fmt.Appendf(nil, "writer%d", w))
		if err != nil && !errors.Is(err, ErrNotFound) {
			return err
		}
		if err == nil {
			fmt.Sscan(string(v), &last)
		}
		if last != acked {
			return fmt.Errorf("writer %d: %d there, %d acknowledged", w, last, acked)
		}
		rows := 0
		for range db.Range(PrefixRange(fmt.Appendf(nil, "row%d-", w)), &err) {
			rows++
		}
		if err != nil || rows != last {
			return fmt.Errorf("writer %d: %d rows of %d batches, %v", w, rows, last, err)
		}
	}
	return nil
}
