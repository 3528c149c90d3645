package version_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/strata-db/strata/internal/base"
	"github.com/strata-db/strata/version"
	"github.com/strata-db/strata/vfs"
)

// old makes a directory in LevelDB's format with tables of both suffixes, a previous
// pointer, a leftover pointer and manifest, and a live log without a batch.
func old(t *testing.T, fs vfs.FS, log string) string {
	t.Helper()
	s := mustCreate(t, version.Options{FS: fs, Dir: "db"}, false)
	e := &version.Edit{LogNum: num(8), LastSeq: new(base.SeqNum(77))}
	e.Add(0, file(t, "5:[a#1,SET-b#2,SET]=3"))
	e.Add(2, file(t, "4:[a#1,SET-a#1,SET]=3"))
	e.SetPointer(1, base.MakeKey([]byte("p"), 1, 1))
	for name, content := range map[string]string{"000004.sst": "old", "000005.ldb": "new", "000005.sst": "leftover", "000008.log": log,
		"CURRENT.bak": "MANIFEST-000001\n", "CURRENT.7": "MANIFEST-000007\n", "MANIFEST-000007": "", "LOCK": "", "notes.txt": "mine"} {
		write(t, fs, "db", name, content)
	}
	must(t, s.Apply(e))
	must(t, s.Close())
	return tree(s)
}

const upgradedNames = "000004.stbl 000005.sst 000005.stbl CURRENT LOCK STRATA STRATA-000009 notes.txt"

// checkUpgraded checks that the directory is past the gate and whole.
func checkUpgraded(t *testing.T, fs vfs.FS, want, where string) {
	t.Helper()
	s, err := version.Load(version.Options{FS: fs, Dir: "db"})
	if err != nil {
		t.Fatalf("%s: %v\n%v", where, err, names(t, fs, "db"))
	}
	if tree(s) != want || !s.Upgraded() || s.LastSeq() != 77 || s.LogNum() != 0 || s.Pointer(1) == nil || s.ComparerName() != base.BytewiseName {
		t.Fatalf("%s: tree\n%slast %d, upgraded %t", where, tree(s), s.LastSeq(), s.Upgraded())
	}
	if got := strings.Join(names(t, fs, "db"), " "); got != upgradedNames {
		t.Fatalf("%s: directory holds\n%s, want\n%s", where, got, upgradedNames)
	}
	if info, err := fs.Stat("db/CURRENT"); err != nil || !info.IsDir() {
		t.Fatalf("%s: CURRENT is no directory: %v", where, err)
	}
	if got := string(read(t, fs, "db/000005.stbl")); got != "new" {
		t.Fatalf("%s: table 5 holds %q", where, got)
	}
	_, err = version.ReadManifest(fs, "db/"+s.ManifestName(), func(_ int64, e *version.Edit) error {
		if e.Comparer == base.BytewiseName {
			t.Errorf("%s: LevelDB would accept the comparer name", where)
		}
		return nil
	})
	must(t, err)
}

// TestUpgrade takes a directory past the gate, twice.
func TestUpgrade(t *testing.T) {
	fs := vfs.NewMem()
	o := version.Options{FS: fs, Dir: "db"}
	if err := version.Upgrade(o); !errors.Is(err, base.ErrNotExist) {
		t.Errorf("Upgrade of nothing: %v", err)
	}
	want := old(t, fs, "")
	must(t, version.Upgrade(o))
	checkUpgraded(t, fs, want, "upgraded")
	must(t, version.Upgrade(o))
	must(t, version.FinishUpgrade(o))
	checkUpgraded(t, fs, want, "upgraded twice")
	s := mustLoad(t, o)
	e := &version.Edit{}
	e.Delete(0, 5)
	must(t, s.Apply(e))
	must(t, s.Close())
	if r := mustLoad(t, o); tree(r) != tree(s) || !r.Upgraded() {
		t.Errorf("tree\n%swant\n%s", tree(r), tree(s))
	}
}

