package strata

import (
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"runtime"
	"runtime/metrics"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/strata-db/strata/vfs"
)

// A burst of writes on a disk that is too slow for it leaves everything bounded:
// memtables, level 0 and the levels below it, goroutines, open files, the log, the manifest, the Go heap,
// and the time to open again. Writers wait instead.
//
// STRATA_LONG=1 soaks for three minutes, or STRATA_SOAK_TIME, and prints the
// highest figures.
func TestBurstIsBounded(t *testing.T) {
	length := 2 * time.Second
	if testing.Short() {
		length = time.Second
	}
	if os.Getenv("STRATA_LONG") != "" {
		length = 3 * time.Minute
	}
	if v := os.Getenv("STRATA_SOAK_TIME"); v != "" {
		var err error
		length, err = time.ParseDuration(v)
		require.NoError(t, err)
	}
	defer watchdog("soak", length+5*time.Minute)()
	s := newSoak(t, length >= time.Minute)
	s.run(length)
	s.report()
}

// soak is one run, and the highest figures it has seen.
type soak struct {
	t      *testing.T
	dir    string
	fs     *vfs.Fault
	opts   Options
	keys   int
	db     *DB
	before int                           // goroutines
	heap   [2]uint64                     // used and live, before
	slow   atomic.Int64                  // nanoseconds that each write of a table takes longer
	gate   atomic.Pointer[chan struct{}] // no table is written before it is closed
	tables atomic.Int64                  // table writes so far
	reads  atomic.Int64                  // answers
	stop   chan struct{}                 // closed at the end

	peak    soakFigures
	samples int
	opens   []RecoveryInfo
}

// soakFigures are what must be bounded.
type soakFigures struct {
	memtables, level0, goroutines, files int
	logBytes, logSegments                int64
	manifest, memtableBytes              int64
	heap, live, tree, pinned             uint64
	fullest                              float64 // score of a level below 0
	open                                 time.Duration
}

const (
	soakWriters, soakReaders = 8, 2
	soakValue                = 240
	soakL0Slow, soakL0Stop   = 8, 12
	soakManifest             = 64 << 10
)

func newSoak(t *testing.T, long bool) *soak {
	s := &soak{t: t, dir: t.TempDir(), fs: vfs.NewFault(vfs.OS), keys: 20000, stop: make(chan struct{})}
	mem := int64(128 << 10)
	if long {
		mem, s.keys = 1<<20, 400000
	}
	s.opts = Options{
		FS: s.fs, MemtableBytes: mem, TableBytes: mem, MaxMemtables: 3, CacheBytes: 4 << 20, MaxOpenFiles: 24, Workers: 2,
		Policy: Leveled(LeveledOptions{TableBytes: uint64(mem), BaseBytes: 4 * uint64(mem)}),
		Events: &Events{Recovered: func(i RecoveryInfo) { s.opens = append(s.opens, i) }},
	}
	s.opts.testing.l0Slow, s.opts.testing.l0Stop, s.opts.testing.manifestMinRewrite = soakL0Slow, soakL0Stop, soakManifest
	s.fs.Add(&vfs.Rule{Kind: vfs.OpWrite, Match: onTables, Delay: func(vfs.Op) {
		s.tables.Add(1)
		if gate := s.gate.Load(); gate != nil {
			<-*gate
		}
		s.pause(time.Duration(s.slow.Load()))
	}})
	runtime.GC()
	runtime.GC() // finds what finalizers let go
	s.before = runtime.NumGoroutine()
	s.heap[0], s.heap[1] = heapBytes()
	s.open()
	return s
}

// heapBytes returns the bytes of the Go heap that are in use, with what the next
// collection frees, and those that the last one found to be live.
func heapBytes() (used, live uint64) {
	m := []metrics.Sample{{Name: "/memory/classes/heap/objects:bytes"}, {Name: "/gc/heap/live:bytes"}}
	metrics.Read(m)
	return m[0].Value.Uint64(), m[1].Value.Uint64()
}

// pause is a slow disk.
func (s *soak) pause(d time.Duration) {
	if d == 0 {
		return
	}
	select {
	case <-time.After(d):
	case <-s.stop:
	}
}

func (s *soak) open() {
	db, err := Open(s.dir, &s.opts)
	require.NoError(s.t, err)
	s.db = db
}

// fill lets no table be written until writers have filled every memtable, however
// slow they are themselves.
func (s *soak) fill() error {
	gate := make(chan struct{})
	s.gate.Store(&gate)
	defer close(gate)
	defer s.gate.Store(nil)
	var err error
	full := eventually(func() bool {
		err = s.sample()
		return err != nil || s.db.Metrics().Memtable.Count == s.opts.MaxMemtables
	})
	if err == nil && !full {
		err = fmt.Errorf("no table was written and still there were never %d memtables\n%s", s.opts.MaxMemtables, s.db.Metrics())
	}
	return err
}

