package tools

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"slices"

	"github.com/strata-db/strata/internal/base"
	"github.com/strata-db/strata/sstable"
	"github.com/strata-db/strata/version"
)

const (
	// maxTablesRead bounds the tables that are opened. Of the others there is what
	// the manifest says.
	maxTablesRead = 10000
	// maxSamples is how many pieces a table is cut into for the distribution of
	// bytes over keys.
	maxSamples = 64
	// maxSampleKey is the longest key that ends such a piece, in bytes.
	maxSampleKey = 1 << 10
)

// A treeReading is what inspect draws: the manifest's edits, and what the live
// tables say of themselves. Memory grows with the manifest and by some KiB for
// each table.
type treeReading struct {
	dir      string
	in       *version.Inspection
	cmp      *base.Comparer // nil if the order is not known
	edits    []*version.Edit
	start    int // edits[:start] are the manifest's snapshot: the state it begins with
	tables   map[base.FileNum]*tableReading
	logs     []string // the live ones, oldest first
	logBytes int64
	unread   int // live tables beyond maxTablesRead
	damage   []problem
}

// A tableReading is what a live table says of itself.
type tableReading struct {
	tableCounts
	known  bool // the counts are known
	pieces []keyPiece
}

// A keyPiece is a stretch of a table: bytes of data blocks behind the piece before,
// up to a key that is at or behind the last one in there.
type keyPiece struct {
	upTo  []byte
	bytes uint64
}

// read reads the tree of dir. Damage of single tables is in the result; if there
// is any, so that the tree may have changed meanwhile, it is read again.
func (x *inspectCommand) read(ctx context.Context, c *console, dir string) (*treeReading, error) {
	r, err := restarting(ctx, c, dir, func() (*treeReading, error) {
		r := &treeReading{dir: dir, tables: make(map[base.FileNum]*tableReading)}
		if err := r.readManifest(ctx, c); err != nil {
			return nil, err
		}
		if err := r.readFiles(ctx, c, x.count); err != nil {
			return nil, err
		}
		if len(r.damage) > 0 {
			return r, fmt.Errorf("%s: %w: %s", dir, ErrDamaged, plural(len(r.damage), "table"))
		}
		return r, nil
	})
	if errors.Is(err, ErrDamaged) {
		err = nil
	}
	return r, err
}

// readManifest reads the edits. The tree is what they add up to, even if the
// manifest has grown since the pointer was read.
func (r *treeReading) readManifest(ctx context.Context, c *console) (err error) {
	if r.in, err = version.Inspect(c.FS, r.dir); err != nil {
		return err
	}
	r.cmp = c.order(r.in.Comparer)
	contents := version.Contents{}
	tear, err := version.ReadManifest(c.FS, path(r.dir, r.in.Manifest), func(_ int64, e *version.Edit) error {
		r.edits = append(r.edits, e)
		contents.Replay(e)
		if r.start == 0 && isStart(&contents) {
			r.start = len(r.edits)
		}
		return context.Cause(ctx)
	})
	r.in.Contents.Files, r.in.Contents.Edits, r.in.Tear = contents.Files, contents.Edits, tear
	return err
}

// readFiles looks into the live tables and measures the live logs.
func (r *treeReading) readFiles(ctx context.Context, c *console, count bool) error {
	l, err := version.List(c.FS, r.dir)
	if err != nil {
		return err
	}
	for _, f := range l.Files {
		if !isLog(f.Type) || !isLiveLog(r.in, f) {
			continue
		}
		if info, err := c.FS.Stat(path(r.dir, f.Name)); err == nil {
			r.logs = append(r.logs, f.Name)
			r.logBytes += info.Size()
		}
	}
	slices.SortFunc(r.logs, func(a, b string) int { return cmp.Compare(numberOf(a), numberOf(b)) })
	opened := 0
	names := l.Tables(r.in.Upgraded)
	for level := range version.NumLevels {
		for _, f := range r.in.Contents.SortedFiles(level) {
			if err := context.Cause(ctx); err != nil {
				return err
			}
			if opened++; opened > maxTablesRead {
				r.unread++
				continue
			}
			f.Type = base.FileTable
			if t, ok := names[f.Num]; ok {
				f.Type = t
			}
			c.progress(f.Name(), int64(opened), int64(len(names)))
			if err := r.readTable(ctx, c, level, f, count); err != nil {
				return err
			}
		}
	}
	return nil
}

// numberOf returns the number in a file's name.
func numberOf(name string) base.FileNum {
	_, num := base.ParseFileName(name)
	return num
}

// readTable looks into a live table. Damage is noted.
func (r *treeReading) readTable(ctx context.Context, c *console, level int, f *version.FileMeta, count bool) error {
	t, err := readPieces(ctx, c, path(r.dir, f.Name()), f, count)
	if errors.Is(err, fs.ErrNotExist) {
		err = base.Corruptf(f.Name(), -1, "table of level %d is missing, %s names it", level, r.in.Manifest)
	}
	if errors.Is(err, base.ErrCorruption) {
		r.damage = append(r.damage, problemOf(err))
		return nil
	}
	r.tables[f.Num] = t
	return err
}

// readPieces reads the index and the properties of a table, and with count all
// of it if it has none.
func readPieces(ctx context.Context, c *console, name string, f *version.FileMeta, count bool) (*tableReading, error) {
	file, err := c.FS.Open(name)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	l, err := sstable.ReadLayout(file, int64(f.Size), f.Name())
	if err != nil {
		return nil, err
	}
	t := &tableReading{pieces: piecesOf(l)}
	p, err := l.Properties()
	switch {
	case err != nil:
		return nil, err
	case p != nil:
		t.known = true
		t.tableCounts = tableCounts{p.Entries, p.Tombstones, p.RawKeyBytes, p.RawValueBytes, p.SmallestSeq, p.LargestSeq}
	case count:
		t.known = true
		t.tableCounts, err = (&tableFile{File: file, name: f.Name(), layout: l}).count(ctx)
	}
	return t, err
}

// piecesOf cuts a table at separators of its index.
func piecesOf(l *sstable.Layout) (pieces []keyPiece) {
	blocks := 0
	for _, b := range l.Blocks {
		if b.Kind == "data" {
			blocks++
		}
	}
	every := max(1, (blocks+maxSamples-1)/maxSamples)
	n, sum := 0, uint64(0)
	for _, b := range l.Blocks {
		if b.Kind != "data" {
			continue
		}
		n++
		sum += b.Size + sstable.TrailerLen
		if (n%every == 0 || n == blocks) && len(b.Separator.UserKey) <= maxSampleKey {
			pieces = append(pieces, keyPiece{b.Separator.UserKey, sum})
			sum = 0
		}
	}
	if len(pieces) > 0 {
		pieces[len(pieces)-1].bytes += sum
	}
	return pieces
}
