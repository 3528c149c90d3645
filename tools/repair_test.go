package tools_test

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/strata-db/strata/internal/testcorpus"
	"github.com/strata-db/strata/tools"
)

// TestRepairAndSalvage loses a part of a table, and of another database the
// pointer: a dry run changes nothing, salvage leaves the directory as it is, and
// what both make verifies. The order of keys is found without a manifest.
func TestRepairAndSalvage(t *testing.T) {
	damaged := testcorpus.Get(t, "levels-cpp").Copy(t)
	table := filepath.Join(damaged, "000099.ldb")
	b, err := os.ReadFile(table)
	if err != nil {
		t.Fatal(err)
	}
	b[9000] ^= 1
	if err := os.WriteFile(table, b, 0o644); err != nil {
		t.Fatal(err)
	}
	lost := testcorpus.Get(t, "cmp-reverse-cpp").Copy(t)
	if err := os.Remove(filepath.Join(lost, "CURRENT")); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		dir    string
		status int
	}{{damaged, tools.ExitFailed}, {lost, tools.ExitOK}} {
		before := testcorpus.Snap(t, c.dir)
		out := filepath.Join(t.TempDir(), "new")
		for _, args := range [][]string{{"repair", c.dir, "--dry-run", "--json"}, {"salvage", c.dir, out, "--json"}} {
			text, errs, status := run(t, corpusEnv(), args...)
			if status != c.status || !json.Valid([]byte(text)) {
				t.Errorf("%v: status %d: %s %s", args, status, text, errs)
			}
			if d := before.Diff(testcorpus.Snap(t, c.dir)); len(d) > 0 {
				t.Errorf("%v: %v", args, d)
			}
		}
		if text, errs, status := run(t, corpusEnv(), "repair", c.dir); status != c.status {
			t.Errorf("repair: status %d: %s %s", status, text, errs)
		}
		for _, dir := range []string{c.dir, out} {
			if text, errs, status := run(t, corpusEnv(), "verify", dir); status != tools.ExitOK {
				t.Errorf("verify: %s %s", text, errs)
			}
		}
		repaired, _, _ := run(t, corpusEnv(), "export", c.dir)
		salvaged, _, _ := run(t, corpusEnv(), "export", out)
		if repaired != salvaged || repaired == "" {
			t.Errorf("%s: repair and salvage differ", c.dir)
		}
	}
}

// TestRepairAsks shows a person what would be done before anything is, and does not
// ask about a sound database.
func TestRepairAsks(t *testing.T) {
	dir := testcorpus.Get(t, "levels-cpp").Copy(t)
	asked := 0
	env := tools.Env{Confirm: func(string) (bool, error) { asked++; return false, nil }}
	if _, errs, status := run(t, env, "repair", dir); status != tools.ExitOK || asked > 0 {
		t.Fatalf("sound: status %d, asked %d times: %s", status, asked, errs)
	}
	if err := os.Remove(filepath.Join(dir, "CURRENT")); err != nil {
		t.Fatal(err)
	}
	before := testcorpus.Snap(t, dir)
	_, errs, status := run(t, env, "repair", dir)
	if status != tools.ExitFailed || asked != 1 || !strings.Contains(errs, "what would be done") {
		t.Errorf("no: status %d, asked %d times: %s", status, asked, errs)
	}
	if d := before.Diff(testcorpus.Snap(t, dir), "LOCK"); len(d) > 0 {
		t.Errorf("no: %v", d)
	}
	if _, errs, status := run(t, env, "repair", dir, "--yes"); status != tools.ExitOK || asked != 1 {
		t.Errorf("--yes: status %d, asked %d times: %s", status, asked, errs)
	}
}
