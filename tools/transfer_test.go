package tools_test

import (
	"bytes"
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/strata-db/strata"
	"github.com/strata-db/strata/tools"
)

// TestBinaryRoundTrip exports a database with empty, binary and large entries in
// the binary form, of several frames and batches, and loads it into another: both
// then hold the same, progress was shown, and a cut stream is refused with what
// came before it in place.
func TestBinaryRoundTrip(t *testing.T) {
	old, copied, part := t.TempDir()+"/old", t.TempDir()+"/new", t.TempDir()+"/part"
	db, err := strata.Open(old, nil)
	if err != nil {
		t.Fatal(err)
	}
	put := func(k, v string) {
		if err := db.Put([]byte(k), []byte(v), nil); err != nil {
			t.Fatal(err)
		}
	}
	put("", "")
	put("\x00\xff", "\n")
	put("large", strings.Repeat("x", 700<<10))
	for i := range 3000 {
		put(fmt.Sprintf("key%06d", i), strings.Repeat("v", i))
	}
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}

	must := func(env tools.Env, args ...string) string {
		t.Helper()
		out, errs, status := run(t, env, args...)
		if status != tools.ExitOK {
			t.Fatalf("%v: %s", args, errs)
		}
		return out
	}
	stream := must(tools.Env{}, "export", "--binary", old)
	shown := int64(0)
	env := tools.Env{In: strings.NewReader(stream), Progress: func(p tools.Progress) {
		if p.What == "records" {
			shown = p.Done
		}
	}}
	must(env, "load", copied, "--create")
	if a, b := must(tools.Env{}, "export", old), must(tools.Env{}, "export", copied); a != b || strings.Count(a, "\n") != 3003 {
		t.Errorf("%d and %d bytes of JSON", len(a), len(b))
	}
	if again := must(tools.Env{}, "export", "--binary", copied); again != stream {
		t.Error("the copy's stream is another")
	}
	if shown == 0 {
		t.Error("no progress was shown")
	}

	env = tools.Env{In: bytes.NewReader([]byte(stream)[:len(stream)/2])}
	_, errs, status := run(t, env, "load", part, "--create", "--binary")
	if status != tools.ExitFailed || !strings.Contains(errs, "the stream ends before the end frame") || strings.Contains(errs, "after 0 ") {
		t.Errorf("half a stream: status %d, %s", status, errs)
	}
}

// ticking is a clock that goes on by a millisecond whenever it is asked.
func ticking() func() time.Time {
	var now time.Time
	return func() time.Time { now = now.Add(time.Millisecond); return now }
}

// TestRecompressTimes checks that times are taken with the clock of the Env: a
// block of 1000 bytes that takes a millisecond makes 1000 ms/MB.
func TestRecompressTimes(t *testing.T) {
	dir := t.TempDir() + "/db"
	db, err := strata.Open(dir, nil)
	if err != nil {
		t.Fatal(err)
	}
	if err := db.Put([]byte("key"), bytes.Repeat([]byte("value "), 163)[:977], nil); err != nil {
		t.Fatal(err)
	}
	if err := db.Flush(); err != nil {
		t.Fatal(err)
	}
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	out, errs, status := run(t, tools.Env{Clock: ticking()}, "sst", "layout", dir, "--recompress", "--json")
	lines := strings.Split(strings.TrimSpace(out), "\n")
	if status != tools.ExitOK || len(lines) != 3 {
		t.Fatalf("status %d, %s%s", status, out, errs)
	}
	for i, want := range []string{`"compression":"none"`, `"compression":"snappy"`, `"compression":"zstd"`} {
		if !strings.Contains(lines[i], want) || !strings.Contains(lines[i], `"raw_size":1000,`) {
			t.Errorf("line %d is %s", i, lines[i])
		}
		if timed := strings.Contains(lines[i], `"compress_ms_per_mb":1000,"decompress_ms_per_mb":1000}`); timed != (i > 0) {
			t.Errorf("line %d is %s", i, lines[i])
		}
	}
}

// TestTransferProgress: export and load tell how far they are, load of a file by its
// size, and never beyond the end.
func TestTransferProgress(t *testing.T) {
	dir := paint(t, "healthy")
	var seen []tools.Progress
	env := tools.Env{Progress: func(p tools.Progress) { seen = append(seen, p) }}
	out, errs, status := run(t, env, "export", dir)
	if status != tools.ExitOK || len(seen) == 0 || seen[0].Total == 0 || seen[0].Done != 0 {
		t.Fatalf("export: %v %s", seen, errs)
	}
	name := t.TempDir() + "/lines"
	if err := os.WriteFile(name, []byte(out), 0o644); err != nil {
		t.Fatal(err)
	}
	f, err := os.Open(name)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	seen, env.In = nil, f
	if _, errs, status := run(t, env, "load", dir+"-copy", "--create"); status != tools.ExitOK {
		t.Fatal(errs)
	}
	if len(seen) == 0 || seen[0].Total != int64(len(out)) {
		t.Fatalf("load of %d bytes: %v", len(out), seen)
	}
	for _, p := range seen {
		if p.Done <= 0 || p.Done > p.Total {
			t.Errorf("load: %v", p)
		}
	}
}
