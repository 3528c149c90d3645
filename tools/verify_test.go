package tools_test

import (
	"encoding/hex"
	"encoding/json"
	"strings"
	"testing"

	"github.com/strata-db/strata/internal/testcorpus"
	"github.com/strata-db/strata/tools"
)

// TestVerifyNamesKeys: each key that is lost with a damaged or missing table is in one
// of the ranges that verify names.
func TestVerifyNamesKeys(t *testing.T) {
	cases, _ := testcorpus.Load(t)
	named := 0
	for _, c := range cases {
		// In the one with keys out of order these have other names on disk.
		if !strings.HasPrefix(c.ID, "table-") || c.ID == "table-out-of-order-cpp" {
			continue
		}
		out, _, status := run(t, corpusEnv(), "verify", c.DB(), "--json")
		if status != tools.ExitFailed {
			continue
		}
		var r struct {
			Affected []struct{ From, To string }
		}
		if err := json.Unmarshal([]byte(out), &r); err != nil {
			t.Fatal(err)
		}
		saved := t.TempDir() + "/saved"
		run(t, corpusEnv(), "salvage", c.DB(), saved)
		out, errs, status := run(t, corpusEnv(), "scan", saved, "--json")
		if status != tools.ExitOK {
			t.Fatalf("%s: %s", c.ID, errs)
		}
		there := make(map[string]bool)
		for _, e := range scanned(t, out) {
			there[hex.EncodeToString(e.Key)] = true
		}
		for _, e := range c.Content(t) {
			key := hex.EncodeToString(e.Key)
			in := there[key]
			for _, a := range r.Affected {
				if key >= a.From && key <= a.To {
					in = true
					named++
				}
			}
			if !in {
				t.Errorf("%s: %s is lost, and in none of %v", c.ID, e.Key, r.Affected)
			}
		}
	}
	if named == 0 {
		t.Skip("the subset of the corpus has no damaged tables")
	}
}
