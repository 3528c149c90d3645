package wal

import (
	"errors"
	"fmt"
	"io"
	"path/filepath"

	"github.com/strata-db/strata/internal/base"
	"github.com/strata-db/strata/internal/batch"
	"github.com/strata-db/strata/vfs"
	"github.com/strata-db/strata/wal/record"
)

// Segment names one file of a log.
type Segment struct {
	Num  base.FileNum
	Type base.FileType // base.FileLog or base.FileLogUpgr
}

// Name returns the base name of the segment's file.
func (s Segment) Name() string { return base.FileName(s.Type, s.Num) }

// Position is a place in a log.
type Position struct {
	Segment Segment
	Offset  int64 // in bytes
}

// ReplayOptions says what to replay, and how.
type ReplayOptions struct {
	FS  vfs.FS
	Dir string
	// Segments are the live ones, ascending by number.
	Segments []Segment
	// Manifest is the base name of the manifest that Segments come from, and After
	// the last sequence number that it states: the log of this engine goes on
	// from there, so one that begins later has lost its beginning, or the manifest
	// has lost its end. Not checked if Manifest is empty.
	Manifest string
	After    base.SeqNum
	// Salvage goes on behind every damage with whatever is whole, and counts
	// what it passes over, instead of giving an error or ending the stream. What
	// it delivers need not be a prefix of what was written.
	Salvage bool
	// Lockless says that a writer may be at work. Damage is then read again
	// before it is believed.
	Lockless bool
}

// Tear says where and why a log ends before its files do.
type Tear struct {
	File         string // base name
	Offset       int64  // of the first byte that does not count
	Reason       string
	DroppedBytes int64 // that do not count, in all segments, without zeros at their ends
}

// Loss is something that a salvage passed over.
type Loss struct {
	Position
	Bytes  int64
	Reason string
}

// SegmentResult is what was found in one segment.
type SegmentResult struct {
	Segment
	Signed  bool        // it begins with this engine's signature
	First   base.SeqNum // the signature's; 0 without
	Batches int64       // delivered
	End     int64       // offset behind the last record that counts
	Size    int64       // of the file, in bytes
	Tear    *Tear       // what is behind End if it is neither nothing nor zeros
}

// Result is what a replay found.
type Result struct {
	// LastSeq is the highest sequence number used, as far as the stream and its
	// marks tell. The next batch must get the one behind it.
	LastSeq          base.SeqNum
	Batches, Entries int64
	// End is where the stream ends. Nothing may be appended there: the next
	// batch belongs in a new segment.
	End Position
	// Tear is set if bytes behind End had to be left out. They were never known
	// to be on disk.
	Tear *Tear
	// Dropped are later segments of which nothing counts, to be removed.
	Dropped []Segment
	// Superseded counts batches that a failed append left behind and whose
	// sequence numbers a later segment took again. They were not delivered.
	Superseded int64
	// Segments has an entry for each segment that was replayed. If one of them
	// stays live it should be cut to End and synced before the first new write,
	// and so should segments of other engines in any case.
	Segments []SegmentResult
	// Lost is what a salvage passed over.
	Lost []Loss
}

// Replay reads all segments as one stream and calls apply with each batch that
// holds entries, in order, and the place it begins at. rec is well formed, valid
// during the call and not to be modified. No sequence number is delivered twice.
// An error of apply ends the replay and is returned as it is.
//
// Where the stream ends is in the Result. An error that is a corruption names
// file and offset, and means that records are damaged which were known to be on
// disk, or that cannot have been damaged by a crash. Nothing on disk is changed.
func Replay(o ReplayOptions, apply func(seg Segment, off int64, rec []byte) error) (Result, error) {
	r := &replayer{o: o, apply: apply}
	defer r.close()
	if err := r.open(); err != nil {
		return r.res, err
	}
	err := r.run()
	r.res.LastSeq = r.last
	return r.res, err
}

