package strata

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"

	"github.com/strata-db/strata/internal/base"
	"github.com/strata-db/strata/iterator"
	"github.com/strata-db/strata/sstable"
	"github.com/strata-db/strata/version"
	"github.com/strata-db/strata/vfs"
)

// A repairTable is a table that counts: one of the directory, or one that the repair
// has made.
type repairTable struct {
	num     base.FileNum
	typ     base.FileType
	level   int               // by the manifest; -1 if it does not name the table
	stated  *version.FileMeta // what the manifest says, nil if nothing
	present bool
	file    *RepairFile // nil for tables made by the repair

	path  string // where the bytes are now
	isNew bool
	// meta is what will be in the manifest, once it is known that the table can be
	// read in full.
	meta *version.FileMeta
	seqs version.SeqBounds
}

// lookAtTables reads every table that counts, and salvages the damaged ones.
func (r *repair) lookAtTables() error {
	counts := make(map[string]bool)
	var misplaced, entries int64
	for _, t := range r.survey.tables() {
		if !t.present {
			t.typ = r.survey.tableType()
		}
		name := base.FileName(t.typ, t.num)
		counts[name] = true
		t.file, t.path = r.file(name, t.level), filepath.Join(r.dir, name)
		if !t.present {
			t.file.Action, t.file.EntriesLost, r.damaged = FileMissing, -1, true
			t.file.problem(base.Corruptf(name, -1, "missing"))
			continue
		}
		if err := r.lookAtTable(t); err != nil {
			return err
		}
		misplaced, entries = misplaced+t.file.Misplaced, entries+t.file.Entries
		if t.meta != nil {
			r.tables = append(r.tables, t)
			r.maxSeq = max(r.maxSeq, t.seqs.Largest)
		}
	}
	r.reportUnused(counts)
	// With the wrong order most keys contradict each other, and a salvage would keep
	// next to nothing.
	if r.survey.comparer == "" && misplaced > 8 && misplaced > entries/8 {
		return fmt.Errorf("%d entries of %d are out of order by %q, and no manifest says by which order they were written: %w",
			misplaced, misplaced+entries, r.cmp.Name, ErrComparerMismatch)
	}
	return nil
}

// reportUnused puts the tables that do not count into the report.
func (r *repair) reportUnused(counts map[string]bool) {
	next := r.survey.contents.NextFileNum
	late := 0
	for _, f := range r.survey.list.Files {
		switch f.Type {
		case base.FileTable, base.FileTableOld, base.FileTableUpgr:
			if counts[f.Name] {
				continue
			}
			r.file(f.Name, -1).Action = FileUnused
			if next != nil && f.Num >= *next && !r.survey.dead[f.Num] {
				late++
			}
		}
	}
	if late > 0 {
		r.report.note("%d tables were begun after the end of the manifest: by compactions that did not end, or it has lost its end (IgnoreManifest takes them)", late)
	}
}

// lookAtTable reads one table in full.
func (r *repair) lookAtTable(t *repairTable) error {
	f, err := r.fs.Open(t.path)
	if err != nil {
		return err
	}
	defer f.Close()
	size, err := f.Size()
	if err != nil {
		return err
	}
	stats, tableSize, problems, err := r.verify(t, f, size)
	if err != nil {
		return err
	}
	if len(problems) > 0 {
		r.damaged = true
		for _, p := range problems {
			t.file.problem(p)
		}
		return r.salvageTable(t, f, size)
	}
	t.file.Entries = int64(stats.Entries)
	r.describe(t, tableSize, stats)
	return nil
}

