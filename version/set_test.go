package version_test

import (
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/strata-db/strata/internal/base"
	"github.com/strata-db/strata/version"
	"github.com/strata-db/strata/vfs"
)

// TestCreateLoad follows a database from nothing through a few edits and a reopening.
func TestCreateLoad(t *testing.T) {
	for _, upgraded := range []bool{false, true} {
		fs := vfs.NewMem()
		o := version.Options{FS: fs, Dir: "a/b/db"}
		if _, err := version.Load(o); !errors.Is(err, base.ErrNotExist) {
			t.Fatalf("Load of nothing: %v", err)
		}
		s := mustCreate(t, o, upgraded)
		if _, err := version.Create(o, upgraded); !errors.Is(err, base.ErrExists) {
			t.Fatalf("second Create: %v", err)
		}
		logName := base.FileName(s.LogType(), s.NewFileNum())
		table := &version.FileMeta{Num: s.NewFileNum(), Type: s.TableType(), Size: 7,
			Smallest: base.MakeKey([]byte("a"), 1, base.KindSet), Largest: base.MakeKey([]byte("b"), 2, base.KindDelete)}
		write(t, fs, o.Dir, logName, "")
		write(t, fs, o.Dir, table.Name(), "table")
		e := &version.Edit{}
		e.SetLogNum(2)
		e.SetLastSeq(41)
		e.SetPointer(1, base.MakeKey([]byte("p"), 3, base.KindSet))
		e.Add(0, table)
		must(t, s.Apply(e))
		e = &version.Edit{}
		e.Delete(0, table.Num)
		e.Add(2, table)
		must(t, s.Apply(e))
		must(t, s.Close())
		if err := s.Apply(&version.Edit{}); !errors.Is(err, base.ErrClosed) {
			t.Errorf("Apply after Close: %v", err)
		}

		r := mustLoad(t, o)
		if got, want := tree(r), "L2: 000003:[a#1,SET-b#2,DEL]=7\n"; got != want || tree(s) != want {
			t.Errorf("tree %q, want %q", got, want)
		}
		if r.LogNum() != 2 || r.PrevLogNum() != 0 || r.LastSeq() != 41 || r.NextFileNum() != 4 || r.Upgraded() != upgraded ||
			r.ComparerName() != base.BytewiseName || r.ManifestNum() != 1 || r.Tear() != nil {
			t.Errorf("log %s prev %s seq %d next %s upgraded %t comparer %s manifest %s", r.LogNum(), r.PrevLogNum(),
				r.LastSeq(), r.NextFileNum(), r.Upgraded(), r.ComparerName(), r.ManifestName())
		}
		if k, ok := base.ParseInternalKey(r.Pointer(1)); !ok || k.String() != "p#3,SET" || r.Pointer(2) != nil {
			t.Errorf("pointers %s, %v", k, r.Pointer(2))
		}
		if got := r.LiveLogs(names(t, fs, o.Dir)); !slices.Equal(got, []base.FileNum{2}) {
			t.Errorf("live logs %v, want 2", got)
		}
		// The first Apply never appends to the file of an earlier process.
		old := read(t, fs, o.Dir+"/"+r.ManifestName())
		if len(old) == 0 {
			t.Error("empty manifest")
		}
		must(t, r.Apply(&version.Edit{}))
		if r.ManifestNum() != 4 {
			t.Errorf("manifest %s after the first Apply, want a new one", r.ManifestName())
		}
		want := "000002.log 000003.ldb CURRENT MANIFEST-000004"
		if upgraded {
			want = "000002.swal 000003.stbl CURRENT STRATA STRATA-000004"
		}
		if got := strings.Join(names(t, fs, o.Dir), " "); got != want {
			t.Errorf("directory holds %s, want %s", got, want)
		}
	}
}

