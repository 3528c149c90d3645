package strata

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"os"
	"runtime"
	"runtime/pprof"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/strata-db/strata/vfs"
)

// The power is cut, or the process killed, at calls picked at random while
// several writers are at work, and the disk that this leaves is opened: what was
// promised must be there, what is there must be a prefix of the commit order,
// and the database must work. Some of the disks are written to and cut again,
// during their recovery too.
//
//	STRATA_CRASH_IMAGES   how many disks to try; default some hundred
//	STRATA_SEED           repeats one run
func TestCrash(t *testing.T) {
	budget := 400
	if testing.Short() {
		budget = 80
	}
	budget = envInt("STRATA_CRASH_IMAGES", budget)
	first := rand.Uint64() % 1e9
	only := os.Getenv("STRATA_SEED") != ""
	if only {
		first = uint64(envInt("STRATA_SEED", 0))
	}
	var images, cuts [4]atomic.Int64
	total := func() (n int64) {
		for i := range images {
			n += images[i].Load()
		}
		return n
	}
	var next atomic.Uint64
	var wg sync.WaitGroup
	for range max(2, runtime.GOMAXPROCS(0)) {
		wg.Go(func() {
			for total() < int64(budget) && !t.Failed() {
				seed := first + next.Add(1) - 1
				r := newSweep(seed)
				r.images, r.cuts = &images, &cuts
				err := r.run()
				if err != nil {
					t.Errorf("STRATA_SEED=%d: %v", seed, err)
				}
				if only {
					return
				}
			}
		})
	}
	wg.Wait()
	t.Logf("first seed %d, %d runs; disks opened: %d of a first crash, %d of a second, %d of a third, %d of a fourth",
		first, next.Load(), images[0].Load(), images[1].Load(), images[2].Load(), images[3].Load())
}

// Every single call of a short run is cut at.
func TestCrashAtEveryCall(t *testing.T) {
	for seed := range uint64(envInt("STRATA_CRASH_IMAGES", 400)/400 + 1) {
		r := newSweep(seed)
		r.density, r.most, r.again = 1, 1<<30, 0
		r.writers, r.steps = 1, 25
		require.NoError(t, r.run(), "seed %d", seed)
		t.Logf("seed %d: %d disks", seed, r.images[0].Load())
	}
}

func envInt(name string, def int) int {
	if n, err := strconv.Atoi(os.Getenv(name)); err == nil {
		return n
	}
	return def
}

// A sweep is one run and the crashes on its way.
type sweep struct {
	rnd            *rand.Rand
	o              Options
	writers, steps int
	mapped         bool

	density float64 // how often to cut at calls that name or sync something; at writes less often
	most    int     // cuts in a generation
	again   float64 // how many of the disks are written to and cut again

	// lie, if not nil, is put between the database and the disk.
	lie func(vfs.FS) vfs.FS

	images, cuts *[4]atomic.Int64
}

// crashDir is deep, so that the names of directories count.
const crashDir = "top/middle/db"

func newSweep(seed uint64) *sweep {
	rnd := rand.New(rand.NewPCG(seed, 21))
	r := &sweep{rnd: rnd, o: storyOptions(rnd), writers: 1 + rnd.IntN(4), mapped: rnd.IntN(3) > 0}
	r.steps = (40 + rnd.IntN(200)) / r.writers
	r.density = 0.02 + 0.3*rnd.Float64()*rnd.Float64()
	r.most, r.again = 40, 0.25
	r.images, r.cuts = new([4]atomic.Int64), new([4]atomic.Int64)
	return r
}

// run is the first generation.
func (r *sweep) run() error {
	defer watchdog("crash sweep", 2*time.Minute)()
	fs := vfs.NewCrash(vfs.CrashOptions{MappedAppends: r.mapped})
	return r.generation(fs, newStory(), 0, r.steps)
}