// A source is one segment being replayed.
type source struct {
	Segment
	file   vfs.File
	size   int64
	signed bool
	first  base.SeqNum // of the signature
	// blank says that where the signature would be there are zeros or nothing.
	blank bool
	// limit is the lowest first sequence number of a later signature: batches
	// from there on are failed appends. 0 is none.
	limit base.SeqNum
}

// replayer is one Replay.
type replayer struct {
	o     ReplayOptions
	apply func(seg Segment, off int64, rec []byte) error
	src   []*source
	res   Result

	// last is the highest sequence number used; known says that something told.
	last  base.SeqNum
	known bool
	used  ranges

	// ours says that a segment with a signature came before, chained that the
	// previous one with content has a signature, so that the next one's must
	// follow on.
	ours, chained bool
	// ended is set where the stream ended.
	ended *ending
}

// An ending is where a stream ended.
type ending struct {
	at    Position
	cause *base.CorruptionError
	// soft endings hold until the next segment without signature.
	soft bool
}

func (r *replayer) close() {
	for _, s := range r.src {
		_ = s.file.Close()
	}
}

// open opens all segments and reads their signatures.
func (r *replayer) open() error {
	for _, seg := range r.o.Segments {
		f, err := r.o.FS.Open(filepath.Join(r.o.Dir, seg.Name()))
		if err != nil {
			return fmt.Errorf("open log segment %s: %w", seg.Num, err)
		}
		s := &source{Segment: seg, file: f}
		r.src = append(r.src, s)
		if err := s.readSignature(); err != nil {
			return fmt.Errorf("read log segment %s: %w", seg.Num, err)
		}
	}
	// A segment is complete when the next one's signature can be seen, so its
	// length is taken behind that.
	for _, s := range r.src {
		if err := s.readSize(); err != nil {
			return err
		}
	}
	r.setLimits()
	return nil
}

// setLimits tells each segment where later ones begin.
func (r *replayer) setLimits() {
	limit := base.SeqNum(0)
	for i := len(r.src) - 1; i >= 0; i-- {
		s := r.src[i]
		s.limit = limit
		if s.signed && (limit == 0 || s.first < limit) {
			limit = s.first
		}
	}
}

func (s *source) readSize() (err error) {
	if s.size, err = s.file.Size(); err != nil {
		return fmt.Errorf("read log segment %s: %w", s.Num, err)
	}
	return nil
}

func (s *source) readSignature() error {
	head := make([]byte, signatureLen)
	n, err := s.file.ReadAt(head, 0)
	if err != nil && !errors.Is(err, io.EOF) {
		return err
	}
	head = head[:n]
	s.first, s.signed = parseSignature(head)
	s.blank = true
	for _, c := range head {
		s.blank = s.blank && c == 0
	}
	return nil
}

// parseSignature returns the sequence number of the signature that b is.
func parseSignature(b []byte) (first base.SeqNum, ok bool) {
	rd := record.NewBytesReader(b, "")
	for i := range 2 {
		rec, _, err := rd.Next()
		if err != nil || !batch.IsEmpty(rec) || batch.Validate(rec) != nil {
			return 0, false
		}
		if i == 1 && batch.SeqNum(rec) != first {
			return 0, false
		}
		first = batch.SeqNum(rec)
	}
	return first, first > 0
}

// run replays the segments in order.
func (r *replayer) run() error {
	for _, s := range r.src {
		ours := s.signed || s.blank && r.ours
		if err := r.checkBeginning(s); err != nil {
			return err
		}
		if r.endsBefore(s, ours) {
			if err := r.drop(s, ours); err != nil {
				return err
			}
		} else if err := r.segment(s, ours); err != nil {
			return err
		}
		r.ours = r.ours || s.signed
	}
	if n := len(r.res.Segments); r.ended != nil {
		r.tearAt(r.ended)
	} else if n > 0 {
		r.res.Tear = r.res.Segments[n-1].Tear
	}
	return nil
}

