package version

import (
	"errors"
	"fmt"
	"io/fs"
	"slices"

	"github.com/strata-db/strata/internal/base"
	"github.com/strata-db/strata/vfs"
)

// An Inspection is what the pointer and the manifest of a directory say, taken at
// their word: no table is looked for and no comparer is needed.
type Inspection struct {
	Upgraded bool
	Manifest string   // base name
	Comparer string   // plain name
	Contents Contents // complete
	Tear     *Tear    // the manifest's torn last record, nil if it ends plainly
	Bytes    int64    // of the manifest
}

// Inspect reads the pointer and the manifest of dir and changes nothing. A directory
// without a database is base.ErrNotExist; damage is a *base.CorruptionError.
//
// A directory of another engine is base.ErrNotDatabase, not damaged.
func Inspect(fsys vfs.FS, dir string) (*Inspection, error) {
	_, in, err := inspect(fsys, dir)
	return in, err
}

func inspect(fsys vfs.FS, dir string) (p pointer, in *Inspection, err error) {
	state, l, err := Exists(fsys, dir)
	if err != nil {
		return p, nil, err
	}
	defer func() {
		if errors.Is(err, base.ErrCorruption) {
			if other := OtherEngine(fsys, dir, l); other != nil {
				err = other
			}
		}
	}()
	if state == StateNew {
		return p, nil, fmt.Errorf("%s: %w", dir, base.ErrNotExist)
	}
	in = &Inspection{Upgraded: state == StateUpgraded}
	if p, err = readPointer(fsys, dir, in.Upgraded); err != nil {
		return p, nil, err
	}
	in.Manifest = p.manifest
	o := Options{FS: fsys, Dir: dir}
	in.Tear, in.Bytes, err = readManifest(fsys, o.path(p.manifest), func(_ int64, e *Edit) error {
		in.Contents.Replay(e)
		return nil
	})
	if errors.Is(err, fs.ErrNotExist) {
		err = in.dangling(l, p.manifest)
	}
	if err != nil {
		return p, nil, err
	}
	if in.Comparer, err = in.Contents.comparerName(p.manifest, in.Upgraded); err != nil {
		return p, nil, err
	}
	return p, in, in.Contents.complete(p.manifest)
}

// dangling says that the manifest the pointer names is not there. If another one
// is, the pointer is to blame, else the manifest was lost.
func (in *Inspection) dangling(l *Listing, manifest string) error {
	pointer, t := base.CurrentName, base.FileManifest
	if in.Upgraded {
		pointer, t = base.MarkerName, base.FileManifestUpgr
	}
	if l.Has(t) {
		return base.Corruptf(pointer, 0, "it names %s, which does not exist; Repair can try the others", manifest)
	}
	return base.Corruptf(manifest, -1, "missing, and %s names it; Repair can rebuild it from the tables", pointer)
}

// Load returns the set that the directory's pointer and manifest describe. It
// changes nothing on disk. Errors: base.ErrNotExist (there is no database),
// base.ErrComparerMismatch, ErrNewerRelease, *base.CorruptionError, which names
// the damaged or missing file.
//
// What was read need not be durable: a process may have died between a write and its
// sync. So no file may be deleted on the strength of it before an Apply has succeeded,
// which writes everything anew; Confirm sees to that.
//
// A directory whose Upgrade was interrupted loads as upgraded. Call FinishUpgrade
// before, if it is to be written to.
func Load(o Options) (*Set, error) {
	o = o.withDefaults()
	p, in, err := inspect(o.FS, o.Dir)
	if err != nil {
		return nil, err
	}
	if in.Comparer != o.Cmp.Name {
		return nil, fmt.Errorf("%s orders its keys by %q, opened with %q: %w", in.Manifest, in.Comparer, o.Cmp.Name, base.ErrComparerMismatch)
	}
	open := false
	if in.Upgraded {
		if open, err = checkGate(o.FS, o.Dir, p); err != nil {
			return nil, err
		}
	}
	// Listed after the manifest was read, so that a reader without the lock sees the
	// tables that a live writer has just added.
	list, err := List(o.FS, o.Dir)
	if err != nil {
		return nil, err
	}
	s, err := newSet(o, in, list)
	if err != nil {
		return nil, err
	}
	s.gateOpen = open
	if in.Tear != nil {
		o.Logger.Warn("manifest ends in a torn record, which was dropped",
			"file", in.Tear.File, "offset", in.Tear.Offset, "bytes", in.Tear.DroppedBytes, "reason", in.Tear.Reason)
	}
	return s, nil
}