// TestLoadComparer checks both names in the error of a wrong order, and that a reader
// without the order can still inspect.
func TestLoadComparer(t *testing.T) {
	for _, upgraded := range []bool{false, true} {
		fs := vfs.NewMem()
		o := version.Options{FS: fs, Dir: "db", Cmp: &base.Comparer{Name: "my.order", Compare: base.Bytewise.Compare}}
		must(t, mustCreate(t, o, upgraded).Close())
		_, err := version.Load(version.Options{FS: fs, Dir: "db"})
		if !errors.Is(err, base.ErrComparerMismatch) || !strings.Contains(err.Error(), "my.order") || !strings.Contains(err.Error(), base.BytewiseName) {
			t.Errorf("got %v", err)
		}
		in, err := version.Inspect(fs, "db")
		if err != nil || in.Comparer != "my.order" || in.Upgraded != upgraded || in.Contents.Edits != 1 {
			t.Errorf("Inspect: %+v, %v", in, err)
		}
		must(t, mustLoad(t, o).Close())
	}
}

// TestReadOnly checks that a read-only set changes nothing.
func TestReadOnly(t *testing.T) {
	fs := vfs.NewMem()
	o := version.Options{FS: fs, Dir: "db", ReadOnly: true}
	if _, err := version.Create(o, false); !errors.Is(err, base.ErrReadOnly) {
		t.Errorf("Create: %v", err)
	}
	o.ReadOnly = false
	must(t, mustCreate(t, o, false).Close())
	o.ReadOnly = true
	if err := mustLoad(t, o).Apply(&version.Edit{}); !errors.Is(err, base.ErrReadOnly) {
		t.Errorf("Apply: %v", err)
	}
	if err := version.Upgrade(o); !errors.Is(err, base.ErrReadOnly) {
		t.Errorf("Upgrade: %v", err)
	}
}

// TestExists looks at directories with and without a database.
func TestExists(t *testing.T) {
	for _, c := range []struct {
		files   string // name=content, separated by spaces
		state   version.State
		corrupt bool
		foreign int
	}{
		{"", version.StateNew, false, 0},
		{"LOCK= LOG=text MANIFEST-000001=half 000001.dbtmp=MANIF 000003.log=", version.StateNew, false, 0},
		{"notes.txt=mine 5.txt=mine MANIFEST-x=mine", version.StateNew, false, 3},
		{"000003.log=x", version.StateNew, true, 0},
		{"000003.swal=x", version.StateNew, true, 0},
		{"000003.ldb=", version.StateNew, true, 0},
		{"000003.sst=x notes.txt=mine", version.StateNew, true, 1},
		{"000003.stbl=x", version.StateNew, true, 0},
		{"CURRENT=", version.StateLevelDB, false, 0},
		{"STRATA= CURRENT=", version.StateUpgraded, false, 0},
	} {
		fs := vfs.NewMem()
		if c.files != "" {
			must(t, fs.MkdirAll("db"))
			for _, f := range strings.Fields(c.files) {
				name, content, _ := strings.Cut(f, "=")
				write(t, fs, "db", name, content)
			}
		}
		state, list, err := version.Exists(fs, "db")
		if state != c.state || errors.Is(err, base.ErrCorruption) != c.corrupt || len(list.Foreign) != c.foreign {
			t.Errorf("%s: %v, foreign %v, %v; want %v", c.files, state, list.Foreign, err, c.state)
		}
		if c.corrupt && !strings.Contains(err.Error(), "Repair") {
			t.Errorf("%s: %v does not name Repair", c.files, err)
		}
		if state == version.StateNew && err == nil {
			s := mustCreate(t, version.Options{FS: fs, Dir: "db"}, false)
			if s.ManifestNum() <= 1 && strings.Contains(c.files, "MANIFEST-000001") {
				t.Errorf("%s: created over a manifest", c.files)
			}
		}
	}
}

