package strata

import (
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/strata-db/strata/internal/base"
	"github.com/strata-db/strata/internal/batch"
	"github.com/strata-db/strata/memtable"
	"github.com/strata-db/strata/wal"
)

// A commitPipeline takes writes from many goroutines and gives them one order.
//
//	lock     room in the memtable, sequence numbers, append to the log
//	unlock
//	insert   into the memtable, beside other writers, invisible so far
//	sync     if asked; writers that come together share one
//	publish  visible = last sequence of the batch, in commit order
//
// The lock covers about what a copy of the batch costs, so one writer alone
// never hands anything to another goroutine, and a queue forms only behind it.
// The order of the log is the order of sequence numbers is the order of
// publication.
type commitPipeline struct {
	// visible is the highest sequence number reads may see: everything at or
	// below it is in the memtables.
	visible atomic.Uint64

	// mu orders commits. It is taken before DB.mu.
	mu sync.Mutex

	// Guarded by mu.
	nextSeq base.SeqNum
	mem     *memEntry // the mutable memtable, DB.mu.mem
	buf     []byte    // where a record is put together
	closed  bool

	// sealed is when the last memtable was; prepareAt how full the log of this
	// one is when the next segment is made ahead of time, in bytes, and prepared
	// its number, 0 if there is none.
	sealed    time.Time
	prepareAt int64
	prepared  base.FileNum

	// waiting are writers whose turn to publish has not come.
	wait struct {
		sync.Mutex
		count  atomic.Int32
		queued []*publishWait
	}
}

// publishWait is a batch that is applied, but has unpublished ones before it.
type publishWait struct {
	first, last base.SeqNum
	done        chan struct{}
}

// maxKeptBufBytes is how large the record buffer may stay between commits.
const maxKeptBufBytes = 1 << 20

// write is one commit on its way through the pipeline: a single entry, or the
// bytes of a batch.
type write struct {
	kind       Kind
	key, value []byte // a single entry
	batch      []byte // or an encoded batch, not modified
	count      uint32
	bytes      int64 // of keys and values, about
}

// tryKeys lets cmp look at each key of w alone. A comparer of the user's that
// panics on a malformed key then does so while nothing of w is anywhere, and not
// in the midst of an insert, where others would wait for it for ever.
func (w *write) tryKeys(cmp *base.Comparer) {
	if w.batch == nil {
		cmp.Compare(w.key, w.key)
		return
	}
	r := batch.NewReader(w.batch)
	for {
		_, key, _, ok, err := r.Next()
		if err != nil || !ok {
			return // validated before
		}
		cmp.Compare(key, key)
	}
}

// record puts the log record of w together in buf.
func (w *write) record(buf []byte, seq base.SeqNum) []byte {
	switch {
	case w.batch != nil:
		buf = append(buf[:0], w.batch...)
	case w.kind == KindSet:
		buf = batch.AppendSet(buf[:batch.HeaderLen], w.key, w.value)
	default:
		buf = batch.AppendDelete(buf[:batch.HeaderLen], w.key)
	}
	batch.SetSeqNum(buf, seq)
	batch.SetCount(buf, w.count)
	return buf
}

// insert puts the entries of w into m.
func (w *write) insert(m *memtable.Table, seq base.SeqNum) {
	if w.batch == nil {
		m.Insert(w.key, base.MakeTrailer(seq, w.kind), w.value)
		return
	}
	insertBatch(m, w.batch, seq)
}

// insertBatch puts a validated batch into m, its first entry as seq.
func insertBatch(m *memtable.Table, data []byte, seq base.SeqNum) {
	r := batch.NewReader(data)
	for {
		kind, key, value, ok, err := r.Next()
		if err != nil {
			panic(fmt.Sprintf("strata: a validated batch does not parse: %v", err))
		}
		if !ok {
			return
		}
		m.Insert(key, base.MakeTrailer(seq, kind), value)
		seq++
	}
}

// commit takes w through the pipeline. An error other than ErrNotDurable means
// that nothing of w was applied.
func (d *DB) commit(w *write, sync bool) error {
	if d.opts.ReadOnly {
		return ErrReadOnly
	}
	if !d.cmp.IsBytewise() {
		w.tryKeys(d.cmp)
	}
	if sync {
		if err := d.healLog(); err != nil {
			return refused(err)
		}
	}
	if d.stall.slow.Load() {
		d.slowDown(w.bytes)
	}
	c := &d.commits
	c.mu.Lock()
	first, mem, err := d.appendLocked(w)
	c.mu.Unlock()
	if err != nil {
		return refused(publicError(err))
	}
	w.insert(mem.table, first)
	if sync {
		err = d.syncLog()
	}
	c.publish(first, first+base.SeqNum(w.count)-1)
	return err
}

// appendLocked makes room, takes sequence numbers and appends w to the log.
// d.commits.mu is held; making room may let it go before the numbers are taken.
func (d *DB) appendLocked(w *write) (first base.SeqNum, mem *memEntry, err error) {
	for range 4 {
		first, mem, err = d.appendOnceLocked(w)
		// A sync beside us may end the segment that there was room in.
		if err == nil || !errors.Is(err, wal.ErrSegmentRetired) {
			break
		}
	}
	return first, mem, err
}

