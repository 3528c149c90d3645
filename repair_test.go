package strata_test

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/strata-db/strata"
	"github.com/strata-db/strata/internal/testcorpus"
	"github.com/strata-db/strata/version"
	"github.com/strata-db/strata/vfs"
)

// TestRepairCorpus repairs every database of the corpus and wants what a plain
// opening showed, nothing that was never there, a clean Verify and a tree that every
// reader of the format understands. Sound databases must not be touched.
func TestRepairCorpus(t *testing.T) {
	runCorpus(t, "repair", func(c *testcorpus.Case) bool { return c.OpenComparator == "" }, func(t *testing.T, c *testcorpus.Case) {
		dir := c.Copy(t)
		o := &strata.Options{Comparer: c.Comparer(t)}
		before := testcorpus.Snap(t, dir)
		shown := showAll(t, dir, o)

		dry, err := strata.Repair(dir, &strata.RepairOptions{Options: o, DryRun: true})
		if err != nil {
			t.Fatalf("dry run: %v", err)
		}
		for _, line := range before.Diff(testcorpus.Snap(t, dir)) {
			t.Errorf("a dry run changed the directory: %s", line)
		}
		out := filepath.Join(t.TempDir(), "salvaged")
		if _, err := strata.Salvage(dir, out, &strata.RepairOptions{Options: o}); err != nil {
			t.Fatalf("salvage: %v", err)
		}
		for _, line := range before.Diff(testcorpus.Snap(t, dir)) {
			t.Errorf("a salvage changed the directory: %s", line)
		}

		report, err := strata.Repair(dir, &strata.RepairOptions{Options: o})
		if err != nil {
			t.Fatalf("repair: %v\n%s", err, report)
		}
		t.Logf("%s", report)
		if dry.Sound != report.Sound || dry.Basis != report.Basis || len(dry.Files) != len(report.Files) {
			t.Errorf("the dry run said otherwise:\n%s", dry)
		}
		if report.Sound {
			for _, line := range before.Diff(testcorpus.Snap(t, dir), "LOCK") {
				t.Errorf("the repair of a sound database changed it: %s", line)
			}
		} else if c.Healthy {
			t.Errorf("a healthy database is called damaged")
		}
		content := c.Content(t)
		checkNothingLost(t, before, testcorpus.Snap(t, dir))
		strays := 0
		if c.Kind == "wal-damage" && report.LostBytes > 0 {
			strays = 1 // the batch that was lost deleted a key
		}
		checkRepaired(t, dir, o, content, shown, strays)
		checkRepaired(t, out, o, content, shown, strays)
		again, err := strata.Repair(dir, &strata.RepairOptions{Options: o})
		if err != nil || !again.Sound {
			t.Errorf("the repaired database is not sound: %v\n%s", err, again)
		}
		if n, ok := repairedCounts[c.ID]; ok {
			if got := len(showAll(t, dir, o)); got != n {
				t.Errorf("%d entries, want %d of %d", got, n, len(content))
			}
		}
	})
}

// repairedCounts is how many entries are readable in cases where others give up more.
var repairedCounts = map[string]int{
	"manifest-flip-last-cpp":   41,
	"manifest-torn-cpp":        41,
	"manifest-missing-cpp":     41,
	"manifest-empty-cpp":       41,
	"manifest-size-wrong-cpp":  41,
	"current-missing-cpp":      41,
	"table-index-badhandle-go": 71,
	"table-restart-offset-cpp": 71,
	"table-restarts-zero-go":   71,
	"table-restarts-huge-cpp":  71,
	"table-magic-cpp":          71,
	"table-footer-beyond-cpp":  71,
	"table-footer-handle-go":   71,
	"table-index-flip-cpp":     71,
	"table-truncated-1-go":     71,
	"table-ikey-type-go":       70,
	"table-out-of-order-cpp":   60,
}

// checkNothingLost wants every file that was there, with its content, to be there or
// in lost/, but for those every opening replaces.
func checkNothingLost(t *testing.T, before, after testcorpus.Snapshot) {
	t.Helper()
	have := map[string]bool{}
	for _, v := range after {
		have[v] = true
	}
	for name, v := range before {
		if !have[v] && name != "CURRENT" && !strings.Contains(name, ".dbtmp") {
			t.Errorf("%s is gone (%s)", name, v)
		}
	}
}

