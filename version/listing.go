package version

import (
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"slices"

	"github.com/strata-db/strata/internal/base"
	"github.com/strata-db/strata/vfs"
)

// A Listing is what a directory holds, by name alone.
type Listing struct {
	// Files are those whose names are a database's, in name order.
	Files []ListedFile
	// Foreign are the other names, in order. They are nobody's to touch.
	Foreign []string
}

// A ListedFile is a file with a database's name.
type ListedFile struct {
	Name string
	Type base.FileType
	Num  base.FileNum
}

// List reads the names in dir. A missing directory is an error that is
// fs.ErrNotExist; a file, or no name at all, is base.ErrNotDatabase.
func List(fsys vfs.FS, dir string) (*Listing, error) {
	if dir == "" {
		return nil, fmt.Errorf("%w: its name is empty", base.ErrNotDatabase)
	}
	names, err := fsys.List(dir)
	if err != nil {
		if info, statErr := fsys.Stat(dir); statErr == nil && !info.IsDir() {
			return nil, fmt.Errorf("%w: it is a file", base.ErrNotDatabase)
		}
		return nil, err
	}
	slices.Sort(names)
	l := &Listing{}
	for _, name := range names {
		t, num := base.ParseFileName(name)
		if t == base.FileUnknown {
			l.Foreign = append(l.Foreign, name)
			continue
		}
		l.Files = append(l.Files, ListedFile{name, t, num})
	}
	return l, nil
}

// canonical returns the name that a table or log of f's number is opened by.
func (f *ListedFile) canonical() string {
	switch f.Type {
	case base.FileTemp, base.FileInfoLog, base.FileCurrentBak:
		return f.Name
	}
	return base.FileName(f.Type, f.Num)
}

// Has reports whether a file of type t is there.
func (l *Listing) Has(t base.FileType) bool {
	return slices.ContainsFunc(l.Files, func(f ListedFile) bool { return f.Type == t })
}

// Names returns the names of the files of the given types.
func (l *Listing) Names(types ...base.FileType) []string {
	var names []string
	for _, f := range l.Files {
		if slices.Contains(types, f.Type) {
			names = append(names, f.Name)
		}
	}
	return names
}

// next returns a number above every one in the listing. Absurd numbers, which no
// counter ever reached, are passed over.
func (l *Listing) next() base.FileNum {
	n := base.FileNum(0)
	for _, f := range l.Files {
		if f.Num < lastFileNum {
			n = max(n, f.Num+1)
		}
	}
	return n
}

// tables returns which name each table has. Where one number has two names, the
// newer naming counts: .stbl (in an upgraded directory alone), .ldb, .sst.
func (l *Listing) tables(upgraded bool) map[base.FileNum]base.FileType {
	m := make(map[base.FileNum]base.FileType)
	for _, f := range l.Files {
		if f.Name != f.canonical() {
			continue // 5.ldb is not the name that number 5 is opened by
		}
		switch f.Type {
		case base.FileTableUpgr:
			if upgraded {
				m[f.Num] = f.Type
			}
		case base.FileTable:
			if m[f.Num] != base.FileTableUpgr {
				m[f.Num] = f.Type
			}
		case base.FileTableOld:
			if m[f.Num] == base.FileUnknown {
				m[f.Num] = f.Type
			}
		}
	}
	return m
}

// State is what a directory is, seen from outside.
type State uint8

// The states.
const (
	// StateNew: there is no database, and nothing that could be the remains of one.
	// Create may make one. The directory may be missing, hold foreign files, or
	// hold what an interrupted Create left.
	StateNew State = iota
	// StateLevelDB: a database in LevelDB's format.
	StateLevelDB
	// StateUpgraded: a database past the upgrade gate.
	StateUpgraded
)

// String returns the state as tools print it.
func (s State) String() string {
	switch s {
	case StateNew:
		return "new"
	case StateLevelDB:
		return "leveldb"
	case StateUpgraded:
		return "upgraded"
	}
	return fmt.Sprintf("State(%d)", uint8(s))
}

// Exists tells what dir is, and what it holds. Where there is a pointer file it reads
// names only.
//
// Without a pointer file, a directory with a table or a log that is not empty is no
// new database: something was lost, and the error, a *base.CorruptionError, says so.
// Without either, creation was cut short (the first log is made after the pointer).
func Exists(fsys vfs.FS, dir string) (State, *Listing, error) {
	l, err := List(fsys, dir)
	if errors.Is(err, fs.ErrNotExist) {
		return StateNew, &Listing{}, nil
	}
	if err != nil {
		return StateNew, nil, err
	}
	switch {
	case l.Has(base.FileMarker):
		return StateUpgraded, l, nil
	case l.Has(base.FileCurrent):
		return StateLevelDB, l, nil
	}
	if err := OtherEngine(fsys, dir, l); err != nil {
		return StateNew, l, err
	}
	rest, err := remains(fsys, dir, l)
	if err == nil && rest != "" {
		err = base.Corruptf(base.CurrentName, -1, "missing, but %s is here; Repair can rebuild the database", rest)
	}
	if err == nil {
		err = l.disown(fsys, dir)
	}
	return StateNew, l, err
}

// disown counts temporary files as foreign that an interrupted Create cannot have
// left: a database made here would remove them.
func (l *Listing) disown(fsys vfs.FS, dir string) error {
	var first error
	l.Files = slices.DeleteFunc(l.Files, func(f ListedFile) bool {
		if f.Type != base.FileTemp {
			return false
		}
		b, err := readSmall(fsys, dir, f.Name)
		switch {
		case errors.Is(err, fs.ErrNotExist) || err == nil && pointerBegun(b):
			return false
		case err != nil && !errors.Is(err, base.ErrCorruption):
			first = err
			return false
		}
		l.Foreign = append(l.Foreign, f.Name)
		return true
	})
	return first
}

// pointerBegun reports whether b may be what a power cut left of a pointer file.
func pointerBegun(b []byte) bool {
	for _, name := range []string{"MANIFEST-", "STRATA-"} {
		n := min(len(b), len(name))
		if string(b[:n]) == name[:n] {
			return true
		}
	}
	return allZero(b)
}

// remains returns the name of a file that only a database with content has.
func remains(fsys vfs.FS, dir string, l *Listing) (string, error) {
	for _, f := range l.Files {
		switch f.Type {
		case base.FileTable, base.FileTableOld, base.FileTableUpgr:
			return f.Name, nil
		case base.FileLog, base.FileLogUpgr:
			info, err := fsys.Stat(filepath.Join(dir, f.Name))
			if err != nil {
				return "", err
			}
			if info.Size() > 0 {
				return f.Name, nil
			}
		}
	}
	return "", nil
}
