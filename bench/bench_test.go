package bench

import (
	"bytes"
	"context"
	"encoding/csv"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"

	"github.com/strata-db/strata"
	"github.com/strata-db/strata/vfs"
)

// tiny is a configuration that takes milliseconds, in memory.
func tiny(list string) Config {
	c := DefaultConfig()
	c.Benchmarks, c.Num, c.FS = list, 500, vfs.NewMem()
	return c
}

func mustRun(t *testing.T, c Config) (*Report, string) {
	t.Helper()
	var out, log bytes.Buffer
	rep, err := Run(context.Background(), c, &out, &log)
	if err != nil {
		t.Fatalf("%s: %v\n%s%s", c.Benchmarks, err, out.String(), log.String())
	}
	return rep, out.String()
}

// TestEveryBenchmark runs each name after a load and checks operations and hits:
// a benchmark that quietly does less than it says would look fast.
func TestEveryBenchmark(t *testing.T) {
	const num = 500
	fills := map[string]int64{"fillsync": 1, "fill100K": 1}
	found := map[string]int64{"readmissing": 0}
	for _, b := range catalog {
		for _, threads := range []int{1, 3} {
			t.Run(fmt.Sprintf("%s/%d", b.name, threads), func(t *testing.T) {
				c := tiny("fillrandom," + b.name + ",readseq")
				c.Threads, c.Histogram, c.SeekNexts, c.BatchSize = threads, true, 3, 64
				if b.name == "heapprofile" {
					c.FS, c.Dir = nil, filepath.Join(t.TempDir(), "db")
				}
				rep, out := mustRun(t, c)
				if b.silent {
					if len(out) < 200 {
						t.Errorf("nothing was printed:\n%s", out)
					}
					return
				}
				r := rep.Results[1]
				n := int64(threads)
				if b.once {
					n = 1
				}
				want := n * num
				switch fill, less := fills[b.name]; {
				case less:
					want = n * fill
				case b.name == "timeseries":
					want = n * (num + num/seriesEvery)
				case b.name == "readrandomsmall" || b.once:
					want = n
				}
				if r.Name != b.name || r.Ops != want || r.Threads != int(n) {
					t.Errorf("%s: %d operations in %d threads, want %d in %d", r.Name, r.Ops, r.Threads, want, n)
				}
				if f, ok := found[b.name]; ok && r.Found != f {
					t.Errorf("found %d, want %d", r.Found, f)
				}
				if _, ok := found[b.name]; !ok && r.Found != r.Wanted && b.name != "timeseries" {
					t.Errorf("found %d of %d", r.Found, r.Wanted)
				}
				if strings.HasPrefix(b.name, "read") || strings.HasPrefix(b.name, "seek") || b.name == "queue" {
					if r.Wanted == 0 {
						t.Error("no answer was checked")
					}
				}
				if r.Wrong != 0 || r.Seconds <= 0 || r.MicrosPerOp <= 0 || r.Latency == nil && !b.silent {
					t.Errorf("result %+v", r)
				}
				if l := r.Latency; l != nil && l.Count != r.Ops {
					t.Errorf("%d operations were timed, want %d", l.Count, r.Ops)
				}
			})
		}
	}
}

// TestHitsFollowTheContent: hit counts must be those of the keys that are there.
func TestHitsFollowTheContent(t *testing.T) {
	for _, c := range []struct {
		list string
		want int64 // found by the last benchmark
	}{
		{"fillseq,readseq", 500},
		{"fillrandom,readreverse", 500},
		{"fillrandom,deleterandom,readseq", 0},
		{"fillseq,deleteseq,readrandom", 0},
		{"fillseq,deleteseq,overwrite,compact,readrandom", 500},
		{"fillsync,readseq", 1},
		{"fill100K,readseq", 1},
		{"fillbatch,open,readrandom", 500},
		{"fillrandom,flush,compact,waitforcompaction,seekrandom", 500},
		{"fillrandom,ycsbd,ycsbe,readmissing", 0},
	} {
		cfg := tiny(c.list)
		cfg.BatchSize = 64
		rep, _ := mustRun(t, cfg)
		if last := rep.Results[len(rep.Results)-1]; last.Found != c.want || last.Wrong != 0 {
			t.Errorf("%s: %d found, %d wrong, want %d and 0", c.list, last.Found, last.Wrong, c.want)
		}
	}
}

