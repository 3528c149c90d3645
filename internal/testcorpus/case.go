package testcorpus

import (
	"encoding/json"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"

	"github.com/strata-db/strata/internal/base"
)

// FullCount is the number of cases of the full corpus.
const FullCount = 145

// The outcomes a case can demand. See the package comment.
const (
	Exact        = "exact"
	Error        = "error"
	ExactOrError = "exact-or-error"
	Verify       = "verify"
)

// A Case is one database and what is known about it.
type Case struct {
	ID         string   `json:"id"`
	Kind       string   `json:"kind"`
	Derivation []string `json:"derivation"` // what was done to it, for damaged cases
	Healthy    bool     `json:"healthy"`
	Writer     struct {
		Software, Version, End string
		Options                []string
	} `json:"writer"`
	Comparator     string `json:"comparator"`      // the name in the manifest
	OpenComparator string `json:"open_comparator"` // to open with, if another
	Golden         string `json:"golden"`
	Before         string `json:"before"`
	Strata         struct {
		Outcome string `json:"outcome"`
		Data    string `json:"data"` // "golden" or "before"
		Gets    string `json:"gets"` // "unchecked": point reads prove nothing
	} `json:"strata"`

	dir string
}

// Outcome is what Strata must do with the case.
func (c *Case) Outcome() string { return c.Strata.Outcome }

// DB is the directory of the untouched database. It must not be opened for
// writing.
func (c *Case) DB() string { return filepath.Join(c.dir, "db") }

// Comparer is the order to open the case with.
func (c *Case) Comparer(tb testing.TB) *base.Comparer {
	tb.Helper()
	name := c.Comparator
	if c.OpenComparator != "" {
		name = c.OpenComparator
	}
	cmp, ok := Comparer(name)
	if !ok {
		tb.Fatalf("%s: no comparer %q", c.ID, name)
	}
	return cmp
}

// Content is the only content that may be shown.
func (c *Case) Content(tb testing.TB) []Entry {
	tb.Helper()
	name := c.Golden
	if c.Strata.Data == "before" {
		name = c.Before
	}
	return readEntries(tb, filepath.Join(c.dir, name))
}

// DamagedFile is the base name of the file that was edited, empty for healthy
// cases.
func (c *Case) DamagedFile() string {
	if len(c.Derivation) == 0 {
		return ""
	}
	word, _, _ := strings.Cut(c.Derivation[0], " ")
	return strings.TrimSuffix(word, ":")
}

// Copy copies the database to a new writable directory that ends with the test.
func (c *Case) Copy(tb testing.TB) string {
	tb.Helper()
	dst := filepath.Join(tb.TempDir(), c.ID)
	CopyDir(tb, c.DB(), dst)
	return dst
}

// RepoRoot is the root directory of the repository.
func RepoRoot() string {
	_, file, _, ok := runtime.Caller(0)
	if !ok {
		panic("testcorpus: no caller information")
	}
	return filepath.Join(filepath.Dir(file), "..", "..")
}

// Required reports whether missing corpora and peers are failures
// (STRATA_REQUIRE=1).
func Required() bool { return os.Getenv("STRATA_REQUIRE") == "1" }

// Missing skips the test because what is absent, or fails it when Required.
func Missing(tb testing.TB, what string) {
	tb.Helper()
	if Required() {
		tb.Fatalf("%s is missing and STRATA_REQUIRE=1", what)
	}
	tb.Skipf("%s is missing", what)
}

// fullDir returns the directory of the full corpus, or false if there is none.
func fullDir() (string, bool) {
	dir := os.Getenv("STRATA_CORPUS")
	if dir == "" {
		dir = filepath.Join(RepoRoot(), "..", "shared", "corpus")
	}
	_, err := os.Stat(filepath.Join(dir, "INDEX.md"))
	return dir, err == nil
}

// Load returns all cases in name order, and whether they are the full corpus
// (otherwise the subset of the repository).
func Load(tb testing.TB) (cases []*Case, full bool) {
	tb.Helper()
	dir, full := fullDir()
	if !full {
		if Required() {
			tb.Fatalf("no corpus at %s and STRATA_REQUIRE=1 (set STRATA_CORPUS)", dir)
		}
		dir = filepath.Join(RepoRoot(), "testdata", "corpus")
	}
	files, err := filepath.Glob(filepath.Join(dir, "*", "case.json"))
	if err != nil || len(files) == 0 {
		tb.Fatalf("no cases in %s: %v", dir, err)
	}
	slices.Sort(files)
	for _, f := range files {
		cases = append(cases, loadCase(tb, f))
	}
	return cases, full
}

// Get returns the case named id. Without the full corpus it skips the test if
// the case is not in the repository's subset.
func Get(tb testing.TB, id string) *Case {
	tb.Helper()
	cases, _ := Load(tb)
	for _, c := range cases {
		if c.ID == id {
			return c
		}
	}
	Missing(tb, "corpus case "+id)
	return nil
}

func loadCase(tb testing.TB, file string) *Case {
	tb.Helper()
	b, err := os.ReadFile(file)
	if err != nil {
		tb.Fatal(err)
	}
	c := &Case{dir: filepath.Dir(file)}
	if err := json.Unmarshal(b, c); err != nil {
		tb.Fatalf("%s: %v", file, err)
	}
	if c.ID == "" || c.Outcome() == "" {
		tb.Fatalf("%s: no id or no outcome", file)
	}
	return c
}