// checkBeginning compares the signature of the first segment that counts with the
// manifest.
func (r *replayer) checkBeginning(s *source) error {
	if r.o.Manifest == "" || r.o.Salvage || !s.signed || r.chained || r.res.Batches > 0 || s.first <= r.o.After+1 {
		return nil
	}
	e := &base.CorruptionError{
		File: r.o.Manifest, Offset: -1, What: "the log begins later than the manifest ends: " + s.Name(),
		Got: fmt.Sprintf("sequence number %d", s.first), Want: fmt.Sprintf("at most %d", r.o.After+1),
	}
	if s != r.src[0] {
		e.File, e.What = r.src[0].Name(), "no records where the log begins, before "+s.Name()
	}
	return e
}

// endsBefore reports that the stream ended before s, by what was met in earlier
// segments or because the signature of s leaves a gap to them.
func (r *replayer) endsBefore(s *source, ours bool) bool {
	if r.o.Salvage {
		return false
	}
	follows := s.signed && r.known && s.first == r.last+1
	switch {
	case r.ended != nil:
		if follows || r.ended.soft && !ours {
			r.ended, r.res.Tear = nil, nil // nothing is missing, or nothing was promised
		}
	case s.signed && r.chained && s.first > r.last+1:
		r.ended = &ending{at: r.res.End, cause: &base.CorruptionError{
			File: r.res.End.Segment.Name(), Offset: r.res.End.Offset,
			What: "records missing at the end before " + s.Name(),
			Got:  fmt.Sprintf("sequence number %d", s.first), Want: fmt.Sprintf("%d", r.last+1),
		}}
	}
	return r.ended != nil
}

// drop leaves s out, as the stream ended before it. A mark in it says that
// nothing before it can be missing.
func (r *replayer) drop(s *source, ours bool) error {
	if ours {
		from := int64(0)
		if s.signed {
			from = signatureLen
		}
		if err := r.checkMarks(s, r.reader(s), from, r.ended.cause); err != nil {
			return err
		}
	}
	r.res.Dropped = append(r.res.Dropped, s.Segment)
	n, err := r.reader(s).LastNonZero(0)
	r.tearAt(r.ended).DroppedBytes += n
	return err
}

func (r *replayer) reader(s *source) *record.Reader {
	return record.NewReader(s.file, s.size, s.Name())
}

// checkMarks reads what is at or behind offset from, and returns cause as a
// corruption if a mark there says that more than was delivered is on disk. Whole
// records are stepped over, so that bytes inside of them are taken for nothing.
func (r *replayer) checkMarks(s *source, rd *record.Reader, from int64, cause *base.CorruptionError) error {
	for {
		rec, off, ok, err := rd.FindAfter(from, isBatch)
		for ok && err == nil {
			if r.isClaim(rec) {
				return contradicted(cause, s, off)
			}
			rec, off, err = rd.Next()
		}
		var d *record.Damage
		switch {
		case errors.As(err, &d):
			from = max(d.Start, from) + 1
		case err == nil || err == io.EOF:
			return nil
		default:
			return fmt.Errorf("read log segment %s: %w", s.Num, err)
		}
	}
}

// isClaim reports that rec is a mark that says that batches behind the last
// delivered one are on disk.
func (r *replayer) isClaim(rec []byte) bool {
	return batch.IsEmpty(rec) && batch.Validate(rec) == nil && batch.SeqNum(rec) > r.last+1
}

// contradicted returns cause as the corruption that a mark makes of it.
func contradicted(cause *base.CorruptionError, s *source, mark int64) error {
	e := *cause
	e.What += fmt.Sprintf(" (before records that were on disk, by the mark in %s at offset %d)", s.Name(), mark)
	return &e
}

// tearAt sets Result.Tear to the ending e, keeping what was counted for it.
func (r *replayer) tearAt(e *ending) *Tear {
	name := e.at.Segment.Name()
	if t := r.res.Tear; t == nil || t.File != name || t.Offset != e.at.Offset {
		r.res.Tear = &Tear{File: name, Offset: e.at.Offset, Reason: e.cause.What}
		for _, sr := range r.res.Segments {
			if sr.Segment == e.at.Segment && sr.Tear != nil {
				r.res.Tear.DroppedBytes = sr.Tear.DroppedBytes
			}
		}
	}
	return r.res.Tear
}