// TestWrongAnswersAreCaught changes the database behind the benchmarks' back.
func TestWrongAnswersAreCaught(t *testing.T) {
	key := func(r *runner, k uint64) []byte { return r.keys.Append(nil, k) }
	for _, c := range []struct {
		name   string
		change func(*runner) error
	}{
		{"a key is lost", func(r *runner) error { return r.db.Delete(key(r, 7), nil) }},
		{"a value is another's", func(r *runner) error { return r.db.Put(key(r, 7), r.small.At(8), nil) }},
	} {
		for _, name := range []string{"readrandom", "seekrandom", "multireadrandom"} {
			var out, log bytes.Buffer
			cfg := tiny("")
			cfg.Num, cfg.Reads = 20, 1000
			r, err := newRunner(context.Background(), cfg, &out, &log)
			if err != nil {
				t.Fatal(err)
			}
			if err := r.begin(); err != nil {
				t.Fatal(err)
			}
			items, _ := parseList("fillseq," + name)
			for i, it := range items {
				if err := r.runItem(it, nil); err != nil {
					t.Fatal(err)
				}
				if i == 0 {
					if err := c.change(r); err != nil {
						t.Fatal(err)
					}
				}
			}
			if !errors.Is(r.failed, ErrWrongAnswers) || !strings.Contains(out.String(), "WRONG ANSWERS") {
				t.Errorf("%s: %s did not notice: %v\n%s", c.name, name, r.failed, out.String())
			}
			if err := r.finish(); err != nil {
				t.Fatal(err)
			}
		}
	}
}

// TestLineFormat: scripts take LevelDB's and RocksDB's lines apart; both must
// find what they look for.
func TestLineFormat(t *testing.T) {
	leveldb := regexp.MustCompile(`^(\w+) +: +(\d+\.\d{3}) micros/op;`)
	rocksdb := regexp.MustCompile(` (\d+) ops/sec (\d+\.\d{3}) seconds (\d+) operations`)
	fill := &Result{Name: "fillseq", Ops: 1000, Seconds: 0.5, MicrosPerOp: 500, OpsPerSec: 2000, MBPerSec: 12.34, writes: true}
	read := &Result{Name: "readrandom", Ops: 10, Seconds: 0.25, MicrosPerOp: 25000, OpsPerSec: 40, MBPerSec: 1, Found: 9, Wanted: 10}
	for _, c := range []struct {
		r     *Result
		first string
	}{
		{fill, "fillseq      :     500.000 micros/op;   12.3 MB/s 2000 ops/sec 0.500 seconds 1000 operations"},
		{read, "readrandom   :   25000.000 micros/op; (9 of 10 found) 40 ops/sec 0.250 seconds 10 operations"},
	} {
		first, _, _ := strings.Cut(line(c.r), "\n")
		if first != c.first {
			t.Errorf("line\n%q, want\n%q", first, c.first)
		}
		if leveldb.FindString(first) == "" || rocksdb.FindString(first) == "" {
			t.Errorf("%q does not match", first)
		}
	}
}

func TestHeaderIsLevelDBs(t *testing.T) {
	c := tiny("")
	c.Num = 1_000_000
	c.quiet = false
	_, out := mustRun(t, c)
	want := "Keys:       16 bytes each\nValues:     100 bytes each (50 bytes after compression)\nEntries:    1000000\n" +
		"RawSize:    110.6 MB (estimated)\nFileSize:   62.9 MB (estimated)\n------------------------------------------------\n"
	if out != want {
		t.Errorf("header\n%s\nwant\n%s", out, want)
	}
}

// TestPercentiles compares with what can be counted by hand.
func TestPercentiles(t *testing.T) {
	h := hdrhistogram.New(1, histogramMax, histogramDigits)
	for i := int64(1); i <= 10_000; i++ {
		_ = h.RecordValue(i * 1000) // 1 to 10,000 µs
	}
	l := newLatency(h)
	for _, c := range []struct {
		name      string
		got, want float64
	}{
		{"count", float64(l.Count), 10_000}, {"min", l.Min, 1}, {"average", l.Average, 5000.5}, {"p50", l.P50, 5000}, {"p75", l.P75, 7500},
		{"p90", l.P90, 9000}, {"p99", l.P99, 9900}, {"p99.9", l.P999, 9990}, {"p99.99", l.P9999, 9999}, {"max", l.Max, 10_000},
		{"stddev", l.StdDev, 2886.75},
	} {
		if math.Abs(c.got/c.want-1) > 0.002 {
			t.Errorf("%s is %g, want %g", c.name, c.got, c.want)
		}
	}
	sum := int64(0)
	last := 0.0
	for _, b := range l.Buckets {
		if b.Low < last || b.High <= b.Low {
			t.Errorf("bucket %+v after %g", b, last)
		}
		last = b.High
		sum += b.Count
	}
	if sum != 10_000 {
		t.Errorf("the buckets hold %d, want all", sum)
	}
	if text := histogramText(l); !strings.Contains(text, "Count: 10000  Average: 500") || !strings.Contains(text, "100.000%") {
		t.Error(text)
	}
}

