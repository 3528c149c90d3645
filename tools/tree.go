package tools

import (
	"context"
	"path/filepath"

	"github.com/strata-db/strata/internal/base"
	"github.com/strata-db/strata/version"
)

var treeCommands = []*Command{
	{
		Name: "find", Args: "DIR KEY", Short: "show every place that holds a key, and what is there", least: 2, most: 2,
		Long: "Looks into every log and table of the directory, live or left over, and prints each entry of the key,\n" +
			"newest first, with its file, and how that file came to its level as far as the manifest tells. The last\n" +
			"line is what a read would answer. Damaged files are named and left out, and make it fail.",
		Example: "strata find db user:17\nstrata find db hex:00ff --hex",
		make:    func() action { return new(findCommand) },
	},
	{
		Name: "lsm", Args: "DIR", Short: "draw the tree: levels, runs, sizes, scores, amplification", least: 1, most: 1,
		Long: "Scores are those of the default policy, or of --policy: at 1 and more it wants to compact the level. What\n" +
			"was written into each level, and the write amplification, go back to the beginning of the manifest and leave\n" +
			"out the log. Tables of other engines do not count their tombstones: --count reads them through. Caches, stalls\n" +
			"and snapshots only the running program knows: --metrics shows what json.Marshal made of its DB.Metrics.",
		Example: "strata lsm db\nstrata lsm db --tables\nstrata lsm db --policy tiered\nstrata lsm db --metrics metrics.json",
		make:    func() action { return new(lsmCommand) },
	},
	{
		Name: "stats", Args: "DIR", Short: "count files, bytes, entries and tombstones", least: 1, most: 1,
		Long: "Reads the manifest and the properties of the tables. Tables of other engines have none: --count reads\n" +
			"them through.",
		Example: "strata stats db\nstrata stats db --count --json",
		make:    func() action { return new(statsCommand) },
	},
	{
		Name: "doctor", Args: "[DIR]", Short: "say what is wrong or slow, and what to do about it", least: 0, most: 1,
		Long: "A quick look at everything; --full reads every byte too, as verify does. Fails if there is damage.\n" +
			"What only the running program knows (snapshots and iterators left open, stalled writers, caches) it can\n" +
			"save: --metrics reads what json.Marshal makes of DB.Metrics, with or without a directory.",
		Example: "strata doctor db\nstrata doctor db --full\nstrata doctor --metrics metrics.json",
		make:    func() action { return new(doctorCommand) },
	},
}

// inspect reads what pointer and manifest say, and the names in the directory.
func (c *console) inspect(ctx context.Context, dir string) (*version.Inspection, *version.Listing, error) {
	type both struct {
		in *version.Inspection
		l  *version.Listing
	}
	b, err := restarting(ctx, c, dir, func() (b both, err error) {
		if b.in, err = version.Inspect(c.FS, dir); err == nil {
			b.l, err = version.List(c.FS, dir)
		}
		return b, err
	})
	return b.in, b.l, err
}

// ordered returns the tables of a level: level 0 newest first, others by key if
// the order is known.
func ordered(in *version.Inspection, level int, cmp *base.Comparer) []*version.FileMeta {
	files := in.Contents.SortedFiles(level)
	if level > 0 && cmp != nil {
		var levels [version.NumLevels][]*version.FileMeta
		levels[level] = files
		v := version.NewVersion(cmp, levels)
		defer v.Unref()
		return v.Files(level)
	}
	return files
}

// span describes the range of keys of a level.
func (c *console) span(in *version.Inspection, level int, cmp *base.Comparer) string {
	if cmp == nil || len(in.Contents.Files[level]) == 0 {
		return ""
	}
	var lo, hi []byte
	for _, f := range in.Contents.Files[level] {
		if lo == nil || cmp.Compare(f.Smallest.UserKey, lo) < 0 {
			lo = f.Smallest.UserKey
		}
		if hi == nil || cmp.Compare(f.Largest.UserKey, hi) > 0 {
			hi = f.Largest.UserKey
		}
	}
	return shorten(c.key(lo)) + " .. " + shorten(c.key(hi))
}

// shorten cuts long text for a table.
func shorten(s string) string {
	const most = 40
	if len(s) <= most {
		return s
	}
	return s[:most-3] + "..."
}

// live returns the level of each live table.
func live(in *version.Inspection) map[base.FileNum]int {
	m := make(map[base.FileNum]int)
	for level, files := range in.Contents.Files {
		for num := range files {
			m[num] = level
		}
	}
	return m
}

func isTable(t base.FileType) bool {
	return t == base.FileTable || t == base.FileTableOld || t == base.FileTableUpgr
}

func isLog(t base.FileType) bool { return t == base.FileLog || t == base.FileLogUpgr }

func path(dir, name string) string { return filepath.Join(dir, name) }
