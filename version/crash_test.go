package version_test

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/strata-db/strata/internal/base"
	"github.com/strata-db/strata/version"
	"github.com/strata-db/strata/vfs"
	"github.com/strata-db/strata/wal/record"
)

// A history is a run of edits on a database whose tables and logs exist as small
// files, and the states it went through.
type history struct {
	tb      testing.TB
	fs      vfs.FS
	o       version.Options
	s       *version.Set
	states  []string // drawings, the newest last; states[0] is the empty tree
	next    string   // drawing that the Apply under way leads to, or ""
	garbage []string // obsolete tables
}

func newHistory(tb testing.TB, fs vfs.FS) *history {
	h := &history{tb: tb, fs: fs}
	h.o = version.Options{FS: fs, Dir: "db", RewriteFactor: 2, MinRewriteBytes: 300, Obsolete: func(files []*version.FileMeta) {
		for _, f := range files {
			h.garbage = append(h.garbage, f.Name())
		}
	}}
	return h
}

// run does n steps: each makes a table and a log and adds the table to level 0; every
// third moves all of level 0 to level 2 in one new file. It stops at the first error of
// an Apply, which it returns, unless heal says to go on.
func (h *history) run(n int, heal bool) error {
	h.states = []string{""}
	for i := range n {
		e := &version.Edit{}
		log, table := h.s.NewFileNum(), h.s.NewFileNum()
		v := h.s.Current()
		if i%3 == 2 {
			for level := range version.NumLevels {
				for _, f := range v.Files(level) {
					e.Delete(level, f.Num)
				}
			}
			e.Add(2, h.table(table, i))
		} else {
			e.Add(0, h.table(table, i))
		}
		h.next = after(v, e)
		v.Unref()
		if err := h.create(base.FileName(h.s.LogType(), log), e.Added[0].Meta.Name()); err != nil {
			return err
		}
		e.SetLogNum(log)
		e.SetLastSeq(base.SeqNum(i))
		err := h.s.Apply(e)
		if err != nil && !heal {
			return err
		}
		for try := 0; err != nil; try++ {
			if try == 3 {
				return err
			}
			err = h.s.Apply(e)
		}
		h.states, h.next = append(h.states, h.next), ""
		h.remove(log)
	}
	return nil
}

func (h *history) table(n base.FileNum, i int) *version.FileMeta {
	return &version.FileMeta{Num: n, Type: h.s.TableType(), Size: 5,
		Smallest: base.MakeKey([]byte("a"), base.SeqNum(i), 1), Largest: base.MakeKey([]byte("z"), base.SeqNum(i), 1)}
}

// after draws the tree that e leads to from v.
func after(v *version.Version, e *version.Edit) string {
	var levels [version.NumLevels][]*version.FileMeta
	for i := range levels {
		for _, f := range v.Files(i) {
			if !slices.Contains(e.Deleted, version.DeletedFile{Level: i, Num: f.Num}) {
				levels[i] = append(levels[i], f)
			}
		}
	}
	for _, a := range e.Added {
		levels[a.Level] = append(levels[a.Level], a.Meta)
	}
	// Fresh metas, as making a version counts references.
	for i := range levels {
		for j, f := range levels[i] {
			levels[i][j] = &version.FileMeta{Num: f.Num, Size: f.Size, Smallest: f.Smallest, Largest: f.Largest}
		}
	}
	return version.NewVersion(base.Bytewise, levels).DebugString()
}

// create makes files of a few bytes, durable.
func (h *history) create(names ...string) error {
	for _, name := range names {
		f, err := h.fs.Create("db/" + name)
		if err != nil {
			return err
		}
		if _, err = f.Write([]byte("bytes")); err == nil {
			err = f.Sync()
		}
		if err = errors.Join(err, f.Close()); err != nil {
			return err
		}
	}
	return h.fs.SyncDir("db")
}

// remove deletes obsolete tables and the logs below log.
func (h *history) remove(log base.FileNum) {
	for _, name := range h.garbage {
		h.fs.Remove("db/" + name)
	}
	h.garbage = nil
	all, _ := h.fs.List("db")
	for _, name := range all {
		if t, n := base.ParseFileName(name); (t == base.FileLog || t == base.FileLogUpgr) && n < log {
			h.fs.Remove("db/" + name)
		}
	}
}

