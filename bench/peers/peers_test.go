package main

import (
	"bytes"
	"errors"
	"math"
	"os"
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
