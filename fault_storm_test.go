package strata

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"runtime"
	"slices"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/strata-db/strata/vfs"
)

// Several writers, a disk of which calls fail at random, and power cuts on the
// way: what was promised beside all the errors is there, what was refused is not
// seen by readers, and the database heals when the disk does.
//
// STRATA_STORMS is how many runs there are.
func TestFaultStorm(t *testing.T) {
	runs := 30
	if testing.Short() {
		runs = 4
	}
	runs = envInt("STRATA_STORMS", runs)
	first := uint64(envInt("STRATA_SEED", int(rand.Uint64()%1e9)))
	disks := int64(0)
	for i := range uint64(runs) {
		s := newStorm(first + i)
		if err := s.run(); err != nil {
			t.Fatalf("STRATA_SEED=%d STRATA_STORMS=1: %v", first+i, err)
		}
		for i := range s.images {
			disks += s.images[i].Load()
		}
	}
	t.Logf("first seed %d: %d runs, %d disks", first, runs, disks)
}

// A storm is a sweep on a failing disk.
type storm struct {
	*sweep
	disk   *vfs.Crash
	faulty *vfs.Fault
	cutter *cutter
	files  *vfs.Fault
	story  *story
}

func newStorm(seed uint64) *storm {
	s := &storm{sweep: newSweep(seed), story: newStory()}
	s.disk = vfs.NewCrash(vfs.CrashOptions{MappedAppends: s.mapped})
	s.faulty = vfs.NewFault(s.disk)
	s.density, s.most, s.again, s.steps = 0.1, 40, 0.2, 30
	s.cutter = &cutter{sweep: s.sweep, fs: s.disk, story: s.story, rnd: rand.New(rand.NewPCG(seed, 4))}
	s.files = hooked(s.faulty, s.cutter.hook)
	s.o.FS = s.files
	return s
}

// weather makes calls of some kinds fail now and then.
func (s *storm) weather() {
	rnd := rand.New(rand.NewPCG(s.rnd.Uint64(), 8))
	kinds := []vfs.OpKind{vfs.OpAny, vfs.OpSync, vfs.OpWrite, vfs.OpSyncDir, vfs.OpCreateAppend, vfs.OpCreate, vfs.OpRename}
	p := 0.3 * rnd.Float64() * rnd.Float64()
	s.faulty.Add(&vfs.Rule{
		Kind:  kinds[rnd.IntN(len(kinds))],
		Match: func(vfs.Op) bool { return rnd.Float64() < p },
		Err:   []error{syscall.EIO, syscall.ENOSPC}[rnd.IntN(2)],
		Short: rnd.IntN(2) == 0,
	})
}

func (s *storm) run() error {
	defer watchdog("fault storm", 2*time.Minute)()
	before := runtime.NumGoroutine()
	for i := range 3 {
		s.weather()
		if err := s.session(i); err != nil {
			return fmt.Errorf("session %d: %w", i, err)
		}
		s.faulty.Clear()
	}
	if open := s.files.OpenFiles(); len(open) > 0 {
		return fmt.Errorf("left open: %v", open)
	}
	if !eventually(func() bool { return runtime.NumGoroutine() <= before }) {
		return fmt.Errorf("%d goroutines, %d before", runtime.NumGoroutine(), before)
	}
	s.lie, s.cutter.density = nil, 0
	for _, k := range s.cutter.cuts {
		if err := s.examine(k, s.story, 0); err != nil {
			return fmt.Errorf("%s at call %v: %w", k.how, k.op, err)
		}
	}
	return nil
}

func (s *storm) session(i int) error {
	db, err := Open(crashDir, &s.o)
	if err != nil {
		return nil // the next session finds what it left
	}
	var wg sync.WaitGroup
	for j := range s.writers {
		w := &storyteller{rnd: rand.New(rand.NewPCG(s.rnd.Uint64(), 1)), name: fmt.Sprintf("%d.%d", i, j)}
		wg.Go(func() {
			for range s.steps {
				_ = w.step(s.story, db)
			}
		})
	}
	wg.Wait()
	s.faulty.Clear()
	err = s.fair(db)
	if cerr := db.Close(); err == nil && cerr != nil && !isInjected(cerr) {
		err = cerr
	}
	return err
}

// fair looks at the open database when the disk is well again.
func (s *storm) fair(db *DB) error {
	var err error
	if !eventually(func() bool { err = s.story.barrier(db.Sync); return err == nil }) {
		return fmt.Errorf("does not heal: %w", err)
	}
	survivors, err := s.story.check(db, s.story.acked)
	if err != nil {
		return err
	}
	for _, b := range survivors {
		if b.unsure && !slices.Contains(s.story.base, b) {
			return fmt.Errorf("batch %s was refused and is visible", b.marker)
		}
	}
	s.story.base = survivors
	report, err := db.Verify(context.Background())
	if err != nil {
		return err
	}
	return report.Err()
}

// The disk is full at a random size, and later grows.
func TestDiskFullAtAnySize(t *testing.T) {
	runs := 25
	if testing.Short() {
		runs = 5
	}
	for range envInt("STRATA_STORMS", runs) {
		seed := rand.Uint64()
		s := newStorm(seed)
		s.density = 0
		s.disk.SetLimit(int64(s.rnd.IntN(600 << 10)))
		db, err := Open(crashDir, &s.o)
		if err != nil {
			require.ErrorIs(t, err, ErrNoSpace)
			require.Empty(t, s.files.OpenFiles())
			continue
		}
		stop := watchdog("disk full", time.Minute)
		w := &storyteller{rnd: s.rnd, name: "w"}
		for range 200 {
			if err := w.step(s.story, db); err != nil {
				require.ErrorIs(t, err, ErrNoSpace, "seed %d", seed)
			}
		}
		for _, killed := range []bool{true, false} {
			k := &cut{moment: s.story.now(), killed: killed, disk: s.disk.KillImage()}
			if !killed {
				k.disk = s.disk.Image(seed, vfs.ImageOptions{})
			}
			k.disk.SetLimit(1 << 40)
			require.NoError(t, s.examine(k, s.story, 0), "seed %d", seed)
		}
		betweenFlushes(t, db, func() { s.disk.SetLimit(1 << 40) })
		require.NoError(t, s.fair(db), "seed %d", seed)
		require.NoError(t, errors.Join(db.Flush(), db.Close()), "seed %d", seed)
		stop()
	}
}
