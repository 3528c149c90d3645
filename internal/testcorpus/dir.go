package testcorpus

import (
	"crypto/sha256"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"testing"
)

// CopyDir copies the tree under src to dst, which must not exist. Everything in
// the copy is writable, whatever the modes of the original.
func CopyDir(tb testing.TB, src, dst string) {
	tb.Helper()
	err := filepath.WalkDir(src, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		rel, err := filepath.Rel(src, path)
		if err != nil {
			return err
		}
		if d.IsDir() {
			return os.MkdirAll(filepath.Join(dst, rel), 0o755)
		}
		return copyFile(path, filepath.Join(dst, rel))
	})
	if err != nil {
		tb.Fatal(err)
	}
}

func copyFile(src, dst string) error {
	in, err := os.Open(src)
	if err != nil {
		return err
	}
	defer in.Close()
	out, err := os.OpenFile(dst, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o644)
	if err != nil {
		return err
	}
	if _, err := io.Copy(out, in); err != nil {
		out.Close()
		return err
	}
	return out.Close()
}

// A Snapshot is the state of a directory tree: for each path in it the kind,
// size and hash.
type Snapshot map[string]string

// Snap takes a snapshot of dir. An entry that is a directory counts too. A
// missing dir is an empty snapshot.
func Snap(tb testing.TB, dir string) Snapshot {
	tb.Helper()
	s := Snapshot{}
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || path == dir {
			return err
		}
		rel, err := filepath.Rel(dir, path)
		if err != nil {
			return err
		}
		if d.IsDir() {
			s[rel] = "directory"
			return nil
		}
		b, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		s[rel] = fmt.Sprintf("%d bytes, sha256 %x", len(b), sha256.Sum256(b))
		return nil
	})
	if err != nil && !os.IsNotExist(err) {
		tb.Fatal(err)
	}
	return s
}

// Diff returns one line for each path that differs between s and later, in path
// order; nothing if they are equal. Paths in ignore are left out.
func (s Snapshot) Diff(later Snapshot, ignore ...string) []string {
	paths := maps.Clone(s)
	maps.Copy(paths, later)
	var lines []string
	for _, p := range slices.Sorted(maps.Keys(paths)) {
		before, had := s[p]
		after, has := later[p]
		if before == after || slices.Contains(ignore, p) {
			continue
		}
		switch {
		case !had:
			lines = append(lines, fmt.Sprintf("%s appeared (%s)", p, after))
		case !has:
			lines = append(lines, fmt.Sprintf("%s vanished (%s)", p, before))
		default:
			lines = append(lines, fmt.Sprintf("%s changed: %s -> %s", p, before, after))
		}
	}
	return lines
}
