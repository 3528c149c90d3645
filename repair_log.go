package strata

import (
	"errors"
	"fmt"

	"github.com/strata-db/strata/compaction"
	"github.com/strata-db/strata/internal/base"
	"github.com/strata-db/strata/internal/batch"
	"github.com/strata-db/strata/memtable"
	"github.com/strata-db/strata/version"
	"github.com/strata-db/strata/wal"
)

// lookAtLogs reads the logs and decides how they are read later: as Open reads them, if
// it can, else from one whole batch to the next.
func (r *repair) lookAtLogs() error {
	l, s := &r.logs, r.survey
	l.files = make(map[base.FileNum]*RepairFile)
	l.firstSeq = base.SeqNumMax
	if s.contents.LastSeq != nil {
		l.lastSeq = *s.contents.LastSeq
	}
	r.listLogs()
	missing := s.missingLogs(&s.contents)
	for _, name := range missing {
		f := r.file(name, -1)
		f.Action, f.EntriesLost, r.damaged = FileMissing, -1, true
		f.problem(base.Corruptf(name, -1, "missing"))
	}
	l.salvage = s.basis != BasisManifest || len(missing) > 0
	if !l.salvage {
		err := r.readLogsPlainly()
		if err != nil && !isDamage(err) {
			return err
		}
		if l.salvage = l.salvage || err != nil; !l.salvage {
			return nil
		}
		r.damaged = true
		if err != nil {
			r.blameLog(err)
		}
	}
	res, err := r.replayLogs(r.countBatch)
	if err != nil {
		return err
	}
	r.reportLogs(res)
	return nil
}

// listLogs finds the logs that count, and puts all into the report.
func (r *repair) listLogs() {
	l, s := &r.logs, r.survey
	for _, num := range s.logs() {
		seg := wal.Segment{Num: num, Type: s.logType()}
		l.segments = append(l.segments, seg)
		l.files[num] = r.file(seg.Name(), -1)
	}
	for _, f := range s.list.Files {
		if f.Type != base.FileLog && f.Type != base.FileLogUpgr {
			continue
		}
		if l.files[f.Num] == nil || l.files[f.Num].Name != f.Name {
			r.file(f.Name, -1).Action = FileUnused
		}
	}
}

// readLogsPlainly reads the logs as Open does. A torn end is in order; if there are
// whole batches behind it, the report says so, and BehindTears makes them count.
func (r *repair) readLogsPlainly() error {
	l := &r.logs
	res, err := r.replayLogs(r.countBatch)
	if err != nil {
		l.forget()
		return err
	}
	r.reportLogs(res)
	if res.Tear == nil && len(res.Dropped) == 0 {
		return nil
	}
	l.salvage = true
	all, err := r.replayLogs(func(wal.Segment, int64, []byte) error { return nil })
	l.salvage = false
	if err != nil {
		return err
	}
	if n := all.Batches - res.Batches; n > 0 {
		if r.ro.BehindTears {
			l.forget()
			l.salvage = true
			return nil
		}
		r.report.note("%d whole batches lie behind the torn end of the log, and others before them are missing: they are left out, as by Open (BehindTears takes them)", n)
	}
	return nil
}

func (r *repair) replayLogs(apply func(seg wal.Segment, off int64, rec []byte) error) (wal.Result, error) {
	o := wal.ReplayOptions{FS: r.fs, Dir: r.dir, Segments: r.logs.segments, Salvage: r.logs.salvage, Manifest: r.survey.manifest}
	if seq := r.survey.contents.LastSeq; seq != nil {
		o.After = *seq
	}
	res, err := wal.Replay(o, apply)
	if err != nil {
		return res, fmt.Errorf("replay the log: %w", err)
	}
	r.logs.lastSeq = max(r.logs.lastSeq, res.LastSeq)
	return res, nil
}