// TestPercentilesOfSortedTimes holds the percentiles against a plain sorted array
// of times that are spread over six powers of ten, as latencies are.
func TestPercentilesOfSortedTimes(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	h := hdrhistogram.New(1, histogramMax, histogramDigits)
	times := make([]int64, 50_000) // ns
	for i := range times {
		times[i] = int64(math.Pow(10, 2+6*rng.Float64()*rng.Float64()))
		_ = h.RecordValue(times[i])
	}
	slices.Sort(times)
	l := newLatency(h)
	for _, c := range []struct{ part, got float64 }{
		{0.5, l.P50}, {0.75, l.P75}, {0.9, l.P90}, {0.99, l.P99}, {0.999, l.P999}, {0.9999, l.P9999}, {1, l.Max},
	} {
		want := float64(times[int(math.Ceil(c.part*float64(len(times))))-1]) / 1e3
		if math.Abs(c.got/want-1) > 0.002 {
			t.Errorf("p%g is %g µs, the sorted array says %g", c.part*100, c.got, want)
		}
	}
}

func TestSummary(t *testing.T) {
	got := summary("readrandom", []*Result{{OpsPerSec: 100, MBPerSec: 1}, {OpsPerSec: 200, MBPerSec: 2}, {OpsPerSec: 600, MBPerSec: 6}})
	want := "readrandom [AVG    3 runs] : 300 (± 265) ops/sec;    3.0 (± 2.6) MB/sec\nreadrandom [MEDIAN 3 runs] : 200 ops/sec;    2.0 MB/sec\n"
	if got != want {
		t.Errorf("got\n%swant\n%s", got, want)
	}
}

func TestParseList(t *testing.T) {
	items, err := parseList("fillseq, readrandom[X5-W1],readseq[W2],nothere,")
	if err != nil || len(items) != 4 {
		t.Fatalf("%d items, %v", len(items), err)
	}
	for i, want := range []struct {
		name          string
		repeat, warms int
		known         bool
	}{{"fillseq", 1, 0, true}, {"readrandom", 5, 1, true}, {"readseq", 1, 2, true}, {"nothere", 1, 0, false}} {
		if it := items[i]; it.name != want.name || it.repeat != want.repeat || it.warms != want.warms || it.known != want.known {
			t.Errorf("item %d is %+v, want %+v", i, it, want)
		}
	}
	for _, bad := range []string{"readseq[X]", "readseq[", "readseq[X2,W1]", "readseq[X9999999]"} {
		if _, err := parseList(bad); err == nil {
			t.Errorf("%q was accepted", bad)
		}
	}
}

func TestRepeatsAndUnknownNames(t *testing.T) {
	var out, log bytes.Buffer
	rep, err := Run(context.Background(), tiny("fillseq[W1-X3],readsek,what,readseq"), &out, &log)
	if err != nil {
		t.Fatal(err)
	}
	if len(rep.Results) != 4 || rep.Results[2].Run != 3 || strings.Count(out.String(), "\nfillseq ") != 5 {
		t.Errorf("%d results, %d lines of fillseq, want 4 and 5\n%s", len(rep.Results), strings.Count(out.String(), "\nfillseq "), out.String())
	}
	if !strings.HasPrefix(log.String(), "unknown benchmark 'readsek', did you mean 'readseq'?\nunknown benchmark 'what'\n") {
		t.Error(log.String())
	}
	if _, err := Run(context.Background(), tiny("what"), &out, &log); err == nil {
		t.Error("a list without a benchmark succeeded")
	}
}

