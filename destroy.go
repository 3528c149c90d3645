package strata

import (
	"errors"
	"fmt"
	"path/filepath"

	"github.com/strata-db/strata/internal/base"
	"github.com/strata-db/strata/version"
	"github.com/strata-db/strata/vfs"
)

// Destroy removes the database in dir: its files, and the directory if nothing
// else is in it. Files that are no database's stay. A directory without a
// database, or of another engine, is ErrNotDatabase and left alone; a missing one
// is no error. opts may be nil; FS is what counts of it.
func Destroy(dir string, opts *Options) error {
	o := opts.withDefaults()
	if err := destroy(o.FS, dir); err != nil {
		return publicError(fmt.Errorf("destroy %s: %w", dir, err))
	}
	return nil
}

func destroy(fs vfs.FS, dir string) error {
	list, err := version.List(fs, dir)
	if isNotExist(err) {
		return nil
	}
	if err != nil {
		return err
	}
	names := list.Foreign
	for _, f := range list.Files {
		names = append(names, f.Name)
	}
	is, err := isDatabase(fs, dir, names)
	if err != nil {
		return err
	}
	if !is {
		if len(names) == 0 {
			return nil
		}
		return fmt.Errorf("%w: it has no manifest, and no CURRENT or %s that names one; if it is one, remove its files by hand", ErrNotDatabase, base.MarkerName)
	}
	if _, err := version.Inspect(fs, dir); errors.Is(err, ErrNotDatabase) {
		return err
	}
	lock, err := fs.Lock(filepath.Join(dir, base.LockName), false)
	if err != nil {
		return err
	}
	// The pointer goes first: what a crash leaves is then no database that opens
	// with less in it. Manifests go last: as long as one is there, Destroy knows
	// the directory for a database's.
	var errs []error
	remove := func(name string) {
		if err := fs.Remove(filepath.Join(dir, name)); err != nil && !isNotExist(err) {
			errs = append(errs, err)
		}
	}
	remove(base.MarkerName)
	remove(base.CurrentName)
	errs = append(errs, fs.SyncDir(dir))
	var manifests []string
	for _, name := range names {
		switch t, _ := base.ParseFileName(name); t {
		case base.FileUnknown, base.FileLock:
		case base.FileManifest, base.FileManifestUpgr:
			manifests = append(manifests, name)
		default:
			remove(name)
		}
	}
	for _, name := range manifests {
		remove(name)
	}
	errs = append(errs, lock.Close())
	remove(base.LockName)
	if errors.Join(errs...) == nil {
		removeIfEmpty(fs, dir)
	}
	return errors.Join(errs...)
}

// isDatabase reports whether dir, which holds names, has a manifest, or a pointer that
// names one. Other programs have files called CURRENT, 1.log and MANIFEST-old.txt too.
func isDatabase(fs vfs.FS, dir string, names []string) (bool, error) {
	for _, name := range names {
		switch t, _ := base.ParseFileName(name); t {
		case base.FileManifest, base.FileManifestUpgr:
			return true, nil
		case base.FileCurrent, base.FileMarker:
			_, err := version.ReadPointer(version.Options{FS: fs, Dir: dir}, t == base.FileMarker)
			if err == nil {
				return true, nil
			}
			if !errors.Is(err, ErrCorruption) && !isNotExist(err) && !errors.Is(err, version.ErrNewerRelease) {
				return false, err
			}
		}
	}
	return false, nil
}

func removeIfEmpty(fs vfs.FS, dir string) {
	if names, err := fs.List(dir); err == nil && len(names) == 0 {
		fs.Remove(dir)
	}
}

// Upgrade takes the database in dir past LevelDB's format, one way: it may then
// hold what LevelDB cannot represent (zstd blocks), and LevelDB and goleveldb
// refuse the directory, their repair tools included. What the log holds is
// flushed first. A crash at any point leaves a directory that opens, upgraded or
// not. An upgraded directory is left as it is.
func Upgrade(dir string, opts *Options) error {
	o := opts.withDefaults()
	o.ErrorIfMissing, o.ReadOnly, o.ErrorIfExists = true, false, false
	o.Compression = Snappy
	o.Policy = Leveled(LeveledOptions{})
	o.testing.disableAuto = true
	d, err := Open(dir, &o)
	if err != nil {
		return err
	}
	if d.set.Upgraded() {
		return d.Close()
	}
	if err := d.retireAllLogs(); err != nil {
		return errors.Join(fmt.Errorf("upgrade %s: %w", dir, err), d.Close())
	}
	// The lock goes from this handle to the next without being free between:
	// closing the files keeps it.
	lock := d.lock
	d.lock = nil
	if err := d.Close(); err != nil {
		return errors.Join(err, lock.Close())
	}
	err = version.Upgrade(version.Options{FS: o.FS, Dir: dir, Cmp: o.Comparer, Logger: o.Logger})
	if err != nil {
		err = publicError(fmt.Errorf("upgrade %s: %w", dir, err))
	}
	return errors.Join(err, lock.Close())
}

// retireAllLogs flushes, so that the only live log is the empty current one.
func (d *DB) retireAllLogs() error {
	if err := d.flush(); err != nil {
		return err
	}
	return nil
}
