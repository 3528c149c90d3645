package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// TestMain lets the test binary be the child that the parent starts.
func TestMain(m *testing.M) {
	if arg := os.Getenv(childEnv); arg != "" {
		if err := child(arg, os.Stdout); err != nil {
			os.Exit(1)
		}
		os.Exit(0)
	}
	os.Exit(m.Run())
}

// TestEveryWorkload runs everything on tiny databases: each run checks its own
// answers and says so with an error.
func TestEveryWorkload(t *testing.T) {
	for _, e := range engines {
		t.Run(e.name, func(t *testing.T) {
			if testing.Short() && e.name != "strata" {
				t.Skip("short")
			}
			var out, log bytes.Buffer
			args := []string{"-num", "500", "-repeats", "1", "-engines", e.name, "-dir", t.TempDir()}
			err := run(args, &out, &log)
			if errors.Is(err, errNoEngine) {
				t.Skip(log.String())
			}
			if err != nil {
				t.Fatalf("%v\n%s", err, log.String())
			}
			if strings.Contains(out.String(), "Failed:") {
				t.Error(out.String())
			}
			for _, w := range workloads {
				if !w.hidden && w.name != "latency" && !strings.Contains(out.String(), "| "+w.name) {
					t.Errorf("no line of %s in\n%s", w.name, out.String())
				}
			}
		})
	}
}

// TestRatiosPointTheRightWay: above 1 must mean that Strata is better, for rates
// and for times, and the best engine is the hardest to beat.
func TestRatiosPointTheRightWay(t *testing.T) {
	results := []result{
		{Engine: "strata", Workload: "fillseq", Ops: 300, Seconds: 1},
		{Engine: "goleveldb", Workload: "fillseq", Ops: 100, Seconds: 1},
		{Engine: "pebble", Workload: "fillseq", Ops: 200, Seconds: 1},
		{Engine: "bbolt", Workload: "fillseq", Ops: 900, Seconds: 1},
		{Engine: "strata", Workload: "open", Ops: 1, Seconds: 0.002},
		{Engine: "goleveldb", Workload: "open", Ops: 1, Seconds: 0.001},
		{Engine: "goleveldb", Workload: "open", Ops: 1, Seconds: 0.001, Error: "failed"},
	}
	got := rows(results)
	want := []struct {
		line       string
		gold, best float64
	}{{"fillseq", 3, 1.5}, {"fillseq incl. background", 3, 1.5}, {"open", 0.5, 0.5}}
	if len(got) != len(want) {
		t.Fatalf("%d lines, want %d", len(got), len(want))
	}
	for i, w := range want {
		if r := got[i]; r.line != w.line || math.Abs(r.ratio("goleveldb")-w.gold) > 1e-9 || math.Abs(r.ratioBest()-w.best) > 1e-9 {
			t.Errorf("%s: × goleveldb %.2f, × best %.2f, want %s %.2f %.2f", r.line, r.ratio("goleveldb"), r.ratioBest(), w.line, w.gold, w.best)
		}
	}
}

// TestGross: only a blunder may fail a build, and a failed run always does.
func TestGross(t *testing.T) {
	with := func(seconds float64, err string) []result {
		return []result{
			{Engine: "strata", Workload: "readrandom", Ops: 100, Seconds: seconds, Error: err},
			{Engine: "goleveldb", Workload: "readrandom", Ops: 100, Seconds: 1},
		}
	}
	for _, c := range []struct {
		seconds float64
		err     string
		fails   bool
	}{{1, "", false}, {2, "", false}, {3, "", true}, {1, "lost keys", true}} {
		if err := checkGross(with(c.seconds, c.err)); (err != nil) != c.fails {
			t.Errorf("%g s, error %q: %v", c.seconds, c.err, err)
		}
	}
}