// TestTimesAreReal holds the numbers against a clock of the test's own and
// against a file system that is slow on purpose.
func TestTimesAreReal(t *testing.T) {
	const delay, num = 2 * time.Millisecond, 20_000 // fillsync does num/1000
	run := func(slow bool) (*Result, time.Duration) {
		fault := vfs.NewFault(vfs.NewMem())
		if slow {
			fault.Add(&vfs.Rule{Kind: vfs.OpSync, Delay: func(vfs.Op) { <-time.After(delay) }})
		}
		c := tiny("fillsync")
		c.FS, c.Num, c.Histogram = fault, num, true
		start := time.Now()
		rep, _ := mustRun(t, c)
		return rep.Results[0], time.Since(start)
	}
	// Without the delay it takes less than a millisecond, which a machine that
	// stands still now and then may well lose.
	off := func(r *Result) float64 { return math.Abs(r.Latency.Average*float64(r.Ops)/1e6/r.Seconds - 1) }
	fast, _ := run(false)
	slow, wall := run(true)
	for range 9 {
		if off(fast) <= 0.1 && slow.MicrosPerOp >= 3*fast.MicrosPerOp {
			break
		}
		fast, _ = run(false)
	}
	least := (num / 1000 * delay).Seconds()
	if slow.Seconds < least || slow.Seconds > wall.Seconds() {
		t.Errorf("%.4f s are told; the syncs alone take %.4f s, the whole run took %.4f s", slow.Seconds, least, wall.Seconds())
	}
	if us := float64(delay.Microseconds()); slow.MicrosPerOp < us || slow.Latency.P50 < us || slow.Latency.Min < us {
		t.Errorf("an operation takes %.0f µs, median %.0f, minimum %.0f; want at least %.0f", slow.MicrosPerOp, slow.Latency.P50, slow.Latency.Min, us)
	}
	if math.Abs(slow.OpsPerSec*slow.Seconds/float64(slow.Ops)-1) > 1e-6 || math.Abs(slow.MicrosPerOp*slow.OpsPerSec/1e6-1) > 0.05 {
		t.Errorf("the numbers contradict each other: %+v", slow)
	}
	for _, r := range []*Result{slow, fast} {
		if off(r) > 0.1 {
			t.Errorf("the operations take %.2f µs each, the benchmark took %.5f s", r.Latency.Average, r.Seconds)
		}
	}
	if slow.MicrosPerOp < 3*fast.MicrosPerOp {
		t.Errorf("the slowed engine takes %.0f µs, the other %.0f", slow.MicrosPerOp, fast.MicrosPerOp)
	}
}

// TestDurationAndRateLimit: both end or slow a benchmark by the clock.
func TestDurationAndRateLimit(t *testing.T) {
	c := tiny("fillrandom,readrandom,readseq")
	c.Num, c.Duration = 10, 0.05
	rep, _ := mustRun(t, c)
	for i, r := range rep.Results {
		most := int64(10) // without a duration
		if i == 2 {
			most = 9 // one scan may be all that a slow machine has time for
		}
		if r.Seconds < 0.05 || r.Ops <= most {
			t.Errorf("%s lasted %.3f s, %d operations", r.Name, r.Seconds, r.Ops)
		}
	}
	c = tiny("fillrandom")
	c.WriteRateLimit = 580_000 // bytes; 500 entries of 116 bytes take 0.1 s
	rep, _ = mustRun(t, c)
	if s := rep.Results[0].Seconds; s < 0.09 {
		t.Errorf("58,000 bytes at 580,000 a second took %.3f s", s)
	}
}

func TestInterrupted(t *testing.T) {
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if _, err := Run(ctx, tiny("fillseq"), &bytes.Buffer{}, &bytes.Buffer{}); !errors.Is(err, context.Canceled) {
		t.Errorf("error %v, want context.Canceled", err)
	}
}

// TestForeignDirectoriesAreLeftAlone: a benchmark begins by destroying, so it
// must know what is its own.
func TestForeignDirectoriesAreLeftAlone(t *testing.T) {
	fs := vfs.NewMem()
	db, err := strata.Open("mine", &strata.Options{FS: fs})
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(db.Put([]byte("k"), []byte("v"), nil), db.Close()); err != nil {
		t.Fatal(err)
	}
	c := tiny("fillseq")
	c.FS, c.Dir = fs, "mine"
	if _, err := Run(context.Background(), c, &bytes.Buffer{}, &bytes.Buffer{}); err == nil {
		t.Error("a foreign database was overwritten")
	}
	c.UseExisting = true
	_, out := mustRun(t, c)
	if !strings.Contains(out, "fillseq      : skipped (--use_existing_db is true)\n") {
		t.Error(out)
	}
	c.Benchmarks = "readseq,readrandom,overwrite,ycsbd"
	rep, _ := mustRun(t, c)
	if rep.Results[0].Found != 1 {
		t.Errorf("%d entries found, want the one that was there", rep.Results[0].Found)
	}
	c.UseExisting, c.Dir = false, "ours"
	mustRun(t, c)
	mustRun(t, c) // ours may be destroyed
}