// TestNextFileNum checks that numbers seen anywhere are never handed out again, and
// that an absurd one does not poison the counter.
func TestNextFileNum(t *testing.T) {
	fs := vfs.NewMem()
	o := version.Options{FS: fs, Dir: "db"}
	s := mustCreate(t, o, false)
	e := &version.Edit{PrevLogNum: num(30), LogNum: num(20)}
	must(t, s.Apply(e))
	must(t, s.Close())
	write(t, fs, "db", "000020.log", "")
	write(t, fs, "db", "000030.log", "")
	load := func() base.FileNum { return mustLoad(t, o).NextFileNum() }
	if n := load(); n != 31 {
		t.Errorf("next %s, want 31", n)
	}
	write(t, fs, "db", "000100.sst", "")
	write(t, fs, "db", "9223372036854775807.ldb", "")
	if n := load(); n != 101 {
		t.Errorf("next %s, want 101", n)
	}
	write(t, fs, "db", "CURRENT.200", "")
	if n := load(); n != 201 {
		t.Errorf("next %s, want 201", n)
	}
	r := mustLoad(t, o)
	far := file(t, "4611686018427387904:[a#1,SET-a#1,SET]") // the largest number Load believes
	if err := r.Apply(&version.Edit{Added: []version.AddedFile{{Level: 1, Meta: far}}}); err == nil {
		t.Error("applied an edit after which no file number is left")
	}
	r = mustLoad(t, o)
	if got := r.LiveLogs([]string{"000031.log", "000030.log", "000010.log", "000020.log", "21.log", "x"}); !slices.Equal(got, []base.FileNum{20, 30, 31}) {
		t.Errorf("live logs %v", got)
	}
	r.MarkUsed(500)
	if n := r.NewFileNum(); n != 501 {
		t.Errorf("next %s, want 501", n)
	}
}

// TestMissingLogs checks that both logs a manifest names must be there.
func TestMissingLogs(t *testing.T) {
	for _, missing := range []string{"000020.log", "000010.log"} {
		fs := vfs.NewMem()
		o := version.Options{FS: fs, Dir: "db"}
		s := mustCreate(t, o, false)
		must(t, s.Apply(&version.Edit{LogNum: num(20), PrevLogNum: num(10)}))
		must(t, s.Close())
		write(t, fs, "db", "000010.log", "")
		write(t, fs, "db", "000020.log", "")
		mustLoad(t, o)
		must(t, fs.Remove("db/"+missing))
		_, err := version.Load(o)
		var c *base.CorruptionError
		if !errors.As(err, &c) || c.File != missing {
			t.Errorf("without %s: %v", missing, err)
		}
		// A log number alone retires the previous log.
		must(t, s2(t, fs, o, missing).Apply(&version.Edit{LogNum: num(21)}))
		write(t, fs, "db", "000021.log", "")
		if r := mustLoad(t, o); r.PrevLogNum() != 0 || r.LogNum() != 21 {
			t.Errorf("log %s, previous %s", r.LogNum(), r.PrevLogNum())
		}
	}
}

func s2(t *testing.T, fs vfs.FS, o version.Options, missing string) *version.Set {
	write(t, fs, o.Dir, missing, "")
	return mustLoad(t, o)
}

// TestSpares checks the numbers kept for merges inside level 0, and which of them a
// later process may use.
func TestSpares(t *testing.T) {
	fs := vfs.NewMem()
	o := version.Options{FS: fs, Dir: "db"}
	s := mustCreate(t, o, false)
	s.MarkUsed(20)
	for _, n := range []base.FileNum{11, 13, 15} {
		s.ReserveSpare(n)
		s.ReserveSpare(n)
	}
	if n, ok := s.TakeSpare(11, 13); ok {
		t.Errorf("took %s between 11 and 13", n)
	}
	if n, ok := s.TakeSpare(11, 15); !ok || n != 13 {
		t.Errorf("took %s, want 13", n)
	}
	if n, ok := s.TakeSpare(11, 15); ok {
		t.Errorf("took %s twice", n)
	}
	e := &version.Edit{}
	for _, text := range []string{"14:[a#1,SET-b#1,SET]", "16:[a#2,SET-b#2,SET]", "18:[a#3,SET-b#3,SET]", "20:[a#3,SET-b#3,SET]"} {
		f := file(t, text)
		write(t, fs, "db", f.Name(), "")
		e.Add(0, f)
	}
	must(t, s.Apply(e))
	if m := s.Metrics(); m.Spares != 1 {
		t.Errorf("%d spares, want 15 alone: 11 lies below level 0", m.Spares)
	}
	must(t, s.Close())
	write(t, fs, "db", "000017.log", "")
	r := mustLoad(t, o)
	for _, want := range []base.FileNum{15, 19, 0} {
		if n, ok := r.TakeSpare(0, 100); ok != (want != 0) || n != want {
			t.Errorf("took %s, want %s", n, want)
		}
	}
}

