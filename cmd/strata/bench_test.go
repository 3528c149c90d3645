package main

import (
	"bytes"
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/strata-db/strata/tools"
)

// runBenchCommand runs "strata bench" with args.
func runBenchCommand(args ...string) (out, log string, err error) {
	var o, l bytes.Buffer
	env := &tools.Env{Out: &o, Err: &l}
	root := newRootCmd(env)
	root.SetOut(&o)
	root.SetErr(&l)
	root.SetArgs(append([]string{"bench"}, args...))
	err = root.ExecuteContext(context.Background())
	return o.String(), l.String(), err
}

// TestBenchTakesDBBenchFlags: one dash or two, 0 and 1 for booleans.
func TestBenchTakesDBBenchFlags(t *testing.T) {
	html := filepath.Join(t.TempDir(), "report.html")
	out, log, err := runBenchCommand("--benchmarks=fillseq,readrandom", "-num=200", "-histogram=1", "--use_existing_db=0", "--mem=1", "--html="+html, "--csv=-")
	if err != nil {
		t.Fatalf("%v\n%s", err, log)
	}
	for _, want := range []string{"Entries:    200\n", "fillseq      : ", "(200 of 200 found)", "Percentiles: P50: ", "\nname,run,threads,"} {
		if !strings.Contains(out, want) {
			t.Errorf("no %q in\n%s", want, out)
		}
	}
	if page, err := os.ReadFile(html); err != nil || !bytes.Contains(page, []byte("</html>")) {
		t.Errorf("report: %v", err)
	}
}

func TestBenchUsage(t *testing.T) {
	for _, args := range [][]string{{"--nosuchflag=1"}, {"fillseq"}, {"--num=many"}} {
		if _, _, err := runBenchCommand(args...); !errors.As(err, new(*tools.UsageError)) {
			t.Errorf("%q: %v, want a usage error", args, err)
		}
	}
	if _, _, err := runBenchCommand("--blom_bits=3"); err == nil || !strings.Contains(err.Error(), "did you mean --bloom_bits?") {
		t.Errorf("a slip of the finger: %v", err)
	}
	// A file that cannot be written must be told before the benchmarks run.
	if out, _, err := runBenchCommand("--benchmarks=fillseq", "--num=10", "--mem=1", "--json="+filepath.Join(t.TempDir(), "none", "x")); err == nil || out != "" {
		t.Errorf("%v, and printed %q", err, out)
	}
	out, _, err := runBenchCommand("--help")
	for _, want := range []string{"fillrandom", "ycsbf", "-benchmark_write_rate_limit", "strata bench\n"} {
		if err != nil || !strings.Contains(out, want) {
			t.Errorf("%v, no %q in\n%s", err, want, out)
		}
	}
}
