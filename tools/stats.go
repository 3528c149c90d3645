package tools

import (
	"cmp"
	"context"
	"errors"
	"flag"
	"fmt"
	"io/fs"

	"github.com/strata-db/strata/internal/base"
	"github.com/strata-db/strata/sstable"
	"github.com/strata-db/strata/version"
)

type statsCommand struct{ count bool }

func (s *statsCommand) flags(fs *flag.FlagSet) {
	fs.BoolVar(&s.count, "count", false, "read tables without properties through")
}

// levelStats are the counts of a level. Entries and so on are of the Known tables.
type levelStats struct {
	Level  int    `json:"level"`
	Tables int    `json:"tables"`
	Bytes  uint64 `json:"bytes"`
	Known  int    `json:"known"`
	tableCounts
}

// fileStats are the files of one kind.
type fileStats struct {
	Kind  string   `json:"kind"`
	Files int      `json:"files"`
	Bytes int64    `json:"bytes"`
	Names []string `json:"-"`
}

// dirStats is what stats tells.
type dirStats struct {
	Dir       string       `json:"dir"`
	Manifest  string       `json:"manifest"`
	Comparer  string       `json:"comparer"`
	Upgraded  bool         `json:"upgraded"`
	LastSeq   base.SeqNum  `json:"last_sequence"` // as the manifest states it
	Edits     int          `json:"edits"`
	Files     []fileStats  `json:"files"`
	Levels    []levelStats `json:"levels"`
	Total     levelStats   `json:"total"`
	ReadAmp   int          `json:"read_amplification"` // runs that a read of an absent key may look at
	LeftTotal int64        `json:"left_over_bytes"`
	Damage    []string     `json:"damage,omitempty"` // of tables whose entries are not counted for it
}

func (s *statsCommand) run(ctx context.Context, c *console, args []string) error {
	st, err := c.stats(ctx, args[0], s.count)
	if st == nil || err != nil && !errors.Is(err, base.ErrCorruption) {
		return err
	}
	if c.json {
		err = c.emit(st)
	} else {
		st.print(c)
		err = nil
	}
	for _, d := range st.Damage {
		c.notef("%s", d)
	}
	if err == nil && len(st.Damage) > 0 {
		err = fmt.Errorf("%s: %w: %s", args[0], ErrDamaged, plural(len(st.Damage), "table"))
	}
	return err
}

func (st *dirStats) print(c *console) {
	c.printf("%s, %s, %s, last sequence %d\n\n", st.Manifest, plural(st.Edits, "edit"), st.Comparer, st.LastSeq)
	g := newGrid("files ", "count", "bytes")
	for _, f := range st.Files {
		g.add(f.Kind, f.Files, formatBytes(uint64(f.Bytes)))
	}
	c.grid(g)
	c.printf("\n")
	g = newGrid("level", "tables", "bytes", "entries", "tombstones", "keys", "values", "counted")
	for _, l := range append(st.Levels, st.Total) {
		name := fmt.Sprint(l.Level)
		if l.Level < 0 {
			name = "all"
		}
		if l.Known == 0 && l.Tables > 0 {
			g.add(name, l.Tables, formatBytes(l.Bytes), "-", "-", "-", "-", "0")
			continue
		}
		g.add(name, l.Tables, formatBytes(l.Bytes), l.Entries, l.Tombstones, formatBytes(l.RawKeyBytes), formatBytes(l.RawValueBytes), l.Known)
	}
	c.grid(g)
	c.printf("\nread amplification %d: a read of an absent key may look at that many runs\n", st.ReadAmp)
	if n := st.Total.Tables - st.Total.Known - len(st.Damage); n > 0 {
		c.notef("%s without properties, so entries are not known; --count reads them", plural(n, "table"))
	}
}

// stats collects the counts of a database. Tables that vanish meanwhile were
// compacted: the whole is read again. Damage of tables is an error, and beside it
// there is what the others hold.
func (c *console) stats(ctx context.Context, dir string, count bool) (*dirStats, error) {
	return restarting(ctx, c, dir, func() (*dirStats, error) {
		in, l, err := c.inspect(ctx, dir)
		if err != nil {
			return nil, err
		}
		st := &dirStats{Dir: dir, Manifest: in.Manifest, Comparer: in.Comparer, Upgraded: in.Upgraded, LastSeq: *in.Contents.LastSeq, Edits: in.Contents.Edits}
		if err := st.countFiles(c, in, l); err != nil {
			return nil, err
		}
		err = st.countLevels(ctx, c, in, l, count)
		return st, err
	})
}

