package testcorpus

import (
	"bufio"
	"compress/gzip"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"strings"
	"testing"
)

// An Entry is one key of a case's content with its value, or, for values over
// 256 bytes, with the value's length and SHA-256.
type Entry struct {
	Key    []byte
	Value  []byte // nil if Digest is set
	Len    int    // of the value, in bytes
	Digest string // SHA-256 in hex; empty if Value is given
}

// EntryOf returns the entry of a key and a value known in full. It keeps both.
func EntryOf(key, value []byte) Entry { return Entry{Key: key, Value: value, Len: len(value)} }

// Match reports whether v is the entry's value.
func (e Entry) Match(v []byte) bool {
	if len(v) != e.Len {
		return false
	}
	if e.Digest == "" {
		return string(v) == string(e.Value)
	}
	sum := sha256.Sum256(v)
	return hex.EncodeToString(sum[:]) == e.Digest
}

// String describes the entry in one short line.
func (e Entry) String() string {
	if e.Digest != "" {
		return fmt.Sprintf("%x = %d bytes, sha256 %s", e.Key, e.Len, e.Digest)
	}
	return fmt.Sprintf("%x = %x", e.Key, e.Value)
}

// jsonEntry is one line of a golden file.
type jsonEntry struct {
	K   string  `json:"k"`
	V   *string `json:"v"`
	N   int     `json:"n"`
	Sum string  `json:"sha256"`
}

func (j jsonEntry) decode() (e Entry, err error) {
	if e.Key, err = hex.DecodeString(j.K); err != nil {
		return e, err
	}
	if j.V == nil {
		e.Len, e.Digest = j.N, j.Sum
		if len(j.Sum) != hex.EncodedLen(sha256.Size) {
			return e, fmt.Errorf("neither a value nor a digest")
		}
		return e, nil
	}
	e.Value, err = hex.DecodeString(*j.V)
	e.Len = len(e.Value)
	return e, err
}

// readEntries reads a golden file, plain or gzipped.
func readEntries(tb testing.TB, file string) []Entry {
	tb.Helper()
	f, err := os.Open(file)
	if err != nil {
		tb.Fatal(err)
	}
	defer f.Close()
	var r io.Reader = f
	if strings.HasSuffix(file, ".gz") {
		if r, err = gzip.NewReader(f); err != nil {
			tb.Fatalf("%s: %v", file, err)
		}
	}
	var entries []Entry
	lines := bufio.NewScanner(r)
	lines.Buffer(nil, 16<<20)
	for lines.Scan() {
		var j jsonEntry
		if err := json.Unmarshal(lines.Bytes(), &j); err != nil {
			tb.Fatalf("%s line %d: %v", file, len(entries)+1, err)
		}
		e, err := j.decode()
		if err != nil {
			tb.Fatalf("%s line %d: %v", file, len(entries)+1, err)
		}
		entries = append(entries, e)
	}
	if err := lines.Err(); err != nil {
		tb.Fatalf("%s: %v", file, err)
	}
	return entries
}