// verify checks everything in a table. The size in the manifest counts, if it is
// right; else that of the file, and the manifest is wrong.
func (r *repair) verify(t *repairTable, f vfs.File, size int64) (stats sstable.VerifyStats, used int64, problems []error, err error) {
	sizes := []int64{size}
	if t.stated != nil && int64(t.stated.Size) != size {
		sizes = []int64{int64(t.stated.Size), size}
	}
	for _, used = range sizes {
		if used > size || used < 0 {
			problems = append(problems, &CorruptionError{File: t.file.Name, Offset: size, What: "size", Got: size, Want: used})
			continue
		}
		reader, oerr := sstable.NewReader(f, used, sstable.ReaderOptions{Cmp: r.cmp, Name: t.file.Name})
		if oerr != nil {
			if !isDamage(oerr) {
				return stats, used, nil, oerr
			}
			problems = append(problems, oerr)
			continue
		}
		if p, ok := reader.Properties(); ok && p.Comparer != r.cmp.Name {
			return stats, used, nil, fmt.Errorf("%s orders its keys by %q, not by %q: %w", t.file.Name, p.Comparer, r.cmp.Name, ErrComparerMismatch)
		}
		var found []error
		stats, found = reader.Verify(context.Background())
		for _, p := range found {
			if !isDamage(p) {
				return stats, used, nil, p
			}
		}
		if len(found) == 0 && len(problems) > 0 {
			// Only what the manifest says is wrong.
			t.file.problem(&CorruptionError{File: r.survey.manifest, Offset: -1, What: "size of " + t.file.Name, Got: t.stated.Size, Want: size})
			r.damaged = true
		}
		return stats, used, found, nil
	}
	return stats, size, problems, nil
}

// describe sets what the manifest is to say of a table that is sound. Its own range of
// keys may be wider than the true one, not narrower.
func (r *repair) describe(t *repairTable, size int64, stats sstable.VerifyStats) {
	if stats.Entries == 0 {
		return // it holds nothing, so that nothing needs it
	}
	smallest, largest := stats.Smallest.Clone(), stats.Largest.Clone()
	if s := t.stated; s != nil {
		if r.cmp.CompareInternal(s.Smallest, smallest) <= 0 && r.cmp.CompareInternal(s.Largest, largest) >= 0 {
			smallest, largest = s.Smallest, s.Largest
		} else {
			t.file.problem(&CorruptionError{File: r.survey.manifest, Offset: -1, What: "range of keys of " + t.file.Name,
				Got: s.String(), Want: fmt.Sprintf("%v to %v", smallest, largest)})
			r.damaged = true
		}
	}
	t.setMeta(&version.FileMeta{Num: t.num, Type: t.typ, Size: uint64(size), Smallest: smallest, Largest: largest},
		version.SeqBounds{Smallest: stats.SmallestSeq, Largest: stats.LargestSeq})
}

func (t *repairTable) setMeta(m *version.FileMeta, seqs version.SeqBounds) {
	t.meta, t.seqs = m, seqs
	m.SetSeqBounds(seqs)
}

// salvageTable writes what is readable of a damaged table to a new one, which takes its
// place; in a dry run it only counts.
func (r *repair) salvageTable(t *repairTable, f vfs.File, size int64) error {
	out := tableSink{r: r}
	o := sstable.SalvageOptions{Cmp: r.cmp, Name: t.file.Name}
	if t.stated != nil {
		o.StatedSize = int64(t.stated.Size)
	}
	res, err := sstable.Salvage(f, size, o, out.add)
	made, err := out.end(err)
	if err != nil {
		return fmt.Errorf("salvage %s: %w", t.file.Name, err)
	}
	if res.Comparer != "" && res.Comparer != r.cmp.Name {
		return fmt.Errorf("%s orders its keys by %q, not by %q: %w", t.file.Name, res.Comparer, r.cmp.Name, ErrComparerMismatch)
	}
	t.file.Entries, t.file.Misplaced, t.file.LostBytes = int64(res.Entries), int64(res.Misplaced), res.LostBytes
	t.file.EntriesLost = -1
	if res.Stated >= res.Entries && res.Stated > 0 {
		t.file.EntriesLost = int64(res.Stated - res.Entries)
	} else if res.LostBytes == 0 {
		t.file.EntriesLost = 0
	}
	for _, l := range res.Losses {
		t.file.Losses = append(t.file.Losses, RepairLoss{l.Offset, l.Bytes, l.After.UserKey, l.UpTo.UserKey, l.Reason})
	}
	t.file.Action = FileRewritten
	if res.Entries == 0 {
		t.file.Action = FileLost
	}
	if made != nil {
		t.num, t.typ, t.path, t.isNew = made.num, made.typ, made.path, true
		t.setMeta(made.meta, made.seqs)
	}
	return nil
}

