package main

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"hash/fnv"
	"math/rand/v2"
	"os"
	"os/exec"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/strata-db/strata/bench/gen"
)

// needCompiler skips without a C++ compiler, or fails if STRATA_REQUIRE says so.
func needCompiler(t *testing.T) {
	t.Helper()
	if _, err := exec.LookPath("g++"); err == nil {
		return
	}
	if os.Getenv("STRATA_REQUIRE") == "1" {
		t.Fatal("g++ is required")
	}
	t.Skip("no g++")
}

// TestNativeGenerators: engines in C++ are compared with engines in Go, so both
// must be fed with the same keys in the same order, the same values and the same
// draws. Zipfian draws may differ in a few places, by the last bit of pow.
func TestNativeGenerators(t *testing.T) {
	needCompiler(t)
	dir := t.TempDir()
	check, err := compile(context.Background(), dir, "gencheck", []string{"gencheck.cc"})
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		n, seed    uint64
		valueBytes int
	}{{1, 1, 100}, {2, 5, 1}, {1000, 0, 250}, {20_000, 1, 100}, {16_384, 301, 4096}, {5000, 1<<63 + 9, 99}} {
		t.Run(fmt.Sprintf("n=%d,seed=%d,value=%d", c.n, c.seed, c.valueBytes), func(t *testing.T) {
			out, err := exec.Command(check, fmt.Sprint(c.n), fmt.Sprint(c.seed), fmt.Sprint(c.valueBytes)).Output()
			if err != nil {
				t.Fatal(err)
			}
			lines := bufio.NewScanner(bytes.NewReader(out))
			differ := 0
			for i, want := range generated(c.n, c.seed, c.valueBytes) {
				if !lines.Scan() {
					t.Fatalf("output ends at line %d", i)
				}
				got := lines.Text()
				if got == want {
					continue
				}
				if differ++; uint64(i) < 2*c.n || differ > int(c.n/1000) {
					t.Fatalf("line %d is %q, want %q", i, got, want)
				}
			}
			if lines.Scan() {
				t.Errorf("more output: %q", lines.Text())
			}
		})
	}
}

// generated is what cpp/gencheck.cc prints, by the original generators.
func generated(n, seed uint64, valueBytes int) (lines []string) {
	perm, values, keys := gen.NewPerm(n, seed), gen.NewValues(valueBytes, 0.5, seed), gen.NewKeyMaker(keyBytes, 0)
	for i := range n {
		k := perm.At(i)
		h := fnv.New64a()
		h.Write(values.At(k))
		lines = append(lines, fmt.Sprintf("%s %016x", keys.Append(nil, k), h.Sum64()))
	}
	rng := rand.New(rand.NewPCG(seed, 77))
	for range n {
		lines = append(lines, fmt.Sprint(rng.Uint64N(95)))
	}
	z := gen.NewZipf(rng, n, 0.99)
	for range n {
		lines = append(lines, fmt.Sprint(z.NextScrambled()))
	}
	z.Grow(2 * n)
	for range n {
		lines = append(lines, fmt.Sprint(z.NextLatest()))
	}
	return lines
}

// TestNativeKnowsEveryWorkload: a workload that is missing there would show as a
// gap in the table, and only where the libraries are installed.
func TestNativeKnowsEveryWorkload(t *testing.T) {
	source, err := cppSources.ReadFile("cpp/main.cc")
	if err != nil {
		t.Fatal(err)
	}
	var known []string
	for _, m := range regexp.MustCompile(`(?m)^    \{"([\w-]+)",`).FindAllSubmatch(source, -1) {
		known = append(known, string(m[1]))
	}
	for _, w := range workloads {
		if !slices.Contains(known, w.name) {
			t.Errorf("cpp/main.cc does not have %s", w.name)
		}
	}
	if len(known) != len(workloads) {
		t.Errorf("cpp/main.cc has %d workloads, want %d", len(known), len(workloads))
	}
}

// TestEngineThatCannotBeBuilt: without its library an engine is left out, with a
// note, and the others run.
func TestEngineThatCannotBeBuilt(t *testing.T) {
	t.Setenv("PATH", t.TempDir())
	var out, log bytes.Buffer
	args := []string{"-num", "100", "-repeats", "1", "-engines", "strata,rocksdb", "-workloads", "fillseq", "-dir", t.TempDir()}
	if err := run(args, &out, &log); err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(log.String(), "rocksdb is left out") || strings.Contains(out.String(), "rocksdb") {
		t.Errorf("log:\n%s\nreport:\n%s", log.String(), out.String())
	}
	args[5] = "rocksdb"
	if err := run(args, &out, &log); err == nil {
		t.Error("a run of no engine succeeded")
	}
}

// TestNativeNoticesDamage: the program in C++ checks answers too. A database that
// lost entries behind its back must fail the run.
func TestNativeNoticesDamage(t *testing.T) {
	needCompiler(t)
	c := config{ctx: context.Background(), dir: t.TempDir(), log: os.Stderr, timeout: time.Minute, engines: slices.Clone(engines)}
	c.engines = slices.DeleteFunc(c.engines, func(e engine) bool { return !e.native })
	if err := c.buildNatives(); err != nil {
		t.Skip(err)
	}
	for _, e := range c.engines {
		dir := t.TempDir()
		s := spec{Engine: e.name, Workload: "load", Dir: dir, Num: 1000, Reads: 1000, Seed: 1}
		if res := c.spawn(s); res.Error != "" || res.Hits != 1000 || res.DiskBytes == 0 || res.PeakRSS == 0 {
			t.Fatalf("%s: load: %+v", e.name, res)
		}
		for _, w := range []string{"readrandom", "readmissing", "readseq", "ycsbc"} {
			s.Workload, s.Num = w, 1000
			if res := c.spawn(s); res.Error != "" || res.Seconds <= 0 || res.CPUSeconds <= 0 {
				t.Errorf("%s: %s: %+v", e.name, w, res)
			}
			s.Num = 1001 // one more than there is
			if res := c.spawn(s); res.Error == "" {
				t.Errorf("%s: %s did not miss an entry", e.name, w)
			}
		}
	}
}