// TestTemporaryDirectoryIsRemoved, and nothing is left beside it.
func TestTemporaryDirectoryIsRemoved(t *testing.T) {
	dir := t.TempDir()
	t.Setenv("TMPDIR", dir)
	t.Setenv("TMP", dir)
	c := tiny("fillseq,readseq")
	c.FS = nil
	mustRun(t, c)
	names, err := os.ReadDir(dir)
	if err != nil || len(names) > 0 {
		t.Errorf("left: %v, %v", names, err)
	}
}

// TestFlags: both dashes, and booleans as db_bench writes them.
func TestFlags(t *testing.T) {
	c := DefaultConfig()
	fs := flag.NewFlagSet("bench", flag.ContinueOnError)
	c.Flags(fs)
	err := fs.Parse(strings.Fields("--num=1234 -reads=7 --histogram=1 -use_existing_db=0 --benchmarks=readseq --db=/tmp/x --threads=3 --value_size=200 " +
		"--compression_ratio=0.3 --cache_size=1048576 --bloom_bits=0 --write_buffer_size=65536 --max_file_size=65536 --block_size=1024 " +
		"--open_files=50 --comparisons=true --reuse_logs=1 --key_prefix=2 --compression=0 --duration=2 --seed=9 --batch_size=10 " +
		"--benchmark_write_rate_limit=1000 --stats_interval_seconds=1 --key_size=20 --max_background_jobs=3"))
	if err != nil {
		t.Fatal(err)
	}
	if c.Num != 1234 || c.Reads != 7 || !c.Histogram || c.UseExisting || c.Threads != 3 || c.CompressionRatio != 0.3 || !c.Comparisons || c.KeySize != 20 {
		t.Errorf("%+v", c)
	}
	o, err := c.options()
	if err != nil || o.CacheBytes != 1<<20 || o.FilterBitsPerKey != -1 || o.MemtableBytes != 65536 || o.Workers != 3 || o.Compression != strata.NoCompression {
		t.Errorf("%+v, %v", o, err)
	}
	for _, bad := range []func(*Config){
		func(c *Config) { c.Num = 0 }, func(c *Config) { c.Threads = 0 }, func(c *Config) { c.KeySize = 2 },
		func(c *Config) { c.CompressionRatio = 1.1 }, func(c *Config) { c.CompressionRatio = math.NaN() }, func(c *Config) { c.Duration = math.NaN() },
		func(c *Config) { c.UseExisting, c.Dir = true, t.TempDir() },
		func(c *Config) { c.Compression = "lzma" }, func(c *Config) { c.Policy = "x" }, func(c *Config) { c.CompressionRatio = 0 },
	} {
		c := tiny("fillseq")
		bad(&c)
		if _, err := Run(context.Background(), c, &bytes.Buffer{}, &bytes.Buffer{}); err == nil {
			t.Errorf("accepted: %+v", c)
		}
	}
}

func TestExports(t *testing.T) {
	c := tiny("fillrandom,readrandom,readseq,compact")
	c.Histogram, c.Comparisons = true, true
	c.Duration = 0.4 // long enough for a curve
	rep, out := mustRun(t, c)
	for try := 0; try < 5 && len(rep.Results[0].Samples) < 4; try++ {
		rep, out = mustRun(t, c) // a machine that stood still took no samples
	}
	if !strings.Contains(out, "Comparisons: ") {
		t.Error("no comparisons are told")
	}
	var js, cs, page bytes.Buffer
	if err := errors.Join(rep.WriteJSON(&js), rep.WriteCSV(&cs), rep.WriteHTML(&page)); err != nil {
		t.Fatal(err)
	}
	var back Report
	if err := json.Unmarshal(js.Bytes(), &back); err != nil || len(back.Results) != 4 || back.Results[1].Ops != rep.Results[1].Ops {
		t.Errorf("JSON: %v, %d results", err, len(back.Results))
	}
	rows, err := csv.NewReader(&cs).ReadAll()
	if err != nil || len(rows) != 5 || rows[2][0] != "readrandom" {
		t.Errorf("CSV: %v, %v", err, rows)
	}
	text := page.String()
	for _, want := range []string{"<!DOCTYPE html>", "readrandom", "polyline", `class="bar"`, "write amplification over seconds", "operations by latency", "</html>"} {
		if !strings.Contains(text, want) {
			t.Errorf("the page has no %s", want)
		}
	}
	for _, bad := range []string{"http://", "https://", "ZgotmplZ", "NaN", "Inf", "<script src"} {
		if strings.Contains(text, bad) {
			t.Errorf("the page has %s", bad)
		}
	}
}