// A tableSink writes one new table under a temporary name, made with the first entry.
// In a dry run it only keeps what the table would be described by.
type tableSink struct {
	r      *repair
	t      *repairTable
	file   vfs.File
	writer *sstable.Writer
}

func (s *tableSink) add(k base.InternalKey, v []byte) (err error) {
	if s.t == nil {
		s.t = s.r.newTable()
		s.t.setMeta(&version.FileMeta{Num: s.t.num, Type: s.t.typ, Smallest: k.Clone()}, version.SeqBounds{Smallest: k.SeqNum(), Largest: k.SeqNum()})
	}
	if s.r.ro.DryRun {
		s.t.meta.Largest.UserKey = append(s.t.meta.Largest.UserKey[:0], k.UserKey...)
		s.t.meta.Largest.Trailer = k.Trailer
		s.t.seqs.Smallest, s.t.seqs.Largest = min(s.t.seqs.Smallest, k.SeqNum()), max(s.t.seqs.Largest, k.SeqNum())
		return nil
	}
	if s.writer == nil {
		if s.file, err = s.r.createTemp(s.t); err != nil {
			return err
		}
		s.writer = s.r.newWriter(s.file)
	}
	return s.writer.Add(k, v)
}

// end finishes the table, unless err says that something went wrong. It returns nil if
// there was nothing to write.
func (s *tableSink) end(err error) (*repairTable, error) {
	if s.writer != nil {
		var meta sstable.Meta
		if err == nil {
			meta, err = s.writer.Finish()
		}
		if err == nil {
			err = s.file.Sync()
		}
		err = errors.Join(err, s.file.Close())
		if err == nil {
			s.t.setMeta(&version.FileMeta{Num: s.t.num, Type: s.t.typ, Size: meta.Size, Smallest: meta.Smallest, Largest: meta.Largest},
				version.SeqBounds{Smallest: meta.SmallestSeq, Largest: meta.LargestSeq})
		}
	}
	return s.t, err
}

// newTable returns a table that is to be written.
func (r *repair) newTable() *repairTable {
	num := r.set.NewFileNum()
	return &repairTable{num: num, typ: r.set.TableType(), level: -1, isNew: true,
		path: filepath.Join(r.dst, base.FileName(base.FileTemp, num))}
}

// createTemp makes the file of a new table.
func (r *repair) createTemp(t *repairTable) (vfs.File, error) {
	f, err := r.fs.Create(t.path)
	if err == nil {
		r.temps = append(r.temps, t.path)
	}
	return f, err
}

func (r *repair) newWriter(f vfs.File) *sstable.Writer {
	c := r.opts.Compression.block()
	if c == sstable.Zstd && !r.set.Upgraded() {
		c = sstable.Snappy
	}
	return sstable.NewWriter(f, sstable.WriterOptions{
		Cmp: r.cmp, BlockBytes: r.opts.BlockBytes, Compression: c,
		FilterBitsPerKey: r.opts.FilterBitsPerKey, LevelDBFilter: r.opts.LevelDBFilter,
	})
}

// openTable returns an iterator over a sound table, from start to end.
func (r *repair) openTable(t *repairTable) (iterator.Iterator, error) {
	f, err := r.fs.Open(t.path)
	if err != nil {
		return nil, err
	}
	reader, err := sstable.NewReader(f, int64(t.meta.Size), sstable.ReaderOptions{Cmp: r.cmp, Name: filepath.Base(t.path)})
	if err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return &fileIter{Iter: reader.NewIter(sstable.IterOptions{Compaction: true}), file: f}, nil
}

// A fileIter closes the file it reads.
type fileIter struct {
	*sstable.Iter
	file vfs.File
}

func (i *fileIter) Close() error { return errors.Join(i.Iter.Close(), i.file.Close()) }
