package strata

import (
	"cmp"
	"context"
	"errors"
	"slices"

	"github.com/strata-db/strata/compaction"
	"github.com/strata-db/strata/internal/base"
	"github.com/strata-db/strata/iterator"
	"github.com/strata-db/strata/version"
)

// maxMergeRuns bounds how many tables a merge has open at once. Where there are more
// runs, they are merged in several passes.
const maxMergeRuns = 64

// arrange decides where everything goes, merges what has to be, and sets r.tree. A dry
// run only decides.
func (r *repair) arrange() error {
	if err := r.writeLogs(); err != nil {
		return err
	}
	known := !r.fresh && !slices.ContainsFunc(r.tables, func(t *repairTable) bool { return t.level < 0 })
	separate := !r.fresh && r.logsAreNewest()
	if known && separate {
		if ok, err := r.keepLevels(); ok || err != nil {
			return err
		}
	}
	return r.mergeAll(separate)
}

// keepLevels leaves tables where they are. It reports false if that gives no tree.
func (r *repair) keepLevels() (bool, error) {
	for i := range r.tree {
		r.tree[i] = nil
	}
	for _, t := range r.tables {
		r.tree[t.level] = append(r.tree[t.level], t)
	}
	if r.version(1).CheckOrder(r.cmp) != nil {
		return false, nil
	}
	numbered := r.numberLevel0()
	r.tree[0] = append(r.tree[0], r.logs.tables...)
	if numbered && r.level0InOrder() {
		return true, nil
	}
	r.report.note("level 0 is merged into one run, as its tables have to be read in the order of their numbers")
	if r.ro.DryRun {
		return true, nil
	}
	merged, err := r.mergeTables(r.tree[0], r.version(1))
	r.tree[0] = merged
	return true, err
}

// version returns the tree from a level on as a version of copies: a version takes
// part in the counting of references to its files.
func (r *repair) version(from int) *version.Version {
	var levels [version.NumLevels][]*version.FileMeta
	for i := from; i < len(levels); i++ {
		for _, t := range r.tree[i] {
			m := t.meta
			levels[i] = append(levels[i], &version.FileMeta{Num: m.Num, Type: m.Type, Size: m.Size, Smallest: m.Smallest, Largest: m.Largest})
		}
	}
	return version.NewVersion(r.cmp, levels)
}

// numberLevel0 gives each table of level 0 that was written anew a free number between
// those of its neighbours. It reports false if there is none.
func (r *repair) numberLevel0() bool {
	files := r.tree[0]
	age := func(t *repairTable) base.FileNum { return t.stated.Num }
	slices.SortFunc(files, func(a, b *repairTable) int { return cmp.Compare(age(a), age(b)) })
	used := make(map[base.FileNum]bool)
	for _, f := range r.survey.list.Files {
		used[f.Num] = true
	}
	prev := base.FileNum(0)
	for i, t := range files {
		if t.isNew && i+1 < len(files) {
			num := prev + 1
			for used[num] {
				num++
			}
			if num >= age(files[i+1]) {
				return false
			}
			t.setNum(num)
			used[num] = true
		}
		prev = t.num
	}
	return true
}

func (t *repairTable) setNum(num base.FileNum) {
	t.num = num
	m := t.meta
	t.setMeta(&version.FileMeta{Num: num, Type: m.Type, Size: m.Size, Smallest: m.Smallest, Largest: m.Largest}, t.seqs)
}

// level0InOrder reports whether reading level 0 by file number, newest first, gives the
// newest entry of every key.
func (r *repair) level0InOrder() bool {
	files := slices.Clone(r.tree[0])
	slices.SortFunc(files, func(a, b *repairTable) int { return cmp.Compare(a.num, b.num) })
	for i, newer := range files {
		for _, older := range files[:i] {
			if older.seqs.Largest >= newer.seqs.Smallest && r.overlap(older, newer) {
				return false
			}
		}
	}
	return true
}

// overlap reports whether two tables may hold the same user key. Of one that a dry run
// only imagines nothing is known.
func (r *repair) overlap(a, b *repairTable) bool {
	if a.meta.Largest.UserKey == nil || b.meta.Largest.UserKey == nil {
		return true
	}
	return r.cmp.Compare(a.meta.Smallest.UserKey, b.meta.Largest.UserKey) <= 0 &&
		r.cmp.Compare(b.meta.Smallest.UserKey, a.meta.Largest.UserKey) <= 0
}

// logsAreNewest reports whether all that the logs hold is newer than what the tables
// hold of the same keys.
func (r *repair) logsAreNewest() bool {
	for _, l := range r.logs.tables {
		for _, t := range r.tables {
			if t.seqs.Largest >= l.seqs.Smallest && r.overlap(l, t) {
				return false
			}
		}
	}
	return true
}

