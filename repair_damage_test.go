package strata_test

import (
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/strata-db/strata"
	"github.com/strata-db/strata/internal/base"
	"github.com/strata-db/strata/internal/testcorpus"
	"github.com/strata-db/strata/sstable"
	"github.com/strata-db/strata/version"
	"github.com/strata-db/strata/vfs"
)

// A past is a closed database and everything that was ever written to it.
type past struct {
	name string
	fs   *vfs.Mem
	// ops holds the writes of each key in order; an empty value is a deletion. Every
	// value is different.
	ops map[string][]string
}

// state returns which of the key's writes a value is: -1 is none of them. Being absent
// is the state before the first, or after a deletion: the latest one.
func (p *past) state(key, value string, present bool) int {
	if present {
		return slices.Index(p.ops[key], value) + 1
	}
	for i, v := range slices.Backward(p.ops[key]) {
		if v == "" {
			return i + 1
		}
	}
	return 0
}

// final returns what the database held when it was closed.
func (p *past) final() map[string]string {
	m := map[string]string{}
	for k, ops := range p.ops {
		if v := ops[len(ops)-1]; v != "" {
			m[k] = v
		}
	}
	return m
}

func newPast(t testing.TB, name string, o strata.Options, steps int) *past {
	t.Helper()
	p := &past{name: name, fs: vfs.NewMem(), ops: map[string][]string{}}
	o.FS = p.fs
	rng := rand.New(rand.NewPCG(11, uint64(steps)))
	db, err := strata.Open("db", &o)
	if err != nil {
		t.Fatal(err)
	}
	for i := range steps {
		var b strata.Batch
		for range 1 + rng.IntN(4) {
			k := fmt.Sprintf("key%04d", rng.IntN(steps/2))
			if rng.IntN(5) == 0 {
				b.Delete([]byte(k))
				p.ops[k] = append(p.ops[k], "")
				continue
			}
			v := fmt.Sprintf("%s.%d.%d.%s", k, i, b.Len(), strings.Repeat("x", rng.IntN(60)))
			b.Put([]byte(k), []byte(v))
			p.ops[k] = append(p.ops[k], v)
		}
		if err := db.Write(&b, &strata.WriteOptions{Sync: rng.IntN(9) == 0}); err != nil {
			t.Fatal(err)
		}
		if rng.IntN(steps/8) == 0 {
			if err := db.Flush(); err != nil {
				t.Fatal(err)
			}
		}
	}
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	return p
}

// copyTree copies a directory from one file system in memory to another.
func copyTree(t testing.TB, from, to vfs.FS, dir string) {
	t.Helper()
	names, err := from.List(dir)
	if err != nil {
		t.Fatal(err)
	}
	if err := to.MkdirAll(dir); err != nil {
		t.Fatal(err)
	}
	for _, n := range names {
		name := path.Join(dir, n)
		if info, err := from.Stat(name); err != nil {
			t.Fatal(err)
		} else if info.IsDir() {
			copyTree(t, from, to, name)
			continue
		}
		writeMem(t, to, name, readMem(t, from, name))
	}
	if err := to.SyncDir(dir); err != nil {
		t.Fatal(err)
	}
}

func readMem(t testing.TB, fs vfs.FS, name string) []byte {
	t.Helper()
	f, err := fs.Open(name)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	size, err := f.Size()
	if err != nil {
		t.Fatal(err)
	}
	b := make([]byte, size)
	if _, err := f.ReadAt(b, 0); err != nil && !errors.Is(err, io.EOF) {
		t.Fatal(err)
	}
	return b
}

