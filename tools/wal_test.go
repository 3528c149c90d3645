package tools_test

import (
	"bytes"
	"encoding/json"
	"strings"
	"testing"

	"github.com/strata-db/strata"
	"github.com/strata-db/strata/tools"
	"github.com/strata-db/strata/vfs"
)

// TestWALChunks: the chunks of a record lie in one block each and hold all of it.
func TestWALChunks(t *testing.T) {
	fs := vfs.NewMem()
	db, err := strata.Open("db", &strata.Options{FS: fs})
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	for _, n := range []int{1, 100_000, 32_768 - 7, 5} {
		if err := db.Put([]byte("key"), bytes.Repeat([]byte("v"), n), nil); err != nil {
			t.Fatal(err)
		}
	}
	out, errs, status := run(t, tools.Env{FS: fs}, "wal", "dump", "db", "--chunks", "--keys", "--json")
	if status != tools.ExitOK {
		t.Fatal(errs)
	}
	most := 0
	for line := range strings.Lines(out) {
		var r struct {
			What   string
			Bytes  int
			Chunks []struct {
				Offset int64
				Type   string
				Bytes  int
			}
		}
		if err := json.Unmarshal([]byte(line), &r); err != nil {
			t.Fatal(err)
		}
		if !strings.Contains("batch signature mark", r.What) {
			continue
		}
		sum, types := 0, ""
		for _, c := range r.Chunks {
			sum += c.Bytes
			types += c.Type + " "
			if c.Offset/32768 != (c.Offset+7+int64(c.Bytes)-1)/32768 {
				t.Errorf("a chunk of %d bytes at %d crosses a border", c.Bytes, c.Offset)
			}
		}
		middle := strings.Repeat("middle ", max(0, len(r.Chunks)-2))
		if sum != r.Bytes || types != "full " && types != "first "+middle+"last " {
			t.Errorf("%s of %d bytes: chunks %s of %d", r.What, r.Bytes, types, sum)
		}
		most = max(most, len(r.Chunks))
	}
	if most < 4 {
		t.Errorf("no record has more than %d chunks", most)
	}
}
