package strata_test

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"path"
	"strings"
	"testing"

	"github.com/strata-db/strata"
	"github.com/strata-db/strata/vfs"
)

// repairScenes are damages that take different ways through a repair. Each hurts a
// database whose newest table of level 0 is named.
var repairScenes = []struct {
	name string
	past int // index in smallPasts
	hurt func(t *testing.T, fs vfs.FS)
}{
	{"pointer", 0, func(t *testing.T, fs vfs.FS) { writeMem(t, fs, "db/CURRENT", []byte("x")) }},
	{"manifest", 0, func(t *testing.T, fs vfs.FS) { removeMatching(t, fs, "MANIFEST-") }},
	{"table", 0, func(t *testing.T, fs vfs.FS) { flipIn(t, fs, ".ldb", 100) }},
	{"level 0", 1, func(t *testing.T, fs vfs.FS) { flipIn(t, fs, ".ldb", 700) }},
	{"log", 0, func(t *testing.T, fs vfs.FS) { flipIn(t, fs, ".log", 300) }},
	{"everything", 0, func(t *testing.T, fs vfs.FS) {
		flipIn(t, fs, ".ldb", 100)
		flipIn(t, fs, ".log", 300)
		removeMatching(t, fs, "MANIFEST-")
	}},
	{"upgraded, marker", 2, func(t *testing.T, fs vfs.FS) { removeMatching(t, fs, "STRATA") }},
	{"upgraded, table", 2, func(t *testing.T, fs vfs.FS) { flipIn(t, fs, ".stbl", 100) }},
}

func smallPasts(t testing.TB) []*past {
	o := strata.Options{MemtableBytes: 32 << 10, TableBytes: 32 << 10, BlockBytes: 512}
	fifo, zstd := o, o
	fifo.Policy = strata.FIFO(strata.FIFOOptions{})
	zstd.Compression = strata.Zstd
	return []*past{newPast(t, "leveled", o, 400), newPast(t, "level 0", fifo, 400), newPast(t, "upgraded", zstd, 400)}
}

// flipIn flips a bit in every file whose name ends so.
func flipIn(t *testing.T, fs vfs.FS, suffix string, at int) {
	t.Helper()
	names, err := fs.List("db")
	if err != nil {
		t.Fatal(err)
	}
	for _, n := range names {
		if strings.HasSuffix(n, suffix) {
			b := readMem(t, fs, "db/"+n)
			b[min(at, len(b)-1)] ^= 16
			writeMem(t, fs, "db/"+n, b)
		}
	}
}

// TestRepairCrash cuts the power before every call of a repair that changes anything.
// What is on disk must be the old state, which does not open, or the repaired one; a
// second repair must give the same content; and every file that was there must still
// be, under one of its names.
func TestRepairCrash(t *testing.T) {
	all := smallPasts(t)
	for _, scene := range repairScenes {
		t.Run(scene.name, func(t *testing.T) {
			t.Parallel()
			old := vfs.NewMem()
			copyTree(t, all[scene.past].fs, old, "db")
			scene.hurt(t, old)
			whole := repairedContent(t, old)
			files := contentsOf(t, old, "db")
			images := 0
			for k := int64(1); ; k++ {
				image := cutRepair(t, old, k, uint64(k))
				if image == nil {
					break
				}
				for seed := uint64(k); image != nil; image = cutRepair(t, old, k, seed) {
					images++
					checkCutRepair(t, image, whole, files)
					if t.Failed() {
						t.Fatalf("cut before call %d, seed %d", k, seed)
					}
					if seed++; testing.Short() || seed > uint64(k)+1 {
						break
					}
				}
			}
			if images < 10 {
				t.Errorf("%d images", images)
			}
		})
	}
}

// repairedContent returns what an undisturbed repair gives.
func repairedContent(t *testing.T, old vfs.FS) string {
	t.Helper()
	fs := vfs.NewMem()
	copyTree(t, old, fs, "db")
	o := &strata.Options{FS: fs}
	if db, err := strata.Open("db", &strata.Options{FS: fs, ReadOnly: true}); err == nil {
		_, err := db.Verify(t.Context())
		if cerr := db.Close(); err != nil || cerr != nil {
			t.Fatal(err, cerr)
		}
	}
	if report, err := strata.Repair("db", &strata.RepairOptions{Options: o}); err != nil || report.Sound {
		t.Fatalf("%v\n%s", err, report)
	}
	return fmt.Sprint(showAll(t, "db", o))
}

