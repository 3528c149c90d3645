package bench

import (
	"context"
	"fmt"
	"io"
	"strings"
	"time"
)

// quickList is the short tour: load, read, scan, mix.
const quickList = "fillseq,fillbatch,fillrandom,overwrite,readrandom,readmissing,readhot,readseq,readreverse,seekrandom,readwhilewriting,ycsba"

// quickLimit bounds each of them, so that the tour ends in 15 to 25 seconds on a
// slow machine too.
const quickLimit = 2 * time.Second

// QuickConfig is what Quick runs: DefaultConfig with the short tour, ten steps
// after a seek, and percentiles.
func QuickConfig() Config {
	c := DefaultConfig()
	c.Benchmarks, c.SeekNexts, c.Histogram = quickList, 10, true
	c.limit, c.quiet = quickLimit, true
	return c
}

// Quick runs a short tour in a temporary directory and prints it as a table for
// people.
func Quick(ctx context.Context, cfg Config, out, log io.Writer) (*Report, error) {
	items, err := parseList(cfg.Benchmarks)
	if err != nil {
		return nil, err
	}
	fmt.Fprintf(out, "%s entries of %d-byte keys and %d-byte values; at most %g s a line; latencies in microseconds\n\n",
		grouped(int64(cfg.Num)), cfg.KeySize+cfg.KeyPrefix, cfg.ValueSize, cfg.limit.Seconds())
	fmt.Fprintf(out, "%-18s %12s %8s %8s %8s %8s %8s %10s\n", "benchmark", "ops/sec", "MB/s", "p50", "p99", "p99.9", "max", "operations")
	started := time.Now()
	rep, err := run(ctx, cfg, items, out, log, func(r *Result) { fmt.Fprint(out, quickRow(r)) })
	if rep != nil && len(rep.Results) > 0 {
		fmt.Fprint(out, quickEnd(rep, time.Since(started)))
	}
	return rep, err
}

func quickRow(r *Result) string {
	s := fmt.Sprintf("%-18s %12s %8s", r.Name, grouped(int64(r.OpsPerSec)), orDash(r.MBPerSec))
	if l := r.Latency; l != nil {
		s += fmt.Sprintf(" %8s %8s %8s %8s", short(l.P50), short(l.P99), short(l.P999), short(l.Max))
	} else {
		s += strings.Repeat(fmt.Sprintf(" %8s", "–"), 4)
	}
	s += fmt.Sprintf(" %10s", grouped(r.Ops))
	if r.WritesPerSec > 0 {
		s += fmt.Sprintf("  beside %s writes/sec", grouped(int64(r.WritesPerSec)))
	}
	if r.Wrong > 0 {
		s += fmt.Sprintf("  WRONG ANSWERS: %d", r.Wrong)
	}
	return s + "\n"
}

// quickEnd sums up.
func quickEnd(rep *Report, took time.Duration) string {
	var wanted, wrong, peak int64
	var stalls float64
	for _, r := range rep.Results {
		wanted += r.Wanted
		wrong += r.Wrong
		stalls += r.StallSeconds
		peak = max(peak, r.PeakMemoryBytes)
	}
	checked := fmt.Sprintf("all %s answers were right", grouped(wanted))
	if wrong > 0 {
		checked = fmt.Sprintf("%s of %s answers were WRONG", grouped(wrong), grouped(wanted))
	}
	last := rep.Results[len(rep.Results)-1]
	return fmt.Sprintf("\n%s; database %.0f MB; peak memory %.0f MB; stalls %.2f s; %.1f s in all\n",
		checked, float64(last.DiskBytes)/(1<<20), float64(peak)/(1<<20), stalls, took.Seconds())
}

func orDash(v float64) string {
	if v == 0 {
		return "–"
	}
	return short(v)
}

// grouped prints n with commas.
func grouped(n int64) string {
	s := fmt.Sprint(n)
	for i := len(s) - 3; i > 0; i -= 3 {
		s = s[:i] + "," + s[i:]
	}
	return s
}