// run alternates between a disk that is slow, one that is very slow, and a quick
// one, after one that stands still, while the load goes on, and opens the database
// again after each third of its length.
func (s *soak) run(length time.Duration) {
	for third := range 3 {
		// A sync waits until what the last log held is in tables.
		require.NoError(s.t, s.db.WaitIdle(context.Background()))
		ctx, cancel := context.WithCancel(context.Background())
		var wg sync.WaitGroup
		for w := range soakWriters {
			wg.Go(func() { s.write(ctx, rand.New(rand.NewPCG(uint64(third), uint64(w)))) })
		}
		for r := range soakReaders {
			wg.Go(func() { s.read(ctx, rand.New(rand.NewPCG(uint64(third), uint64(100+r)))) })
		}
		tick := time.NewTicker(length / 300)
		err := s.fill()
		end := time.Now().Add(length / 3)
		for i := 0; time.Now().Before(end) && err == nil; i++ {
			s.slow.Store(int64([]time.Duration{200, 3000, 0, 0}[i/20%4] * time.Microsecond))
			err = s.sample()
			<-tick.C
		}
		tick.Stop()
		cancel()
		wg.Wait()
		require.NoError(s.t, err)
		require.NoError(s.t, s.sample())
		s.reopen()
	}
	close(s.stop)
	require.NoError(s.t, s.db.WaitIdle(context.Background()))
	require.NoError(s.t, s.sample())
}

// write overwrites keys as fast as it is let.
func (s *soak) write(ctx context.Context, rnd *rand.Rand) {
	value := make([]byte, soakValue)
	for i := 0; ctx.Err() == nil; i++ {
		var b Batch
		for range 1 + rnd.IntN(4) {
			for j := range value[:soakValue/2] {
				value[j] = byte(rnd.Uint32())
			}
			b.Put(fmt.Appendf(nil, "key%08d", rnd.IntN(s.keys)), value)
		}
		if err := s.db.Write(&b, &WriteOptions{Sync: i%1000 == 0}); err != nil {
			s.t.Errorf("write: %v", err)
			return
		}
	}
}

// read reads keys and ranges, and holds a snapshot now and then.
func (s *soak) read(ctx context.Context, rnd *rand.Rand) {
	for ctx.Err() == nil {
		snap := s.db.NewSnapshot()
		for range 200 {
			if ctx.Err() != nil {
				break
			}
			lower := fmt.Appendf(nil, "key%08d", rnd.IntN(s.keys))
			it := snap.NewIterator(&IterOptions{LowerBound: lower})
			for n := 0; n < 10 && it.Next(); n++ {
				s.reads.Add(1)
			}
			if err := it.Close(); err != nil {
				s.t.Errorf("read: %v", err)
				return
			}
		}
		snap.Close()
	}
}

// sample takes the figures of this moment and compares them with their bounds.
func (s *soak) sample() error {
	m := s.db.Metrics()
	f := soakFigures{
		memtables: m.Memtable.Count, memtableBytes: m.Memtable.MemoryBytes, level0: m.Levels[0].Tables,
		goroutines: runtime.NumGoroutine() - s.before, files: len(s.fs.OpenFiles()),
		logBytes: m.WAL.LiveBytes, logSegments: int64(m.WAL.Segments), manifest: m.Manifest.Bytes,
		pinned: m.PinnedBytes,
	}
	f.heap, f.live = heapBytes()
	f.heap -= min(f.heap, s.heap[0])
	f.live -= min(f.live, s.heap[1])
	tables := 0
	for level, l := range m.Levels {
		f.tree += l.Bytes
		tables += l.Tables
		if level > 0 {
			f.fullest = max(f.fullest, l.Score)
		}
	}
	o := &s.opts
	data := uint64(s.keys) * (soakValue + 11)
	// The cache, what tests, jobs and readers work on, indexes and filters.
	liveLimit := uint64(o.CacheBytes) + 32<<20 + uint64(tables)*64<<10
	// What is allocated while the collector marks counts as live, and on a busy
	// machine that takes long: look again before it is believed.
	for range 4 {
		if f.live <= liveLimit {
			break
		}
		runtime.GC()
		_, live := heapBytes()
		f.live = min(f.live, live-min(live, s.heap[1]))
	}
	for _, b := range []struct {
		what       string
		got, limit int64
	}{
		{"memtables", int64(f.memtables), int64(o.MaxMemtables)},
		// Where writers are slowest is not a stop: what is on its way still comes.
		{"a level below 0, in percent of its target", int64(100 * f.fullest), 150 * levelSlowest},
		// A sealed memtable may still become a table when the stop is reached.
		{"level 0 tables", int64(f.level0), int64(soakL0Stop + o.MaxMemtables)},
		// Clients; jobs, each with one that waits for Close and one that finishes a table;
		// one that compresses; one that reads ahead for each run that is compacted; two for
		// the log, and timers.
		{"goroutines", int64(f.goroutines), int64(soakWriters + soakReaders + 4*(1+o.Workers) + soakL0Stop + o.MaxMemtables + 2*o.Workers + 4)},
		// Tables to read, two written by each job, segments, two manifests, the lock.
		{"open files", int64(f.files), int64(o.MaxOpenFiles + 2*(1+o.Workers) + o.MaxMemtables + 3 + 3)},
		{"bytes of log", f.logBytes, int64(o.MaxMemtables+2) * 2 * o.MemtableBytes},
		{"memtable memory", f.memtableBytes, int64(o.MaxMemtables) * 2 * o.MemtableBytes},
		{"manifest", f.manifest, soakManifest + 5*int64(tables+64)*150},
		{"live heap", int64(f.live), int64(liveLimit)},
		// As much again, with what is freed at last, before it is collected.
		{"heap", int64(f.heap), 2*int64(liveLimit) + 16<<20},
		{"tree", int64(f.tree), int64(3*data) + 64*o.MemtableBytes},
	} {
		if b.got > b.limit {
			return fmt.Errorf("sample %d: %s is %d, at most %d is expected\n%s", s.samples, b.what, b.got, b.limit, m)
		}
	}
	s.samples++
	s.peak.raise(f)
	return nil
}