// showAll returns what a plain opening, read-only, shows of a database: what a walk
// gives up to its error, and every value that Get has for its keys.
func showAll(t *testing.T, dir string, o *strata.Options) map[string]string {
	t.Helper()
	ro := *o
	ro.ReadOnly = true
	db, err := strata.Open(dir, &ro)
	if err != nil {
		return nil
	}
	defer db.Close()
	m := map[string]string{}
	it := db.NewIterator(nil)
	defer it.Close()
	for it.Next() {
		m[string(it.Key())] = string(it.Value())
	}
	return m
}

// checkRepaired opens a repaired database, and holds it against all that may be there,
// but for some strays, and all that must be.
func checkRepaired(t *testing.T, dir string, o *strata.Options, content []testcorpus.Entry, shown map[string]string, strays int) {
	t.Helper()
	checkTree(t, o.FS, dir, o.Comparer)
	db, err := strata.Open(dir, o)
	if err != nil {
		t.Fatalf("open after the repair: %v", err)
	}
	defer func() {
		if err := db.Close(); err != nil {
			t.Errorf("close: %v", err)
		}
	}()
	may := map[string]testcorpus.Entry{}
	for _, e := range content {
		may[string(e.Key)] = e
	}
	it := db.NewIterator(nil)
	defer it.Close()
	n := 0
	for it.Next() {
		e, ok := may[string(it.Key())]
		if !ok && strays > 0 {
			strays--
		} else if !ok || !e.Match(it.Value()) {
			t.Errorf("shows %x = %.40x, want %v", it.Key(), it.Value(), e)
		}
		n++
		v, err := db.Get(it.Key())
		if err != nil || !bytes.Equal(v, it.Value()) {
			t.Errorf("Get(%x) = %.40x, %v, a walk shows %.40x", it.Key(), v, err, it.Value())
		}
	}
	if err := it.Err(); err != nil {
		t.Errorf("walk: %v", err)
	}
	for k, v := range shown {
		if e, ok := may[k]; !ok || !e.Match([]byte(v)) {
			continue // a plain opening showed what was never there
		}
		got, err := db.Get([]byte(k))
		if err != nil || string(got) != v {
			t.Errorf("Get(%x) = %.40x, %v; before the repair it was %.40x", k, got, err, v)
		}
	}
	checkVerifyFindsNothing(t, db)
}

// checkTree wants level 0 to be right for readers that go by file number, and every
// other level to be in order.
func checkTree(t *testing.T, fs vfs.FS, dir string, cmp *strata.Comparer) {
	t.Helper()
	if fs == nil {
		fs = vfs.OS
	}
	set, err := version.Load(version.Options{FS: fs, Dir: dir, Cmp: cmp})
	if err != nil {
		t.Errorf("load: %v", err)
		return
	}
	defer set.Close()
	if cmp == nil {
		cmp = strata.BytewiseComparer
	}
	if err := set.Current().CheckOrder(cmp); err != nil {
		t.Error(err)
	}
}

// TestRepairWrongComparer: the error names the order that the manifest states, and
// nothing is changed. Without a manifest the tables tell, if they are this engine's,
// or that they are out of order.
func TestRepairWrongComparer(t *testing.T) {
	reverse := &strata.Comparer{Name: "test.reverse", Compare: func(a, b []byte) int { return bytes.Compare(b, a) }}
	for _, manifest := range []bool{true, false} {
		fs := vfs.NewMem()
		fill(t, &strata.Options{FS: fs, Comparer: reverse}, 200)
		if !manifest {
			removeMatching(t, fs, "MANIFEST-")
		}
		_, err := strata.Repair("db", &strata.RepairOptions{Options: &strata.Options{FS: fs}})
		if !errors.Is(err, strata.ErrComparerMismatch) || !strings.Contains(err.Error(), "test.reverse") {
			t.Errorf("manifest %v: %v", manifest, err)
		}
		if _, err := strata.Repair("db", &strata.RepairOptions{Options: &strata.Options{FS: fs, Comparer: reverse}}); err != nil {
			t.Errorf("manifest %v: with the right one: %v", manifest, err)
		}
	}
	c := testcorpus.Get(t, "cmp-reverse-cpp")
	dir := c.Copy(t)
	if err := os.Remove(filepath.Join(dir, "CURRENT")); err != nil {
		t.Fatal(err)
	}
	names, _ := filepath.Glob(filepath.Join(dir, "MANIFEST-*"))
	for _, n := range names {
		if err := os.Remove(n); err != nil {
			t.Fatal(err)
		}
	}
	before := testcorpus.Snap(t, dir)
	if _, err := strata.Repair(dir, nil); !errors.Is(err, strata.ErrComparerMismatch) {
		t.Errorf("foreign tables in another order: %v", err)
	}
	for _, line := range before.Diff(testcorpus.Snap(t, dir), "LOCK") {
		t.Errorf("the refused repair changed the directory: %s", line)
	}
	if _, err := strata.Repair(dir, &strata.RepairOptions{Options: &strata.Options{Comparer: c.Comparer(t)}}); err != nil {
		t.Errorf("with the right one: %v", err)
	}
}

