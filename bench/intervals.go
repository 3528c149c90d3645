package bench

import (
	"fmt"
	"os"
	"sync/atomic"
	"time"
)

// A reporter writes how many operations a second were done in each interval of a
// run, over all its benchmarks: lines of CSV, in RocksDB's form.
//
//	secs_elapsed,interval_qps
//	1,812345
type reporter struct {
	f     *os.File
	every time.Duration
	start time.Time
	told  time.Time
	err   error

	ended int64 // operations of benchmarks that have ended
	last  int64 // operations at the last line
}

func newReporter(file string, every time.Duration) (*reporter, error) {
	f, err := os.Create(file)
	if err != nil {
		return nil, err
	}
	r := &reporter{f: f, every: every, start: time.Now()}
	r.told = r.start
	_, r.err = fmt.Fprintln(f, "secs_elapsed,interval_qps")
	return r, nil
}

// tick writes a line for each interval that has ended. ops is the running
// benchmark's.
func (r *reporter) tick(now time.Time, ops *atomic.Int64) {
	if r == nil {
		return
	}
	for now.Sub(r.told) >= r.every && r.err == nil {
		r.told = r.told.Add(r.every)
		all := r.ended + ops.Load()
		_, r.err = fmt.Fprintf(r.f, "%.0f,%.0f\n", r.told.Sub(r.start).Seconds(), float64(all-r.last)/r.every.Seconds())
		r.last = all
	}
}

// end says that the running benchmark has ended.
func (r *reporter) end(ops *atomic.Int64) {
	if r != nil {
		r.ended += ops.Load()
	}
}

func (r *reporter) close() error {
	if r == nil {
		return nil
	}
	if err := r.f.Close(); r.err == nil {
		r.err = err
	}
	return r.err
}
