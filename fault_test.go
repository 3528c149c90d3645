package strata

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/strata-db/strata/vfs"
)

// A way in which calls fail.
type faultKind struct {
	name  string
	kind  vfs.OpKind
	err   error
	short bool
	times int64 // 0: for ever, until the disk is mended
}

func faultKinds() []faultKind {
	ways := []faultKind{
		{name: "any-once", err: syscall.EIO, times: 1},
		{name: "any-thrice", err: syscall.EIO, times: 3},
		{name: "any-ever", err: syscall.EIO},
		{name: "short-write", kind: vfs.OpWrite, err: syscall.ENOSPC, short: true, times: 1},
		{name: "full-ever", kind: vfs.OpWrite, err: syscall.ENOSPC, short: true},
		{name: "sync-ever", kind: vfs.OpSync, err: syscall.EIO},
		{name: "no-handles", kind: vfs.OpOpen, err: syscall.EMFILE},
		{name: "no-handles-create", kind: vfs.OpCreate, err: syscall.EMFILE},
		{name: "no-handles-log", kind: vfs.OpCreateAppend, err: syscall.ENFILE},
		{name: "rename-ever", kind: vfs.OpRename, err: syscall.EIO},
		{name: "remove-ever", kind: vfs.OpRemove, err: syscall.EACCES},
	}
	for _, k := range []vfs.OpKind{vfs.OpWrite, vfs.OpSync, vfs.OpSyncDir, vfs.OpClose, vfs.OpRead, vfs.OpTruncate} {
		ways = append(ways, faultKind{name: k.String() + "-once", kind: k, err: syscall.EIO, times: 1})
	}
	return ways
}

// Each call of a run fails in turn, once or from then on, and then the disk is
// mended. Nothing panics or hangs, writes are accepted again by themselves, no
// acknowledged write is missing (after a power cut, none that was synced), and
// no file or goroutine is left behind.
//
// STRATA_LONG tries every call; by default about one in ten.
func TestFaults(t *testing.T) {
	long, step := os.Getenv("STRATA_LONG") != "", int64(4)
	if testing.Short() {
		step = 1
	}
	for i, way := range faultKinds() {
		t.Run(way.name, func(t *testing.T) {
			rnd := rand.New(rand.NewPCG(uint64(i), rand.Uint64()))
			runs := 0
			for k := int64(1); ; k++ {
				if !long {
					k += rnd.Int64N(1 + k/step)
				}
				r := newFaultRun(way, k, rnd.Uint64())
				if err := r.run(); err != nil {
					t.Fatalf("call %d fails, seed %d: %v\n%s", k, r.seed, err, r.told())
				}
				runs++
				if r.rule.Hits() == 0 {
					break
				}
			}
			t.Logf("%d runs", runs)
		})
	}
}

// A faultRun is a run with one fault.
type faultRun struct {
	seed  uint64
	rnd   *rand.Rand
	disk  *vfs.Crash
	fs    *vfs.Fault
	rule  *vfs.Rule
	o     Options
	story *story
	errs  []string
}

func newFaultRun(way faultKind, k int64, seed uint64) *faultRun {
	r := &faultRun{seed: seed, rnd: rand.New(rand.NewPCG(seed, 5)), story: newStory()}
	r.disk = vfs.NewCrash(vfs.CrashOptions{MappedAppends: seed%2 == 0})
	r.fs = vfs.NewFault(r.disk)
	r.o = storyOptions(r.rnd)
	r.o.FS = r.fs
	r.rule = r.fs.Add(&vfs.Rule{Kind: way.kind, After: k - 1, Times: way.times, Err: way.err, Short: way.short})
	return r
}

func (r *faultRun) note(what string, err error) {
	if err != nil {
		r.errs = append(r.errs, fmt.Sprintf("%s: %v", what, err))
	}
}

// told returns the errors that the run has met.
func (r *faultRun) told() string { return strings.Join(r.errs, "\n") }

func (r *faultRun) run() error {
	defer watchdog(fmt.Sprintf("fault run, seed %d", r.seed), time.Minute)()
	before := runtime.NumGoroutine()
	for i := range 2 {
		if err := r.session(i); err != nil {
			return fmt.Errorf("session %d: %w", i, err)
		}
	}
	if open := r.fs.OpenFiles(); len(open) > 0 {
		return fmt.Errorf("left open: %v", open)
	}
	if !eventually(func() bool { return runtime.NumGoroutine() <= before }) {
		return fmt.Errorf("%d goroutines, %d before", runtime.NumGoroutine(), before)
	}
	return r.afterCrash()
}

// session opens the database, writes, mends the disk if need be, and closes.
func (r *faultRun) session(i int) error {
	db, err := Open(crashDir, &r.o)
	if err != nil {
		r.note("open", err)
		if open := r.fs.OpenFiles(); len(open) > 0 {
			return fmt.Errorf("a failed Open left open: %v", open)
		}
		r.mend()
		if db, err = Open(crashDir, &r.o); err != nil {
			return fmt.Errorf("open a mended disk: %w", err)
		}
	}
	w := &storyteller{rnd: r.rnd, name: fmt.Sprint(i)}
	for range 40 {
		r.note("step", w.step(r.story, db))
	}
	if err := r.live(db); err != nil {
		return errors.Join(err, db.Close())
	}
	if r.rnd.IntN(2) == 0 {
		r.mend()
		if err := r.heals(db, w); err != nil {
			return errors.Join(err, db.Close())
		}
	}
	r.note("close", db.Close())
	return nil
}

// mend makes the disk whole once it has failed.
func (r *faultRun) mend() {
	if r.rule.Hits() > 0 {
		r.fs.Clear()
	}
}