// reopened loads what is in fs and checks that it is the newest acknowledged state, or
// the one that was on its way there.
func (h *history) reopened(fs vfs.FS, where string) {
	h.tb.Helper()
	s, err := version.Load(version.Options{FS: fs, Dir: "db"})
	if err != nil {
		h.tb.Fatalf("%s: %v\n%v", where, err, names(h.tb, fs, "db"))
	}
	last := h.states[len(h.states)-1]
	if got := tree(s); got != last && (h.next == "" || got != h.next) {
		h.tb.Fatalf("%s: tree\n%swant\n%sor\n%s", where, got, last, h.next)
	}
	// A first write of the new process must work too.
	if err := s.Apply(&version.Edit{}); err != nil {
		h.tb.Fatalf("%s: Apply: %v", where, err)
	}
	s2, err := version.Load(version.Options{FS: fs, Dir: "db"})
	if err != nil || tree(s) != tree(s2) {
		h.tb.Fatalf("%s: second Load: %v", where, err)
	}
}

// images returns disks that a power cut may leave of fs.
func images(fs *vfs.Crash, seed uint64) []*vfs.Crash {
	return []*vfs.Crash{
		fs.Image(seed, vfs.ImageOptions{}),
		fs.Image(seed, vfs.ImageOptions{Reorder: true}),
		fs.Image(seed, vfs.ImageOptions{Bytes: vfs.FateKept}),
		fs.Image(seed, vfs.ImageOptions{Names: vfs.FateKept}),
		fs.Image(seed, vfs.ImageOptions{Names: vfs.FateLost, Bytes: vfs.FateKept}),
	}
}

// TestCreateCrash cuts the power at every call of Create. The directory must open as
// new, or as the complete database; after Create it must be there, in a directory made
// just now.
func TestCreateCrash(t *testing.T) {
	for _, upgraded := range []bool{false, true} {
		var cuts []*vfs.Crash
		var fs *vfs.Crash
		fs = vfs.NewCrash(vfs.CrashOptions{OnOp: func(op vfs.Op) {
			for seed := range uint64(4) {
				cuts = append(cuts, images(fs, uint64(op.N)<<8+seed)...)
			}
		}})
		s := mustCreate(t, version.Options{FS: fs, Dir: "a/b/db"}, upgraded)
		for i, cut := range cuts {
			o := version.Options{FS: cut, Dir: "a/b/db"}
			state, _, err := version.Exists(cut, o.Dir)
			if err != nil {
				t.Fatalf("cut %d: %v", i, err)
			}
			if state == version.StateNew {
				mustCreate(t, o, upgraded)
				continue
			}
			if upgraded {
				must(t, version.FinishUpgrade(o))
			}
			if r := mustLoad(t, o); tree(r) != "" || r.Upgraded() != upgraded {
				t.Fatalf("cut %d: tree %s", i, tree(r))
			}
		}
		must(t, s.Close())
		for seed := range uint64(10) {
			for _, cut := range images(fs, seed) {
				mustLoad(t, version.Options{FS: cut, Dir: "a/b/db"})
			}
		}
		t.Logf("%d images", len(cuts))
	}
}

// TestApplyCrash cuts the power at every call of a run of edits with many new
// manifests. What was acknowledged must be there; nothing but it and the edit on its
// way may be.
func TestApplyCrash(t *testing.T) {
	for _, upgraded := range []bool{false, true} {
		var h *history
		var fs *vfs.Crash
		n := 0
		fs = vfs.NewCrash(vfs.CrashOptions{OnOp: func(op vfs.Op) {
			if h == nil || h.s == nil {
				return
			}
			for _, cut := range images(fs, uint64(op.N)) {
				h.reopened(cut, fmt.Sprintf("cut before call %d, %s", op.N, op))
				n++
			}
		}})
		h = newHistory(t, fs)
		s := mustCreate(t, h.o, upgraded)
		h.states, h.s = []string{""}, s
		must(t, h.run(24, false))
		if m := h.s.Metrics(); m.Manifests < 4 || m.Edits != 24 {
			t.Errorf("metrics %+v, want more manifests", m)
		}
		t.Logf("%d images", n)
	}
}