// TestRepairRefuses names what cannot be repaired.
func TestRepairRefuses(t *testing.T) {
	fs := vfs.NewMem()
	o := &strata.RepairOptions{Options: &strata.Options{FS: fs}}
	if _, err := strata.Repair("missing", o); !errors.Is(err, strata.ErrNotExist) {
		t.Errorf("a missing directory: %v", err)
	}
	if err := fs.MkdirAll("other"); err != nil {
		t.Fatal(err)
	}
	writeMem(t, fs, "other/letter.txt", []byte("dear"))
	if _, err := strata.Repair("other", o); !errors.Is(err, strata.ErrNotExist) {
		t.Errorf("a directory of something else: %v", err)
	}
	if names, err := fs.List("other"); err != nil || len(names) != 1 {
		t.Errorf("a directory of something else holds %v after it, %v", names, err)
	}
	db, err := strata.Open("db", o.Options)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := strata.Repair("db", o); !errors.Is(err, strata.ErrLocked) {
		t.Errorf("an open database: %v", err)
	}
	if _, err := strata.Salvage("db", "out", o); !errors.Is(err, strata.ErrLocked) {
		t.Errorf("salvage of an open database: %v", err)
	}
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := strata.Salvage("db", "other", o); !errors.Is(err, strata.ErrExists) {
		t.Errorf("salvage to what exists: %v", err)
	}
}

// What Pebble, RocksDB and Badger wrote was taken for a damaged database of ours: a
// repair moved all of it to lost. Where a manifest of ours can be read, and where
// nothing says that files are theirs, it goes on.
func TestRepairOtherEngines(t *testing.T) {
	for _, c := range []struct{ engine, says, files string }{
		{"Pebble", "marker.manifest.000001.MANIFEST-000001", "000002.log 000005.sst MANIFEST-000001"},
		{"Pebble", "OPTIONS-000003", "000002.log 000005.sst MANIFEST-000001 CURRENT"},
		{"RocksDB", "OPTIONS-000007", "000008.log 000009.sst MANIFEST-000005 CURRENT IDENTITY LOG"},
		{"Badger", "KEYREGISTRY", "000001.sst MANIFEST DISCARD"},
		{"Badger", "000001.vlog", "000001.sst MANIFEST DISCARD"},
	} {
		t.Run(c.engine+" "+c.says, func(t *testing.T) {
			fs := vfs.NewMem()
			if err := fs.MkdirAll("db"); err != nil {
				t.Fatal(err)
			}
			for _, name := range strings.Fields(c.files) {
				writeMem(t, fs, "db/"+name, []byte("MANIFEST-000001\n"))
			}
			head := "[Version]\n  " + strings.ToLower(c.engine) + "_version=1.0\n"
			writeMem(t, fs, "db/"+c.says, []byte(head))
			before, err := fs.List("db")
			if err != nil {
				t.Fatal(err)
			}
			o := &strata.Options{FS: fs, ErrorIfMissing: true}
			_, openErr := strata.Open("db", o)
			_, repairErr := strata.Repair("db", &strata.RepairOptions{Options: o})
			_, salvageErr := strata.Salvage("db", "out", &strata.RepairOptions{Options: o})
			for _, err := range []error{openErr, repairErr, salvageErr} {
				if !errors.Is(err, strata.ErrNotDatabase) || errors.Is(err, strata.ErrCorruption) ||
					!strings.Contains(err.Error(), c.says+" says that it is "+c.engine+"'s") {
					t.Errorf("got %v", err)
				}
			}
			if err := strata.Destroy("db", o); !errors.Is(err, strata.ErrNotDatabase) {
				t.Errorf("destroy: %v", err)
			}
			after, err := fs.List("db")
			if err != nil {
				t.Fatal(err)
			}
			after = slices.DeleteFunc(after, func(n string) bool { return n == "LOCK" })
			slices.Sort(before)
			if slices.Sort(after); !slices.Equal(after, before) {
				t.Errorf("%v became %v", before, after)
			}

			// Without the file that says so, the rest may be ours.
			if err := fs.Remove("db/" + c.says); err != nil {
				t.Fatal(err)
			}
			if _, err := strata.Repair("db", &strata.RepairOptions{Options: o}); err != nil {
				t.Errorf("with nothing that says so: %v", err)
			}

			// Beside a database of ours it says nothing.
			writeMem(t, fs, "db/"+c.says, []byte(head))
			if r, err := strata.Repair("db", &strata.RepairOptions{Options: o}); err != nil || !r.Sound {
				t.Errorf("beside a sound database: %v\n%s", err, r)
			}
		})
	}
}