// countFiles sorts the files of the directory by what they are for.
func (st *dirStats) countFiles(c *console, in *version.Inspection, l *version.Listing) error {
	kinds := []string{"live tables", "live logs", "manifest", "left over", "other"}
	st.Files = make([]fileStats, len(kinds))
	for i, k := range kinds {
		st.Files[i].Kind = k
	}
	levels := live(in)
	add := func(i int, name string) error {
		info, err := c.FS.Stat(path(st.Dir, name))
		if errors.Is(err, fs.ErrNotExist) {
			return nil // it vanished meanwhile
		}
		if err != nil {
			return err
		}
		st.Files[i].Files++
		st.Files[i].Names = append(st.Files[i].Names, name)
		if !info.IsDir() {
			st.Files[i].Bytes += info.Size()
		}
		return nil
	}
	for _, f := range l.Files {
		if err := add(fileKind(in, l, levels, f), f.Name); err != nil {
			return err
		}
	}
	for _, name := range l.Foreign {
		if err := add(4, name); err != nil {
			return err
		}
	}
	st.LeftTotal = st.Files[3].Bytes
	return nil
}

// fileKind returns the index in dirStats.Files that f counts to.
func fileKind(in *version.Inspection, l *version.Listing, levels map[base.FileNum]int, f version.ListedFile) int {
	_, named := levels[f.Num]
	switch {
	case isTable(f.Type) && named && f.Type == tableType(l, in.Upgraded, f.Num):
		return 0
	case isLog(f.Type) && isLiveLog(in, f):
		return 1
	case f.Name == in.Manifest:
		return 2
	case isTable(f.Type), isLog(f.Type), f.Type == base.FileManifest, f.Type == base.FileManifestUpgr, f.Type == base.FileTemp:
		return 3
	}
	return 4
}

// countLevels counts what the live tables hold, and returns the first damage there is.
func (st *dirStats) countLevels(ctx context.Context, c *console, in *version.Inspection, l *version.Listing, count bool) (damage error) {
	st.Total.Level = -1
	done := int64(0)
	for level := range version.NumLevels {
		s := levelStats{Level: level}
		for _, f := range in.Contents.SortedFiles(level) {
			f.Type = tableType(l, in.Upgraded, f.Num)
			c.progress(f.Name(), done, st.Files[0].Bytes)
			done += int64(f.Size)
			n, known, err := c.countTable(ctx, st.Dir, f, count)
			if errors.Is(err, fs.ErrNotExist) {
				err = base.Corruptf(f.Name(), -1, "table of level %d is missing, %s names it", level, in.Manifest)
			}
			if errors.Is(err, base.ErrCorruption) {
				st.Damage = append(st.Damage, err.Error())
				damage = cmp.Or(damage, err)
			} else if err != nil {
				return err
			}
			s.Tables++
			s.Bytes += f.Size
			if known {
				s.Known++
				s.add(n)
			}
		}
		st.Levels = append(st.Levels, s)
		st.Total.Tables += s.Tables
		st.Total.Bytes += s.Bytes
		st.Total.Known += s.Known
		st.Total.add(s.tableCounts)
		if level == 0 {
			st.ReadAmp = s.Tables
		} else if s.Tables > 0 {
			st.ReadAmp++
		}
	}
	return damage
}

func (n *tableCounts) add(o tableCounts) {
	if o.Entries > 0 {
		if n.Entries == 0 {
			n.SmallestSeq = o.SmallestSeq
		}
		n.SmallestSeq = min(n.SmallestSeq, o.SmallestSeq)
		n.LargestSeq = max(n.LargestSeq, o.LargestSeq)
	}
	n.Entries += o.Entries
	n.Tombstones += o.Tombstones
	n.RawKeyBytes += o.RawKeyBytes
	n.RawValueBytes += o.RawValueBytes
}

// countTable returns the counts of a live table, false if they are not known.
func (c *console) countTable(ctx context.Context, dir string, f *version.FileMeta, count bool) (n tableCounts, known bool, err error) {
	if err := context.Cause(ctx); err != nil {
		return n, false, err
	}
	file, err := c.FS.Open(path(dir, f.Name()))
	if err != nil {
		return n, false, err
	}
	defer file.Close()
	l, err := sstable.ReadLayout(file, int64(f.Size), f.Name())
	if err != nil {
		return n, false, err
	}
	p, err := l.Properties()
	switch {
	case err != nil:
		return n, false, err
	case p != nil:
		return tableCounts{p.Entries, p.Tombstones, p.RawKeyBytes, p.RawValueBytes, p.SmallestSeq, p.LargestSeq}, true, nil
	case !count:
		return n, false, nil
	}
	t := &tableFile{File: file, name: f.Name(), layout: l}
	n, err = t.count(ctx)
	return n, err == nil, err
}
