package wal

import (
	"errors"
	"fmt"
	"io"

	"github.com/strata-db/strata/internal/base"
	"github.com/strata-db/strata/internal/batch"
	"github.com/strata-db/strata/wal/record"
)

// rereads is how often a reader without the lock looks again at damage.
const rereads = 3

// walk is the replay of one segment.
type walk struct {
	*replayer
	s    *source
	ours bool
	rd   *record.Reader
	out  SegmentResult
	// retries counts looks at the damage that starts at retryAt.
	retries int
	retryAt int64
}

// segment replays s, whose content follows what was delivered so far.
func (r *replayer) segment(s *source, ours bool) error {
	w := &walk{replayer: r, s: s, ours: ours, rd: r.reader(s)}
	w.out = SegmentResult{Segment: s.Segment, Signed: s.signed, First: s.first, Size: s.size}
	if s.signed {
		w.rd.Reset(signatureLen, s.size)
		w.claim(s.first)
		w.out.End = signatureLen
	}
	err := w.run()
	w.res.Segments = append(w.res.Segments, w.out)
	if w.out.Batches > 0 || s.signed {
		w.chained = ours
	}
	if w.out.End > 0 || len(w.res.Segments) == 1 {
		w.res.End = Position{Segment: s.Segment, Offset: w.out.End}
	}
	return err
}

// run delivers records until the segment's end or the stream's.
func (w *walk) run() error {
	for {
		rec, off, err := w.rd.Next()
		more := true
		if err == nil {
			err = w.record(off, rec)
		} else {
			more, err = w.stopped(err)
		}
		if err != nil || !more {
			return err
		}
	}
}

// stopped judges why the reader stopped, and reports whether reading goes on.
func (w *walk) stopped(err error) (more bool, _ error) {
	var d *record.Damage
	switch {
	case errors.Is(err, io.EOF):
		return false, nil
	case errors.As(err, &d):
		return w.damage(d)
	}
	return false, fmt.Errorf("read log segment %s: %w", w.s.Num, err)
}

// record takes one record whose checksum was right.
func (w *walk) record(off int64, rec []byte) error {
	if err := batch.Validate(rec); err != nil {
		return w.malformed(off, err)
	}
	seq, n := batch.SeqNum(rec), batch.Count(rec)
	if n == 0 && !w.ours {
		// It may be half a signature, whose append failed. That says nothing, also
		// where a power cut has taken what came before it.
		w.out.End = w.rd.Offset()
		return nil
	}
	if limit := w.s.limit; limit != 0 && (n > 0 && batch.LastSeqNum(rec) >= limit || n == 0 && seq > limit) {
		return w.beyondLimit(off, rec)
	}
	w.out.End = w.rd.Offset()
	if n == 0 {
		w.claim(seq)
		return nil
	}
	if !w.used.add(seq, batch.LastSeqNum(rec)) {
		return w.unusable(off, &base.CorruptionError{File: w.s.Name(), Offset: off, What: "sequence numbers used twice", Got: uint64(seq)})
	}
	w.claim(seq + base.SeqNum(n))
	w.out.Batches++
	w.res.Batches++
	w.res.Entries += int64(n)
	return w.apply(w.s.Segment, off, rec)
}

// claim notes that next is the next sequence number, by what was read.
func (w *walk) claim(next base.SeqNum) {
	w.known = true
	if next > 0 {
		w.last = max(w.last, next-1)
	}
}

// malformed is the corruption of a record that is no batch although its checksum
// is right: no crash does that.
func (w *walk) malformed(off int64, cause error) error {
	e := &base.CorruptionError{File: w.s.Name(), Offset: off, What: "log record"}
	var ce *base.CorruptionError
	if errors.As(cause, &ce) {
		e.What = fmt.Sprintf("%s, %d bytes into the record", ce.What, ce.Offset)
		e.Got, e.Want = ce.Got, ce.Want
	}
	return w.unusable(off, e)
}

// unusable is the error of a whole record that cannot be delivered; a salvage
// passes over it.
func (w *walk) unusable(off int64, e *base.CorruptionError) error {
	if !w.o.Salvage {
		return e
	}
	w.lose(off, w.rd.Offset()-off, e.What)
	return nil
}

