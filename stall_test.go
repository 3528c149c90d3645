package strata

import (
	"errors"
	"fmt"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/strata-db/strata/vfs"
)

// What stalls writers is a pure function of the tree: slower and slower, then a
// stop, each with its cause.
func TestPressure(t *testing.T) {
	calm := pressure{memtables: 1, maxMemtables: 4, l0Slow: 12, l0Stop: 24}
	with := func(change func(*pressure)) pressure { p := calm; change(&p); return p }
	for _, c := range []struct {
		name string
		p    pressure
		stop stallCause
		slow stallCause
	}{
		{"calm", calm, stallNone, stallNone},
		{"memtables full", with(func(p *pressure) { p.memtables = 4 }), stallMemtables, stallNone},
		{"level 0 below the trigger", with(func(p *pressure) { p.level0 = 11 }), stallNone, stallNone},
		{"level 0 slow", with(func(p *pressure) { p.level0 = 12 }), stallNone, stallLevel0Slow},
		{"level 0 full", with(func(p *pressure) { p.level0 = 24 }), stallLevel0, stallLevel0Slow},
		{"a level below the trigger", with(func(p *pressure) { p.fullest = 5.9 }), stallNone, stallNone},
		{"a level over its target", with(func(p *pressure) { p.fullest = 6 }), stallNone, stallDebtSlow},
		{"the slower of both, level 0", with(func(p *pressure) { p.level0, p.fullest = 23, 6 }), stallNone, stallLevel0Slow},
		{"the slower of both, a level", with(func(p *pressure) { p.level0, p.fullest = 12, 11 }), stallNone, stallDebtSlow},
	} {
		require.Equal(t, c.stop, c.p.stop(), c.name)
		_, why := c.p.slowdown()
		require.Equal(t, c.slow, why, c.name)
	}
	last := int64(slowFirst) + 1
	for l0 := 12; l0 <= 24; l0++ {
		rate, _ := with(func(p *pressure) { p.level0 = l0 }).slowdown()
		require.Less(t, rate, last, "level 0 of %d", l0)
		last = rate
	}
	require.EqualValues(t, slowLast, last)
}

// Writers wait when flushes cannot keep up, say why, and go on when they can:
// nothing is lost and the number of memtables stays bounded.
func TestStopOnMemtables(t *testing.T) {
	fs := vfs.NewFault(vfs.NewMem())
	release, stalled := make(chan struct{}), make(chan struct{})
	var once sync.Once
	ended := make(chan StallInfo, 1)
	events := &Events{
		StallBegin: func(i StallInfo) {
			if i.Stopped {
				once.Do(func() { close(stalled) })
			}
		},
		StallEnd: func(i StallInfo) {
			select {
			case ended <- i:
			default:
			}
		},
	}
	fs.Add(&vfs.Rule{
		Kind:  vfs.OpCreate,
		Match: func(op vfs.Op) bool { return strings.HasSuffix(op.Name, ".ldb") },
		Delay: func(vfs.Op) { <-release },
	})
	db := openMem(t, &Options{FS: fs, MemtableBytes: 32 << 10, MaxMemtables: 3, Events: events})
	done := make(chan error, 1)
	const n = 4000
	go func() {
		for i := range n {
			if err := db.Put(fmt.Appendf(nil, "%06d", i), []byte("some value of some length, for filling"), nil); err != nil {
				done <- err
				return
			}
		}
		done <- nil
	}()
	<-stalled
	require.Equal(t, 3, db.Metrics().Memtable.Count)
	v, err := db.Get([]byte("000000")) // reads go on
	require.NoError(t, err)
	require.NotEmpty(t, v)
	close(release)
	require.NoError(t, <-done)
	first := <-ended
	require.Equal(t, "memtables", first.Cause)
	require.True(t, first.Stopped)
	require.Positive(t, first.Duration)
	require.Positive(t, db.Metrics().Stalls["memtables"].Count)
	count := 0
	for range db.Range(nil, &err) {
		count++
	}
	require.NoError(t, err)
	require.Equal(t, n, count)
}