// newSet makes the set of a complete manifest, after checking that nothing it needs
// is missing.
func newSet(o Options, in *Inspection, list *Listing) (*Set, error) {
	levels, err := in.Contents.levels(o.Cmp, in.Manifest)
	if err != nil {
		return nil, err
	}
	if err := findTables(levels, list.tables(in.Upgraded), in); err != nil {
		return nil, err
	}
	if err := findLogs(in, list); err != nil {
		return nil, err
	}
	v := &Version{cmp: o.Cmp, obsolete: o.Obsolete}
	for i, files := range levels {
		v.levels[i] = newLevel(o.Cmp, i, files)
	}
	if err := v.CheckOrder(o.Cmp); err != nil {
		return nil, base.Corruptf(in.Manifest, -1, "%v", err)
	}
	for _, files := range levels {
		for _, f := range files {
			o.attach(f)
		}
	}
	v.install()
	s := &Set{o: o, upgraded: in.Upgraded, tear: in.Tear, manifest: in.Manifest}
	s.stale = slices.DeleteFunc(list.Names(base.FileManifest, base.FileManifestUpgr), func(n string) bool { return n == in.Manifest })
	s.mu.manifestBytes = in.Bytes
	c := &in.Contents
	s.mu.state = state{version: v, logNum: *c.LogNum, prevLog: c.PrevLogNum, lastSeq: *c.LastSeq, pointers: c.Pointers}
	s.mu.nextFile = max(*c.NextFileNum, s.mu.state.logNum+1, s.mu.state.prevLog+1, list.next())
	for _, files := range levels {
		for _, f := range files {
			s.mu.nextFile = max(s.mu.nextFile, f.Num+1)
		}
	}
	if s.mu.nextFile > lastToOpen && !o.ReadOnly {
		return nil, base.Corruptf(in.Manifest, -1, "file numbers go on from %d, which no counter reaches, "+
			"and there are too few left to write with; open it ReadOnly, or make a new database of it with Salvage", uint64(s.mu.nextFile))
	}
	s.mu.spares.derive(v, list, s.mu.nextFile)
	return s, nil
}

// lastToOpen is the highest next file number with which a directory is opened for
// writing. A listing does not count numbers from lastFileNum on, so a file with one
// would be made again, over the old one, when a process ends before a manifest
// states what it has handed out. No process hands out as many as lie between.
const lastToOpen = lastFileNum - 1<<32

// findTables gives each file the name it has in the directory.
func findTables(levels [NumLevels][]*FileMeta, have map[base.FileNum]base.FileType, in *Inspection) error {
	for i, files := range levels {
		for _, f := range files {
			t, ok := have[f.Num]
			if !ok {
				return base.Corruptf(tableName(in.Upgraded, f.Num), -1, "table of level %d is missing%s", i, in.tornHint())
			}
			f.Type = t
		}
	}
	return nil
}

// findLogs checks that the logs the manifest names exist.
func findLogs(in *Inspection, list *Listing) error {
	t := logType(in.Upgraded)
	names := list.Names(t)
	for _, num := range []base.FileNum{*in.Contents.LogNum, in.Contents.PrevLogNum} {
		if name := base.FileName(t, num); num != 0 && !slices.Contains(names, name) {
			return base.Corruptf(name, -1, "log is missing%s", in.tornHint())
		}
	}
	return nil
}

func (in *Inspection) tornHint() string {
	if in.Tear == nil {
		return ", " + in.Manifest + " names it"
	}
	return fmt.Sprintf(", %s names it; the last record of that manifest, at offset %d, is torn", in.Manifest, in.Tear.Offset)
}

func logType(upgraded bool) base.FileType {
	if upgraded {
		return base.FileLogUpgr
	}
	return base.FileLog
}

func tableName(upgraded bool, num base.FileNum) string {
	if upgraded {
		return base.FileName(base.FileTableUpgr, num)
	}
	return base.FileName(base.FileTable, num)
}
