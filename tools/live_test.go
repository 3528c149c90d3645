package tools_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"sync"
	"testing"

	"github.com/strata-db/strata"
	"github.com/strata-db/strata/tools"
)

// TestBesideALiveWriter reads a database again and again while it is written,
// flushed and compacted, its tables and logs deleted under the reader. Each batch
// gives all keys the same value: a scan that shows two values saw half a batch, or
// two states.
func TestBesideALiveWriter(t *testing.T) {
	dir := t.TempDir() + "/db"
	db, err := strata.Open(dir, &strata.Options{MemtableBytes: 64 << 10, TableBytes: 32 << 10})
	if err != nil {
		t.Fatal(err)
	}
	const keys = 200
	write := func(n int) error {
		var b strata.Batch
		for i := range keys {
			b.Put(fmt.Appendf(nil, "key%04d", i), fmt.Appendf(nil, "%0100d", n))
		}
		return db.Write(&b, nil)
	}
	if err := write(0); err != nil {
		t.Fatal(err)
	}
	stop := make(chan struct{})
	var wg sync.WaitGroup
	wg.Go(func() {
		for n := 1; ; n++ {
			select {
			case <-stop:
				return
			default:
			}
			if err := write(n); err != nil {
				t.Error(err)
				return
			}
		}
	})
	rounds := 60
	if testing.Short() {
		rounds = 15
	}
	last := ""
	for range rounds {
		last = checkLive(t, dir, keys, last)
	}
	close(stop)
	wg.Wait()
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
}

// checkLive runs the reading commands once and returns the value they showed.
func checkLive(t *testing.T, dir string, keys int, last string) string {
	t.Helper()
	out, errs, status := run(t, tools.Env{}, "scan", dir)
	if status != tools.ExitOK {
		t.Fatalf("scan: %s", errs)
	}
	lines := strings.Split(strings.TrimSpace(out), "\n")
	_, value, _ := strings.Cut(lines[0], ",SET:")
	if len(lines) != keys || strings.Count(out, value) != keys {
		t.Fatalf("scan shows %d keys and the first value %d times, want %d\n%s", len(lines), strings.Count(out, value), keys, errs)
	}
	if value < last {
		t.Fatalf("scan went back in time, from %s to %s", last, value)
	}
	for _, args := range [][]string{
		{"verify", dir}, {"get", dir, "key0100"}, {"find", dir, "key0100"}, {"stats", dir}, {"lsm", dir}, {"doctor", dir}, {"count", dir},
		{"manifest", "dump", dir},
	} {
		if out, errs, status := run(t, tools.Env{}, args...); status != tools.ExitOK {
			t.Fatalf("%v: %s %s", args, out, errs)
		}
	}
	return value
}

// TestJSONIsJSON runs every command that looks with --json and parses each line.
func TestJSONIsJSON(t *testing.T) {
	dir := t.TempDir() + "/db"
	db, err := strata.Open(dir, nil)
	if err != nil {
		t.Fatal(err)
	}
	for i := range 100 {
		if err := db.Put(fmt.Appendf(nil, "k%02d\xff", i), []byte{byte(i)}, nil); err != nil {
			t.Fatal(err)
		}
	}
	if err := db.Flush(); err != nil {
		t.Fatal(err)
	}
	if err := db.Delete([]byte("k07\xff"), nil); err != nil {
		t.Fatal(err)
	}
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	for _, c := range tools.Commands() {
		if c.Writes {
			continue
		}
		args := append(strings.Fields(c.Name), dir, "--json")
		if strings.Contains(c.Args, "KEY") {
			args = append(args, `k42\xff`)
		}
		out, errs, status := run(t, tools.Env{}, args...)
		if status != tools.ExitOK || out == "" {
			t.Errorf("%s: %s", c.Name, errs)
		}
		for line := range strings.Lines(out) {
			if !json.Valid([]byte(line)) {
				t.Errorf("%s: no JSON: %s", c.Name, line)
			}
		}
	}
}

// TestExportAndLoad moves a database through JSON lines, and shows that bad lines
// are refused with their number.
func TestExportAndLoad(t *testing.T) {
	dir := t.TempDir()
	put := func(k, v string) {
		if _, errs, status := run(t, tools.Env{}, "put", dir+"/a", k, v, "--create"); status != tools.ExitOK {
			t.Fatal(errs)
		}
	}
	put("hex:00ff", "one")
	put("b", "hex:")
	out, _, _ := run(t, tools.Env{}, "export", dir+"/a")
	if _, errs, status := run(t, tools.Env{In: strings.NewReader(out)}, "load", dir+"/b", "--create"); status != tools.ExitOK {
		t.Fatal(errs)
	}
	if back, _, _ := run(t, tools.Env{}, "export", dir+"/b"); back != out || strings.Count(out, "\n") != 2 {
		t.Errorf("exported %q, loaded and exported %q", out, back)
	}
	for _, bad := range []string{"{", `{"k":"00"}`, `{"k":"0","v":""}`, `{"k":"00","v":"00","x":1}`} {
		in := strings.NewReader(`{"k":"01","v":"02"}` + "\n" + bad)
		_, errs, status := run(t, tools.Env{In: in}, "load", dir+"/b")
		if status != tools.ExitFailed || !strings.Contains(errs, "line 2") {
			t.Errorf("%s: status %d, %s", bad, status, errs)
		}
	}
}

