package strata

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"path/filepath"
	"slices"

	"github.com/strata-db/strata/internal/base"
	"github.com/strata-db/strata/version"
	"github.com/strata-db/strata/wal"
)

// How a repair decides
//
// It gives back all that is readable, reports what is not, and loses nothing that
// a plain Open would have shown. A directory that a plain Open reads in full stays
// as it is, torn logs included: where their ends are is Open's to judge.
//
// Which tables count. A table that a compaction replaced holds keys whose
// tombstones are gone; if it came back, so would they.
//
//   - The manifest that the pointer names is readable and what it names is there:
//     it alone counts. If only the pointer is damaged, the newest manifest counts
//     in the same way, provided that it names everything that is there.
//   - A manifest is readable to some point, or something newer than it is there:
//     what it says was deleted stays out, as numbers are never used again. All other
//     tables count: edits that are lost may have added them. A compaction that is
//     lost that way may bring back what was deleted; the report says so.
//   - None is readable: every table and every log counts, with the same note.
//
// Where tables go. As long as they are known their levels are kept. A damaged
// table is written anew with what is readable of it, in its level. In level 0, which
// LevelDB reads by file number, it gets a free number between its neighbours; if
// there is none, level 0 becomes one run. When the age of tables is not known, all
// of them become one run: merging picks the newest entry of each key by its
// sequence number, so that every reader gets the right one. Logs become tables of
// level 0, in front of all others if that is what their sequence numbers say, else
// they are merged too.
//
// What is written when. New tables are made under temporary names and renamed. What
// will be out of use gets a second name in lost/. Then the new manifest is synced and
// the pointer renamed: before, the directory is what it was, afterwards it is
// repaired. Only then the first names go. A crash between any two steps leaves one of
// the two; Repair can be run again on either. No file is ever deleted, but for those
// it has made: what is out of use lies in lost/, for people to look at and remove.

// lostDir is where LevelDB's repair puts what it could not use, and so does this.
const lostDir = "lost"

// RepairOptions configures Repair and Salvage. nil is the defaults.
type RepairOptions struct {
	// Options is how the database is opened otherwise. FS, Comparer and Logger count,
	// and what new tables are made with. nil is the defaults.
	Options *Options

	// DryRun finds out and reports what would be done, and changes nothing on disk.
	DryRun bool

	// IgnoreManifest lets tables count that the manifest does not name, although it is
	// whole, unless it says that they were deleted: it may be older than they are, as
	// after a backup of a database in use. Deleted keys may come back. Default false.
	IgnoreManifest bool

	// BehindTears also takes whole batches that lie behind the end of a log torn by a
	// crash. A plain Open drops them, as others before them are missing. Default
	// false.
	BehindTears bool
}

// Repair makes an openable database of what is readable in dir. The report says what
// was found in each file and what was done. Files that are out of use afterwards are
// in dir/lost; none is deleted. A sound database is left as it is.
//
// The database must not be open, else ErrLocked. A directory without any file of a
// database is ErrNotExist; one that another engine made (Pebble, RocksDB, Badger) is
// ErrNotDatabase, which names it; one with another order of keys than
// Options.Comparer is ErrComparerMismatch, which names that. After an error the
// directory is what it was, or repaired.
//
// Every table is read once, and those that have to be written anew a second time. It
// needs space for these, and for all tables if the manifest is lost.
func Repair(dir string, o *RepairOptions) (*RepairReport, error) {
	return RepairContext(context.Background(), dir, o)
}

// RepairContext is Repair, which ends early with the cause when ctx is done: within
// one read or write of a file, the directory as it was. From the moment on at which
// the result is put in place, which takes no longer than a few small files do, it is
// finished in spite of ctx.
func RepairContext(ctx context.Context, dir string, o *RepairOptions) (*RepairReport, error) {
	r, err := newRepair(ctx, dir, o)
	if err == nil {
		err = r.locked(!r.ro.DryRun, r.run)
	}
	if err != nil {
		return r.report, publicError(fmt.Errorf("repair %s: %w", dir, err))
	}
	if !r.report.Sound && !r.report.DryRun {
		r.opts.Logger.Warn("repaired", "dir", dir, "basis", r.report.Basis.String(), "lostBytes", r.report.LostBytes,
			"merged", r.report.Merged, "newTables", len(r.report.Created))
	}
	return r.report, nil
}

// repair is one Repair or Salvage at work.
type repair struct {
	ro     RepairOptions
	opts   Options
	fs     *interruptFS
	cmp    *base.Comparer
	dir    string // what is read
	dst    string // where files are made: dir, or the new database
	fresh  bool   // dst is a new database: everything has to be written
	report *RepairReport

	survey *survey
	set    *version.Set // makes file numbers, and in the end the manifest
	files  []*RepairFile

	tables  []*repairTable // that count, with something readable in them
	logs    repairLogs
	tree    [version.NumLevels][]*repairTable // the result
	temps   []string                          // files made so far under temporary names
	maxSeq  base.SeqNum                       // of all tables
	damaged bool                              // something has to be done
}

func newRepair(ctx context.Context, dir string, o *RepairOptions) (*repair, error) {
	r := &repair{dir: dir, dst: dir, report: &RepairReport{Dir: dir}}
	if o != nil {
		r.ro = *o
	}
	r.opts = r.ro.Options.withDefaults()
	r.fs, r.cmp = &interruptFS{FS: r.opts.FS, ctx: ctx}, r.opts.Comparer
	r.report.DryRun = r.ro.DryRun
	return r, r.opts.validate()
}

