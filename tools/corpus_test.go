package tools_test

import (
	"bytes"
	"context"
	"encoding/hex"
	"encoding/json"
	"strings"
	"testing"

	"github.com/strata-db/strata"
	"github.com/strata-db/strata/internal/testcorpus"
	"github.com/strata-db/strata/tools"
)

// run runs a command line and returns what it printed and its exit status.
func run(tb testing.TB, env tools.Env, args ...string) (stdout, stderr string, status int) {
	tb.Helper()
	var out, errs bytes.Buffer
	env.Out, env.Err = &out, &errs
	status = tools.Main(context.Background(), env, args)
	return out.String(), errs.String(), status
}

// A program that embeds the commands printed its list to errors, with status 2, when it
// was asked for help, and did not say which word was none of the commands.
func TestMainHelps(t *testing.T) {
	for _, c := range []struct {
		args, out, errs string
		status          int
	}{
		{"help", "Commands:\n", "", tools.ExitOK},
		{"--help", "Commands:\n", "", tools.ExitOK},
		{"help sst layout", "", "show where the blocks", tools.ExitOK},
		{"frob db", "", "strata: there is no command \"frob\"\nCommands:\n", tools.ExitUsage},
		{"sst frob", "", "strata: there is no command \"sst frob\"\n", tools.ExitUsage},
		{"", "", "Commands:\n", tools.ExitUsage},
	} {
		out, errs, status := run(t, tools.Env{}, strings.Fields(c.args)...)
		if status != c.status || !strings.HasPrefix(out, c.out) || !strings.HasPrefix(errs, c.errs) {
			t.Errorf("%q: status %d, %q, %q", c.args, status, out, errs)
		}
	}
}

// corpusEnv knows the orders of the corpus.
func corpusEnv() tools.Env {
	return tools.Env{Comparers: []*strata.Comparer{testcorpus.LenFirst, testcorpus.Reverse}}
}

// scanned decodes what scan --json printed.
func scanned(tb testing.TB, out string) []testcorpus.Entry {
	tb.Helper()
	var list []testcorpus.Entry
	for line := range strings.Lines(out) {
		var kv struct{ K, V string }
		if err := json.Unmarshal([]byte(line), &kv); err != nil {
			tb.Fatalf("%q: %v", line, err)
		}
		k, err := hex.DecodeString(kv.K)
		if err != nil {
			tb.Fatal(err)
		}
		v, err := hex.DecodeString(kv.V)
		if err != nil {
			tb.Fatal(err)
		}
		list = append(list, testcorpus.EntryOf(k, v))
	}
	return list
}

// TestCorpus scans and verifies every database of the corpus: what is healthy
// shows all of its content in both directions and verifies, damage is found and
// named, nothing wrong is shown, and no file is touched.
func TestCorpus(t *testing.T) {
	cases, _ := testcorpus.Load(t)
	for _, c := range cases {
		t.Run(c.ID, func(t *testing.T) {
			t.Parallel()
			before := testcorpus.Snap(t, c.DB())
			checkScan(t, c)
			checkVerify(t, c)
			if d := before.Diff(testcorpus.Snap(t, c.DB())); len(d) > 0 {
				t.Errorf("files changed: %v", d)
			}
		})
	}
}

func checkScan(t *testing.T, c *testcorpus.Case) {
	args := []string{"scan", c.DB(), "--json"}
	if c.OpenComparator != "" {
		args = append(args, "--comparer", c.OpenComparator)
	}
	out, errs, status := run(t, corpusEnv(), args...)
	want, got := c.Content(t), scanned(t, out)
	if status == tools.ExitOK && c.Outcome() == testcorpus.Exact && len(got) != len(want) {
		t.Fatalf("%d keys, want %d", len(got), len(want))
	}
	if c.Outcome() == testcorpus.Verify {
		return // reads may not notice
	}
	for i, e := range got {
		if i >= len(want) || !bytes.Equal(e.Key, want[i].Key) || !want[i].Match(e.Value) {
			t.Fatalf("key %d is %v", i, e)
		}
	}
	switch {
	case c.Outcome() == testcorpus.Exact && status != tools.ExitOK:
		t.Fatalf("scan: %s", errs)
	case c.Outcome() == testcorpus.Error && status != tools.ExitFailed && c.OpenComparator == "":
		t.Fatalf("scan did not fail")
	case c.Outcome() != testcorpus.Exact:
		return
	}
	out, errs, status = run(t, corpusEnv(), append(args, "--reverse")...)
	back := scanned(t, out)
	if status != tools.ExitOK || len(back) != len(want) {
		t.Fatalf("backwards: status %d, %d keys, want %d: %s", status, len(back), len(want), errs)
	}
	for i, e := range back {
		if !bytes.Equal(e.Key, want[len(want)-1-i].Key) {
			t.Fatalf("backwards: key %d is %v", i, e)
		}
	}
}

func checkVerify(t *testing.T, c *testcorpus.Case) {
	out, errs, status := run(t, corpusEnv(), "verify", c.DB(), "--json")
	var r struct {
		Problems []struct{ File, What string }
		Notes    []string
	}
	if status != tools.ExitUsage && out != "" {
		if err := json.Unmarshal([]byte(out), &r); err != nil {
			t.Fatal(err)
		}
	}
	switch c.Outcome() {
	case testcorpus.Exact:
		if status != tools.ExitOK {
			t.Errorf("verify: %s %s", errs, out)
		}
	case testcorpus.Error, testcorpus.Verify:
		if c.OpenComparator != "" {
			return // healthy, but for who opens it with that order
		}
		if status != tools.ExitFailed {
			t.Errorf("verify found nothing: %s", out)
		}
		for _, p := range r.Problems {
			if p.File == c.DamagedFile() {
				return
			}
		}
		if strings.Contains(strings.Join(r.Notes, "\n"), c.DamagedFile()) {
			return
		}
		t.Errorf("damaged: %q; said: %s %s", c.DamagedFile(), errs, out)
	}
}