// contentsOf returns the contents of all files that hold anything of a database.
func contentsOf(t *testing.T, fs vfs.FS, dir string) map[string]string {
	t.Helper()
	m := map[string]string{}
	names, err := fs.List(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, n := range names {
		name := path.Join(dir, n)
		if info, err := fs.Stat(name); err != nil {
			t.Fatal(err)
		} else if info.IsDir() {
			for k, v := range contentsOf(t, fs, name) {
				m[k] = v
			}
		} else if n != "LOCK" {
			m[string(readMem(t, fs, name))] = name
		}
	}
	return m
}

// cutRepair repairs the old database and returns what is on disk when the power goes
// before the k-th call, nil if there are fewer.
func cutRepair(t *testing.T, old vfs.FS, k int64, seed uint64) (image *vfs.Crash) {
	t.Helper()
	var fs *vfs.Crash
	armed := int64(-1)
	fs = vfs.NewCrash(vfs.CrashOptions{OnOp: func(op vfs.Op) {
		if armed >= 0 && op.N == armed+k {
			image = fs.Image(seed, vfs.ImageOptions{Reorder: seed%2 == 1})
			fs.Halt()
		}
	}})
	copyTree(t, old, fs, "db")
	if err := fs.SyncDir("."); err != nil {
		t.Fatal(err)
	}
	armed = fs.Ops()
	_, err := strata.Repair("db", &strata.RepairOptions{Options: &strata.Options{FS: fs}})
	if (err == nil) != (image == nil) && !errors.Is(err, vfs.ErrHalted) {
		t.Fatalf("cut before call %d: %v", k, err)
	}
	return image
}

func checkCutRepair(t *testing.T, image *vfs.Crash, whole string, files map[string]string) {
	t.Helper()
	o := &strata.Options{FS: image}
	report, err := strata.Repair("db", &strata.RepairOptions{Options: o})
	if err != nil {
		t.Errorf("second repair: %v\n%s", err, report)
		return
	}
	if got := fmt.Sprint(showAll(t, "db", o)); got != whole {
		t.Errorf("the second repair shows %d bytes of content, the undisturbed one %d\n%s", len(got), len(whole), report)
	}
	have := contentsOf(t, image, "db")
	for content, name := range files {
		if _, ok := have[content]; !ok && name != "db/CURRENT" && name != "db/STRATA" {
			t.Errorf("%s is gone\n%s", name, report)
		}
	}
	db, err := strata.Open("db", o)
	if err != nil {
		t.Error(err)
		return
	}
	checkVerifyFindsNothing(t, db)
	if err := db.Close(); err != nil {
		t.Error(err)
	}
}

// TestRepairCrashThenOpen opens what a cut repair left without repairing it first: it is
// refused, or shows what the repair shows, and no hurt file is gone then either.
func TestRepairCrashThenOpen(t *testing.T) {
	all := smallPasts(t)
	for _, scene := range repairScenes {
		t.Run(scene.name, func(t *testing.T) {
			t.Parallel()
			old := vfs.NewMem()
			copyTree(t, all[scene.past].fs, old, "db")
			scene.hurt(t, old)
			before := fmt.Sprint(showAll(t, "db", &strata.Options{FS: old}))
			whole := repairedContent(t, old)
			files := contentsOf(t, old, "db")
			for sound := range contentsOf(t, all[scene.past].fs, "db") {
				delete(files, sound) // a compaction may remove what is not hurt
			}
			for k := int64(1); ; k++ {
				image := cutRepair(t, old, k, uint64(k))
				if image == nil {
					break
				}
				o := &strata.Options{FS: image}
				if shown := fmt.Sprint(showAll(t, "db", o)); shown != before && shown != whole {
					t.Fatalf("cut before call %d: neither the old content nor the new", k)
				}
				if db, err := strata.Open("db", o); err == nil {
					db.Close()
				}
				have := contentsOf(t, image, "db")
				for content, name := range files {
					if _, ok := have[content]; !ok {
						t.Errorf("cut before call %d: %s is gone", k, name)
					}
				}
			}
		})
	}
}

// TestRepairFaults fails every call of a repair once. It must end with an error or a
// repaired database, and a second repair must give the undisturbed result.
func TestRepairFaults(t *testing.T) {
	all := smallPasts(t)
	for _, scene := range repairScenes {
		t.Run(scene.name, func(t *testing.T) {
			t.Parallel()
			old := vfs.NewMem()
			copyTree(t, all[scene.past].fs, old, "db")
			scene.hurt(t, old)
			whole := repairedContent(t, old)
			rng := rand.New(rand.NewPCG(1, 1))
			for k := int64(1); ; k += 1 + rng.Int64N(4) {
				fs := vfs.NewMem()
				copyTree(t, old, fs, "db")
				faulty := vfs.NewFault(fs)
				rule := faulty.FailNth(vfs.OpAny, k, errors.New("injected"))
				_, err := strata.Repair("db", &strata.RepairOptions{Options: &strata.Options{FS: faulty}})
				if rule.Hits() == 0 {
					break
				}
				if open := faulty.OpenFiles(); len(open) > 0 {
					t.Errorf("call %d failed: %v are still open", k, open)
				}
				o := &strata.Options{FS: fs}
				if report, err := strata.Repair("db", &strata.RepairOptions{Options: o}); err != nil {
					t.Fatalf("call %d failed, then: %v\n%s", k, err, report)
				}
				if got := fmt.Sprint(showAll(t, "db", o)); got != whole {
					t.Fatalf("call %d failed: the second repair shows %d bytes of content, want %d (%v)", k, len(got), len(whole), err)
				}
			}
		})
	}
}
