package bench

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"sync"
	"sync/atomic"

	"github.com/HdrHistogram/hdrhistogram-go"

	"github.com/strata-db/strata"
	"github.com/strata-db/strata/bench/gen"
	"github.com/strata-db/strata/vfs"
)

// ErrWrongAnswers: a read did not give what had been written.
var ErrWrongAnswers = errors.New("bench: wrong answers")

// runner runs a list of benchmarks on one database.
type runner struct {
	cfg  Config
	ctx  context.Context
	out  io.Writer
	log  io.Writer
	opts *strata.Options
	fs   vfs.FS
	dir  string
	temp bool // dir is ours to remove

	db      *strata.DB
	keys    gen.KeyMaker
	small   *gen.Values
	content *content
	inserts ycsbKeys
	round   uint64 // runs so far; varies the seeds

	readersLeft atomic.Int64
	comparisons atomic.Int64
	report      *Report
	intervals   *reporter
	failed      error // wrong answers, told at the end
}

// Run runs cfg's benchmarks. Results go to out in db_bench's form, environment
// and progress to log. Unknown names are told on log and passed over, unless
// there are no others.
//
// A database at cfg.Dir that this package has not made is not overwritten: that
// is an error unless cfg.UseExisting. When an answer was wrong the error is
// ErrWrongAnswers and the report is complete all the same.
func Run(ctx context.Context, cfg Config, out, log io.Writer) (*Report, error) {
	items, err := parseList(cfg.Benchmarks)
	if err != nil {
		return nil, err
	}
	return run(ctx, cfg, items, out, log, nil)
}

// run is Run for a parsed list; each, if not nil, is told every result.
func run(ctx context.Context, cfg Config, items []item, out, log io.Writer, each func(*Result)) (_ *Report, err error) {
	if err := tellUnknown(items, log); err != nil {
		return nil, err
	}
	r, err := newRunner(ctx, cfg, out, log)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, r.finish()) }()
	if cfg.ReportEvery > 0 {
		if r.intervals, err = newReporter(cfg.ReportFile, seconds(cfg.ReportEvery)); err != nil {
			return nil, err
		}
	}
	if err := r.begin(); err != nil {
		return nil, err
	}
	if !cfg.quiet {
		printHeader(out, log, r.report, &r.cfg)
	}
	for _, it := range items {
		if err := r.runItem(it, each); err != nil {
			return r.report, err
		}
	}
	return r.report, r.failed
}

func newRunner(ctx context.Context, cfg Config, out, log io.Writer) (*runner, error) {
	if err := cfg.validate(); err != nil {
		return nil, err
	}
	if cfg.MemFS && cfg.FS == nil {
		cfg.FS = vfs.NewMem()
	}
	r := &runner{cfg: cfg, ctx: ctx, out: out, log: log, dir: cfg.Dir, fs: cfg.FS}
	if r.fs == nil {
		r.fs = vfs.OS
	}
	var err error
	if r.opts, err = cfg.options(); err != nil {
		return nil, err
	}
	r.opts.FS = r.fs
	if cfg.Comparisons {
		r.opts.Comparer = r.countingComparer()
	}
	r.keys = gen.NewKeyMaker(cfg.KeySize, cfg.KeyPrefix)
	r.small = gen.NewValues(cfg.ValueSize, cfg.CompressionRatio, cfg.Seed)
	r.report = &Report{
		Engine: "strata", Date: now(), CPU: cpuModel(), CPUs: runtime.NumCPU(), Go: runtime.Version(),
		Num: cfg.Num, Keys: r.keys.Len(), Values: cfg.ValueSize,
		Generating: gen.Cost(r.keys, r.small),
	}
	return r, nil
}

func (r *runner) countingComparer() *strata.Comparer {
	c := *strata.BytewiseComparer
	c.Compare = func(a, b []byte) int {
		r.comparisons.Add(1)
		return bytes.Compare(a, b)
	}
	return &c
}

// marker is a file that says: this database was made by a benchmark and may be
// destroyed by one.
const marker = "BENCHMARK"

