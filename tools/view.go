package tools

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"slices"

	"github.com/strata-db/strata"
	"github.com/strata-db/strata/internal/base"
	"github.com/strata-db/strata/internal/batch"
	"github.com/strata-db/strata/iterator"
	"github.com/strata-db/strata/memtable"
	"github.com/strata-db/strata/sstable"
	"github.com/strata-db/strata/version"
	"github.com/strata-db/strata/vfs"
	"github.com/strata-db/strata/wal"
)

const (
	// maxPinned is how many tables a view keeps open, so that a live writer that
	// deletes them disturbs nobody. Beyond that they are opened when they are
	// needed, and a scan that meets a deleted one goes on in a newer view.
	maxPinned = 512
	// maxRestarts is how often a view begins again because the database changed
	// under it, before the error counts.
	maxRestarts = 50
	// viewMemtable is the size of the memtables that a view replays a log into.
	viewMemtable = 64 << 20
)

// A view is a database as it was at one moment, read without its lock and without
// writing. One goroutine.
type view struct {
	fs     vfs.FS
	dir    string
	cmp    *base.Comparer
	set    *version.Set
	v      *version.Version
	mems   []*memtable.Table
	log    wal.Result
	pinned map[base.FileNum]vfs.File
}

// viewOptions says what a view is for.
type viewOptions struct {
	dir   string
	order string // the order to use whatever the manifest says; empty for that one
	span  *keyRange
	pins  int // how many tables are held open; 0 is maxPinned
}

// openView opens dir. A database that changes meanwhile is read again.
func (c *console) openView(ctx context.Context, o viewOptions) (*view, error) {
	return restarting(ctx, c, o.dir, func() (*view, error) {
		v := &view{fs: c.FS, dir: o.dir, pinned: make(map[base.FileNum]vfs.File)}
		if err := v.load(c, o); err != nil {
			v.close()
			return nil, err
		}
		return v, nil
	})
}

// restarting calls fn, and calls it again if it fails and the database in dir is
// not what it was before.
func restarting[T any](ctx context.Context, c *console, dir string, fn func() (T, error)) (T, error) {
	for n := 0; ; n++ {
		before := fingerprint(c.FS, dir)
		t, err := fn()
		if err == nil || n == maxRestarts || fingerprint(c.FS, dir) == before {
			return t, err
		}
		if cause := context.Cause(ctx); cause != nil {
			return t, cause
		}
	}
}

// fingerprint changes whenever the tree of the database in dir does: it is what
// the pointer says and how long the manifest is.
func fingerprint(fsys vfs.FS, dir string) string {
	for _, name := range []string{base.MarkerName, base.CurrentName} {
		b, err := readSmall(fsys, filepath.Join(dir, name))
		if err != nil {
			continue
		}
		manifest, _, _ := cutLine(b)
		info, err := fsys.Stat(filepath.Join(dir, manifest))
		if err != nil {
			return string(b)
		}
		return fmt.Sprintf("%s %d", b, info.Size())
	}
	return ""
}

func cutLine(b []byte) (line, rest string, ok bool) {
	for i, ch := range b {
		if ch == '\n' {
			return string(b[:i]), string(b[i+1:]), true
		}
	}
	return string(b), "", false
}

// readSmall returns the first bytes of a file, at most 4 KiB.
func readSmall(fsys vfs.FS, name string) ([]byte, error) {
	f, err := fsys.Open(name)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	size, err := f.Size()
	if err != nil {
		return nil, err
	}
	b := make([]byte, min(size, 4096))
	n, err := f.ReadAt(b, 0)
	if n == len(b) {
		err = nil
	}
	return b[:n], err
}

// comparer returns the order for a database whose manifest names one.
func (c *console) comparer(dir, name, override string) (*base.Comparer, error) {
	want := name
	if override != "" {
		want = override
	}
	cmp := c.order(want)
	if cmp == nil && override != "" {
		return nil, usagef("no order of keys is called %q", override)
	}
	if cmp == nil {
		return nil, fmt.Errorf("%s: its keys are ordered by %q, which this program does not know (dump, lsm, sst, verify and wal work without; a program that knows it can offer these commands by package tools): %w",
			dir, name, strata.ErrComparerMismatch)
	}
	if want != name {
		alias := *cmp
		alias.Name = name
		cmp = &alias
	}
	return cmp, nil
}

func (v *view) load(c *console, o viewOptions) error {
	in, err := version.Inspect(c.FS, o.dir)
	if err != nil {
		return err
	}
	if v.cmp, err = c.comparer(o.dir, in.Comparer, o.order); err != nil {
		return err
	}
	if v.set, err = version.Load(version.Options{FS: c.FS, Dir: o.dir, Cmp: v.cmp, ReadOnly: true}); err != nil {
		return err
	}
	v.v = v.set.Current()
	if err := v.replay(); err != nil {
		return err
	}
	s := span{}
	if o.span != nil {
		if s, err = o.span.span(v.cmp); err != nil {
			return err
		}
	}
	if o.pins == 0 {
		o.pins = maxPinned
	}
	return v.pin(&s, o.pins)
}

