package strata

import (
	"fmt"
	"runtime"
	"sync"
	"time"

	"github.com/strata-db/strata/internal/base"
	"github.com/strata-db/strata/internal/batch"
	"github.com/strata-db/strata/memtable"
	"github.com/strata-db/strata/version"
	"github.com/strata-db/strata/wal"
)

// recovery is what replaying the log gave.
type recovery struct {
	mems     []*memEntry // oldest first
	segments []segment   // those that hold something, or are named by the manifest
	empty    []wal.Segment
	lastSeq  base.SeqNum
	result   wal.Result
	info     RecoveryInfo
}

// release gives the memtables back when the recovery comes to nothing.
func (rec *recovery) release() {
	for _, m := range rec.mems {
		m.table.Unref()
	}
	rec.mems = nil
}

// replay reads every live log segment into memtables. It changes nothing on
// disk, unless the log is larger than the memtables may be: then it flushes.
func (d *DB) replay() (*recovery, error) {
	start := time.Now()
	names, err := d.fs.List(d.dir)
	if err != nil {
		return nil, err
	}
	var segments []wal.Segment
	for _, num := range d.set.LiveLogs(names) {
		segments = append(segments, wal.Segment{Num: num, Type: d.set.LogType()})
	}
	rec := &recovery{lastSeq: d.set.LastSeq()}
	r := newReplayer(d, rec)
	rec.result, err = wal.Replay(wal.ReplayOptions{
		FS: d.fs, Dir: d.dir, Segments: segments, Salvage: d.opts.Salvage,
		Manifest: d.set.ManifestName(), After: d.set.LastSeq(),
	}, r.apply)
	r.close()
	if err != nil {
		r.seal()
		rec.release()
		return nil, fmt.Errorf("replay the log: %w", err)
	}
	r.finish(segments)
	rec.info.Logs = len(segments)
	rec.info.Batches, rec.info.Entries = rec.result.Batches, rec.result.Entries
	for _, l := range rec.result.Lost {
		rec.info.SkippedBytes += l.Bytes
	}
	if t := rec.result.Tear; t != nil {
		rec.info.TornFile, rec.info.TornOffset, rec.info.TornBytes, rec.info.TornReason = t.File, t.Offset, t.DroppedBytes, t.Reason
	}
	for _, s := range rec.result.Dropped {
		rec.info.DroppedLogs = append(rec.info.DroppedLogs, s.Name())
	}
	rec.info.Duration = time.Since(start)
	return rec, nil
}

// replayer fills memtables from batches. Reading the log and booking room is one
// goroutine's work, inserting several take part in.
type replayer struct {
	db    *DB
	rec   *recovery
	mem   *memEntry
	first map[base.FileNum]base.SeqNum // first sequence number by segment

	durable map[base.FileNum]bool // segments that were written anew

	chunk  *replayChunk
	chunks chan *replayChunk
	free   chan *replayChunk
	busy   sync.WaitGroup // chunks under way
}

// replayChunk is some batches for one memtable: data holds them one after the
// other, ends where each ends.
type replayChunk struct {
	mem  *memtable.Table
	data []byte
	ends []int
}

// replayChunkBytes is how much log is handed to an inserting goroutine at once.
const replayChunkBytes = 128 << 10

func newReplayer(d *DB, rec *recovery) *replayer {
	n := runtime.GOMAXPROCS(0)
	r := &replayer{
		db: d, rec: rec, first: make(map[base.FileNum]base.SeqNum), durable: make(map[base.FileNum]bool),
		chunks: make(chan *replayChunk, n), free: make(chan *replayChunk, 2*n+2),
	}
	for range n {
		go r.insertChunks()
	}
	return r
}

func (r *replayer) insertChunks() {
	for c := range r.chunks {
		start := 0
		for _, end := range c.ends {
			data := c.data[start:end]
			insertBatch(c.mem, data, batch.SeqNum(data))
			start = end
		}
		c.data, c.ends = c.data[:0], c.ends[:0]
		select {
		case r.free <- c:
		default:
		}
		r.busy.Done()
	}
}

// hand gives the current chunk to the inserting goroutines.
func (r *replayer) hand() {
	if r.chunk != nil {
		r.busy.Add(1)
		r.chunks <- r.chunk
		r.chunk = nil
	}
}

// close ends the inserting goroutines when they are done.
func (r *replayer) close() {
	r.hand()
	r.busy.Wait()
	close(r.chunks)
}

func (r *replayer) apply(seg wal.Segment, _ int64, data []byte) error {
	first, count := batch.SeqNum(data), batch.Count(data)
	if _, ok := r.first[seg.Num]; !ok {
		r.first[seg.Num] = first
	}
	for r.mem == nil || !r.mem.table.Reserve(int(count), int64(len(data))) {
		if r.mem != nil && r.mem.logBytes == 0 {
			return fmt.Errorf("%w: a batch of %d bytes in %s fits no memtable here", ErrBatchTooLarge, len(data), seg.Name())
		}
		r.seal()
		r.mem = &memEntry{table: memtable.New(r.db.cmp, r.db.opts.MemtableBytes), minLog: seg.Num}
		if err := r.spill(); err != nil {
			return err
		}
	}
	r.add(data)
	r.mem.maxLog = seg.Num
	r.mem.logBytes += int64(len(data))
	r.rec.lastSeq = max(r.rec.lastSeq, first+base.SeqNum(count)-1)
	return nil
}