func TestQuick(t *testing.T) {
	c := QuickConfig()
	c.FS, c.Num, c.limit = vfs.NewMem(), 2000, 50*time.Millisecond
	var out, log bytes.Buffer
	rep, err := Quick(context.Background(), c, &out, &log)
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range strings.Split(quickList, ",") {
		if !strings.Contains(out.String(), "\n"+name+" ") {
			t.Errorf("no line of %s", name)
		}
	}
	if !strings.Contains(out.String(), "answers were right") || len(rep.Results) != len(strings.Split(quickList, ",")) {
		t.Error(out.String())
	}
}

// TestProgress: what a person or a log sees while a benchmark runs.
func TestProgress(t *testing.T) {
	c := tiny("fillrandom")
	c.Duration, c.Progress, c.StatsEvery = 1.15, true, 1
	var out, log bytes.Buffer
	for try := 0; try < 5 && !strings.Contains(log.String(), "in the last"); try++ {
		log.Reset() // a machine that stood still at the wrong moment told nothing
		if _, err := Run(context.Background(), c, &out, &log); err != nil {
			t.Fatal(err)
		}
	}
	for _, want := range []string{"... fillrandom: finished ", "fillrandom: ", "ops/sec in the last"} {
		if !strings.Contains(log.String(), want) {
			t.Errorf("no %q in %q", want, log.String())
		}
	}
}

// mixgraph does what its shares say, finds what it wrote, in values of many sizes,
// and leaves a database whose other readers find their answers right.
func TestMixGraph(t *testing.T) {
	c := DefaultConfig()
	c.FS, c.Num, c.Reads, c.Threads, c.quiet = vfs.NewMem(), 2000, 20_000, 2, true
	c.Benchmarks = "fillrandom,mixgraph,readrandom,readseq"
	rep, err := Run(context.Background(), c, io.Discard, io.Discard)
	if err != nil {
		t.Fatal(err)
	}
	r := rep.Results[1]
	if r.Name != "mixgraph" || r.Ops != 40_000 || r.Wrong != 0 || r.Found != r.Wanted {
		t.Errorf("%+v", r)
	}
	if reads := float64(r.Wanted) / float64(r.Ops); reads < 0.84 || reads > 0.88 {
		t.Errorf("%.3f of the operations were reads, want 0.86", reads)
	}
	c.FS, c.Mix.Get, c.Mix.Put, c.Mix.Seek = vfs.NewMem(), 0, 0, 0
	if _, err := Run(context.Background(), c, io.Discard, io.Discard); err == nil {
		t.Error("a mix of nothing ran")
	}
}

// Each interval has a line, also across benchmarks, and the lines add up to the
// operations.
func TestReportIntervals(t *testing.T) {
	file := filepath.Join(t.TempDir(), "report.csv")
	r, err := newReporter(file, time.Second)
	if err != nil {
		t.Fatal(err)
	}
	at := func(ms int) time.Time { return r.start.Add(time.Duration(ms) * time.Millisecond) }
	var ops atomic.Int64
	ops.Store(100)
	r.tick(at(900), &ops)
	r.tick(at(1000), &ops)
	ops.Store(150)
	r.end(&ops)
	ops.Store(0)
	r.tick(at(1900), &ops)
	ops.Store(30)
	r.tick(at(3100), &ops)
	if err := r.close(); err != nil {
		t.Fatal(err)
	}
	got, _ := os.ReadFile(file)
	if want := "secs_elapsed,interval_qps\n1,100\n2,80\n3,0\n"; string(got) != want {
		t.Errorf("%q, want %q", got, want)
	}
	c := DefaultConfig()
	c.FS, c.Num, c.quiet, c.ReportEvery, c.ReportFile = vfs.NewMem(), 10, true, 1, filepath.Join(file, "not a directory")
	if _, err := Run(context.Background(), c, io.Discard, io.Discard); err == nil {
		t.Error("a report that cannot be written is no error")
	}
}