// countBatch is applied to each batch to find out what the logs hold.
func (r *repair) countBatch(seg wal.Segment, _ int64, rec []byte) error {
	if n := batch.Count(rec); n > 0 {
		r.logs.files[seg.Num].Entries += int64(n)
		r.logs.entries += int64(n)
		r.logs.firstSeq = min(r.logs.firstSeq, batch.SeqNum(rec))
		r.logs.lastSeq = max(r.logs.lastSeq, batch.SeqNum(rec)+base.SeqNum(n)-1)
	}
	return nil
}

// forget undoes what countBatch counted.
func (l *repairLogs) forget() {
	l.entries, l.firstSeq = 0, base.SeqNumMax
	for _, f := range l.files {
		f.Entries = 0
	}
}

// blameLog puts the damage that a plain replay met into the report. If the log tells
// that the manifest has lost its end, less of it is believed.
func (r *repair) blameLog(err error) {
	var ce *CorruptionError
	if !errors.As(err, &ce) {
		r.report.note("%v", err)
		return
	}
	r.reported(ce.File).problem(ce)
	if ce.File == r.survey.manifest {
		r.survey.basis = BasisPartOfManifest
		r.report.Basis = r.survey.basis
	}
}

// reportLogs puts what a replay found into the report.
func (r *repair) reportLogs(res wal.Result) {
	l := &r.logs
	for _, s := range res.Segments {
		if f := l.files[s.Num]; f != nil {
			f.Action, f.EntriesLost, f.Losses, f.LostBytes = FileReplayed, 0, nil, 0
			if s.Tear != nil {
				f.Problems = append(f.Problems, fmt.Sprintf("torn at offset %d, as by a crash: %s, %d bytes", s.Tear.Offset, s.Tear.Reason, s.Tear.DroppedBytes))
			}
		}
	}
	for _, s := range res.Dropped {
		if f := l.files[s.Num]; f != nil {
			f.Action = FileUnused
		}
	}
	for _, loss := range res.Lost {
		f := l.files[loss.Segment.Num]
		if f == nil {
			continue
		}
		f.EntriesLost = -1
		f.LostBytes += loss.Bytes
		if len(f.Losses) < 1000 {
			f.Losses = append(f.Losses, RepairLoss{Offset: loss.Offset, Bytes: loss.Bytes, Reason: loss.Reason})
		}
	}
}

// writeLogs turns the logs into tables, in the order of the log, a memtable at a time.
// A dry run describes one that would be.
func (r *repair) writeLogs() error {
	l := &r.logs
	if l.entries == 0 {
		return nil
	}
	if r.ro.DryRun {
		t := r.newTable()
		t.setMeta(&version.FileMeta{Num: t.num, Type: t.typ}, version.SeqBounds{Smallest: l.firstSeq, Largest: l.lastSeq})
		l.tables = append(l.tables, t)
		return nil
	}
	w := logWriter{r: r}
	_, err := r.replayLogs(w.apply)
	if err == nil {
		err = w.flush()
	}
	if w.mem != nil {
		w.mem.Unref()
	}
	return err
}

// A logWriter fills memtables from batches and flushes them.
type logWriter struct {
	r   *repair
	mem *memtable.Table
}

func (w *logWriter) apply(_ wal.Segment, _ int64, rec []byte) error {
	count := batch.Count(rec)
	if count == 0 {
		return nil
	}
	for w.mem == nil || !w.mem.Reserve(int(count), int64(len(rec))) {
		if err := w.flush(); err != nil {
			return err
		}
		w.mem = memtable.New(w.r.cmp, w.r.opts.MemtableBytes)
	}
	insertBatch(w.mem, rec, batch.SeqNum(rec))
	return nil
}

// flush writes the memtable to a table.
func (w *logWriter) flush() error {
	if w.mem == nil {
		return nil
	}
	mem := w.mem
	w.mem = nil
	defer mem.Unref()
	if mem.Empty() {
		return nil
	}
	made, err := w.r.runMerge(compaction.FlushPlan(), nil, mem.NewIter())
	w.r.logs.tables = append(w.r.logs.tables, made...)
	return err
}