// live checks what readers see beside the faults: exactly what was acknowledged.
func (r *faultRun) live(db *DB) error {
	if err := compare(db, contentOf(r.story.acked)); err != nil && !isInjected(err) {
		return fmt.Errorf("while it fails: %w", err)
	}
	return nil
}

// isInjected reports that err comes from the disk.
func isInjected(err error) bool {
	return errors.Is(err, syscall.EIO) || errors.Is(err, syscall.ENOSPC) || errors.Is(err, syscall.EMFILE) ||
		errors.Is(err, syscall.ENFILE) || errors.Is(err, syscall.EACCES)
}

// heals checks that a mended database takes synced writes again without being
// reopened.
func (r *faultRun) heals(db *DB, w *storyteller) error {
	if r.rule.Hits() == 0 {
		return nil
	}
	var err error
	ok := eventually(func() bool {
		err = r.story.write(db, w.next(), true)
		return err == nil
	})
	if !ok {
		return fmt.Errorf("does not heal: %w", err)
	}
	// One that was under way when the disk was mended may still fail.
	if !eventually(func() bool { err = r.story.barrier(db.Flush); return err == nil }) {
		return fmt.Errorf("flush after healing: %w", err)
	}
	if err := compare(db, contentOf(r.story.acked)); err != nil {
		return fmt.Errorf("healed: %w", err)
	}
	report, err := db.Verify(context.Background())
	if err != nil {
		return err
	}
	return report.Err()
}

// afterCrash kills the process, or cuts the power, and looks at what is left.
func (r *faultRun) afterCrash() error {
	m := r.story.now()
	s := &sweep{rnd: r.rnd, o: r.o}
	if _, err := s.reopen(r.disk.KillImage(), r.story, r.story.promised(m, true)); err != nil {
		return fmt.Errorf("after a kill: %w", err)
	}
	for range 3 {
		o := vfs.ImageOptions{Bytes: vfs.Fate(r.rnd.IntN(3)), Names: vfs.Fate(r.rnd.IntN(3))}
		if _, err := s.reopen(r.disk.Image(r.rnd.Uint64(), o), r.story, r.story.promised(m, false)); err != nil {
			return fmt.Errorf("after a power cut %+v: %w", o, err)
		}
	}
	return nil
}

// eventually asks cond until it says yes, for some seconds at most.
func eventually(cond func() bool) bool {
	tick := time.NewTicker(2 * time.Millisecond)
	defer tick.Stop()
	for end := time.Now().Add(20 * time.Second); time.Now().Before(end); <-tick.C {
		if cond() {
			return true
		}
	}
	return false
}

// betweenFlushes calls mend while no flush is under way: one that is may still fail
// after it, and a Flush that waits for that one with it.
func betweenFlushes(t *testing.T, db *DB, mend func()) {
	t.Helper()
	require.True(t, eventually(func() bool {
		db.mu.Lock()
		defer db.mu.Unlock()
		if db.mu.background.flushing {
			return false
		}
		mend()
		return true
	}))
}

// A full disk stops writes with ErrNoSpace and leaves reads alone; when there is
// space again, writes go on by themselves.
func TestDiskFull(t *testing.T) {
	for _, mapped := range []bool{false, true} {
		t.Run(fmt.Sprintf("mapped=%v", mapped), func(t *testing.T) {
			fs := vfs.NewCrash(vfs.CrashOptions{MappedAppends: mapped})
			testDiskFull(t, fs, "db", func() { fs.SetLimit(3 << 20) }, func() { fs.SetLimit(64 << 20) })
			require.NotNil(t, fs)
		})
	}
}

// testDiskFull fills the file system at dir, frees it, and checks the healing.
func testDiskFull(t *testing.T, fs vfs.FS, dir string, shrink, grow func()) {
	defer watchdog("disk full", time.Minute)()
	shrink()
	o := Options{FS: fs, MemtableBytes: 256 << 10, TableBytes: 256 << 10, Compression: NoCompression}
	db, err := Open(filepath.ToSlash(dir), &o)
	require.NoError(t, err)
	s, rnd := newStory(), rand.New(rand.NewPCG(1, 2))
	w := &storyteller{rnd: rnd, name: "full"}
	var full error
	for i := 0; full == nil && i < 100000; i++ {
		b := w.next()
		b.entries = append(b.entries, storyEntry{key: fmt.Sprintf("fill%06d", i), value: strings.Repeat("x", 2000)})
		full = s.write(db, b, i%50 == 0)
	}
	require.ErrorIs(t, full, ErrNoSpace)
	for range 20 {
		if err := s.write(db, w.next(), false); err != nil {
			require.ErrorIs(t, err, ErrNoSpace)
		}
	}
	require.NoError(t, compare(db, contentOf(s.acked)))
	betweenFlushes(t, db, grow)
	var err2 error
	require.True(t, eventually(func() bool { err2 = s.write(db, w.next(), true); return err2 == nil }), "does not heal: %v", err2)
	require.NoError(t, db.Flush())
	require.NoError(t, compare(db, contentOf(s.acked)))
	require.NoError(t, db.Close())
	db, err = Open(filepath.ToSlash(dir), &o)
	require.NoError(t, err)
	require.NoError(t, compare(db, contentOf(s.acked)))
	list, last, err := s.survivors(db)
	require.NoError(t, err)
	require.Equal(t, len(s.acked), len(list), "last sequence number %d", last)
	require.NoError(t, db.Close())
	require.True(t, slices.IsSortedFunc(list, func(a, b *storyBatch) int { return int(a.seq) - int(b.seq) }))
}
