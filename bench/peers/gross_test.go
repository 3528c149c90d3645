package main

import (
	"bytes"
	"math"
	"slices"
	"strings"
	"testing"
)

// TestNotGrosslySlower fails on a blunder only: see gross.go.
func TestNotGrosslySlower(t *testing.T) {
	if testing.Short() {
		t.Skip("short")
	}
	var out, log bytes.Buffer
	err := run([]string{"-gross", "-dir", t.TempDir()}, &out, &log)
	t.Logf("%s", out.String())
	if err != nil {
		t.Errorf("%v\n%s", err, log.String())
	}
}

// TestGrossRecord: what is committed must bound every workload of the check, at
// the size at which it runs.
func TestGrossRecord(t *testing.T) {
	rec, err := readGross()
	if err != nil {
		t.Fatal(err)
	}
	if rec.Num != grossNum {
		t.Errorf("recorded with %d entries, checked with %d", rec.Num, grossNum)
	}
	for _, w := range split(grossWorkloads) {
		if rec.Ratios[w] <= 0 {
			t.Errorf("no ratio of %s", w)
		}
	}
}

// TestGrossBound: less than half of the recorded lead is slow, half is not, and a
// workload that did not run is.
func TestGrossBound(t *testing.T) {
	rec := grossRecord{Num: 1, Ratios: make(map[string]float64)}
	ratios := make(map[string]float64)
	for _, w := range split(grossWorkloads) {
		rec.Ratios[w], ratios[w] = 3, 1.5
	}
	if slow := rec.slow(ratios); len(slow) != 0 {
		t.Errorf("half of the lead is slow: %v", slow)
	}
	ratios["readseq"] = 1.49
	delete(ratios, "fillseq")
	if slow := rec.slow(ratios); !slices.Equal(slow, []string{"fillseq", "readseq"}) {
		t.Errorf("slow: %v, want fillseq and readseq", slow)
	}
	if text := rec.table(ratios); !strings.Contains(text, "readseq           3.00      1.49      1.50") {
		t.Errorf("no line of readseq in\n%s", text)
	}
}

// TestBestRatios: the least time of each engine must count, and a failed run not.
func TestBestRatios(t *testing.T) {
	results := []result{
		{Engine: "strata", Workload: "readrandom", Ops: 100, Seconds: 9},
		{Engine: "goleveldb", Workload: "readrandom", Ops: 100, Seconds: 2},
		{Engine: "strata", Workload: "readrandom", Ops: 100, Seconds: 4},
		{Engine: "goleveldb", Workload: "readrandom", Ops: 100, Seconds: 5},
		{Engine: "strata", Workload: "readrandom", Ops: 100, Seconds: 1, Error: "lost keys"},
		{Engine: "strata", Workload: "fillseq", Ops: 100, Seconds: 1},
	}
	got := bestRatios(results)
	if len(got) != 1 || math.Abs(got["readrandom"]-0.5) > 1e-9 {
		t.Errorf("ratios %v, want 0.5 of readrandom", got)
	}
	if got := medianRatio(results[:4], "readrandom"); math.Abs(got-0.5) > 1e-9 {
		t.Errorf("median %v, want 0.5", got)
	}
	if failuresOf(results) == nil {
		t.Error("a failed run got lost")
	}
}
