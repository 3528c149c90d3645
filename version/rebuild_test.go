package version

import (
	"testing"

	"github.com/strata-db/strata/internal/base"
	"github.com/strata-db/strata/vfs"
)

// TestRebuild replaces a damaged pointer and an unreadable manifest, and leaves
// both as they are until the first edit.
func TestRebuild(t *testing.T) {
	for _, upgraded := range []bool{false, true} {
		fsys := vfs.NewMem()
		o := Options{FS: fsys, Dir: "db"}
		s, err := Create(o, upgraded)
		if err != nil {
			t.Fatal(err)
		}
		pointer, table := base.CurrentName, base.FileTable
		if upgraded {
			pointer, table = base.MarkerName, base.FileTableUpgr
		}
		old := s.ManifestName()
		for name, content := range map[string]string{pointer: "nonsense", old: "nonsense", base.FileName(table, 40): "a table"} {
			if err := writeSynced(fsys, o.path(name), []byte(content)); err != nil {
				t.Fatal(err)
			}
		}
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
		r, err := Rebuild(o, upgraded)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := Load(o); err == nil {
			t.Errorf("upgraded %v: rebuilt before the first edit", upgraded)
		}
		var e Edit
		e.SetLastSeq(9)
		k := base.MakeKey([]byte("a"), 9, base.KindSet)
		e.Add(3, &FileMeta{Num: 40, Type: table, Size: 7, Smallest: k, Largest: k})
		if err := r.Apply(&e); err != nil {
			t.Fatal(err)
		}
		if n := r.NewFileNum(); n <= 41 {
			t.Errorf("upgraded %v: hands out %s", upgraded, n)
		}
		if err := r.Close(); err != nil {
			t.Fatal(err)
		}
		l, err := Load(o)
		if err != nil {
			t.Fatal(err)
		}
		if l.Upgraded() != upgraded || l.LastSeq() != 9 || len(l.Current().Files(3)) != 1 {
			t.Errorf("upgraded %v: loads last sequence %d and\n%s", upgraded, l.LastSeq(), l.Current())
		}
		if list, err := List(fsys, "db"); err != nil || len(list.Names(base.FileManifest, base.FileManifestUpgr)) != 2 {
			t.Errorf("upgraded %v: %v, %v: the old manifest is gone", upgraded, list, err)
		}
	}
}