// begin makes the first database, or opens the one there is.
func (r *runner) begin() error {
	if r.dir == "" && r.cfg.FS != nil {
		r.dir = "bench"
	}
	if r.dir == "" {
		dir, err := os.MkdirTemp("", "strata-bench-")
		if err != nil {
			return err
		}
		r.dir, r.temp = dir, true
	}
	if r.cfg.UseExisting {
		o := *r.opts
		o.ErrorIfMissing = true
		r.opts = &o
		if err := r.open(); err != nil {
			return err
		}
		r.describe(r.small)
		r.content.known.Store(false)
		r.inserts.next.Store(uint64(r.cfg.Num))
		r.inserts.ready.Store(uint64(r.cfg.Num))
		return nil
	}
	if err := r.mayDestroy(); err != nil {
		return err
	}
	return r.fresh(r.small)
}

// mayDestroy refuses a directory with a database that is not ours.
func (r *runner) mayDestroy() error {
	names, err := r.fs.List(r.dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	ours := len(names) == 0
	for _, n := range names {
		ours = ours || n == marker
	}
	if !ours {
		return fmt.Errorf("%s is not empty and was not made by a benchmark: name another directory, or use_existing_db", r.dir)
	}
	return nil
}

// fresh makes an empty database.
func (r *runner) fresh(values *gen.Values) error {
	if err := r.close(); err != nil {
		return err
	}
	err := r.fs.Remove(filepath.Join(r.dir, marker))
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	if err := strata.Destroy(r.dir, r.opts); err != nil && !errors.Is(err, strata.ErrNotDatabase) {
		return err
	}
	if err := r.open(); err != nil {
		return err
	}
	f, err := r.fs.Create(filepath.Join(r.dir, marker))
	if err == nil {
		err = f.Close()
	}
	r.describe(values)
	return err
}

// describe begins a new content.
func (r *runner) describe(values *gen.Values) {
	r.content = newContent(2*uint64(r.cfg.Num)+1<<16, values)
	r.inserts.next.Store(0)
	r.inserts.ready.Store(0)
}

func (r *runner) open() (err error) {
	r.db, err = strata.Open(r.dir, r.opts)
	return err
}

func (r *runner) close() error {
	if r.db == nil {
		return nil
	}
	err := r.db.Close()
	r.db = nil
	return err
}

// finish closes the database and removes it if it is temporary.
func (r *runner) finish() error {
	err := errors.Join(r.close(), r.intervals.close())
	if r.temp {
		err = errors.Join(err, os.RemoveAll(r.dir))
	}
	return err
}

func (r *runner) thousandth() int   { return max(1, r.cfg.Num/1000) }
func (r *runner) readersDone() bool { return r.readersLeft.Load() == 0 }

// runItem runs one entry of the list, as often as it asks for.
func (r *runner) runItem(it item, each func(*Result)) error {
	if !it.known {
		return nil // told at the beginning
	}
	if it.fresh && r.cfg.UseExisting {
		fmt.Fprintf(r.out, "%-12s : skipped (--use_existing_db is true)\n", it.name)
		return nil
	}
	var results []*Result
	for i := range it.warms + it.repeat {
		res, err := r.runOnce(it.benchmark)
		if err != nil {
			return fmt.Errorf("%s: %w", it.name, err)
		}
		if it.silent || i < it.warms {
			continue
		}
		res.Run = i - it.warms + 1
		results = append(results, res)
		r.report.Results = append(r.report.Results, res)
		if each != nil {
			each(res)
		}
		r.print(res)
	}
	if it.repeat > 1 && !r.cfg.quiet && len(results) > 0 {
		fmt.Fprint(r.out, summary(it.name, results))
	}
	return nil
}

func (r *runner) print(res *Result) {
	if res.Wrong > 0 {
		r.failed = fmt.Errorf("%w: %d of %s", ErrWrongAnswers, res.Wrong, res.Name)
	}
	if r.cfg.quiet {
		return
	}
	fmt.Fprint(r.out, line(res))
	if r.cfg.Comparisons {
		fmt.Fprintf(r.out, "Comparisons: %d\n", r.comparisons.Swap(0))
	}
	if r.cfg.Histogram && res.Latency != nil {
		fmt.Fprint(r.out, histogramText(res.Latency))
	}
}

// prepare gives a benchmark the database it needs.
func (r *runner) prepare(b benchmark) error {
	values := r.small
	if b.large {
		values = gen.NewValues(100_000, r.cfg.CompressionRatio, r.cfg.Seed)
	}
	switch {
	case b.fresh:
		if err := r.fresh(values); err != nil {
			return err
		}
	case b.writes:
		r.content.use(values)
	}
	if b.parts && r.content.parts == nil {
		r.content.parts = gen.NewValues(r.cfg.Mix.MaxValue, r.cfg.CompressionRatio, r.cfg.Seed)
	}
	if b.loads {
		return r.load()
	}
	return nil
}

// load fills an empty database, untimed, and makes sure that inserts follow what
// is there.
func (r *runner) load() error {
	if r.content.known.Load() && r.content.live.Load() == 0 {
		t := newThread(r, r.ctx, 0, new(atomic.Int64))
		for k := range uint64(r.cfg.Num) {
			if k%clockEvery == 0 && r.ctx.Err() != nil {
				return r.ctx.Err()
			}
			if err := t.put(k, nil); err != nil {
				return err
			}
		}
	}
	if r.inserts.next.Load() == 0 {
		r.inserts.next.Store(uint64(r.cfg.Num))
		r.inserts.ready.Store(uint64(r.cfg.Num))
	}
	return nil
}

// runOnce runs a benchmark once and measures it.
func (r *runner) runOnce(b benchmark) (*Result, error) {
	if err := r.prepare(b); err != nil {
		return nil, err
	}
	r.round++
	n := r.cfg.Threads
	if b.once {
		n = 1
	}
	ops := new(atomic.Int64)
	threads := make([]*thread, n+b.beside)
	for i := range threads {
		threads[i] = newThread(r, r.ctx, i, ops)
		if r.cfg.Histogram && !b.silent && !(r.cfg.quiet && b.scanning) {
			threads[i].hist = hdrhistogram.New(1, histogramMax, histogramDigits)
		}
	}
	s := r.newSampler(b, n, ops)
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	s.begin()
	err := r.runThreads(b, threads, n)
	s.stop()
	runtime.ReadMemStats(&after)
	if err == nil {
		err = context.Cause(r.ctx)
	}
	if err != nil {
		if part := measured(b, threads); r.ctx.Err() != nil && part.Ops > 0 {
			fmt.Fprintf(r.log, "%-12s : interrupted after %d operations in %.3f seconds\n", b.name, part.Ops, part.Seconds)
		}
		return nil, err
	}
	res := measured(b, threads)
	res.Samples, res.PeakMemoryBytes = s.samples, s.peak
	res.AllocsPerOp = float64(after.Mallocs-before.Mallocs) / float64(max(res.Ops, 1))
	r.addTree(res, b, s.from)
	return res, nil
}

func (r *runner) newSampler(b benchmark, threads int, ops *atomic.Int64) *sampler {
	s := &sampler{name: b.name, ops: ops, log: r.log, live: r.cfg.Progress && !b.silent, every: seconds(r.cfg.StatsEvery), intervals: r.intervals}
	s.from = r.db.Metrics()
	if !b.swaps && !b.idle {
		s.db = r.db
	}
	if r.cfg.Duration == 0 && !b.once {
		s.want = int64(r.cfg.Num) * int64(threads)
	}
	return s
}

// runThreads runs the threads to their end. The first n count as readers that a
// writer beside them waits for.
func (r *runner) runThreads(b benchmark, threads []*thread, n int) error {
	r.readersLeft.Store(int64(n))
	errs := make([]error, len(threads))
	ready := make(chan struct{})
	var wg sync.WaitGroup
	for i, t := range threads {
		wg.Go(func() {
			<-ready
			t.begin()
			errs[i] = b.run(t)
			t.finish()
			if i < n {
				r.readersLeft.Add(-1)
			}
		})
	}
	close(ready)
	wg.Wait()
	return errors.Join(errs...)
}

// addTree adds what the engine tells about the time since from.
func (r *runner) addTree(res *Result, b benchmark, from *strata.Metrics) {
	if b.idle {
		return
	}
	m := r.db.Metrics()
	res.DiskBytes = m.DiskBytes()
	if b.swaps {
		return
	}
	res.WriteAmp = writeAmp(from, m)
	res.StallSeconds = stallSeconds(m) - stallSeconds(from)
	logical := float64(r.content.live.Load()) * float64(r.keys.Len()+r.content.values.Size())
	if r.content.known.Load() && !r.content.mixed && logical > 0 {
		res.SpaceAmp = float64(res.DiskBytes) / logical
	}
}
