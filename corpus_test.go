package strata_test

import (
	"cmp"
	"errors"
	"flag"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/strata-db/strata"
	"github.com/strata-db/strata/internal/testcorpus"
)

// TestCorpus opens every database of the corpus, by other engines and damaged in
// known ways, without changing it, and holds what is shown against what the case
// demands. It guards the promise that a directory is read as it is, or refused
// with an error that names the damaged file, and never half of each.
func TestCorpus(t *testing.T) {
	runCorpus(t, "read-only", nil, func(t *testing.T, c *testcorpus.Case) {
		dir := c.Copy(t)
		before := testcorpus.Snap(t, dir)
		checkOutcome(t, c, dir, &strata.Options{ReadOnly: true, Comparer: c.Comparer(t)})
		for _, line := range before.Diff(testcorpus.Snap(t, dir)) {
			t.Errorf("a read-only opening changed the directory: %s", line)
		}
	})
}

// TestCorpusWithoutLock does the same in directories without a LOCK file, which
// a read-only opening must not make.
func TestCorpusWithoutLock(t *testing.T) {
	walkable := func(c *testcorpus.Case) bool { return c.Outcome() != testcorpus.Verify }
	runCorpus(t, "without LOCK", walkable, func(t *testing.T, c *testcorpus.Case) {
		dir := c.Copy(t)
		if err := os.Remove(filepath.Join(dir, "LOCK")); err != nil && !errors.Is(err, fs.ErrNotExist) {
			t.Fatal(err)
		}
		before := testcorpus.Snap(t, dir)
		db, err := strata.Open(dir, &strata.Options{ReadOnly: true, Comparer: c.Comparer(t)})
		if err != nil && c.Outcome() == testcorpus.Exact {
			t.Fatalf("open: %v", err)
		}
		if err == nil {
			walk(t, db, c.Content(t), forward)
			if err := db.Close(); err != nil {
				t.Errorf("close: %v", err)
			}
		}
		for _, line := range before.Diff(testcorpus.Snap(t, dir)) {
			t.Errorf("a read-only opening changed the directory: %s", line)
		}
	})
}

// TestCorpusDamagedForWriting opens the damaged cases for writing. An opening
// that is refused must leave every file as it was, or a failed start would
// destroy what a repair needs.
func TestCorpusDamagedForWriting(t *testing.T) {
	damaged := func(c *testcorpus.Case) bool { return c.Outcome() != testcorpus.Exact }
	runCorpus(t, "damaged, for writing", damaged, func(t *testing.T, c *testcorpus.Case) {
		dir := c.Copy(t)
		before := testcorpus.Snap(t, dir)
		o := &strata.Options{Comparer: c.Comparer(t), ErrorIfMissing: true}
		if opened := checkOutcome(t, c, dir, o); opened {
			// Twice: background work must not have hidden the damage.
			checkOutcome(t, c, dir, o)
			return
		}
		for _, line := range before.Diff(testcorpus.Snap(t, dir), "LOCK") {
			t.Errorf("the refused opening changed the directory: %s", line)
		}
	})
}

// runCorpus runs fn for every case that is wanted (nil: all), in parallel, and
// prints one line that says how many there were. Of the full corpus exactly
// testcorpus.FullCount cases must be loaded. Short runs take every fifth case.
func runCorpus(t *testing.T, what string, wanted func(*testcorpus.Case) bool, fn func(t *testing.T, c *testcorpus.Case)) {
	cases, full := testcorpus.Load(t)
	if full && len(cases) != testcorpus.FullCount {
		t.Errorf("%d cases in the full corpus, want %d", len(cases), testcorpus.FullCount)
	}
	var mu sync.Mutex
	kinds, outcomes, ran, want := map[string]int{}, map[string]int{}, 0, 0
	t.Run("case", func(t *testing.T) {
		for i, c := range cases {
			if wanted != nil && !wanted(c) || testing.Short() && i%5 != 0 {
				continue
			}
			want++
			t.Run(c.ID, func(t *testing.T) {
				t.Parallel()
				fn(t, c)
				mu.Lock()
				defer mu.Unlock()
				kinds[c.Kind]++
				outcomes[c.Outcome()]++
				ran++
			})
		}
	})
	fmt.Printf("corpus: %s: %d cases: %s; %s\n", what, ran, counts(outcomes), counts(kinds))
	if chosen := strings.Contains(flag.Lookup("test.run").Value.String(), "/"); ran != want && !chosen && !t.Failed() {
		t.Errorf("%d of %d cases ran to their end", ran, want)
	}
}

// counts formats a map of counts, largest first.
func counts(m map[string]int) string {
	keys := slices.SortedFunc(maps.Keys(m), func(a, b string) int {
		return cmp.Or(cmp.Compare(m[b], m[a]), cmp.Compare(a, b))
	})
	for i, k := range keys {
		keys[i] = fmt.Sprintf("%s %d", k, m[k])
	}
	return strings.Join(keys, ", ")
}

// checkOutcome opens dir with o and holds it against what the case demands. It
// reports whether the database could be opened.
func checkOutcome(t *testing.T, c *testcorpus.Case, dir string, o *strata.Options) (opened bool) {
	t.Helper()
	db, err := strata.Open(dir, o)
	if err != nil {
		if c.Outcome() == testcorpus.Exact || c.Outcome() == testcorpus.Verify {
			t.Fatalf("open: %v", err)
		}
		checkDamageError(t, c, dir, err)
		return false
	}
	defer func() {
		if err := db.Close(); err != nil {
			t.Errorf("close: %v", err)
		}
	}()
	content := c.Content(t)
	switch c.Outcome() {
	case testcorpus.Exact:
		checkContent(t, db, o.Comparer, content)
		checkVerifyFindsNothing(t, db)
	case testcorpus.Error:
		checkDamaged(t, c, dir, db, content, true)
	case testcorpus.ExactOrError:
		checkDamaged(t, c, dir, db, content, false)
	case testcorpus.Verify:
		if problems := verify(t, db); len(problems) == 0 {
			t.Errorf("Verify reports nothing")
		} else {
			checkDamageError(t, c, dir, problems[0])
		}
	default:
		t.Errorf("unknown outcome %q", c.Outcome())
	}
	return true
}

