package version

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path/filepath"

	"github.com/strata-db/strata/internal/base"
	"github.com/strata-db/strata/vfs"
	"github.com/strata-db/strata/wal/record"
)

// batchHeaderLen is the length of a batch of no operations: a sequence number of eight
// bytes and a count of four.
const batchHeaderLen = 12

// Upgrade takes a directory in LevelDB's format past the upgrade gate, one way. The
// caller holds the lock, nothing has the database open, and its live logs hold no
// batch that changes anything: they were flushed. A directory that is past the gate
// already, or halfway, is finished.
//
// The gate keeps LevelDB, goleveldb and the repair tools of both from opening,
// "repairing" or creating over files they do not understand:
//
//	STRATA       the pointer; CURRENT becomes an empty directory, which both fail on
//	             without changing anything
//	STRATA-n     the manifest, with "strata.v1:" before the comparer's name
//	n.swal       logs
//	n.stbl       tables
//
// Order, each step durable before the next:
//
//  1. the new manifest and the new pointer are written: still a LevelDB directory
//  2. STRATA is renamed into place: now an upgraded one, whatever else is there
//  3. CURRENT.bak, CURRENT.n and CURRENT are removed, CURRENT is made a directory
//  4. old manifests and logs are removed, tables are renamed
//
// A crash before 2 leaves the directory as it was, one after it an upgraded directory
// that Load reads as it is and FinishUpgrade completes. Only in the second case, and
// only between the two halves of 3, is there no CURRENT for another engine to fail on.
func Upgrade(o Options) error {
	o = o.withDefaults()
	if o.ReadOnly {
		return base.ErrReadOnly
	}
	state, list, err := Exists(o.FS, o.Dir)
	if err != nil {
		return err
	}
	switch state {
	case StateNew:
		return fmt.Errorf("%s: %w", o.Dir, base.ErrNotExist)
	case StateUpgraded:
		return FinishUpgrade(o)
	}
	if names := list.Names(base.FileLogUpgr, base.FileTableUpgr); len(names) > 0 {
		return base.Corruptf(names[0], -1, "is of an upgraded directory, and there is no %s", base.MarkerName)
	}
	o.Attach, o.Obsolete = nil, nil
	s, err := Load(o)
	if err != nil {
		return err
	}
	if err := s.checkFlushed(list); err != nil {
		return err
	}
	if err := s.passGate(); err != nil {
		return err
	}
	return FinishUpgrade(o)
}

// passGate writes the marker. Nothing of the old format is touched before it is
// durable.
func (s *Set) passGate() error {
	s.applyMu.Lock()
	from := s.manifest
	s.upgraded, s.manifest, s.stale = true, "", nil
	s.mu.logNum, s.mu.prevLog = 0, 0
	_, err := s.switchManifest(s.mu.state, from)
	s.applyMu.Unlock()
	return errors.Join(err, s.Close())
}

// checkFlushed returns an error if a live log holds anything that a table does not.
func (s *Set) checkFlushed(list *Listing) error {
	for _, num := range s.LiveLogs(list.Names(base.FileLog)) {
		name := base.FileName(base.FileLog, num)
		empty, err := emptyLog(s.o.FS, s.o.path(name))
		if err != nil {
			return err
		}
		if !empty {
			return fmt.Errorf("version: upgrade of %s: log %s is not flushed", s.o.Dir, name)
		}
	}
	return nil
}

// emptyLog reports whether the log at path changes nothing: it holds batches of no
// operations, perhaps followed by zeros.
func emptyLog(fsys vfs.FS, path string) (bool, error) {
	f, err := fsys.Open(path)
	if err != nil {
		return false, err
	}
	defer f.Close()
	size, err := f.Size()
	if err != nil {
		return false, err
	}
	r := record.NewReader(f, size, filepath.Base(path))
	for {
		rec, _, err := r.Next()
		var d *record.Damage
		switch {
		case err == io.EOF:
			return true, nil
		case errors.As(err, &d):
			tear, err := judge(f, r, err)
			return tear == nil && err == nil, nil
		case err != nil:
			return false, err
		case len(rec) != batchHeaderLen || binary.LittleEndian.Uint32(rec[8:]) != 0:
			return false, nil
		}
	}
}

// FinishUpgrade completes what an interrupted Upgrade or Create left undone in an
// upgraded directory, and does nothing if there is nothing to do. The caller holds
// the lock. It is to be called before a Load that is followed by writing; a crash at
// any point leaves it to be called again.
func FinishUpgrade(o Options) error {
	o = o.withDefaults()
	p, err := readPointer(o.FS, o.Dir, true)
	if err != nil {
		return err
	}
	open, err := checkGate(o.FS, o.Dir, p)
	if err != nil {
		return err
	}
	if open {
		if err := closeGate(o.FS, o.Dir); err != nil {
			return err
		}
	}
	return removeOldFormat(&o)
}

// closeGate makes CURRENT a directory. The marker is there, but perhaps not durable yet:
// a process may have died between the rename and the sync that was to follow. So the
// directory is synced before CURRENT is touched.
func closeGate(fsys vfs.FS, dir string) error {
	list, err := List(fsys, dir)
	if err != nil {
		return err
	}
	current := filepath.Join(dir, base.CurrentName)
	// goleveldb falls back to these, so they go before CURRENT does.
	for _, f := range list.Files {
		if f.Type == base.FileCurrentBak || f.Type == base.FileTemp {
			if err := removeIn(fsys, dir, f.Name); err != nil {
				return err
			}
		}
	}
	if err := fsys.SyncDir(dir); err != nil {
		return err
	}
	if info, err := fsys.Stat(current); err == nil && !info.IsDir() {
		if err := fsys.Remove(current); err != nil {
			return err
		}
	}
	if err := fsys.MkdirAll(current); err != nil {
		return err
	}
	return fsys.SyncDir(dir)
}

// removeOldFormat removes the manifests and logs of LevelDB's format, all of which are
// out of use once the marker is there, and gives tables their new names.
func removeOldFormat(o *Options) error {
	list, err := List(o.FS, o.Dir)
	if err != nil {
		return err
	}
	changed := false
	for _, name := range list.Names(base.FileManifest, base.FileLog) {
		changed = true
		if err := removeIn(o.FS, o.Dir, name); err != nil {
			return err
		}
	}
	for num, t := range list.tables(true) {
		if t == base.FileTableUpgr {
			continue
		}
		changed = true
		from, to := base.FileName(t, num), base.FileName(base.FileTableUpgr, num)
		if err := o.FS.Rename(o.path(from), o.path(to)); err != nil {
			return err
		}
	}
	if !changed {
		return nil
	}
	return o.FS.SyncDir(o.Dir)
}

func removeIn(fsys vfs.FS, dir, name string) error {
	err := fsys.Remove(filepath.Join(dir, name))
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return err
}