// A full level 0 stops writers, and is bounded, however slow compactions are.
func TestLevel0IsBounded(t *testing.T) {
	o := Options{
		FS: vfs.NewMem(), MemtableBytes: 32 << 10, Workers: 1,
		Policy: Leveled(LeveledOptions{TableBytes: 32 << 10, L0Files: 2, BaseBytes: 1}),
	}
	o.testing.l0Slow, o.testing.l0Stop = 3, 6
	release, stopped := make(chan struct{}), make(chan struct{})
	var once sync.Once
	var slowed atomic.Bool
	var most atomic.Int64
	var db *DB
	o.Events = &Events{
		CompactionBegin: func(CompactionInfo) { <-release },
		StallBegin: func(i StallInfo) {
			switch i.Cause {
			case "level0-slowdown":
				slowed.Store(true)
			case "level0":
				once.Do(func() { close(stopped) })
			}
		},
		FlushEnd: func(FlushInfo) { most.Store(max(most.Load(), int64(db.Metrics().Levels[0].Tables))) },
	}
	db = openMem(t, &o)
	done := make(chan error, 1)
	const n = 8000
	go func() {
		for i := range n {
			if err := db.Put(fmt.Appendf(nil, "%06d", i*7919%n), []byte("some value of some length, for filling"), nil); err != nil {
				done <- err
				return
			}
		}
		done <- nil
	}()
	<-stopped
	require.True(t, slowed.Load(), "a stop without a slowdown before it")
	close(release)
	require.NoError(t, <-done)
	require.NoError(t, db.WaitIdle(t.Context()))
	require.LessOrEqual(t, most.Load(), int64(6+o.withDefaults().MaxMemtables))
	count, err := 0, error(nil)
	for range db.Range(nil, &err) {
		count++
	}
	require.NoError(t, err)
	require.Equal(t, n, count)
}

// What writers may not do while they are stopped, events may: they are called
// without locks.
func TestEventsMayWrite(t *testing.T) {
	var db *DB
	n := 0
	db = openMem(t, &Options{
		FS: vfs.NewMem(), MemtableBytes: 32 << 10,
		Events: &Events{LogCreated: func(i FileInfo) {
			if db != nil {
				n++
				db.Put([]byte("log"), []byte(i.Name), nil)
			}
		}},
	})
	for i := range 3000 {
		mustPut(t, db, fmt.Sprintf("%06d", i), "some value of some length, for filling")
	}
	require.Positive(t, n)
	has, err := db.Has([]byte("log"))
	require.NoError(t, err)
	require.True(t, has)
}

// A slowed writer goes on when the slowdown ends, however much it owes.
func TestSlowdownEndsWithItsCause(t *testing.T) {
	db := openMem(t, nil)
	s := &db.stall
	s.mu.Lock()
	s.begin(1, stallLevel0Slow) // a byte a second
	s.mu.Unlock()
	owed := func() time.Duration {
		s.mu.Lock()
		defer s.mu.Unlock()
		return max(time.Until(s.free), 0)
	}
	done := make(chan error, 1)
	go func() { done <- db.Put([]byte("a"), make([]byte, 1<<20), nil) }()
	for owed() == 0 {
		runtime.Gosched()
	}
	db.mu.Lock()
	event := db.updateStallLocked()
	db.mu.Unlock()
	event()
	select {
	case err := <-done:
		require.NoError(t, err)
	case <-time.After(10 * time.Second):
		t.Fatal("still slowed")
	}
	require.Zero(t, owed(), "the next slowdown starts afresh")
	require.Less(t, db.Metrics().Stalls[stallLevel0Slow.String()].Duration, time.Minute)
}

// While the next try of a failed compaction runs, a stop may end: writers wait
// for it.
func TestStuckOnlyBetweenTries(t *testing.T) {
	db := openMem(t, nil)
	db.mu.Lock()
	defer db.mu.Unlock()
	r := &db.mu.background.compactRetry
	r.err, r.waiting = errors.New("failed"), true
	require.Error(t, db.stuckLocked(stallLevel0))
	r.waiting = false
	require.NoError(t, db.stuckLocked(stallLevel0))
	*r = retryState{}
}