// locked calls fn with the directory locked. A shared lock makes no lock file, and
// goes without where there is none.
func (r *repair) locked(exclusive bool, fn func() error) (err error) {
	if info, err := r.fs.Stat(r.dir); isNotExist(err) {
		return ErrNotExist
	} else if err == nil && !info.IsDir() {
		return fmt.Errorf("%w: it is a file", ErrNotDatabase)
	}
	name := filepath.Join(r.dir, base.LockName)
	if _, err := r.fs.Stat(name); exclusive && isNotExist(err) {
		// Nobody has it open. A directory that is no database shall get no lock file.
		if _, err := surveyDir(r.fs, r.dir); err != nil {
			return err
		}
	}
	var lock io.Closer
	lock, err = r.fs.Lock(name, !exclusive)
	switch {
	case err == nil:
		defer func() { err = errors.Join(err, lock.Close()) }()
	case exclusive || !isNotExist(err):
		return err
	}
	return fn()
}

// run is Repair under the lock.
func (r *repair) run() (err error) {
	defer r.finishReport()
	defer func() { err = errors.Join(err, r.cleanUp()) }()
	if err := r.look(); err != nil {
		return err
	}
	if !r.damaged {
		r.report.Sound = true
		return nil
	}
	if err := r.arrange(); err != nil {
		return err
	}
	retired := r.retired()
	if r.ro.DryRun {
		return nil
	}
	if err := r.fs.settle(); err != nil {
		return err
	}
	return r.publish(retired)
}

// look finds out what is there: pointer, manifests, tables, logs. What is readable of
// damaged tables is written to new ones on the way, unless this is a dry run.
func (r *repair) look() (err error) {
	if r.survey, err = surveyDir(r.fs, r.dir); err != nil {
		return err
	}
	s := r.survey
	if r.ro.IgnoreManifest && s.basis == BasisManifest {
		s.basis, s.damaged = BasisPartOfManifest, true
	}
	r.report.Upgraded, r.report.Basis, r.report.Manifest = s.upgraded, s.basis, s.manifest
	r.report.Notes = append(r.report.Notes, s.notes...)
	r.damaged = s.damaged
	for _, name := range slices.Sorted(maps.Keys(s.problems)) {
		f := r.file(name, -1)
		f.Action = FileReplaced
		for _, p := range s.problems[name] {
			f.problem(p)
		}
	}
	if s.comparer != "" && s.comparer != r.cmp.Name {
		return fmt.Errorf("%s orders its keys by %q, not by %q: %w", s.manifest, s.comparer, r.cmp.Name, ErrComparerMismatch)
	}
	if r.set == nil {
		if r.set, err = version.Rebuild(r.versionOptions(r.dir), s.upgraded); err != nil {
			return err
		}
	}
	r.set.MarkUsed(s.maxNum)
	// The logs first: they may tell that the manifest is not to be believed.
	if err := r.lookAtLogs(); err != nil {
		return err
	}
	return r.lookAtTables()
}

func (r *repair) versionOptions(dir string) version.Options {
	return version.Options{FS: r.fs, Dir: dir, Cmp: r.cmp, Logger: r.opts.Logger}
}

// file adds a file to the report.
func (r *repair) file(name string, level int) *RepairFile {
	f := &RepairFile{Name: name, Level: level}
	if info, err := r.fs.Stat(filepath.Join(r.dir, name)); err == nil && !info.IsDir() {
		f.Size = info.Size()
	}
	r.files = append(r.files, f)
	return f
}

func (f *RepairFile) problem(err error) {
	f.Problems = append(f.Problems, err.Error())
}

// cleanUp removes what was made under temporary names and is not in use, and lets the
// set go.
func (r *repair) cleanUp() error {
	var errs []error
	for _, path := range r.temps {
		if err := r.fs.Remove(path); err != nil && !isNotExist(err) {
			errs = append(errs, err)
		}
	}
	r.temps = nil
	if r.set != nil {
		errs = append(errs, r.set.Close())
	}
	return errors.Join(errs...)
}

// finishReport fills in what follows from the rest.
func (r *repair) finishReport() {
	rep := r.report
	for _, f := range r.files {
		if rep.Sound && !r.fresh && (f.Action == FileReplayed || f.Action == FileReplaced) {
			f.Action = FileKept
		}
		if f.Action != FileKept && f.Action != FileUnused {
			rep.Entries += f.Entries
		}
		rep.LostBytes += f.LostBytes
		rep.Files = append(rep.Files, *f)
	}
	slices.SortStableFunc(rep.Files, func(a, b RepairFile) int { return b.Level - a.Level })
	for _, level := range r.tree {
		for _, t := range level {
			if t.isNew && !rep.DryRun {
				rep.Created = append(rep.Created, base.FileName(t.meta.Type, t.meta.Num))
			}
		}
	}
	if !rep.Sound && rep.LostBytes > 0 {
		rep.note("keys of which something was lost may show an older value, or be back although they were deleted")
	}
}

// repairLogs is what is known of the logs.
type repairLogs struct {
	segments []wal.Segment
	files    map[base.FileNum]*RepairFile
	salvage  bool // go on behind damage
	lastSeq  base.SeqNum
	firstSeq base.SeqNum // the lowest of any batch
	entries  int64
	tables   []*repairTable
}
