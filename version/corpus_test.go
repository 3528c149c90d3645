package version_test

import (
	"errors"
	"path/filepath"
	"slices"
	"testing"

	"github.com/strata-db/strata/internal/base"
	"github.com/strata-db/strata/internal/testcorpus"
	"github.com/strata-db/strata/version"
	"github.com/strata-db/strata/vfs"
)

// failsHere names the damaged cases whose damage lies in pointer, manifest or presence
// of files, so that Load must be the one to notice.
var failsHere = []string{
	"cmp-wrong-cpp", "current-dangling-cpp", "current-empty-cpp", "current-garbage-cpp",
	"current-missing-cpp", "log-missing-cpp", "manifest-empty-cpp", "manifest-flip-first-cpp",
	"manifest-flip-last-cpp", "manifest-level9-cpp", "manifest-missing-cpp", "manifest-no-seq-cpp",
	"manifest-short-edit-cpp", "manifest-tag8-cpp", "manifest-torn-cpp", "manifest-torn-header-cpp",
	"manifest-unknown-tag-cpp", "table-missing-cpp",
}

// TestCorpus loads every database that other software wrote and holds Load to what
// its case demands at this layer, without anything changing on disk.
func TestCorpus(t *testing.T) {
	cases, full := testcorpus.Load(t)
	for _, c := range cases {
		t.Run(c.ID, func(t *testing.T) {
			before := testcorpus.Snap(t, c.DB())
			s, err := version.Load(version.Options{FS: vfs.OS, Dir: c.DB(), Cmp: c.Comparer(t)})
			if diff := before.Diff(testcorpus.Snap(t, c.DB())); diff != nil {
				t.Fatalf("Load changed the directory: %v", diff)
			}
			checkOutcome(t, c, err)
			if err == nil {
				checkSet(t, c, s)
			}
		})
	}
	if full && len(cases) != testcorpus.FullCount {
		t.Errorf("%d cases, want %d", len(cases), testcorpus.FullCount)
	}
}

func checkOutcome(t *testing.T, c *testcorpus.Case, err error) {
	t.Helper()
	known := errors.Is(err, base.ErrCorruption) || errors.Is(err, base.ErrComparerMismatch)
	if err != nil && !known {
		t.Fatalf("error without a kind: %v", err)
	}
	switch {
	case slices.Contains(failsHere, c.ID):
		if err == nil {
			t.Fatal("loads, want an error")
		}
		t.Log(err)
	case c.Outcome() == testcorpus.ExactOrError:
		t.Log(err)
	case err != nil:
		t.Fatalf("outcome %s, damage not at this layer: %v", c.Outcome(), err)
	}
}

func checkSet(t *testing.T, c *testcorpus.Case, s *version.Set) {
	t.Helper()
	v := s.Current()
	defer v.Unref()
	if err := v.CheckOrder(c.Comparer(t)); err != nil {
		t.Error(err)
	}
	list, err := version.List(vfs.OS, c.DB())
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range list.Files {
		if f.Num >= s.NextFileNum() {
			t.Errorf("next file number %s, but %s exists", s.NextFileNum(), f.Name)
		}
	}
	for level := range version.NumLevels {
		for _, f := range v.Files(level) {
			if !slices.ContainsFunc(list.Files, func(l version.ListedFile) bool { return l.Name == f.Name() }) {
				t.Errorf("live table %s is not in the directory", f.Name())
			}
		}
	}
	if err := s.Close(); err != nil {
		t.Error(err)
	}
}

// TestCorpusApply makes every loadable database's set begin a manifest of its own and
// loads that again: the same tree and numbers must come back.
func TestCorpusApply(t *testing.T) {
	cases, _ := testcorpus.Load(t)
	for _, c := range cases {
		o := version.Options{FS: inMemory(t, c.DB()), Dir: "db", Cmp: c.Comparer(t)}
		s, err := version.Load(o)
		if err != nil {
			continue
		}
		v := s.Current()
		if err := s.Apply(&version.Edit{}); err != nil {
			t.Fatalf("%s: %v", c.ID, err)
		}
		if err := s.Close(); err != nil {
			t.Fatalf("%s: %v", c.ID, err)
		}
		s2, err := version.Load(o)
		if err != nil {
			t.Fatalf("%s: second Load: %v", c.ID, err)
		}
		v2 := s2.Current()
		if v.DebugString() != v2.DebugString() {
			t.Errorf("%s: tree\n%swas\n%s", c.ID, v2.DebugString(), v.DebugString())
		}
		if s.LogNum() != s2.LogNum() || s.PrevLogNum() != s2.PrevLogNum() || s.LastSeq() != s2.LastSeq() {
			t.Errorf("%s: log %s prev %s seq %d, was %s %s %d", c.ID,
				s2.LogNum(), s2.PrevLogNum(), s2.LastSeq(), s.LogNum(), s.PrevLogNum(), s.LastSeq())
		}
	}
}

// inMemory copies a directory of the disk to the directory db of a new file system.
func inMemory(t *testing.T, dir string) vfs.FS {
	t.Helper()
	mem := vfs.NewMem()
	must(t, mem.MkdirAll("db"))
	for _, name := range names(t, vfs.OS, dir) {
		info, err := vfs.OS.Stat(filepath.Join(dir, name))
		must(t, err)
		if info.IsDir() {
			must(t, mem.MkdirAll("db/"+name))
			continue
		}
		write(t, mem, "db", name, string(read(t, vfs.OS, filepath.Join(dir, name))))
	}
	return mem
}