// TestApplyRefuses checks that an edit against the state changes nothing, on disk
// neither.
func TestApplyRefuses(t *testing.T) {
	fs := vfs.NewMem()
	o := version.Options{FS: fs, Dir: "db"}
	s := mustCreate(t, o, false)
	must(t, s.Apply(&version.Edit{LogNum: num(5)}))
	before := read(t, fs, "db/"+s.ManifestName())
	for name, e := range map[string]*version.Edit{
		"unknown file":     {Deleted: []version.DeletedFile{{Level: 0, Num: 9}}},
		"log goes back":    {LogNum: num(4)},
		"next file":        {NextFileNum: num(4)},
		"comparer":         {Comparer: "x"},
		"file upside down": {Added: []version.AddedFile{{Level: 1, Meta: file(t, "7:[b#1,SET-a#1,SET]")}}},
	} {
		if err := s.Apply(e); err == nil || errors.Is(err, version.ErrUnsettled) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if !reflect.DeepEqual(before, read(t, fs, "db/"+s.ManifestName())) {
		t.Error("the manifest changed")
	}
}

// TestObsolete checks that tables are handed over when the last version naming them
// goes, without locks, and that Close hands over nothing.
func TestObsolete(t *testing.T) {
	fs := vfs.NewMem()
	var s *version.Set
	var got []string
	o := version.Options{FS: fs, Dir: "db", Obsolete: func(files []*version.FileMeta) {
		s.ManifestName() // would deadlock under a lock
		s.LogNum()
		for _, f := range files {
			got = append(got, f.Num.String())
		}
	}}
	attached := 0
	o.Attach = func(*version.FileMeta) any { attached++; return attached }
	s = mustCreate(t, o, false)
	e := &version.Edit{}
	e.Add(0, file(t, "5:[a#1,SET-b#1,SET]"))
	e.Add(0, file(t, "6:[a#2,SET-b#2,SET]"))
	must(t, s.Apply(e))
	v := s.Current()
	if attached != 2 || v.Files(0)[0].Table != 2 {
		t.Errorf("%d attached, table %v", attached, v.Files(0)[0].Table)
	}
	e = &version.Edit{}
	e.Delete(0, 5)
	e.Delete(0, 6)
	e.Add(1, v.Files(0)[0])
	must(t, s.Apply(e))
	if got != nil {
		t.Errorf("%v obsolete while a reader holds them", got)
	}
	if !s.Keeps(base.FileTable, 6) || s.Keeps(base.FileTable, 5) || !s.Keeps(base.FileManifest, s.ManifestNum()) {
		t.Error("Keeps is wrong")
	}
	must(t, s.Close())
	v.Unref()
	if fmt.Sprint(got) != "[000005]" {
		t.Errorf("obsolete: %v, want 000005", got)
	}
}

// Directories of engines whose tables have names like ours are named for what they
// are: a repair would find nothing in them.
func TestExistsNamesOtherEngines(t *testing.T) {
	for files, engine := range map[string]string{
		"000004.sst 000005.log MANIFEST-000001 OPTIONS-000003 marker.format-version.000001.013 marker.manifest.000001.MANIFEST-000001": "Pebble",
		"000001.sst 000001.vlog 00001.mem MANIFEST KEYREGISTRY DISCARD":                                                                "Badger",
	} {
		fs := vfs.NewMem()
		must(t, fs.MkdirAll("db"))
		for _, name := range strings.Fields(files) {
			write(t, fs, "db", name, "x")
		}
		_, _, err := version.Exists(fs, "db")
		if !errors.Is(err, base.ErrNotDatabase) || !strings.Contains(err.Error(), engine) {
			t.Errorf("%s: %v", engine, err)
		}
		write(t, fs, "db", "CURRENT", "MANIFEST-000001\n")
		state, l, err := version.Exists(fs, "db")
		if err != nil || state != version.StateLevelDB {
			t.Errorf("with CURRENT: %v, %v", state, err)
		}
		// Badger has no CURRENT, Pebble had one.
		if other := version.OtherEngine(fs, "db", l); (other != nil) != (engine == "Pebble") {
			t.Errorf("%s with CURRENT: %v", engine, other)
		}
	}
}
