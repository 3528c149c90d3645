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

// MakeDir makes dir, and those above it that are missing, and makes their names
// durable, each before the next is made. The name of the lowest one that is there
// already is made durable too: whoever made it may have died before doing so.
func MakeDir(fsys vfs.FS, dir string) error {
	var missing []string
	d := filepath.Clean(dir)
	for ; filepath.Dir(d) != d; d = filepath.Dir(d) {
		_, err := fsys.Stat(d)
		if err == nil {
			break
		}
		if !errors.Is(err, fs.ErrNotExist) {
			return err
		}
		missing = append(missing, d)
	}
	if err := syncName(fsys, d); err != nil {
		return err
	}
	for _, d := range slices.Backward(missing) {
		if err := fsys.MkdirAll(d); err != nil {
			return err
		}
		if err := fsys.SyncDir(filepath.Dir(d)); err != nil {
			return err
		}
	}
	return nil
}

// syncName makes the name of an existing directory durable. It does without where
// the directory above is one that we are not allowed to open: then somebody else
// made this one.
func syncName(fsys vfs.FS, dir string) error {
	dir = filepath.Clean(dir)
	if filepath.Dir(dir) == dir {
		return nil
	}
	err := fsys.SyncDir(filepath.Dir(dir))
	if errors.Is(err, fs.ErrPermission) || errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return err
}

// Create makes a new, empty database, durable when it returns, and with upgraded one
// that is past the upgrade gate. The directory is made if it is missing; it must be
// StateNew, otherwise base.ErrExists or a *base.CorruptionError. Foreign files in it
// are left alone.
//
// A crash on the way leaves a directory that is StateNew or the complete database.
// The first log is to be made afterwards; the log number is 0 until then.
func Create(o Options, upgraded bool) (*Set, error) {
	o = o.withDefaults()
	if o.ReadOnly {
		return nil, base.ErrReadOnly
	}
	state, list, err := Exists(o.FS, o.Dir)
	if err != nil {
		return nil, err
	}
	if state != StateNew {
		return nil, fmt.Errorf("%s: %w", o.Dir, base.ErrExists)
	}
	if err := MakeDir(o.FS, o.Dir); err != nil {
		return nil, err
	}
	s := emptySet(o, upgraded, list)
	if _, err := s.switchManifest(s.mu.state, ""); err != nil {
		return nil, errors.Join(err, s.Close())
	}
	s.mu.manifestBytes, s.mu.snapshotBytes = s.file.size(), s.file.snapshot
	if !upgraded {
		return s, nil
	}
	if err := closeGate(o.FS, o.Dir); err != nil {
		return nil, errors.Join(err, s.Close())
	}
	return s, nil
}

// emptySet returns a set of nothing that numbers its files past what an interrupted
// creation left.
func emptySet(o Options, upgraded bool, list *Listing) *Set {
	v := &Version{cmp: o.Cmp, obsolete: o.Obsolete}
	for i := range v.levels {
		v.levels[i] = newLevel(o.Cmp, i, nil)
	}
	v.install()
	s := &Set{o: o, upgraded: upgraded}
	s.stale = list.Names(base.FileManifest, base.FileManifestUpgr)
	s.mu.state = state{version: v}
	s.mu.nextFile = max(1, list.next())
	return s
}