// TestInterrupt ends commands by their context.
func TestInterrupt(t *testing.T) {
	dir := t.TempDir() + "/db"
	if _, errs, status := run(t, tools.Env{}, "put", dir, "k", "v", "--create"); status != tools.ExitOK {
		t.Fatal(errs)
	}
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	for _, args := range [][]string{
		{"scan", dir}, {"compact", dir}, {"checkpoint", dir, dir + "-copy"}, {"export", dir},
		{"repair", dir}, {"repair", dir, "--dry-run"}, {"salvage", dir, dir + "-copy"},
	} {
		var out, errs bytes.Buffer
		if status := tools.Main(ctx, tools.Env{Out: &out, Err: &errs}, args); status != tools.ExitFailed {
			t.Errorf("%v: status %d: %s", args, status, &errs)
		}
	}
	if _, errs, status := run(t, tools.Env{}, "verify", dir); status != tools.ExitOK {
		t.Error(errs)
	}
	if _, _, status := run(t, tools.Env{}, "scan", dir+"-copy"); status != tools.ExitFailed {
		t.Error("an interrupted checkpoint or salvage left a database")
	}
}

// TestDestroyAsks asks a person, if there is one, and an interrupt is no yes.
func TestDestroyAsks(t *testing.T) {
	dir := t.TempDir() + "/db"
	if _, errs, status := run(t, tools.Env{}, "put", dir, "k", "v", "--create"); status != tools.ExitOK {
		t.Fatal(errs)
	}
	ctx, cancel := context.WithCancel(context.Background())
	for _, c := range []struct {
		confirm func(string) (bool, error)
		status  int
	}{
		{nil, tools.ExitUsage},
		{func(string) (bool, error) { return false, nil }, tools.ExitFailed},
		{func(string) (bool, error) { cancel(); return true, nil }, tools.ExitFailed},
	} {
		if status := tools.Main(ctx, tools.Env{Confirm: c.confirm}, []string{"destroy", dir}); status != c.status {
			t.Errorf("status %d, want %d", status, c.status)
		}
		if out, _, _ := run(t, tools.Env{}, "get", dir, "k"); out != "v\n" {
			t.Fatal("the database is gone")
		}
	}
	yes := func(string) (bool, error) { return true, nil }
	if _, errs, status := run(t, tools.Env{Confirm: yes}, "destroy", dir); status != tools.ExitOK {
		t.Error(errs)
	}
	if out, _, _ := run(t, tools.Env{}, "get", dir, "k"); out != "" {
		t.Error("the database is still there")
	}
}

// TestCommandsAreDescribed keeps help complete.
func TestCommandsAreDescribed(t *testing.T) {
	for _, c := range tools.Commands() {
		if c.Short == "" || c.Args == "" || !strings.Contains(c.Example, "strata "+c.Name) {
			t.Errorf("%s: Short, Args or Example is missing", c.Name)
		}
		found, rest, ok := tools.Find(append(strings.Fields(c.Name), "rest"))
		if !ok || found.Name != c.Name || len(rest) != 1 {
			t.Errorf("%s is not found by its name", c.Name)
		}
	}
}

// What writes says of an open database what to do, instead of the name of the lock;
// what looks works beside it.
func TestOpenDatabase(t *testing.T) {
	dir := t.TempDir() + "/db"
	db, err := strata.Open(dir, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	if err := db.Put([]byte("k"), []byte("v"), nil); err != nil {
		t.Fatal(err)
	}
	for _, args := range [][]string{{"put", dir, "a", "b"}, {"repair", dir}, {"compact", dir}, {"destroy", dir, "--yes"}} {
		_, errs, status := run(t, tools.Env{}, args...)
		if want := "strata: " + dir + ": another program has it open"; status != tools.ExitFailed || !strings.HasPrefix(errs, want) {
			t.Errorf("%s: status %d, %q", args[0], status, errs)
		}
	}
	if out, errs, status := run(t, tools.Env{}, "get", dir, "k"); status != tools.ExitOK || out != "v\n" {
		t.Errorf("get: status %d, %q, %q", status, out, errs)
	}
}