// hurt damages one file of the database and says what it did.
func hurt(t testing.TB, fs vfs.FS, rng *rand.Rand) (file, what string) {
	t.Helper()
	names, err := fs.List("db")
	if err != nil {
		t.Fatal(err)
	}
	slices.Sort(names)
	names = slices.DeleteFunc(names, func(n string) bool {
		info, err := fs.Stat("db/" + n)
		return err != nil || info.IsDir() || n == "LOCK"
	})
	file = names[rng.IntN(len(names))]
	b := readMem(t, fs, "db/"+file)
	if rng.IntN(6) == 0 || len(b) == 0 {
		if err := fs.Remove("db/" + file); err != nil {
			t.Fatal(err)
		}
		return file, "removed"
	}
	i := rng.IntN(len(b))
	switch rng.IntN(4) {
	case 0, 1:
		b[i] ^= 1 << rng.IntN(8)
		what = "bit flipped"
	case 2:
		b = b[:i]
		what = "cut"
	case 3:
		clear(b[i:min(len(b), i+rng.IntN(2000)+1)])
		what = "zeroed"
	}
	writeMem(t, fs, "db/"+file, b)
	return file, fmt.Sprintf("%s at %d", what, i)
}

func pasts(t testing.TB) []*past {
	small := strata.Options{MemtableBytes: 32 << 10, TableBytes: 32 << 10, BlockBytes: 512}
	fifo := small
	fifo.Policy = strata.FIFO(strata.FIFOOptions{})
	zstd := small
	zstd.Compression = strata.Zstd
	return []*past{
		newPast(t, "leveled", small, 3000),
		newPast(t, "level 0", fifo, 2000),
		newPast(t, "upgraded", zstd, 3000),
		newPast(t, "log only", strata.Options{}, 300),
	}
}

// TestRepairRandomDamage hurts databases at random and wants of the repaired ones, and
// of what is salvaged from the hurt ones, that they open, are sound, show nothing that
// was never written, and for no key an older state than a plain opening showed.
func TestRepairRandomDamage(t *testing.T) {
	seeds := 30
	if testing.Short() {
		seeds = 12
	}
	if n, err := strconv.Atoi(os.Getenv("STRATA_REPAIR_SEEDS")); err == nil {
		seeds = n
	}
	for _, p := range pasts(t) {
		t.Run(p.name, func(t *testing.T) {
			t.Parallel()
			for seed := range seeds {
				repairOnce(t, p, uint64(seed))
				if t.Failed() {
					t.Fatalf("seed %d", seed)
				}
			}
		})
	}
}

func repairOnce(t *testing.T, p *past, seed uint64) {
	rng := rand.New(rand.NewPCG(seed, 99))
	fs := vfs.NewMem()
	copyTree(t, p.fs, fs, "db")
	var told []string
	var files []string
	for range 1 + rng.IntN(3) {
		file, what := hurt(t, fs, rng)
		files = append(files, file)
		told = append(told, file+" "+what)
	}
	o := &strata.Options{FS: fs}
	shown := showAll(t, "db", o)
	_, salvageErr := strata.Salvage("db", "out", &strata.RepairOptions{Options: o})
	report, err := strata.Repair("db", &strata.RepairOptions{Options: o})
	if err != nil || salvageErr != nil {
		t.Errorf("%v: repair: %v, salvage: %v\n%s", told, err, salvageErr, report)
		return
	}
	for _, dir := range []string{"db", "out"} {
		p.check(t, o, dir, shown, files, report)
	}
	again, err := strata.Repair("db", &strata.RepairOptions{Options: o})
	if err != nil || !again.Sound {
		t.Errorf("repaired, and still not sound: %v\n%s", err, again)
	}
	if t.Failed() {
		t.Logf("%v\n%s", told, report)
	}
}