// TestRepairBesideTheGate repairs directories of which two formats claim to be the
// right one.
func TestRepairBesideTheGate(t *testing.T) {
	// Another engine went on after an upgrade had been interrupted: it has the newest.
	fs, upgraded := vfs.NewMem(), vfs.NewMem()
	fill(t, &strata.Options{FS: fs}, 100)
	copyTree(t, fs, upgraded, "db")
	if err := strata.Upgrade("db", &strata.Options{FS: upgraded}); err != nil {
		t.Fatal(err)
	}
	db, err := strata.Open("db", &strata.Options{FS: fs})
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(db.Put([]byte("later"), []byte("write"), nil), db.Flush(), db.Close()); err != nil {
		t.Fatal(err)
	}
	names, err := upgraded.List("db")
	if err != nil {
		t.Fatal(err)
	}
	for _, n := range names {
		if strings.HasPrefix(n, "STRATA") {
			writeMem(t, fs, "db/"+n, readMem(t, upgraded, "db/"+n))
		}
	}
	checkGateRepair(t, fs, false, 101)

	// A file CURRENT beside a settled marker is nobody's.
	if err := upgraded.Remove("db/CURRENT"); err != nil {
		t.Fatal(err)
	}
	writeMem(t, upgraded, "db/CURRENT", []byte("MANIFEST-000001\n"))
	db, err = strata.Open("db", &strata.Options{FS: upgraded})
	if err == nil {
		t.Error("opens with two pointers", db.Close())
	}
	checkGateRepair(t, upgraded, true, 100)
}

func checkGateRepair(t *testing.T, fs vfs.FS, upgraded bool, keys int) {
	t.Helper()
	o := &strata.Options{FS: fs}
	if db, err := strata.Open("db", o); !errors.Is(err, strata.ErrCorruption) {
		t.Errorf("opens: %v, %v", db, err)
	}
	report, err := strata.Repair("db", &strata.RepairOptions{Options: o})
	if err != nil || report.Upgraded != upgraded || report.Sound {
		t.Fatalf("%v\n%s", err, report)
	}
	if n := len(showAll(t, "db", o)); n != keys {
		t.Errorf("%d keys, want %d\n%s", n, keys, report)
	}
	if db, err := strata.Open("db", o); err != nil {
		t.Errorf("open after the repair: %v", err)
	} else if err := db.Close(); err != nil {
		t.Error(err)
	}
	if info, err := fs.Stat("db/CURRENT"); err != nil || info.IsDir() != upgraded {
		t.Errorf("CURRENT is %v, %v", info, err)
	}
}