// beyondLimit leaves out a batch whose sequence numbers a later segment begins
// again with: its append failed, and it could not be undone. One that has only
// some of them, or a mark for some, cannot be.
func (w *walk) beyondLimit(off int64, rec []byte) error {
	if batch.Count(rec) > 0 && batch.SeqNum(rec) >= w.s.limit {
		w.res.Superseded++
		w.out.End = w.rd.Offset()
		return nil
	}
	return w.unusable(off, &base.CorruptionError{
		File: w.s.Name(), Offset: off, What: "sequence number beyond the beginning of a later segment",
		Got: uint64(batch.LastSeqNum(rec)), Want: fmt.Sprintf("below %d", w.s.limit),
	})
}

// damage judges what the reader cannot pass, and reports whether reading goes on.
func (w *walk) damage(d *record.Damage) (more bool, err error) {
	if d.Deliberate && !w.o.Lockless && !w.o.Salvage {
		return false, d.Corruption()
	}
	from := d.Start + 1
	if d.Deliberate {
		from = d.Offset + 1
	}
	rec, off, found, err := w.rd.FindAfter(from, isBatch)
	if err != nil {
		return false, fmt.Errorf("read log segment %s: %w", w.s.Num, err)
	}
	if w.mayBeHalfWritten(d, found) {
		return true, w.reread(d.Start)
	}
	switch {
	case w.o.Salvage:
		return w.salvage(d, rec, off, found)
	case d.Deliberate:
		return false, d.Corruption()
	case w.ours:
		return w.damageInOurs(d, rec, off, found)
	case found:
		return false, d.Corruption()
	}
	return false, w.end(d)
}

// isBatch reports that rec is a well-formed batch.
func isBatch(rec []byte) bool { return batch.Validate(rec) == nil }

// damageInOurs goes on behind damage in a segment of this engine, if nothing is
// missing there.
func (w *walk) damageInOurs(d *record.Damage, rec []byte, off int64, found bool) (more bool, err error) {
	if !found {
		return false, w.end(d)
	}
	if w.known && batch.SeqNum(rec) == w.last+1 {
		return true, w.record(off, rec)
	}
	if err := w.checkMarks(w.s, w.rd, off, d.Corruption()); err != nil {
		return false, err
	}
	return false, w.end(d)
}

// end ends the segment at the last record that counts. If there is nothing but
// zeros behind it, that is all; otherwise the stream is torn there.
func (w *walk) end(d *record.Damage) error {
	last, err := w.rd.LastNonZero(w.out.End)
	if err != nil {
		return fmt.Errorf("read log segment %s: %w", w.s.Num, err)
	}
	if last == w.out.End {
		return nil
	}
	w.out.Tear = &Tear{File: w.s.Name(), Offset: w.out.End, Reason: d.Kind.String(), DroppedBytes: last - w.out.End}
	if w.ours || w.out.Batches > 0 {
		w.ended = &ending{at: Position{w.s.Segment, w.out.End}, cause: d.Corruption(), soft: !w.ours}
	}
	return nil
}

// salvage passes over damage.
func (w *walk) salvage(d *record.Damage, rec []byte, off int64, found bool) (more bool, err error) {
	if found {
		w.lose(d.Start, off-d.Start, d.Kind.String())
		return true, w.record(off, rec)
	}
	last, err := w.rd.LastNonZero(d.Start)
	if err == nil && last > d.Start {
		w.lose(d.Start, last-d.Start, d.Kind.String())
	}
	return false, err
}

func (w *walk) lose(off, bytes int64, reason string) {
	w.res.Lost = append(w.res.Lost, Loss{Position{w.s.Segment, off}, bytes, reason})
}

// mayBeHalfWritten reports that a writer at work may have been overtaken: what
// is whole behind the damage was written after it.
func (w *walk) mayBeHalfWritten(d *record.Damage, found bool) bool {
	if !w.o.Lockless || !found && !d.Deliberate {
		return false
	}
	if d.Start != w.retryAt {
		w.retryAt, w.retries = d.Start, 0
	}
	w.retries++
	return w.retries <= rereads
}

// reread goes back to offset off, and reads from the file again.
func (w *walk) reread(off int64) error {
	if err := w.s.readSize(); err != nil {
		return err
	}
	w.out.Size = w.s.size
	w.rd.Reset(off, w.s.size)
	return nil
}
