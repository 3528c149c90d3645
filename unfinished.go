package strata

import (
	"errors"
	"fmt"
	"path/filepath"

	"github.com/strata-db/strata/internal/base"
	"github.com/strata-db/strata/version"
	"github.com/strata-db/strata/vfs"
)

// Checkpoint and Salvage put a database together in a directory beside the one it
// is for, and rename that when all in it is durable. Until then, and a moment longer,
// it holds a file that says so: a database that happens to have such a name is not
// ours to take away.

// unfinishedSuffix makes the name of the directory out of its final one.
const unfinishedSuffix = ".unfinished"

// unfinishedMark is the base name of the file. An Open removes one that was left
// after the rename.
const unfinishedMark = "UNFINISHED"

// beginUnfinished makes dir, marked, in place of what an earlier attempt left there.
func beginUnfinished(fs vfs.FS, dir string) error {
	if err := removeUnfinished(fs, dir); err != nil {
		return fmt.Errorf("remove what an earlier attempt left: %w", err)
	}
	if err := version.MakeDir(fs, dir); err != nil {
		return err
	}
	f, err := fs.Create(filepath.Join(dir, unfinishedMark))
	if err == nil {
		err = f.Close()
	}
	if err == nil {
		// Before anything else, or a power cut could leave the rest without it.
		err = fs.SyncDir(dir)
	}
	if err != nil {
		return errors.Join(err, removeUnfinished(fs, dir))
	}
	return nil
}

// errMayAppear says that a copy was made, and that nobody knows whether it has its
// name on the disk.
var errMayAppear = errors.New("the copy is whole, but may be gone, or be there, after a power cut")

// publishUnfinished gives dir, in which everything is durable, its name. After an
// error it does not have it, unless that is errMayAppear. Then it is left as it is,
// under either name: what is removed from it now would be missing if the disk has
// the name.
func publishUnfinished(fs vfs.FS, dir, name string) error {
	if err := fs.Rename(dir, name); err != nil {
		return err
	}
	if err := fs.SyncDir(filepath.Dir(name)); err != nil {
		if fs.Rename(name, dir) != nil || fs.SyncDir(filepath.Dir(name)) != nil {
			return fmt.Errorf("%w: %w", errMayAppear, err)
		}
		return err
	}
	_ = fs.Remove(filepath.Join(name, unfinishedMark)) // the database is whole with it, too
	return nil
}

// dropUnfinished takes dir away after err, which it returns, if nothing can need it.
func dropUnfinished(fs vfs.FS, dir string, err error) error {
	if errors.Is(err, errMayAppear) {
		return err
	}
	return errors.Join(err, removeUnfinished(fs, dir))
}

// removeUnfinished takes away dir, if it holds nothing or is marked, and the database
// files in it. A missing one is no error.
func removeUnfinished(fs vfs.FS, dir string) error {
	names, err := fs.List(dir)
	if isNotExist(err) {
		return nil
	}
	if err != nil {
		return err
	}
	marked := false
	for _, name := range names {
		if name == unfinishedMark {
			marked = true
		} else if t, _ := base.ParseFileName(name); t == base.FileUnknown {
			return fmt.Errorf("%s holds %s, which is no database's; move it away", dir, name)
		}
	}
	if len(names) > 0 && !marked {
		return fmt.Errorf("%s is a database of its own, or what an older release left; move it away", dir)
	}
	for _, name := range names {
		if name == unfinishedMark {
			continue // last, so that the rest is known for what it is
		}
		if err := fs.Remove(filepath.Join(dir, name)); err != nil {
			return err
		}
	}
	if marked {
		if err := fs.SyncDir(dir); err != nil {
			return err
		}
		if err := fs.Remove(filepath.Join(dir, unfinishedMark)); err != nil {
			return err
		}
	}
	return fs.Remove(dir)
}