// replay reads the live logs into memtables.
func (v *view) replay() error {
	names, err := v.fs.List(v.dir)
	if err != nil {
		return err
	}
	logs := v.set.LiveLogs(names)
	if n := v.set.LogNum(); n != 0 && !slices.Contains(logs, n) {
		return base.Corruptf(base.FileName(v.set.LogType(), n), -1, "log is missing")
	}
	var segments []wal.Segment
	for _, num := range logs {
		segments = append(segments, wal.Segment{Num: num, Type: v.set.LogType()})
	}
	v.log, err = wal.Replay(wal.ReplayOptions{FS: v.fs, Dir: v.dir, Segments: segments, Lockless: true}, v.apply)
	return err
}

func (v *view) apply(_ wal.Segment, _ int64, rec []byte) error {
	n := len(v.mems)
	if n == 0 || !v.mems[n-1].Reserve(int(batch.Count(rec)), int64(len(rec))) {
		m := memtable.New(v.cmp, viewMemtable)
		v.mems = append(v.mems, m)
		if !m.Reserve(int(batch.Count(rec)), int64(len(rec))) {
			return fmt.Errorf("a batch of %s does not fit into memory", formatBytes(uint64(len(rec))))
		}
		n++
	}
	seq := batch.SeqNum(rec)
	r := batch.NewReader(rec)
	for {
		kind, key, value, ok, err := r.Next()
		if !ok || err != nil {
			return err
		}
		v.mems[n-1].Insert(key, base.MakeTrailer(seq, kind), value)
		seq++
	}
}

// pin opens the tables that meet s, at most that many.
func (v *view) pin(s *span, most int) error {
	for f := range v.tables() {
		if len(v.pinned) == most {
			return nil
		}
		if !s.meets(v.cmp, f.meta.Smallest.UserKey, f.meta.Largest.UserKey) {
			continue
		}
		file, err := v.fs.Open(filepath.Join(v.dir, f.meta.Name()))
		if errors.Is(err, fs.ErrNotExist) {
			return err
		}
		if err != nil {
			return nil //nolint:nilerr // too many open files: the read that needs this one tells
		}
		v.pinned[f.meta.Num] = file
	}
	return nil
}

// A liveTable is a table of a view.
type liveTable struct {
	level int
	meta  *version.FileMeta
}

// tables yields the live tables, level by level.
func (v *view) tables() func(yield func(liveTable) bool) {
	return func(yield func(liveTable) bool) {
		for level := range version.NumLevels {
			for _, f := range v.v.Files(level) {
				if !yield(liveTable{level, f}) {
					return
				}
			}
		}
	}
}

func (v *view) close() {
	for _, m := range v.mems {
		m.Unref()
	}
	for _, f := range v.pinned {
		_ = f.Close() // only read
	}
	if v.v != nil {
		v.v.Unref()
	}
	if v.set != nil {
		_ = v.set.Close() // nothing was written
	}
	v.mems, v.pinned, v.v, v.set = nil, nil, nil, nil
}

// openTable opens a live table. The close function must be called.
func (v *view) openTable(f *version.FileMeta) (*sstable.Reader, func(), error) {
	file, pinned := v.pinned[f.Num]
	if !pinned {
		var err error
		if file, err = v.fs.Open(filepath.Join(v.dir, f.Name())); err != nil {
			return nil, nil, err
		}
	}
	release := func() {
		if !pinned {
			_ = file.Close() // only read
		}
	}
	r, err := sstable.NewReader(file, int64(f.Size), sstable.ReaderOptions{Cmp: v.cmp, Name: f.Name()})
	if err != nil {
		release()
		return nil, nil, err
	}
	return r, func() { r.Close(); release() }, nil
}

// A tableIter closes its table with itself.
type tableIter struct {
	*sstable.Iter
	release func()
}

// Close implements iterator.Iterator.
func (t tableIter) Close() error {
	err := t.Iter.Close()
	t.release()
	return err
}

func (v *view) tableIter(f *version.FileMeta, scan bool) (iterator.Iterator, error) {
	r, release, err := v.openTable(f)
	if err != nil {
		return nil, err
	}
	return tableIter{r.NewIter(sstable.IterOptions{Compaction: scan, SameGoroutine: !scan}), release}, nil
}

// iter returns all entries of the view, every version of each key. scan reads far
// ahead.
func (v *view) iter(s *span, scan bool) (iterator.Iterator, error) {
	var its []iterator.Iterator
	fail := func(err error) (iterator.Iterator, error) {
		for _, it := range its {
			_ = it.Close() // err counts
		}
		return nil, err
	}
	for _, m := range v.mems {
		its = append(its, m.NewIter())
	}
	for level := range version.NumLevels {
		var files []*version.FileMeta
		for _, f := range v.v.Files(level) {
			if s.meets(v.cmp, f.Smallest.UserKey, f.Largest.UserKey) {
				files = append(files, f)
			}
		}
		if level > 0 && len(files) > 0 {
			its = append(its, v.run(files, scan))
			continue
		}
		for _, f := range files {
			it, err := v.tableIter(f, scan)
			if err != nil {
				return fail(err)
			}
			its = append(its, it)
		}
	}
	return iterator.NewMerging(v.cmp, its...), nil
}

// run returns the entries of a sorted level.
func (v *view) run(files []*version.FileMeta, scan bool) iterator.Iterator {
	return iterator.NewConcat(v.cmp, len(files),
		func(i int) (base.InternalKey, base.InternalKey) { return files[i].Smallest, files[i].Largest },
		func(i int) (iterator.Iterator, error) { return v.tableIter(files[i], scan) })
}