// TestApplyFault fails every call once, before or after its effect, alone or with all
// that follow for a while. After an error the directory must hold the state before or
// the one after; once the disk works again so must Apply, and nothing may be lost or
// left over.
func TestApplyFault(t *testing.T) {
	for _, length := range []int64{1, 2, 3, 5, 1 << 40} {
		for _, how := range []fault{failsBefore, failsAfter} {
			for k := int64(1); ; k++ {
				if !faultRun(t, k, length, how) {
					break
				}
			}
		}
	}
}

// faultRun fails length calls from the k-th on and reports whether there was a k-th.
func faultRun(t *testing.T, k, length int64, how fault) bool {
	where := fmt.Sprintf("calls %d to %d fail, effect %d", k, k+length-1, how)
	crash := vfs.NewCrash(vfs.CrashOptions{})
	s := mustCreate(t, version.Options{FS: crash, Dir: "db"}, false)
	must(t, s.Close())
	fs := &faultFS{FS: crash, fail: func(n int64) fault {
		if n >= k && n < k+length {
			return how
		}
		return works
	}}
	h := newHistory(t, fs)
	h.s = mustLoad(t, h.o)
	err := h.run(7, false)
	if err == nil {
		return fs.n.Load() >= k
	}
	limbo := h.s.Limbo()
	if errors.Is(err, version.ErrUnsettled) != (len(limbo) > 0) {
		t.Fatalf("%s: %v, but %d tables in limbo", where, err, len(limbo))
	}
	if !errors.Is(err, version.ErrUnsettled) {
		h.next = "" // definitely not on disk
	}
	for _, cut := range append(images(crash, uint64(k)), crash.KillImage()) {
		h.reopened(cut, where)
	}
	// The disk works again.
	h.next = ""
	fs.fail = nil
	if err := h.s.Apply(&version.Edit{}); err != nil {
		t.Fatalf("%s: Apply on a sound disk: %v", where, err)
	}
	for _, cut := range images(crash, uint64(k)) {
		h.reopened(cut, where+", healed")
	}
	// A table of level 2 came from a compaction and is obsolete now; one of level 0 holds
	// what nothing else does, stays, and may be named later.
	for _, f := range h.s.Limbo() {
		if slices.Contains(h.garbage, f.Name()) || !h.s.Keeps(f.Type, f.Num) {
			t.Fatalf("%s: %s is in limbo and obsolete", where, f.Name())
		}
		e := &version.Edit{}
		e.Add(0, f)
		must(t, h.s.Apply(e))
	}
	for _, f := range limbo {
		if slices.Contains(h.garbage, f.Name()) == strings.Contains(tree(h.s), f.String()) {
			t.Fatalf("%s: %s came out of limbo into nothing", where, f.Name())
		}
	}
	if len(h.s.Limbo()) > 0 {
		t.Fatalf("%s: limbo is not empty", where)
	}
	if m := manifests(names(t, fs, "db")); len(m) != 1 || m[0] != h.s.ManifestName() {
		t.Fatalf("%s: manifests %v, current %s", where, m, h.s.ManifestName())
	}
	return true
}

func manifests(all []string) []string {
	return slices.DeleteFunc(all, func(n string) bool { return !strings.HasPrefix(n, "MANIFEST-") })
}

