package bench

import (
	"fmt"
	"io"
	"runtime"
	"strings"
	"time"
)

// printHeader prints what db_bench prints first: the environment to log, the
// data to out.
func printHeader(out, log io.Writer, rep *Report, cfg *Config) {
	fmt.Fprintf(log, "Strata:     LevelDB's format, %s %s/%s\nDate:       %s\nCPU:        %d * %s\n",
		rep.Go, runtime.GOOS, runtime.GOARCH, rep.Date, rep.CPUs, rep.CPU)
	fmt.Fprintf(log, "Generating: %.0f ns a key and value, part of the times\n", rep.Generating)
	key, value := float64(cfg.KeySize+cfg.KeyPrefix), float64(cfg.ValueSize)
	fmt.Fprintf(out, "Keys:       %.0f bytes each\n", key)
	fmt.Fprintf(out, "Values:     %.0f bytes each (%.0f bytes after compression)\n", value, value*cfg.CompressionRatio+0.5)
	fmt.Fprintf(out, "Entries:    %d\n", cfg.Num)
	fmt.Fprintf(out, "RawSize:    %.1f MB (estimated)\n", (key+value)*float64(cfg.Num)/(1<<20))
	fmt.Fprintf(out, "FileSize:   %.1f MB (estimated)\n", (key+value*cfg.CompressionRatio)*float64(cfg.Num)/(1<<20))
	fmt.Fprintf(out, "%s\n", strings.Repeat("-", 48))
}

// line is LevelDB's line with RocksDB's fields behind it, and a second one with
// what neither of them tells.
func line(r *Result) string {
	var extra []string
	if rate := fmt.Sprintf("%6.1f MB/s", r.MBPerSec); r.MBPerSec > 0 && (r.Wanted == 0 || r.writes || r.scanning) {
		extra = append(extra, rate)
	}
	if r.Wanted > 0 {
		extra = append(extra, fmt.Sprintf("(%d of %d found)", r.Found, r.Wanted))
	}
	if r.Message != "" {
		extra = append(extra, r.Message)
	}
	extra = append(extra, fmt.Sprintf("%.0f ops/sec %.3f seconds %d operations", r.OpsPerSec, r.Seconds, r.Ops))
	if r.WritesPerSec > 0 {
		extra = append(extra, fmt.Sprintf("(%.0f writes/sec beside)", r.WritesPerSec))
	}
	s := fmt.Sprintf("%-12s : %11.3f micros/op; %s\n", r.Name, r.MicrosPerOp, strings.Join(extra, " "))
	if more := details(r); more != "" {
		s += strings.Repeat(" ", 15) + more + "\n"
	}
	if r.Wrong > 0 {
		s += fmt.Sprintf("%15sWRONG ANSWERS: %d\n", "", r.Wrong)
	}
	return s
}

// details tells percentiles, amplification, stalls and memory.
func details(r *Result) string {
	var parts []string
	if l := r.Latency; l != nil {
		parts = append(parts, fmt.Sprintf("p50 %s p99 %s p99.9 %s p99.99 %s max %s µs",
			short(l.P50), short(l.P99), short(l.P999), short(l.P9999), short(l.Max)))
	}
	if r.writes {
		if r.WriteAmp > 0 {
			parts = append(parts, fmt.Sprintf("write-amp %.2f", r.WriteAmp))
		}
		if r.SpaceAmp > 0 {
			parts = append(parts, fmt.Sprintf("space-amp %.2f", r.SpaceAmp))
		}
		parts = append(parts, fmt.Sprintf("stalls %.3f s", r.StallSeconds))
	}
	if r.PeakMemoryBytes > 0 {
		parts = append(parts, fmt.Sprintf("peak memory %.0f MB", float64(r.PeakMemoryBytes)/(1<<20)))
	}
	if r.Ops > 0 {
		parts = append(parts, fmt.Sprintf("%.2f allocs/op", r.AllocsPerOp))
	}
	return strings.Join(parts, "; ")
}

// short prints v with three digits that count.
func short(v float64) string {
	switch {
	case v >= 100:
		return fmt.Sprintf("%.0f", v)
	case v >= 10:
		return fmt.Sprintf("%.1f", v)
	}
	return fmt.Sprintf("%.2f", v)
}

// histogramText is the distribution as db_bench prints it, with RocksDB's line
// of percentiles.
func histogramText(l *Latency) string {
	var b strings.Builder
	fmt.Fprintf(&b, "Microseconds per op:\nCount: %d  Average: %.4f  StdDev: %.2f\nMin: %.4f  Median: %.4f  Max: %.4f\n",
		l.Count, l.Average, l.StdDev, l.Min, l.P50, l.Max)
	fmt.Fprintf(&b, "Percentiles: P50: %.2f P75: %.2f P90: %.2f P99: %.2f P99.9: %.2f P99.99: %.2f\n%s\n",
		l.P50, l.P75, l.P90, l.P99, l.P999, l.P9999, strings.Repeat("-", 54))
	seen := int64(0)
	for _, bucket := range l.Buckets {
		seen += bucket.Count
		share := 100 * float64(bucket.Count) / float64(l.Count)
		fmt.Fprintf(&b, "[ %9s, %9s ) %9d %7.3f%% %7.3f%% %s\n", short(bucket.Low), short(bucket.High), bucket.Count,
			share, 100*float64(seen)/float64(l.Count), strings.Repeat("#", int(share/5+0.5)))
	}
	return b.String()
}

// summary is RocksDB's pair of lines about several runs.
func summary(name string, results []*Result) string {
	var ops, mb []float64
	for _, r := range results {
		ops, mb = append(ops, r.OpsPerSec), append(mb, r.MBPerSec)
	}
	avg, spread := meanAndSpread(ops)
	mbAvg, mbSpread := meanAndSpread(mb)
	return fmt.Sprintf("%s [AVG    %d runs] : %.0f (± %.0f) ops/sec; %6.1f (± %.1f) MB/sec\n%s [MEDIAN %d runs] : %.0f ops/sec; %6.1f MB/sec\n",
		name, len(results), avg, spread, mbAvg, mbSpread, name, len(results), median(ops), median(mb))
}

func now() string { return time.Now().Format(time.ANSIC) }
