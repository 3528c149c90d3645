package tools_test

import (
	"encoding/hex"
	"strings"
	"testing"

	"github.com/strata-db/strata"
	"github.com/strata-db/strata/internal/testcorpus"
	"github.com/strata-db/strata/tools"
	"github.com/strata-db/strata/tools/comparers"
)

// TestUnknownOrder reads a database whose order of keys the tool does not know:
// commands that need it name it, the others work.
func TestUnknownOrder(t *testing.T) {
	dir := testcorpus.Get(t, "cmp-lenfirst-go").DB()
	for _, args := range [][]string{
		{"scan", dir}, {"get", dir, "a"}, {"count", dir}, {"export", dir}, {"find", dir, "a"}, {"approxsize", dir}, {"put", dir, "k", "v"},
		{"repair", dir, "--dry-run"},
	} {
		if _, errs, status := run(t, tools.Env{}, args...); status != tools.ExitFailed || !strings.Contains(errs, `"interop.lenfirst"`) {
			t.Errorf("%v: status %d, %s", args, status, errs)
		}
	}
	for _, args := range [][]string{
		{"dump", dir}, {"lsm", dir}, {"stats", dir}, {"wal", "dump", dir}, {"manifest", "dump", dir}, {"sst", "scan", dir},
		{"sst", "layout", dir}, {"sst", "properties", dir},
	} {
		if out, errs, status := run(t, tools.Env{}, args...); status != tools.ExitOK || out == "" {
			t.Errorf("%v: status %d, %s", args, status, errs)
		}
	}
	for _, args := range [][]string{{"verify", dir}, {"sst", "verify", dir}, {"doctor", dir}} {
		out, errs, status := run(t, tools.Env{}, args...)
		if status != tools.ExitOK || !strings.Contains(out, "not known") && !strings.Contains(out, "does not know") {
			t.Errorf("%v: status %d, %s%s", args, status, out, errs)
		}
	}
	if _, errs, status := run(t, tools.Env{}, "scan", dir, "--comparer", "nonsense"); status != tools.ExitUsage {
		t.Errorf("a nonsense order: status %d, %s", status, errs)
	}
}

// TestIndexedDB scans a database in the order of Chromium's IndexedDB, which is
// built in: numbers sort by value, not as bytes.
func TestIndexedDB(t *testing.T) {
	dir := t.TempDir() + "/db"
	db, err := strata.Open(dir, &strata.Options{Comparer: comparers.IndexedDB})
	if err != nil {
		t.Fatal(err)
	}
	ascending := []string{
		"00010101" + "03" + "00000000000000c0", // -2
		"00010101" + "03" + "000000000000f03f", // 1, though its bytes are larger
		"00010101" + "03" + "0000000000000840", // 3
	}
	for _, s := range ascending {
		k, err := hex.DecodeString(s)
		if err != nil {
			t.Fatal(err)
		}
		if err := db.Put(k, nil, nil); err != nil {
			t.Fatal(err)
		}
	}
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	out, errs, status := run(t, tools.Env{}, "scan", dir, "--keys", "--hex")
	if want := strings.Join(ascending, "\n") + "\n"; out != want || status != tools.ExitOK {
		t.Errorf("got %s, want %s, %s", out, want, errs)
	}
}