// check holds a repaired database against the past.
func (p *past) check(t *testing.T, o *strata.Options, dir string, shown map[string]string, files []string, report *strata.RepairReport) {
	t.Helper()
	checkTree(t, o.FS, dir, nil)
	if !report.Sound {
		checkLevel0(t, o.FS, dir)
	}
	db, err := strata.Open(dir, o)
	if err != nil {
		t.Errorf("%s: open: %v", dir, err)
		return
	}
	defer db.Close()
	checkVerifyFindsNothing(t, db)
	now := map[string]string{}
	it := db.NewIterator(nil)
	defer it.Close()
	for it.Next() {
		now[string(it.Key())] = string(it.Value())
	}
	if err := it.Err(); err != nil {
		t.Errorf("%s: walk: %v", dir, err)
	}
	behind := 0
	for k, ops := range p.ops {
		v, present := now[k]
		state := p.state(k, v, present)
		if present && state == 0 {
			t.Errorf("%s: %s has the value %q, which it never had", dir, k, v)
		}
		if got, err := db.Get([]byte(k)); (err == nil) != present || string(got) != v {
			t.Errorf("%s: Get(%s) = %q, %v, a walk shows %q", dir, k, got, err, v)
		}
		if v, ok := shown[k]; ok && state < p.state(k, v, true) {
			t.Errorf("%s: %s was in state %d before the repair, now in %d of %d", dir, k, p.state(k, v, true), state, len(ops))
		}
		if state < len(ops) && (ops[len(ops)-1] != "" || present) {
			behind++
		}
		delete(now, k)
	}
	for k := range now {
		t.Errorf("%s: shows %s, which was never written", dir, k)
	}
	if behind > 0 && !slices.ContainsFunc(files, func(f string) bool { return !listsTables(f) }) {
		t.Errorf("%s: %d keys are not in their last state although nothing that holds keys was hurt", dir, behind)
	}
	if behind > 0 && report.Lossless() && !tornLog(report) && !strings.Contains(fmt.Sprint(report.Notes), "IgnoreManifest") {
		t.Errorf("%s: %d keys are not in their last state, and the report calls it lossless", dir, behind)
	}
}

// listsTables reports whether a file holds no keys of the database.
func listsTables(name string) bool {
	switch typ, _ := base.ParseFileName(name); typ {
	case base.FileManifest, base.FileManifestUpgr, base.FileCurrent, base.FileMarker:
		return true
	}
	return false
}

// tornLog reports whether a log ends before its file, as after a crash.
func tornLog(r *strata.RepairReport) bool {
	return slices.ContainsFunc(r.Files, func(f strata.RepairFile) bool {
		typ, _ := base.ParseFileName(f.Name)
		return typ == base.FileLog || typ == base.FileLogUpgr
	})
}

// checkLevel0 wants the tables of level 0 that overlap to be as new as their numbers
// say: LevelDB reads them by number.
func checkLevel0(t *testing.T, fs vfs.FS, dir string) {
	t.Helper()
	set, err := version.Load(version.Options{FS: fs, Dir: dir})
	if err != nil {
		t.Error(err)
		return
	}
	defer set.Close()
	type bounds struct {
		f      *version.FileMeta
		lo, hi base.SeqNum
	}
	var list []bounds
	for _, f := range slices.Backward(set.Current().Files(0)) {
		r, err := sstable.NewReader(byteSource(readMem(t, fs, path.Join(dir, f.Name()))), int64(f.Size), sstable.ReaderOptions{})
		if err != nil {
			t.Error(err)
			return
		}
		lo, hi, ok := r.SeqBounds()
		if !ok {
			t.Errorf("%s does not state its sequence numbers", f)
		}
		for _, older := range list {
			if older.hi >= lo && string(older.f.Smallest.UserKey) <= string(f.Largest.UserKey) && string(f.Smallest.UserKey) <= string(older.f.Largest.UserKey) {
				t.Errorf("%s (up to %d) is read after %s (from %d)", older.f, older.hi, f, lo)
			}
		}
		list = append(list, bounds{f, lo, hi})
	}
}

type byteSource []byte

func (b byteSource) ReadAt(p []byte, off int64) (int, error) {
	if off >= int64(len(b)) {
		return 0, io.EOF
	}
	n := copy(p, b[off:])
	if n < len(p) {
		return n, io.EOF
	}
	return n, nil
}

