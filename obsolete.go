package strata

import (
	"fmt"
	"slices"
	"sync"

	"github.com/strata-db/strata/internal/base"
	"github.com/strata-db/strata/internal/tablecache"
	"github.com/strata-db/strata/version"
)

// A deleter removes files that nothing names any more. A removal that fails (on
// Windows a file may still be open elsewhere) is tried again with the next one,
// and in the end by the next Open. While held, removals wait: a checkpoint is
// linking files.
type deleter struct {
	mu      sync.Mutex
	held    int
	closed  bool
	pending []FileInfo
}

// close tries once more what is pending. From then on nothing is removed: the
// lock is about to be given up, and the directory may be another's, or another
// database's, when an iterator that outlives this one lets go of its tables. The
// next Open removes them.
func (l *deleter) close(d *DB) {
	l.drain(d)
	l.mu.Lock()
	l.closed = true
	l.mu.Unlock()
}

// add removes name now, or later if that is not possible.
func (l *deleter) add(d *DB, name string, bytes uint64) {
	l.mu.Lock()
	if l.closed {
		l.mu.Unlock()
		return
	}
	l.pending = append(l.pending, FileInfo{Name: name, Bytes: bytes})
	l.mu.Unlock()
	l.drain(d)
}

// forget takes name back: a file of that name is about to be made again.
func (l *deleter) forget(name string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.pending = slices.DeleteFunc(l.pending, func(f FileInfo) bool { return f.Name == name })
}

// drain removes what is pending, unless held.
func (l *deleter) drain(d *DB) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.held > 0 {
		return
	}
	var kept []FileInfo
	for _, f := range l.pending {
		if err := d.fs.Remove(d.path(f.Name)); err != nil && !isNotExist(err) {
			kept = append(kept, f)
			d.opts.Logger.Warn("could not remove a file", "file", f.Name, "err", err)
		}
	}
	l.pending = kept
}

// hold keeps files from being removed until release.
func (l *deleter) hold() {
	l.mu.Lock()
	l.held++
	l.mu.Unlock()
}

func (l *deleter) release(d *DB) {
	l.mu.Lock()
	l.held--
	l.mu.Unlock()
	l.drain(d)
}

// obsoleteTables is called by the version set, without locks, with tables that
// no version names any more.
func (d *DB) obsoleteTables(files []*version.FileMeta) {
	for _, f := range files {
		// One that only a failed edit named was never part of a version.
		if t, ok := f.Table.(*tablecache.Table); ok {
			t.Evict()
		}
		if d.opts.ReadOnly || d.closed.Load() {
			continue
		}
		d.deleter.add(d, f.Name(), f.Size)
		d.counters.tablesDeleted.Add(1)
		emit(d.opts.Events.TableDeleted, FileInfo{Name: f.Name(), Bytes: f.Size})
	}
}

// removeGarbage removes what a crash left behind: logs, tables and manifests
// that nothing names, and unfinished files. Names it does not know stay. It runs
// before background work begins.
//
// What names a file is the manifest as it was read, and a process that was killed
// may have written it without a sync. So it is made durable first: otherwise a
// power cut could bring back an older one that names what was removed.
func (d *DB) removeGarbage() error {
	names, err := d.fs.List(d.dir)
	if err != nil {
		return err
	}
	garbage := slices.DeleteFunc(names, func(name string) bool { return !d.isGarbage(name) })
	if len(garbage) == 0 {
		return nil
	}
	if err := d.set.Confirm(); err != nil {
		return fmt.Errorf("confirm the manifest: %w", err)
	}
	for _, name := range garbage {
		if d.isGarbage(name) { // Confirm has made a new manifest
			d.deleter.add(d, name, 0)
		}
	}
	return nil
}

// isGarbage reports that name is of a kind the engine makes and that nothing
// needs it.
func (d *DB) isGarbage(name string) bool {
	t, num := base.ParseFileName(name)
	switch t {
	case base.FileLog, base.FileLogUpgr:
		return !d.isLiveLog(num)
	case base.FileTable, base.FileTableOld, base.FileTableUpgr, base.FileManifest, base.FileManifestUpgr:
		return !d.set.Keeps(t, num)
	}
	return t == base.FileTemp || name == unfinishedMark
}

func (d *DB) isLiveLog(num base.FileNum) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	return slices.ContainsFunc(d.mu.segments, func(s segment) bool { return s.num == num })
}