// mergeAll makes one run of all tables, and with separate unset of the logs as well.
func (r *repair) mergeAll(separate bool) error {
	clear(r.tree[:])
	all := r.tables
	if separate {
		r.tree[0] = r.logs.tables
	} else {
		all = append(slices.Clone(all), r.logs.tables...)
	}
	if r.survey.basis != BasisManifest {
		r.report.note("which tables are out of date is not known: keys whose deletion was already compacted away may be back")
	}
	absurd := slices.ContainsFunc(all, func(t *repairTable) bool { return t.num >= version.MaxFileNum })
	if runs := r.runs(all); len(runs) <= 1 && !r.fresh && !absurd {
		r.tree[levelFor(all)] = all
		return nil
	}
	r.report.Merged = true
	if r.ro.DryRun {
		return nil
	}
	merged, err := r.mergeTables(all, r.version(len(r.tree)))
	if err == nil {
		level := levelFor(merged)
		r.tree[level] = append(r.tree[level], merged...)
	}
	return err
}

// levelFor returns the level in which so much data rests: LevelDB lets level 1 have 10
// MiB and each further one ten times more.
func levelFor(tables []*repairTable) int {
	var bytes uint64
	for _, t := range tables {
		bytes += t.meta.Size
	}
	level := 1
	for limit := uint64(10 << 20); bytes > limit && level < version.NumLevels-1; limit *= 10 {
		level++
	}
	return level
}

// runs deals tables out to as few runs as it can, each in key order without overlap.
func (r *repair) runs(tables []*repairTable) [][]*repairTable {
	sorted := slices.Clone(tables)
	slices.SortFunc(sorted, func(a, b *repairTable) int { return r.cmp.CompareInternal(a.meta.Smallest, b.meta.Smallest) })
	var runs [][]*repairTable
next:
	for _, t := range sorted {
		for i, run := range runs {
			if r.cmp.CompareInternal(run[len(run)-1].meta.Largest, t.meta.Smallest) < 0 {
				runs[i] = append(run, t)
				continue next
			}
		}
		runs = append(runs, []*repairTable{t})
	}
	return runs
}

// mergeTables merges tables to one run. Tombstones go where nothing of older, which is
// all that stays out, may hold their keys.
func (r *repair) mergeTables(tables []*repairTable, older *version.Version) ([]*repairTable, error) {
	for _, t := range tables {
		if t.file != nil && t.file.Action == FileKept {
			t.file.Action = FileMerged
		}
	}
	runs := r.runs(tables)
	for len(runs) > maxMergeRuns {
		// What goes in between keeps all its tombstones.
		var next [][]*repairTable
		for part := range slices.Chunk(runs, maxMergeRuns) {
			made, err := r.mergeRuns(part, nil)
			if err != nil {
				return nil, err
			}
			next = append(next, made)
		}
		runs = next
	}
	return r.mergeRuns(runs, older)
}

func (r *repair) mergeRuns(runs [][]*repairTable, older *version.Version) ([]*repairTable, error) {
	var its []iterator.Iterator
	for _, run := range runs {
		bounds := func(i int) (smallest, largest base.InternalKey) { return run[i].meta.Smallest, run[i].meta.Largest }
		its = append(its, iterator.NewConcat(r.cmp, len(run), bounds, func(i int) (iterator.Iterator, error) { return r.openTable(run[i]) }))
	}
	plan := &compaction.Plan{Reason: compaction.ReasonManual, MaxOutputBytes: uint64(r.opts.TableBytes)}
	return r.runMerge(plan, older, its...)
}

// runMerge writes what the iterators hold to new tables.
func (r *repair) runMerge(plan *compaction.Plan, older *version.Version, its ...iterator.Iterator) ([]*repairTable, error) {
	var made []*repairTable
	env := compaction.Env{Cmp: r.cmp, Version: older, NewOutput: func() (compaction.Output, error) {
		t := r.newTable()
		f, err := r.createTemp(t)
		if err != nil {
			return compaction.Output{}, err
		}
		made = append(made, t)
		return compaction.Output{Num: t.num, Type: t.typ, File: f, Writer: r.newWriter(f)}, nil
	}}
	res, err := compaction.Run(context.Background(), plan, env, its...)
	if err != nil {
		return nil, err
	}
	if len(res.Outputs) != len(made) {
		return nil, errors.New("a merge made other tables than it was given")
	}
	for i, f := range res.Outputs {
		b, _ := f.SeqBounds()
		made[i].setMeta(f, b)
	}
	return made, nil
}
