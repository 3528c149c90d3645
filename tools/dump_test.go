package tools_test

import (
	"bytes"
	"encoding/binary"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/strata-db/strata/internal/checksum"
	"github.com/strata-db/strata/internal/testcorpus"
	"github.com/strata-db/strata/tools"
	"github.com/strata-db/strata/vfs"
)

// TestDumpIsLevelDBs compares dump with what LevelDB 1.23 printed (DumpFile) for
// files of the corpus. The files are named CASE_FILE.txt.
func TestDumpIsLevelDBs(t *testing.T) {
	texts, err := filepath.Glob("testdata/dump/*.txt")
	if err != nil || len(texts) == 0 {
		t.Fatalf("no texts: %v", err)
	}
	for _, name := range texts {
		want, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		id, file, _ := strings.Cut(strings.TrimSuffix(filepath.Base(name), ".txt"), "_")
		got, errs, status := run(t, tools.Env{}, "dump", filepath.Join(testcorpus.Get(t, id).DB(), file))
		if status != tools.ExitOK || got != string(want) {
			t.Errorf("%s: status %d, %s\n%s", name, status, errs, firstDifference(got, string(want)))
		}
	}
}

// fragment is one fragment of a log as LevelDB frames it.
func fragment(typ byte, data string) []byte {
	b := binary.LittleEndian.AppendUint16(make([]byte, 4), uint16(len(data)))
	b = append(append(b, typ), data...)
	binary.LittleEndian.PutUint32(b, checksum.Mask(checksum.New(b[6:])))
	return b
}

// TestDumpReadsOnBehindDamage checks the reports of a damaged log, in LevelDB's
// words, and that what follows is shown.
func TestDumpReadsOnBehindDamage(t *testing.T) {
	put := func(seq byte, key string) string {
		return string([]byte{seq, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 1, byte(len(key))}) + key + "\x01v"
	}
	flipped := fragment(1, put(9, "x"))
	flipped[len(flipped)-1] ^= 1
	for _, c := range []struct {
		name  string
		parts [][]byte
		want  string
	}{
		{"whole", [][]byte{fragment(1, put(1, "a"))}, "--- offset 0; sequence 1\n  put 'a' 'v'\n"},
		{"fragments", [][]byte{fragment(2, put(1, "a")[:9]), fragment(3, put(1, "a")[9:12]), fragment(4, put(1, "a")[12:])}, "--- offset 0; sequence 1\n  put 'a' 'v'\n"},
		{"short", [][]byte{fragment(1, "abc")}, "--- offset 0; log record length 3 is too small\n"},
		{"tag", [][]byte{fragment(1, put(1, "a")[:12]+"\x07")}, "--- offset 0; sequence 1\n  error: Corruption: unknown WriteBatch tag\n"},
		{"count", [][]byte{fragment(1, put(1, "a")[:12])}, "--- offset 0; sequence 1\n  error: Corruption: WriteBatch has wrong count\n"},
		{"checksum", [][]byte{fragment(1, put(1, "a")), flipped}, "--- offset 0; sequence 1\n  put 'a' 'v'\ncorruption: 24 bytes; Corruption: checksum mismatch\n"},
		{"no end", [][]byte{fragment(2, "abc"), fragment(1, put(2, "b"))}, "corruption: 3 bytes; Corruption: partial record without end(1)\n--- offset 10; sequence 2\n  put 'b' 'v'\n"},
		{"no beginning", [][]byte{fragment(4, "abc"), fragment(1, put(2, "b"))}, "corruption: 3 bytes; Corruption: missing start of fragmented record(2)\n--- offset 10; sequence 2\n  put 'b' 'v'\n"},
		{"type", [][]byte{fragment(9, "abc"), fragment(1, put(2, "b"))}, "corruption: 3 bytes; Corruption: unknown record type 9\n--- offset 10; sequence 2\n  put 'b' 'v'\n"},
		{"torn", [][]byte{fragment(1, put(1, "a")), fragment(1, put(2, "b"))[:20]}, "--- offset 0; sequence 1\n  put 'a' 'v'\n"},
		{"zeros", [][]byte{fragment(1, put(1, "a")), make([]byte, 100)}, "--- offset 0; sequence 1\n  put 'a' 'v'\n"},
	} {
		fsys := vfs.NewMem()
		f, err := fsys.Create("000001.log")
		if err != nil {
			t.Fatal(err)
		}
		if _, err := f.Write(bytes.Join(c.parts, nil)); err != nil {
			t.Fatal(err)
		}
		if err := f.Close(); err != nil {
			t.Fatal(err)
		}
		got, errs, status := run(t, tools.Env{FS: fsys}, "dump", "000001.log")
		if got != c.want {
			t.Errorf("%s: got %q, want %q (%s)", c.name, got, c.want, errs)
		}
		if damaged := strings.Contains(c.want, "orruption") || strings.Contains(c.want, "too small"); damaged != (status == tools.ExitFailed) {
			t.Errorf("%s: status %d", c.name, status)
		}
	}
}

// TestDumpNeedsNoOrder dumps every file of every case, whatever their order of
// keys: no panic, and no error but damage in cases that have some.
func TestDumpNeedsNoOrder(t *testing.T) {
	cases, _ := testcorpus.Load(t)
	for _, c := range cases {
		_, errs, status := run(t, tools.Env{}, "dump", c.DB())
		if status != tools.ExitOK && c.Healthy {
			t.Errorf("%s: %s", c.ID, errs)
		}
	}
}
