package version

import (
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"

	"github.com/strata-db/strata/internal/base"
	"github.com/strata-db/strata/vfs"
)

// MakeDir makes dir, and those above it that are missing, and makes their names
// durable.
func MakeDir(fsys vfs.FS, dir string) error {
	var parents []string
	for d := filepath.Clean(dir); ; d = filepath.Dir(d) {
		_, err := fsys.Stat(d)
		if err == nil || filepath.Dir(d) == d {
			break
		}
		if !errors.Is(err, fs.ErrNotExist) {
			return err
		}
		parents = append(parents, filepath.Dir(d))
	}
	if err := fsys.MkdirAll(dir); err != nil {
		return err
	}
	for _, p := range parents {
		if err := fsys.SyncDir(p); err != nil {
			return err
		}
	}
	return nil
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
	if err := prepareDir(&o); err != nil {
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

// prepareDir makes the directory. Its parent is synced even if the directory is there
// already, as whoever made it, perhaps to lock it, may not have done so; then, the
// parent may also be one that we are not allowed to open.
func prepareDir(o *Options) error {
	_, err := o.FS.Stat(o.Dir)
	if errors.Is(err, fs.ErrNotExist) {
		return MakeDir(o.FS, o.Dir)
	}
	if err != nil {
		return err
	}
	if err := o.FS.SyncDir(filepath.Dir(filepath.Clean(o.Dir))); err != nil {
		o.Logger.Warn("parent directory not synced", "dir", o.Dir, "error", err)
	}
	return nil
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