func (d *DB) appendOnceLocked(w *write) (first base.SeqNum, mem *memEntry, err error) {
	c := &d.commits
	if err := d.makeRoomLocked(w); err != nil {
		return 0, nil, err
	}
	first = c.nextSeq
	if first+base.SeqNum(w.count) > base.SeqNumMax {
		c.mem.table.Unreserve(int(w.count), w.bytes)
		return 0, nil, fmt.Errorf("%w: %d sequence numbers are left; copy the database to a new one", ErrBatchTooLarge, base.SeqNumMax-first)
	}
	if cap(c.buf) < batch.HeaderLen {
		c.buf = make([]byte, batch.HeaderLen, 4<<10)
	}
	c.buf = w.record(c.buf[:batch.HeaderLen], first)
	err = d.log.Append(c.buf)
	n := int64(len(c.buf))
	if cap(c.buf) > maxKeptBufBytes {
		c.buf = nil
	}
	if err != nil {
		// None of it counts: the sequence numbers go to the next batch, which
		// is appended behind the cut, or to a new segment whose signature says
		// where it begins.
		c.mem.table.Unreserve(int(w.count), w.bytes)
		return 0, nil, fmt.Errorf("append to the log: %w", err)
	}
	c.nextSeq += base.SeqNum(w.count)
	c.mem.logBytes += n
	if c.mem.logBytes > c.prepareAt {
		d.prepareLogLocked()
	}
	d.counters.walBytes.Add(n)
	d.counters.userBytes.Add(w.bytes)
	return first, c.mem, nil
}

// makeRoomLocked returns when the mutable memtable has booked room for w and the
// log takes appends. d.commits.mu is held, and let go now and then: see sealLocked.
//
// A batch that does not fit gets a memtable that holds nothing else before it, and
// that is as large as it needs. One that fits goes where it fits, however large it
// is: a memtable of its own would seal one that has room, for a table less full and
// one memtable more on the way to the stop, and would bound nothing, since
// MemtableBytes holds in any case.
func (d *DB) makeRoomLocked(w *write) error {
	c := &d.commits
	for {
		if c.closed {
			return ErrClosed
		}
		if !d.log.NeedsRotate() {
			if c.mem.table.Reserve(int(w.count), w.bytes) {
				return nil
			}
			if c.mem.logBytes == 0 {
				return fmt.Errorf("%w: %d entries of %d bytes fit no memtable", ErrBatchTooLarge, w.count, w.bytes)
			}
		}
		if err := d.sealLocked(); err != nil {
			return err
		}
	}
}

// publish makes first..last visible once everything before first is, and
// returns when that has happened.
func (c *commitPipeline) publish(first, last base.SeqNum) {
	if c.visible.CompareAndSwap(uint64(first-1), uint64(last)) {
		if c.wait.count.Load() > 0 {
			c.wait.Lock()
			c.releaseLocked()
			c.wait.Unlock()
		}
		return
	}
	w := &publishWait{first: first, last: last, done: make(chan struct{})}
	c.wait.Lock()
	c.wait.queued = append(c.wait.queued, w)
	c.wait.count.Add(1)
	// The one before may have published between our look and the count.
	c.releaseLocked()
	c.wait.Unlock()
	<-w.done
}

// releaseLocked publishes for the waiting writers whose turn has come.
func (c *commitPipeline) releaseLocked() {
	for again := true; again; {
		again = false
		v := base.SeqNum(c.visible.Load())
		for i, w := range c.wait.queued {
			if w.first > v+1 {
				continue
			}
			// A waiter of width zero only asks for everything before it.
			if w.last > v {
				c.visible.Store(uint64(w.last))
			}
			n := len(c.wait.queued) - 1
			c.wait.queued[i] = c.wait.queued[n]
			c.wait.queued[n] = nil
			c.wait.queued = c.wait.queued[:n]
			c.wait.count.Add(-1)
			close(w.done)
			again = true
			break
		}
	}
}

// waitVisible returns when everything up to seq is visible, which no writer can
// prevent for longer than its insert and sync take.
func (c *commitPipeline) waitVisible(seq base.SeqNum) {
	if base.SeqNum(c.visible.Load()) < seq {
		c.publish(seq+1, seq)
	}
}

// syncLog makes everything appended so far durable.
func (d *DB) syncLog() error {
	err := d.log.Sync()
	if err == nil {
		d.counters.walSyncs.Add(1)
		return nil
	}
	if !errors.Is(err, ErrNotDurable) {
		err = fmt.Errorf("%w: %w", ErrNotDurable, err)
	}
	d.backgroundError("sync log", err)
	return publicError(err)
}

// allFlushed reports that no sealed memtable waits for its flush.
func (d *DB) allFlushed() bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	return len(d.mu.imm) == 0
}

// healLog returns when no log segment with a failed sync is needed any more, so
// that a sync can again mean what it says. What such a segment holds is flushed
// to a table: its bytes in the log cannot be trusted, and a second fsync would
// prove nothing. Flushing is also what lets go of a segment that holds nothing.
//
// A segment that was replayed counts as one of these, if it holds anything: a
// sync may have failed in the process that wrote it.
func (d *DB) healLog() error {
	if m := d.replayed.Load(); m != nil {
		if err := d.waitFlushed(func() bool { return !d.hasImmLocked(m) }); err != nil {
			return fmt.Errorf("write again what was replayed: %w", publicError(err))
		}
	}
	num, bad := d.log.Unsynced()
	if !bad {
		return nil
	}
	c := &d.commits
	c.mu.Lock()
	if c.closed {
		c.mu.Unlock()
		return ErrClosed
	}
	var err error
	if c.mem.minLog <= num || d.log.NeedsRotate() || d.allFlushed() {
		err = d.sealLocked()
	}
	c.mu.Unlock()
	if err != nil {
		return publicError(err)
	}
	if err := d.waitFlushed(func() bool {
		n, bad := d.log.Unsynced()
		return !bad || n > num
	}); err != nil {
		return fmt.Errorf("write again what a failed sync left unsure: %w", publicError(err))
	}
	return nil
}