func TestMedian(t *testing.T) {
	for _, c := range []struct {
		v    []float64
		want float64
	}{{nil, 0}, {[]float64{3}, 3}, {[]float64{3, 1}, 2}, {[]float64{9, 1, 2}, 2}} {
		if got := median(c.v); got != c.want {
			t.Errorf("median of %v is %v, want %v", c.v, got, c.want)
		}
	}
}

// TestNotGrosslySlower compares a few lines with goleveldb and fails on a blunder
// only. The machine may be busy, so the best run of each engine counts, and lines
// that are too slow run again, a few times: load of others passes, a blunder
// stays. A wrong answer fails at once.
func TestNotGrosslySlower(t *testing.T) {
	if testing.Short() {
		t.Skip("short")
	}
	again := "fillseq,fillrandom,readrandom,readmissing,readseq,seekrandom"
	var results []result
	for range 6 {
		raw := filepath.Join(t.TempDir(), "raw.jsonl")
		var out, log bytes.Buffer
		err := run([]string{"-num", "50000", "-repeats", "1", "-engines", "strata,goleveldb", "-workloads", again,
			"-dir", t.TempDir(), "-out", raw}, &out, &log)
		if err != nil {
			t.Fatalf("%v\n%s", err, log.String())
		}
		results = append(results, readResults(t, raw)...)
		slow, wrong := grossOf(bestRuns(results))
		if wrong != nil {
			t.Fatal(wrong)
		}
		if len(slow) == 0 {
			return
		}
		var names []string
		for _, r := range slow {
			names = append(names, r.workload)
			t.Logf("%s: %.2f times goleveldb's speed", r.line, r.ratio("goleveldb"))
		}
		again = strings.Join(slices.Compact(names), ",")
	}
	t.Errorf("in %s Strata is grossly slower than goleveldb, whatever the load", again)
}

// TestBestRuns: the least time of each engine and workload must be what counts,
// and a failed run must not get lost beside good ones.
func TestBestRuns(t *testing.T) {
	results := []result{
		{Engine: "strata", Workload: "readrandom", Ops: 100, Seconds: 9},
		{Engine: "goleveldb", Workload: "readrandom", Ops: 100, Seconds: 2},
		{Engine: "strata", Workload: "readrandom", Ops: 100, Seconds: 3},
		{Engine: "goleveldb", Workload: "readrandom", Ops: 100, Seconds: 5},
	}
	if slow, wrong := grossOf(bestRuns(results)); len(slow) != 0 || wrong != nil {
		t.Errorf("3 s beside 2 s: %v, %v", slow, wrong)
	}
	if slow, _ := grossOf(bestRuns(results[:2])); len(slow) != 1 || slow[0].workload != "readrandom" {
		t.Errorf("9 s beside 2 s: %v", slow)
	}
	results = append(results, result{Engine: "strata", Workload: "readrandom", Error: "lost keys"})
	if _, wrong := grossOf(bestRuns(results)); wrong == nil {
		t.Error("a failed run got lost")
	}
}

// bestRuns keeps the fastest run of each engine and workload, and every failure.
func bestRuns(results []result) (best []result) {
	for _, r := range results {
		i := slices.IndexFunc(best, func(b result) bool {
			return r.Error == "" && b.Error == "" && b.Engine == r.Engine && b.Workload == r.Workload
		})
		if i < 0 {
			best = append(best, r)
		} else if r.Seconds < best[i].Seconds {
			best[i].Seconds = r.Seconds
		}
		if i >= 0 {
			best[i].Background = min(best[i].Background, r.Background)
		}
	}
	return best
}

func readResults(t *testing.T, name string) (results []result) {
	t.Helper()
	data, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	for line := range bytes.Lines(data) {
		var r result
		if err := json.Unmarshal(line, &r); err != nil {
			t.Fatal(err)
		}
		if w, err := findWorkload(r.Workload); r.Error != "" || err == nil && !w.hidden {
			results = append(results, r)
		}
	}
	return results
}