// TestUpgradeNeedsFlushedLogs checks that a live log with content stops Upgrade before
// anything changes, and that one of empty batches does not.
func TestUpgradeNeedsFlushedLogs(t *testing.T) {
	fs := vfs.NewMem()
	old(t, fs, "some batch")
	before := names(t, fs, "db")
	err := version.Upgrade(version.Options{FS: fs, Dir: "db"})
	if err == nil || !strings.Contains(err.Error(), "000008.log") {
		t.Errorf("got %v", err)
	}
	if after := names(t, fs, "db"); fmt.Sprint(after) != fmt.Sprint(before) {
		t.Errorf("directory holds %v, was %v", after, before)
	}
}

// TestUpgradeCrash cuts the power at every call of Upgrade, and of the FinishUpgrade that
// follows on what is left. The directory is the old one, or an upgraded one that loads
// as it is and can be finished.
func TestUpgradeCrash(t *testing.T) {
	var fs *vfs.Crash
	var cuts []*vfs.Crash
	armed := false
	fs = vfs.NewCrash(vfs.CrashOptions{OnOp: func(op vfs.Op) {
		if armed {
			cuts = append(cuts, images(fs, uint64(op.N))...)
			cuts = append(cuts, images(fs, uint64(op.N)+1000)...)
		}
	}})
	want := old(t, fs, "")
	armed = true
	must(t, version.Upgrade(version.Options{FS: fs, Dir: "db"}))
	armed = false
	for seed := range uint64(5) {
		for _, cut := range images(fs, seed) {
			checkUpgraded(t, cut, want, "after Upgrade")
		}
	}
	stay := 0
	for i, cut := range cuts {
		where := fmt.Sprintf("cut %d", i)
		o := version.Options{FS: cut, Dir: "db"}
		s, err := version.Load(o)
		if err != nil || tree(s) != want {
			t.Fatalf("%s: %v\n%v", where, err, names(t, cut, "db"))
		}
		if !s.Upgraded() {
			stay++
			continue
		}
		// A second cut while the first is being mended.
		inner := &faultFS{FS: cut, fail: func(n int64) fault {
			if n >= int64(1+i%17) {
				return failsBefore
			}
			return works
		}}
		if err := version.FinishUpgrade(version.Options{FS: inner, Dir: "db"}); err != nil {
			for _, second := range images(cut, uint64(i)) {
				mustFinish(t, second, want, where+", second cut")
			}
		}
		mustFinish(t, cut, want, where)
	}
	t.Logf("%d cuts, %d before the gate", len(cuts), stay)
}

func mustFinish(t *testing.T, fs vfs.FS, want, where string) {
	t.Helper()
	o := version.Options{FS: fs, Dir: "db"}
	if s, err := version.Load(o); err != nil || tree(s) != want {
		t.Fatalf("%s: %v\n%v", where, err, names(t, fs, "db"))
	}
	must(t, version.FinishUpgrade(o))
	// A leftover table whose number was renamed before may be there under either name.
	if got := strings.Join(names(t, fs, "db"), " "); strings.Contains(got, ".dbtmp") || strings.Contains(got, "MANIFEST") || strings.Contains(got, ".ldb") {
		t.Fatalf("%s: finished directory holds %s", where, got)
	}
	if s, err := version.Load(o); err != nil || tree(s) != want || !s.Upgraded() {
		t.Fatalf("%s: %v", where, err)
	}
}