// checkDamaged reads a database in which some read must fail (must), or may.
func checkDamaged(t *testing.T, c *testcorpus.Case, dir string, db *strata.DB, content []testcorpus.Entry, must bool) {
	t.Helper()
	for _, d := range []direction{forward, backward} {
		n, err := walk(t, db, content, d)
		switch {
		case err != nil:
			checkDamageError(t, c, dir, err)
		case must:
			t.Errorf("%s: showed %d entries and no error", d, n)
		case n != len(content):
			t.Errorf("%s: showed %d of %d entries and no error", d, n, len(content))
		}
	}
	if c.Strata.Gets != "unchecked" {
		checkDamagedGets(t, c, dir, db, content)
	}
	checkDamagedSeeks(t, c, dir, db, content)
	if problems := verify(t, db); must && len(problems) == 0 {
		t.Errorf("Verify reports nothing")
	}
}

// checkDamagedGets wants the right answer or an error from every point read.
func checkDamagedGets(t *testing.T, c *testcorpus.Case, dir string, db *strata.DB, content []testcorpus.Entry) {
	t.Helper()
	for _, e := range content {
		v, err := db.Get(e.Key)
		switch {
		case err == nil && !e.Match(v):
			t.Errorf("Get(%x) = %d bytes %.40x, want %v", e.Key, len(v), v, e)
		case errors.Is(err, strata.ErrNotFound):
			t.Errorf("Get(%x): not found, want %v or an error", e.Key, e)
		case err != nil:
			checkDamageError(t, c, dir, err)
		}
	}
}

// checkDamagedSeeks wants the entry or an error from every seek to a key.
func checkDamagedSeeks(t *testing.T, c *testcorpus.Case, dir string, db *strata.DB, content []testcorpus.Entry) {
	t.Helper()
	for _, e := range content {
		it := db.NewIterator(nil)
		if it.SeekGE(e.Key) {
			if string(it.Key()) != string(e.Key) || !e.Match(it.Value()) {
				t.Errorf("SeekGE(%x) is at %x = %.40x, want %v", e.Key, it.Key(), it.Value(), e)
			}
		} else if err := it.Err(); err != nil {
			checkDamageError(t, c, dir, err)
		} else {
			t.Errorf("SeekGE(%x) finds nothing and gives no error, want %v", e.Key, e)
		}
		it.Close()
	}
}

// tableOrLog finds names of tables and logs in an error's text.
var tableOrLog = regexp.MustCompile(`[0-9]{6}\.(log|ldb|sst)`)

// checkDamageError wants an error of the right kind that names the damaged file,
// or the file that is missing because of the damage.
func checkDamageError(t *testing.T, c *testcorpus.Case, dir string, err error) {
	t.Helper()
	if c.OpenComparator != "" {
		if !errors.Is(err, strata.ErrComparerMismatch) || !strings.Contains(err.Error(), c.Comparator) {
			t.Errorf("error %q, want ErrComparerMismatch that names %s", err, c.Comparator)
		}
		return
	}
	names := []string{c.DamagedFile()}
	switch {
	case c.ID == "current-dangling-cpp", c.ID == "manifest-missing-cpp":
		// One file names another that is not there: either may be called wrong,
		// if the text names the missing one.
		if !strings.Contains(err.Error(), "MANIFEST-0000") {
			t.Errorf("error %q does not name the manifest", err)
		}
		names = append(names, "CURRENT", "MANIFEST-000099")
	case c.ID == "manifest-size-wrong-cpp":
		names = append(names, "000005.ldb")
	case strings.HasPrefix(c.ID, "manifest-torn"):
		// The torn edit is dropped; what betrays it is the file that it retired.
		for _, name := range tableOrLog.FindAllString(err.Error(), -1) {
			if _, statErr := os.Stat(filepath.Join(dir, name)); errors.Is(statErr, fs.ErrNotExist) {
				names = append(names, name)
			}
		}
	}
	var damage *strata.CorruptionError
	switch {
	case errors.As(err, &damage):
		if !slices.Contains(names, damage.File) {
			t.Errorf("error %q names %q, want one of %q", err, damage.File, names)
		}
		if damageHasOffset(c) && damage.Offset < 0 {
			t.Errorf("error %q gives no offset", err)
		}
	case c.DamagedFile() == "CURRENT" || strings.HasSuffix(c.ID, "-missing-cpp"):
		named := slices.ContainsFunc(names, func(n string) bool { return strings.Contains(err.Error(), n) })
		if !named {
			t.Errorf("error %q, want one that names %q", err, names)
		}
	default:
		t.Errorf("error %q is no *CorruptionError", err)
	}
}

// damageHasOffset reports whether the damage is at a place inside a file, not the
// absence of something.
func damageHasOffset(c *testcorpus.Case) bool {
	if strings.Contains(c.ID, "truncated") || strings.Contains(c.ID, "empty-file") {
		return false
	}
	return c.Kind == "wal-damage" || c.Kind == "table-damage" || strings.HasPrefix(c.ID, "manifest-flip")
}