// options are the sweep's with memory of another size: a log is not always
// replayed with the memtables that it was written with.
func (r *sweep) options() Options {
	o := r.o
	o.MemtableBytes = []int64{32 << 10, 64 << 10, 1 << 20}[r.rnd.IntN(3)]
	o.MaxMemtables = 2 + r.rnd.IntN(4)
	return o
}

// A cut is a crash, and the disk that it left.
type cut struct {
	moment
	op     vfs.Op
	killed bool
	disk   *vfs.Crash
	how    string
}

// cutter makes cuts at calls.
type cutter struct {
	*sweep
	fs    *vfs.Crash
	story *story
	mu    sync.Mutex
	rnd   *rand.Rand
	cuts  []*cut
}

func (c *cutter) hook(op vfs.Op) {
	p := c.density
	if op.Kind == vfs.OpWrite && p < 1 {
		p /= 8
	}
	c.mu.Lock()
	due := len(c.cuts) < c.most && c.rnd.Float64() < p
	killed := c.rnd.IntN(5) == 0
	o := vfs.ImageOptions{Reorder: c.rnd.IntN(2) == 0}
	switch c.rnd.IntN(8) {
	case 0:
		o.Bytes, o.Names = vfs.FateLost, vfs.FateLost
	case 1:
		o.Bytes = vfs.FateLost
	case 2:
		o.Names = vfs.FateLost
	case 3:
		o.Bytes, o.Names = vfs.FateKept, vfs.FateKept
	}
	seed := c.rnd.Uint64()
	c.mu.Unlock()
	if !due {
		return
	}
	k := &cut{moment: c.story.now(), op: op, killed: killed}
	if killed {
		k.disk, k.how = c.fs.KillImage(), "killed"
	} else {
		k.disk, k.how = c.fs.Image(seed, o), fmt.Sprintf("power cut %+v", o)
	}
	c.mu.Lock()
	c.cuts = append(c.cuts, k)
	c.mu.Unlock()
}

func (r *sweep) over(fs vfs.FS) vfs.FS {
	if r.lie != nil {
		return r.lie(fs)
	}
	return fs
}

// generation opens fs, writes, and then looks at the disks of the crashes on the
// way.
func (r *sweep) generation(fs *vfs.Crash, s *story, gen, steps int) error {
	c := &cutter{sweep: r, fs: fs, story: s, rnd: rand.New(rand.NewPCG(r.rnd.Uint64(), 3))}
	files := hooked(r.over(fs), c.hook)
	o := r.options()
	o.FS = files
	err := func() error {
		for i := range 1 + r.rnd.IntN(2) {
			db, err := Open(crashDir, &o)
			if err != nil {
				return err
			}
			err = s.tell(db, r.rnd, fmt.Sprintf("%d.%d", gen, i), r.writers, steps)
			if err := errors.Join(err, db.Close()); err != nil {
				return err
			}
		}
		return nil
	}()
	if err != nil {
		return fmt.Errorf("generation %d: %w", gen, err)
	}
	if open := files.OpenFiles(); len(open) > 0 {
		return fmt.Errorf("generation %d: left open: %v", gen, open)
	}
	for _, k := range c.cuts {
		if err := r.examine(k, s, gen); err != nil {
			return fmt.Errorf("generation %d, %s at call %v: %w", gen, k.how, k.op, err)
		}
	}
	return nil
}

// examine opens what a crash left, and perhaps goes on with it.
func (r *sweep) examine(k *cut, s *story, gen int) error {
	r.images[gen].Add(1)
	must := s.promised(k.moment, k.killed)
	survivors, err := r.reopen(k.disk.KillImage(), s, must)
	if err != nil {
		return err
	}
	if r.rnd.IntN(4) == 0 {
		if err := r.checkpoints(k, s); err != nil {
			return err
		}
	}
	if gen+1 < len(r.images) && r.rnd.Float64() < r.again {
		next := *r
		next.most, next.density = 4, 0.05+0.2*r.rnd.Float64()
		return next.generation(k.disk, s.after(survivors, k.moment, k.killed), gen+1, r.rnd.IntN(20))
	}
	return nil
}