// TestRepairBehindTears: what lies behind the torn end of a log stays out as with
// Open, is told of, and comes when asked for.
func TestRepairBehindTears(t *testing.T) {
	make := func() (vfs.FS, *strata.Options) {
		fs := vfs.NewMem()
		o := &strata.Options{FS: fs}
		fill(t, o, 100)
		names, _ := fs.List("db")
		for _, n := range names {
			if strings.HasSuffix(n, ".log") {
				b := readMem(t, fs, "db/"+n)
				b[len(b)/2] ^= 1
				writeMem(t, fs, "db/"+n, b)
			}
		}
		return fs, o
	}
	fs, o := make()
	report, err := strata.Repair("db", &strata.RepairOptions{Options: o})
	if err != nil || !report.Sound || !strings.Contains(fmt.Sprint(report.Notes), "BehindTears") {
		t.Errorf("%v\n%s", err, report)
	}
	before := len(showAll(t, "db", o))
	report, err = strata.Repair("db", &strata.RepairOptions{Options: &strata.Options{FS: fs}, BehindTears: true})
	if err != nil || report.Sound {
		t.Errorf("%v\n%s", err, report)
	}
	if after := len(showAll(t, "db", o)); after <= before || after != 99 {
		t.Errorf("%d keys, before %d, want 99", after, before)
	}
}

// fill makes a database of n keys in tables and some more in the log.
func fill(t testing.TB, o *strata.Options, n int) {
	t.Helper()
	db, err := strata.Open("db", o)
	if err != nil {
		t.Fatal(err)
	}
	for i := range n {
		if err := db.Put(fmt.Appendf(nil, "key%05d", i), fmt.Appendf(nil, "value%d", i), nil); err != nil {
			t.Fatal(err)
		}
		if i == n*9/10 {
			if err := db.Flush(); err != nil {
				t.Fatal(err)
			}
		}
	}
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
}

func writeMem(t testing.TB, fs vfs.FS, name string, content []byte) {
	t.Helper()
	f, err := fs.Create(name)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := f.Write(content); err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(f.Sync(), f.Close()); err != nil {
		t.Fatal(err)
	}
}

func removeMatching(t testing.TB, fs vfs.FS, prefix string) {
	t.Helper()
	names, err := fs.List("db")
	if err != nil {
		t.Fatal(err)
	}
	for _, n := range names {
		if strings.HasPrefix(n, prefix) {
			if err := fs.Remove("db/" + n); err != nil {
				t.Fatal(err)
			}
		}
	}
}

// The lines of a report ended in blanks, and causes named the package.
func TestRepairReportText(t *testing.T) {
	r := strata.RepairReport{Dir: "db", Files: []strata.RepairFile{
		{Name: "000005.ldb", Level: 2, Action: strata.FileRewritten, Size: 10, Entries: 3, MovedTo: "lost/000005.ldb", Problems: []string{"strata: corruption in 000005.ldb: cut"}},
		{Name: "MANIFEST-000002", Level: -1, Action: strata.FileReplaced, Size: 91},
	}}
	want := "db is repaired\nlist of tables from: the manifest\n" +
		"  000005.ldb  L2  rewritten  10 bytes  3 entries  now lost/000005.ldb\n" +
		"    corruption in 000005.ldb: cut\n" +
		"  MANIFEST-000002    replaced  91 bytes\n"
	if got := r.String(); got != want {
		t.Errorf("got\n%swant\n%s", got, want)
	}
}

// ExampleRepair makes a database whose CURRENT was overwritten openable again.
func ExampleRepair() {
	fs := vfs.NewMem() // vfs.OS, the default, for a real directory
	o := &strata.Options{FS: fs}
	db, _ := strata.Open("db", o)
	db.Put([]byte("key"), []byte("value"), nil)
	db.Close()
	f, _ := fs.Create("db/CURRENT")
	f.Write([]byte("oops"))
	f.Close()

	_, err := strata.Open("db", o)
	fmt.Println(errors.Is(err, strata.ErrCorruption))

	report, err := strata.Repair("db", &strata.RepairOptions{Options: o})
	fmt.Println(err, report.Lossless())

	db, _ = strata.Open("db", o)
	value, _ := db.Get([]byte("key"))
	fmt.Printf("%s\n", value)
	db.Close()
	// Output:
	// true
	// <nil> true
	// value
}