// TestUpgradeKilled stops Upgrade at each call as a kill does: what it did is visible but
// perhaps not durable. Then the next process finishes the upgrade and the power fails at
// each of its calls. The old format must not go before the marker is durable.
func TestUpgradeKilled(t *testing.T) {
	for k := int64(1); ; k++ {
		var crash *vfs.Crash
		var cuts []*vfs.Crash
		armed := false
		crash = vfs.NewCrash(vfs.CrashOptions{OnOp: func(op vfs.Op) {
			for seed := uint64(0); armed && seed < 8; seed++ {
				cuts = append(cuts, images(crash, uint64(op.N)<<8+seed)...)
			}
		}})
		want := old(t, crash, "")
		killed := &faultFS{FS: crash, fail: func(n int64) fault {
			if n >= k {
				return failsBefore
			}
			return works
		}}
		if version.Upgrade(version.Options{FS: killed, Dir: "db"}) == nil {
			return
		}
		o := version.Options{FS: crash, Dir: "db"}
		armed = true
		s := mustLoad(t, o)
		if s.Upgraded() {
			must(t, version.FinishUpgrade(o))
			s = mustLoad(t, o)
		}
		must(t, s.Apply(&version.Edit{}))
		armed = false
		for i, cut := range cuts {
			s, err := version.Load(version.Options{FS: cut, Dir: "db"})
			if err != nil || tree(s) != want {
				t.Fatalf("killed at %d, cut %d: %v\n%v", k, i, err, names(t, cut, "db"))
			}
		}
	}
}

// TestUpgradeFault fails each call of Upgrade once. Whatever it says, the directory is
// the old one or an upgraded one, and another Upgrade ends well.
func TestUpgradeFault(t *testing.T) {
	for _, how := range []fault{failsBefore, failsAfter} {
		for k := int64(1); ; k++ {
			mem := vfs.NewMem()
			want := old(t, mem, "")
			fs := &faultFS{FS: mem, fail: func(n int64) fault {
				if n == k {
					return how
				}
				return works
			}}
			err := version.Upgrade(version.Options{FS: fs, Dir: "db"})
			if fs.n.Load() < k {
				must(t, err)
				break
			}
			o := version.Options{FS: mem, Dir: "db"}
			if s, err := version.Load(o); err != nil || tree(s) != want {
				t.Fatalf("call %d failed: %v", k, err)
			}
			must(t, version.Upgrade(o))
			mustFinish(t, mem, want, fmt.Sprintf("call %d failed", k))
		}
	}
}

// TestGateMeddled checks that writes of another engine, made to a half upgraded
// directory, are not thrown away.
func TestGateMeddled(t *testing.T) {
	fs := vfs.NewMem()
	old(t, fs, "")
	must(t, version.Upgrade(version.Options{FS: fs, Dir: "db"}))
	must(t, fs.Remove("db/CURRENT"))
	o := version.Options{FS: fs, Dir: "db"}
	mustLoad(t, o) // the gate is open, as after a crash in the middle
	write(t, fs, "db", "CURRENT", "MANIFEST-000012\n")
	for name, err := range map[string]error{"FinishUpgrade": version.FinishUpgrade(o), "Upgrade": version.Upgrade(o),
		"Load": func() error { _, err := version.Load(o); return err }()} {
		if !errors.Is(err, base.ErrCorruption) || !strings.Contains(err.Error(), "MANIFEST-000012") {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// TestMarkerDamage flips every byte of the marker.
func TestMarkerDamage(t *testing.T) {
	fs := vfs.NewMem()
	old(t, fs, "")
	o := version.Options{FS: fs, Dir: "db"}
	must(t, version.Upgrade(o))
	whole := read(t, fs, "db/STRATA")
	if got := string(whole); !strings.HasPrefix(got, "STRATA-000009\nfrom MANIFEST-000001\ncrc ") {
		t.Errorf("marker %q", got)
	}
	for i := range whole {
		b := []byte(string(whole))
		b[i] ^= 4
		write(t, fs, "db", "STRATA", string(b))
		if _, err := version.Load(o); !errors.Is(err, base.ErrCorruption) {
			t.Errorf("byte %d flipped: %v", i, err)
		}
	}
	for _, b := range []string{"", "x", string(whole[:20]), strings.Repeat("x", 5000)} {
		write(t, fs, "db", "STRATA", b)
		if _, err := version.Load(o); !errors.Is(err, base.ErrCorruption) {
			t.Errorf("marker %.20q: %v", b, err)
		}
	}
}
