package bench

import (
	"context"
	"math/rand/v2"
	"sync/atomic"
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"

	"github.com/strata-db/strata"
	"github.com/strata-db/strata/bench/gen"
)

// The bounds of the histograms, in nanoseconds: an hour is longer than any
// operation. Three digits keep percentiles within 0.1 %.
const (
	histogramMax    = int64(time.Hour)
	histogramDigits = 3
)

// A thread is one of the goroutines that run a benchmark, with what it counts.
// Nothing in it is shared but done.
type thread struct {
	r    *runner
	db   *strata.DB
	cfg  *Config
	ctx  context.Context
	id   int
	rng  *rand.Rand
	wo   *strata.WriteOptions
	keys gen.KeyMaker

	start, last, end time.Time
	deadline         time.Time // zero if only the count ends the benchmark
	timed            bool      // without end but for the deadline
	hist             *hdrhistogram.Histogram

	ops, bytes    int64
	found, wanted int64 // of the reads; wanted < 0: nothing was to be found out
	wrong         int64
	message       string
	key, value    []byte
	writes        int64 // of the writer beside readers
	background    bool  // not counted in the result: the writer beside readers
	shared        *atomic.Int64
	unshared      int64
	ratePaid      int64
	rateFrom      time.Time
	batch         strata.Batch
}

func newThread(r *runner, ctx context.Context, id int, shared *atomic.Int64) *thread {
	t := &thread{r: r, db: r.db, cfg: &r.cfg, ctx: ctx, id: id, shared: shared, keys: r.keys}
	t.rng = rand.New(rand.NewPCG(r.cfg.Seed+r.round*1000, uint64(id)+1))
	if r.cfg.Sync {
		t.wo = strata.Sync
	}
	return t
}

// begin starts the clock.
func (t *thread) begin() {
	t.start = time.Now()
	t.last, t.rateFrom = t.start, t.start
	switch c := t.cfg; {
	case c.Duration > 0:
		t.timed, t.deadline = true, t.start.Add(time.Duration(c.Duration*float64(time.Second)))
	case c.limit > 0:
		t.deadline = t.start.Add(c.limit)
	}
}

// restart starts the clock anew, after a preparation that is not to be measured.
func (t *thread) restart() { t.begin() }

// finish stops the clock.
func (t *thread) finish() {
	t.end = time.Now()
	t.shared.Add(t.unshared)
	t.unshared = 0
}

// clockEvery is how many operations pass between looks at the deadline and the
// context.
const clockEvery = 64

// more reports whether operation i of n is to be done.
func (t *thread) more(i, n int) bool {
	if i >= n && !t.timed {
		return false
	}
	if i%clockEvery != 0 {
		return true
	}
	return t.ctx.Err() == nil && (t.deadline.IsZero() || i == 0 || time.Now().Before(t.deadline))
}

// did counts one operation of so many user bytes, and times it if asked to: from
// the end of the one before, as db_bench does.
func (t *thread) did(bytes int) {
	t.ops++
	t.bytes += int64(bytes)
	if t.hist != nil {
		now := time.Now()
		_ = t.hist.RecordValue(min(int64(now.Sub(t.last)), histogramMax))
		t.last = now
	}
	if t.unshared++; t.unshared == clockEvery {
		t.shared.Add(t.unshared)
		t.unshared = 0
	}
}

// didMany counts n operations that were not timed singly.
func (t *thread) didMany(n, bytes int64) {
	t.ops += n
	t.bytes += bytes
	t.shared.Add(n)
}

// keyOf returns the key of number k, in a buffer of the thread.
func (t *thread) keyOf(k uint64) []byte {
	t.key = t.keys.Append(t.key[:0], k)
	return t.key
}

// pace sleeps until the write rate limit allows bytes more.
func (t *thread) pace(bytes int) {
	limit := t.cfg.WriteRateLimit
	if limit <= 0 {
		return
	}
	t.ratePaid += int64(bytes)
	due := time.Duration(float64(t.ratePaid) / float64(limit) * float64(time.Second))
	if ahead := due - time.Since(t.rateFrom); ahead > time.Millisecond {
		select {
		case <-time.After(ahead):
		case <-t.ctx.Done():
		}
	}
}