// reopen checks one disk, and that the database on it works.
func (r *sweep) reopen(fs *vfs.Crash, s *story, must []*storyBatch) (survivors []*storyBatch, err error) {
	if r.rnd.IntN(4) == 0 {
		if err := r.readOnly(fs, s, must); err != nil {
			return nil, fmt.Errorf("read-only: %w", err)
		}
	}
	files := hooked(fs, nil)
	o := r.options()
	o.FS = files
	db, err := Open(crashDir, &o)
	if err != nil {
		return nil, fmt.Errorf("reopen: %w", err)
	}
	survivors, err = s.check(db, must)
	if err == nil && r.rnd.IntN(3) == 0 {
		err = r.works(db, survivors)
	}
	if err = errors.Join(err, db.Close()); err != nil {
		return nil, err
	}
	if open := files.OpenFiles(); len(open) > 0 {
		return nil, fmt.Errorf("left open: %v", open)
	}
	return survivors, nil
}

// readOnly checks one disk without changing it. A crash before the database was
// complete leaves none to be read.
func (r *sweep) readOnly(fs *vfs.Crash, s *story, must []*storyBatch) error {
	o := r.o
	o.ReadOnly = true
	changed := 0
	o.FS = hooked(fs, func(vfs.Op) { changed++ })
	db, err := Open(crashDir, &o)
	if errors.Is(err, ErrNotExist) && len(must) == 0 {
		return nil
	}
	if err != nil {
		return err
	}
	_, err = s.check(db, must)
	if err = errors.Join(err, db.Close()); err == nil && changed > 0 {
		err = fmt.Errorf("%d calls that change something", changed)
	}
	return err
}

// works writes to db, verifies it and looks for leftovers.
func (r *sweep) works(db *DB, survivors []*storyBatch) error {
	if err := db.Put([]byte("z"), []byte("new"), Sync); err != nil {
		return fmt.Errorf("write after a crash: %w", err)
	}
	if r.rnd.IntN(2) == 0 {
		if err := db.Flush(); err != nil {
			return fmt.Errorf("flush after a crash: %w", err)
		}
	}
	if names, err := orphans(db); err != nil || len(names) > 0 {
		return fmt.Errorf("not removed after a crash: %v, %w", names, err)
	}
	want := contentOf(survivors)
	want["z"] = "new"
	report, err := db.Verify(context.Background())
	if err != nil {
		return err
	}
	return errors.Join(report.Err(), compare(db, want))
}

// checkpoints looks at the copies that were made before the crash, or were on
// their way.
func (r *sweep) checkpoints(k *cut, s *story) error {
	s.mu.Lock()
	begun, done := s.begun, s.done[:k.done]
	s.mu.Unlock()
	for _, c := range begun {
		disk := k.disk.KillImage()
		if _, err := disk.Stat(c.dir); errors.Is(err, fs.ErrNotExist) {
			for _, d := range done {
				if d == c {
					return fmt.Errorf("checkpoint %s is gone", c.dir)
				}
			}
			continue
		}
		o := r.o
		o.FS, o.ErrorIfMissing = disk, true
		db, err := Open(c.dir, &o)
		if err != nil {
			return fmt.Errorf("open checkpoint %s: %w", c.dir, err)
		}
		err = s.checkCopy(db, s.acked[:c.acked])
		if err = errors.Join(err, db.Close()); err != nil {
			return fmt.Errorf("checkpoint %s: %w", c.dir, err)
		}
	}
	return nil
}

// watchdog ends the process with the stacks of all goroutines unless the
// returned function is called in time.
func watchdog(what string, limit time.Duration) (stop func()) {
	timer := time.AfterFunc(limit, func() {
		_ = pprof.Lookup("goroutine").WriteTo(os.Stderr, 2)
		panic(what + " hangs")
	})
	return func() { timer.Stop() }
}