// TestRepairIgnoreManifest: a manifest that is whole but old opens as the old database;
// what is newer is taken when asked for.
func TestRepairIgnoreManifest(t *testing.T) {
	p := pasts(t)[0]
	fs := vfs.NewMem()
	copyTree(t, p.fs, fs, "db")
	removeLogs(t, fs)
	var offsets []int64
	if _, err := version.ReadManifest(fs, "db/MANIFEST-000001", func(off int64, _ *version.Edit) error {
		offsets = append(offsets, off)
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	writeMem(t, fs, "db/MANIFEST-000001", readMem(t, fs, "db/MANIFEST-000001")[:offsets[1]])
	o := &strata.Options{FS: fs}
	report, err := strata.Repair("db", &strata.RepairOptions{Options: o})
	if err != nil || !report.Sound || len(report.Notes) == 0 {
		t.Fatalf("%v\n%s", err, report)
	}
	report, err = strata.Repair("db", &strata.RepairOptions{Options: o, IgnoreManifest: true})
	if err != nil {
		t.Fatal(err)
	}
	if got, want := len(showAll(t, "db", o)), len(p.final()); got < want/2 {
		t.Errorf("%d keys of %d\n%s", got, want, report)
	}
}

func removeLogs(t testing.TB, fs vfs.FS) {
	t.Helper()
	names, err := fs.List("db")
	if err != nil {
		t.Fatal(err)
	}
	for _, n := range names {
		if strings.HasSuffix(n, ".log") {
			removeMatching(t, fs, n)
		}
	}
}

// TestRepairWithoutManifest: a cleanly closed database has no leftover files, so that
// its tables and log alone give everything back, whatever lists them.
func TestRepairWithoutManifest(t *testing.T) {
	for _, p := range pasts(t) {
		for _, lost := range [][]string{{"CURRENT", "STRATA"}, {"MANIFEST-", "STRATA-"}, {"CURRENT", "STRATA", "MANIFEST-"}} {
			fs := vfs.NewMem()
			copyTree(t, p.fs, fs, "db")
			for _, prefix := range lost {
				if info, err := fs.Stat("db/" + prefix); err == nil && info.IsDir() {
					continue
				}
				removeMatching(t, fs, prefix)
			}
			o := &strata.Options{FS: fs}
			report, err := strata.Repair("db", &strata.RepairOptions{Options: o})
			if err != nil {
				t.Errorf("%s without %v: %v", p.name, lost, err)
				continue
			}
			if got, want := showAll(t, "db", o), p.final(); fmt.Sprint(got) != fmt.Sprint(want) {
				t.Errorf("%s without %v: %d keys, want %d\n%s", p.name, lost, len(got), len(want), report)
			}
			checkLevel0(t, fs, "db")
		}
	}
}

// TestRepairCorpusFooters cuts the last byte off tables of healthy databases of other
// engines, of all of them or of every second one: all entries can still be found by
// their blocks' checksums, so nothing may be missing, old or back.
func TestRepairCorpusFooters(t *testing.T) {
	withTables := func(c *testcorpus.Case) bool {
		names, _ := filepath.Glob(filepath.Join(c.DB(), "*.[ls][ds][bt]"))
		return c.Healthy && c.OpenComparator == "" && len(names) > 0
	}
	runCorpus(t, "repair without footers", withTables, func(t *testing.T, c *testcorpus.Case) {
		for _, step := range []int{1, 2} {
			dir := c.Copy(t)
			names, err := filepath.Glob(filepath.Join(dir, "*.[ls][ds][bt]"))
			if err != nil {
				t.Fatal(err)
			}
			for i := step - 1; i < len(names); i += step {
				info, err := os.Stat(names[i])
				if err != nil {
					t.Fatal(err)
				}
				if err := os.Truncate(names[i], info.Size()-1); err != nil {
					t.Fatal(err)
				}
			}
			o := &strata.Options{Comparer: c.Comparer(t)}
			report, err := strata.Repair(dir, &strata.RepairOptions{Options: o})
			if err != nil {
				t.Fatal(err)
			}
			checkTree(t, nil, dir, o.Comparer)
			db, err := strata.Open(dir, o)
			if err != nil {
				t.Fatalf("%v\n%s", err, report)
			}
			checkContent(t, db, o.Comparer, c.Content(t))
			checkVerifyFindsNothing(t, db)
			if err := db.Close(); err != nil {
				t.Error(err)
			}
			if t.Failed() {
				t.Fatalf("every %d. table cut\n%s", step, report)
			}
		}
	})
}

// TestRepairManyRuns merges more tables than are opened at once: every key is in most
// of them, and what a later one deletes stays deleted.
func TestRepairManyRuns(t *testing.T) {
	fs := vfs.NewMem()
	o := &strata.Options{FS: fs, Policy: strata.FIFO(strata.FIFOOptions{}), MemtableBytes: 32 << 10}
	db, err := strata.Open("db", o)
	if err != nil {
		t.Fatal(err)
	}
	want := map[string]string{}
	for i := range 150 {
		for j := range 20 {
			k, v := fmt.Sprintf("key%02d", j), fmt.Sprintf("value%d", i)
			if (i+j)%7 == 0 {
				err = db.Delete([]byte(k), nil)
				delete(want, k)
			} else {
				err = db.Put([]byte(k), []byte(v), nil)
				want[k] = v
			}
			if err != nil {
				t.Fatal(err)
			}
		}
		if err := db.Flush(); err != nil {
			t.Fatal(err)
		}
	}
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	removeMatching(t, fs, "MANIFEST-")
	report, err := strata.Repair("db", &strata.RepairOptions{Options: o})
	if err != nil {
		t.Fatal(err)
	}
	if got := showAll(t, "db", o); fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("%v\nwant %v\n%s", got, want, report)
	}
	t.Logf("%d files", len(report.Files))
}

// TestSalvageFaults fails every call of a salvage once. The new database is there and
// whole, or nothing of it is.
func TestSalvageFaults(t *testing.T) {
	p := smallPasts(t)[0]
	old := vfs.NewMem()
	copyTree(t, p.fs, old, "db")
	flipIn(t, old, ".ldb", 100)
	for k := int64(1); ; k += 3 {
		fs := vfs.NewMem()
		copyTree(t, old, fs, "db")
		faulty := vfs.NewFault(fs)
		rule := faulty.FailNth(vfs.OpAny, k, errors.New("injected"))
		_, err := strata.Salvage("db", "out", &strata.RepairOptions{Options: &strata.Options{FS: faulty}})
		if open := faulty.OpenFiles(); len(open) > 0 {
			t.Errorf("call %d failed: %v are still open", k, open)
		}
		if _, serr := fs.Stat("out"); (serr == nil) != (err == nil) && rule.Hits() > 0 && serr != nil {
			t.Errorf("call %d failed: %v, %v", k, err, serr)
		} else if serr == nil {
			checkTree(t, fs, "out", nil)
			if db, err := strata.Open("out", &strata.Options{FS: fs}); err != nil {
				t.Errorf("call %d failed: %v", k, err)
			} else {
				checkVerifyFindsNothing(t, db)
				db.Close()
			}
		}
		if _, err := fs.Stat("out.unfinished"); err == nil && rule.Hits() > 0 {
			// Only a removal that failed itself may leave it; the next salvage goes on.
			if _, err := strata.Salvage("db", "out2", &strata.RepairOptions{Options: &strata.Options{FS: fs}}); err != nil {
				t.Errorf("call %d failed, then: %v", k, err)
			}
		}
		if rule.Hits() == 0 {
			break
		}
	}
}