// TestLimbo follows a flush and a compaction of unknown outcome past an edit of somebody
// else: the flushed table must wait to be named, the compacted one is of no more use and
// must not be named again, since it may be deleted by then.
func TestLimbo(t *testing.T) {
	fs := &faultFS{FS: vfs.NewMem()}
	var gone []string
	o := version.Options{FS: fs, Dir: "db", Obsolete: func(files []*version.FileMeta) {
		for _, f := range files {
			gone = append(gone, f.Num.String())
		}
	}}
	s := mustCreate(t, o, false)
	first := &version.Edit{}
	first.Add(0, file(t, "10:[a#1,SET-b#1,SET]"))
	must(t, s.Apply(first))
	flush, compaction := &version.Edit{}, &version.Edit{}
	flush.Add(0, file(t, "12:[a#3,SET-b#3,SET]"))
	compaction.Delete(0, 10)
	compaction.Add(1, file(t, "13:[a#1,SET-b#1,SET]"))
	fs.fail = func(int64) fault { return failsBefore }
	for range 2 {
		for _, e := range []*version.Edit{flush, compaction} {
			if err := s.Apply(e); !errors.Is(err, version.ErrUnsettled) && len(s.Limbo()) == 0 {
				t.Fatalf("got %v, want unsettled", err)
			}
		}
	}
	fs.fail = nil
	if n := len(s.Limbo()); n != 1 {
		t.Fatalf("%d tables in limbo, want the flushed one: nothing of the compaction was written", n)
	}
	// Both in limbo: the record is written, its sync fails, and so does every new manifest.
	must(t, s.Apply(&version.Edit{}))
	calls := int64(0)
	fs.fail = func(int64) fault {
		if calls++; calls == 1 {
			return works
		}
		return failsBefore
	}
	if err := s.Apply(compaction); !errors.Is(err, version.ErrUnsettled) {
		t.Fatalf("got %v, want unsettled", err)
	}
	fs.fail = nil
	if n := len(s.Limbo()); n != 2 {
		t.Fatalf("%d tables in limbo, want 2", n)
	}
	must(t, s.Apply(&version.Edit{}))
	if got := fmt.Sprint(gone); got != "[000013]" {
		t.Errorf("obsolete: %s, want the compaction's table", got)
	}
	if err := s.Apply(compaction); err == nil || errors.Is(err, version.ErrUnsettled) {
		t.Errorf("a table that may be deleted is named again: %v", err)
	}
	must(t, s.Apply(flush))
	if want := "L0: 000012:[a#3,SET-b#3,SET]=0 000010:[a#1,SET-b#1,SET]=0\n"; tree(s) != want {
		t.Errorf("tree\n%swant\n%s", tree(s), want)
	}
}

// TestConfirm checks that what Load read is written anew before files go: the record may
// have been left unsynced by a process that died.
func TestConfirm(t *testing.T) {
	fs := vfs.NewCrash(vfs.CrashOptions{})
	o := version.Options{FS: fs, Dir: "db"}
	s := mustCreate(t, o, false)
	e := &version.Edit{}
	e.Add(0, file(t, "10:[a#1,SET-b#1,SET]"))
	write(t, fs, "db", "000010.ldb", "")
	must(t, s.Apply(e))
	must(t, s.Confirm())
	if s.ManifestNum() != 1 {
		t.Error("Confirm began a manifest after an Apply")
	}
	// The next edit's bytes are written, and the process dies before their sync.
	rec := &version.Edit{}
	rec.Delete(0, 10)
	f, err := fs.CreateAppend("db/copy", vfs.AppendOptions{Mode: vfs.AppendWrite})
	must(t, err)
	old := read(t, fs, "db/MANIFEST-000001")
	must(t, f.Append(old))
	must(t, f.Sync())
	must(t, record.NewWriter(f, int64(len(old))).Write(rec.Encode(nil)))
	must(t, fs.Rename("db/copy", "db/MANIFEST-000001"))
	must(t, fs.SyncDir("db"))
	s = mustLoad(t, o)
	if s.Keeps(base.FileTable, 10) {
		t.Fatal("the edit was not read, nothing is tested")
	}
	must(t, s.Confirm())
	must(t, fs.Remove("db/000010.ldb"))
	for seed := range uint64(20) {
		for _, cut := range images(fs, seed) {
			mustLoad(t, version.Options{FS: cut, Dir: "db"})
		}
	}
}

// TestApplyHeals checks that a single failed call is not the caller's trouble: Apply
// begins a new manifest and succeeds. A sync that failed in the kernel's way, after
// which another one would succeed and have written nothing, must not fool it.
func TestApplyHeals(t *testing.T) {
	for k := int64(1); k < 400; k++ {
		n, failed := int64(0), ""
		crash := vfs.NewCrash(vfs.CrashOptions{FailSync: func(name string) error {
			if n++; n == k && strings.Contains(name, "MANIFEST") {
				failed = name
				return errFault
			}
			return nil
		}})
		h := newHistory(t, crash)
		s, err := version.Create(h.o, false)
		if err != nil {
			continue
		}
		h.s = s
		must(t, h.run(10, false))
		for _, cut := range images(crash, uint64(k)) {
			h.reopened(cut, fmt.Sprintf("sync %d of %s failed", k, failed))
		}
		if n < k {
			return
		}
		if failed != "" && h.s.Metrics().Failures != 1 {
			t.Errorf("sync of %s failed, counted %d", failed, h.s.Metrics().Failures)
		}
	}
	t.Error("the run never ended")
}