// add puts a copy of data into the current chunk.
func (r *replayer) add(data []byte) {
	if r.chunk == nil {
		select {
		case r.chunk = <-r.free:
		default:
			r.chunk = &replayChunk{}
		}
		r.chunk.mem = r.mem.table
	}
	r.chunk.data = append(r.chunk.data, data...)
	r.chunk.ends = append(r.chunk.ends, len(r.chunk.data))
	if len(r.chunk.data) >= replayChunkBytes {
		r.hand()
	}
}

func (r *replayer) seal() {
	r.hand()
	if r.mem != nil {
		r.rec.mems = append(r.rec.mems, r.mem)
		r.mem = nil
	}
}

// spill flushes the oldest memtable once there are too many, so that a log
// written with larger memtables does not take more memory than these options
// allow. The log stays live: a crash before the end replays it again. What a
// process that was killed left of it may not be on disk yet, and is synced first:
// a log that ends before what is in the tree would give its sequence numbers out
// again.
func (r *replayer) spill() error {
	if r.db.opts.ReadOnly || len(r.rec.mems) < r.db.opts.MaxMemtables {
		return nil
	}
	r.busy.Wait()
	d, m := r.db, r.rec.mems[0]
	if err := r.syncLogs(m); err != nil {
		return err
	}
	m.tableNum = d.set.NewFileNum()
	res, err := d.flushTable(r.rec.mems[:1])
	if err != nil {
		return err
	}
	var edit version.Edit
	for _, f := range res.Outputs {
		edit.Added = append(edit.Added, version.AddedFile{Level: 0, Meta: f})
	}
	if err := d.set.Apply(&edit); err != nil {
		return err
	}
	r.rec.mems = r.rec.mems[1:]
	m.table.Unref()
	return nil
}

// syncLogs makes the segments that m came from durable as they are, each once. A
// copy takes their place: a sync of them may have failed in the process that wrote
// them, and the next one succeeds without writing anything.
func (r *replayer) syncLogs(m *memEntry) error {
	for num := range r.first {
		if num < m.minLog || num > m.maxLog || r.durable[num] {
			continue
		}
		if err := r.writeAnew(r.db.path(r.db.logName(num)), r.db.path(base.FileName(base.FileTemp, num))); err != nil {
			return fmt.Errorf("write %s anew: %w", r.db.logName(num), err)
		}
		r.durable[num] = true
	}
	return r.db.fs.SyncDir(r.db.dir)
}

// writeAnew replaces the file at path by a synced copy, made at tmp.
func (r *replayer) writeAnew(path, tmp string) error {
	fs := r.db.fs
	err := copyFile(fs, path, tmp)
	if err == nil {
		if err = fs.Rename(tmp, path); err == nil {
			return nil
		}
		if info, serr := fs.Stat(path); runtime.GOOS == "windows" && serr == nil {
			// It is open, and cannot be replaced: a sync is what there is.
			err = fs.Truncate(path, info.Size())
		}
	}
	_ = fs.Remove(tmp)
	return err
}

// finish sorts the segments into those that hold something and the others.
func (r *replayer) finish(segments []wal.Segment) {
	r.seal()
	rec := r.rec
	rec.lastSeq = max(rec.lastSeq, rec.result.LastSeq)
	dropped := make(map[base.FileNum]bool)
	for _, s := range rec.result.Dropped {
		dropped[s.Num] = true
	}
	for _, m := range rec.mems {
		m.lastSeq = rec.lastSeq
	}
	needed := base.FileNum(0)
	if len(rec.mems) > 0 {
		needed = rec.mems[0].minLog
	}
	next := rec.lastSeq + 1
	for i := len(segments) - 1; i >= 0; i-- {
		s := segments[i]
		if dropped[s.Num] {
			continue
		}
		first, holds := r.first[s.Num]
		if !holds {
			first = next
		}
		next = first
		// What no memtable needs stays only if the manifest names it, or if it holds
		// something that was spilled: the manifest still begins before that.
		if named := s.Num == r.db.set.LogNum(); named || holds || (len(rec.mems) > 0 && s.Num >= needed) {
			rec.segments = append([]segment{{s.Num, first}}, rec.segments...)
		} else {
			rec.empty = append(rec.empty, s)
		}
	}
}

// settle makes the end of the log definite before the first new write: segments
// are cut where their readable part ends and synced, and what is behind a tear is
// removed, durably. Otherwise the next recovery would stop at the old tear and
// lose what was acknowledged after it. Logs of other engines are synced in any
// case: they carry no sign of where they ended, so a tail that a power cut took
// later would leave a hole nobody could see.
func (d *DB) settle(rec *recovery) error {
	for _, s := range rec.result.Segments {
		if s.Signed && s.Size == s.End {
			continue
		}
		if err := d.fs.Truncate(d.path(s.Name()), s.End); err != nil {
			return fmt.Errorf("cut the end off %s: %w", s.Name(), err)
		}
	}
	// What is behind a tear goes first: without the torn segment, which may hold
	// nothing, it would be where the log begins.
	if err := d.removeLogs(rec.result.Dropped); err != nil {
		return err
	}
	return d.removeLogs(rec.empty)
}

// removeLogs removes segments durably.
func (d *DB) removeLogs(segments []wal.Segment) error {
	for _, s := range segments {
		if err := d.fs.Remove(d.path(s.Name())); err != nil && !isNotExist(err) {
			return fmt.Errorf("remove %s: %w", s.Name(), err)
		}
	}
	if len(segments) == 0 {
		return nil
	}
	return d.fs.SyncDir(d.dir)
}