func (p *soakFigures) raise(f soakFigures) {
	p.memtables, p.level0 = max(p.memtables, f.memtables), max(p.level0, f.level0)
	p.goroutines, p.files = max(p.goroutines, f.goroutines), max(p.files, f.files)
	p.logBytes, p.logSegments = max(p.logBytes, f.logBytes), max(p.logSegments, f.logSegments)
	p.manifest, p.memtableBytes = max(p.manifest, f.manifest), max(p.memtableBytes, f.memtableBytes)
	p.heap, p.live = max(p.heap, f.heap), max(p.live, f.live)
	p.tree, p.pinned = max(p.tree, f.tree), max(p.pinned, f.pinned)
	p.open, p.fullest = max(p.open, f.open), max(p.fullest, f.fullest)
}

// reopen closes the database with its memtables full and opens it again: what is
// replayed is bounded by them.
func (s *soak) reopen() {
	m := s.db.Metrics()
	s.note(m)
	require.NoError(s.t, s.db.Close())
	require.Empty(s.t, s.fs.OpenFiles())
	start := time.Now()
	s.open()
	took := time.Since(start)
	s.peak.open = max(s.peak.open, took)
	last := s.opens[len(s.opens)-1]
	require.LessOrEqual(s.t, last.Entries*soakValue, int64(s.opts.MaxMemtables+1)*s.opts.MemtableBytes)
	require.Less(s.t, took, 10*time.Second)
}

// note prints what a third of the run did.
func (s *soak) note(m *Metrics) {
	var stalls []string
	for cause, st := range m.Stalls {
		stalls = append(stalls, fmt.Sprintf("%s %d times, %v", cause, st.Count, st.Duration.Round(time.Millisecond)))
	}
	s.t.Logf("%d MiB written by users, %d entries read, %d flushes, compactions %s, waits of all writers: %s",
		m.UserBytes>>20, s.reads.Load(), m.Flush.Count, countsString(m.Compaction.Count), strings.Join(stalls, "; "))
}

func (s *soak) report() {
	report, err := s.db.Verify(context.Background())
	require.NoError(s.t, err)
	require.NoError(s.t, report.Err())
	require.NoError(s.t, s.db.Close())
	require.Empty(s.t, s.fs.OpenFiles())
	require.True(s.t, eventually(func() bool { return runtime.NumGoroutine() <= s.before }), "goroutines are left")
	p := s.peak
	s.t.Logf("%d samples; at most: %d memtables in %d KiB, %d tables in level 0, %d goroutines, %d open files, log %d KiB in %d segments, "+
		"manifest %d KiB, heap %d KiB (%d KiB live), tree %d KiB, kept by readers %d KiB, a level at %.1f of its target; longest open %v",
		s.samples, p.memtables, p.memtableBytes>>10, p.level0, p.goroutines, p.files, p.logBytes>>10, p.logSegments,
		p.manifest>>10, p.heap>>10, p.live>>10, p.tree>>10, p.pinned>>10, p.fullest, p.open.Round(time.Millisecond))
}
