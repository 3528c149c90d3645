package strata

import (
	"fmt"
	"math"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/strata-db/strata/internal/base"
)

// Write stalls: writers are first slowed, by an amount that grows as the tree
// falls behind, and stopped only when the memtables or level 0 reach their
// limit. What to do is a pure function of the tree, so a stall ends when its
// cause does.
//
//	                       slowed            stopped
//	level 0 tables         12 and more       24, if the policy wants them fewer
//	memtables              –                 Options.MaxMemtables
//	a level below 0        6 times target    –
//
// Stops happen only where a memtable is sealed, the one place that adds to the
// pressure. If background work fails meanwhile, the writer gets that error
// instead of waiting for ever.

// stallCause names why writers wait.
type stallCause uint8

const (
	stallNone stallCause = iota
	stallMemtables
	stallLevel0
	stallLevel0Slow
	stallDebtSlow
	stallCauses // how many there are
)

func (c stallCause) String() string {
	return [...]string{"none", "memtables", "level0", "level0-slowdown", "debt-slowdown"}[c]
}

// The rates to which writers are slowed, in bytes a second: from slowFirst when
// the slowdown begins to slowLast just before the stop.
const (
	slowFirst = 96 << 20
	slowLast  = 4 << 20
)

// Where the slowdown for the levels below 0 begins and where it is at slowLast, in
// times their targets. What is over target is the debt of compactions; in bytes it
// would say nothing: 64 GiB are a day's work for a small tree, and what a large one
// owes after its every merge. A load that compactions keep up with stays below 3.
// They never stop writers: a tree opened with smaller targets than it was written
// with is over them for long, and no reader suffers from it.
const (
	levelSlow    = 6
	levelSlowest = 12
)

// pressure is what stalls depend on.
type pressure struct {
	memtables, maxMemtables int // being filled included
	level0, l0Slow, l0Stop  int
	// fullest is the score of the fullest level below 0: what it holds over its
	// target.
	fullest float64
}

// stop returns why a memtable may not be sealed now.
func (p pressure) stop() stallCause {
	switch {
	case p.memtables >= p.maxMemtables:
		return stallMemtables
	case p.level0 >= p.l0Stop:
		return stallLevel0
	}
	return stallNone
}

// slowdown returns the rate to which writers are slowed, 0 for not at all.
func (p pressure) slowdown() (bytesPerSecond int64, why stallCause) {
	if p.level0 >= p.l0Slow {
		bytesPerSecond, why = slowedTo(float64(p.level0), float64(p.l0Slow), float64(p.l0Stop)), stallLevel0Slow
	}
	if p.fullest >= levelSlow {
		if r := slowedTo(p.fullest, levelSlow, levelSlowest); why == stallNone || r < bytesPerSecond {
			bytesPerSecond, why = r, stallDebtSlow
		}
	}
	return bytesPerSecond, why
}

// slowedTo returns the rate for v, between first, where the slowdown begins, and
// last.
func slowedTo(v, first, last float64) int64 {
	over := min((v-first)/max(1, last-first), 1)
	return int64(slowFirst - over*(slowFirst-slowLast))
}

// stallControl is the state of stalls.
type stallControl struct {
	// slow says that writers have to call slowDown.
	slow atomic.Bool

	mu    sync.Mutex
	rate  int64 // bytes a second while slow
	why   stallCause
	since time.Time
	// free is when the bytes let through so far are paid for.
	free time.Time
	// ended is closed when the slowdown ends.
	ended chan struct{}

	waits [stallCauses]stallCounter
}

type stallCounter struct{ count, nanos atomic.Int64 }

// begin slows writers down. s.mu is held.
func (s *stallControl) begin(rate int64, why stallCause) {
	s.rate, s.why, s.since = rate, why, time.Now()
	s.ended = make(chan struct{})
	s.slow.Store(true)
}

// end lets writers go, those that wait too, whatever they owe. s.mu is held.
func (s *stallControl) end() {
	s.slow.Store(false)
	close(s.ended)
	s.rate, s.why, s.free = 0, stallNone, time.Time{}
}

func (s *stallControl) note(c stallCause, d time.Duration) {
	s.waits[c].count.Add(1)
	s.waits[c].nanos.Add(int64(d))
}

// slowDown makes a writer of n bytes wait as the current rate says.
func (d *DB) slowDown(n int64) {
	s := &d.stall
	s.mu.Lock()
	if s.rate == 0 {
		s.mu.Unlock()
		return
	}
	now := time.Now()
	owed, why, ended := owe(&s.free, now, n, s.rate), s.why, s.ended
	s.mu.Unlock()
	if owed < minWait {
		return
	}
	t := time.NewTimer(owed)
	defer t.Stop()
	select {
	case <-t.C:
	case <-ended:
	case <-d.closing:
	}
	s.note(why, time.Since(now))
}

// pressureLocked reads the tree. d.mu is held.
func (d *DB) pressureLocked() pressure {
	p := pressure{
		memtables: len(d.mu.imm) + 1, maxMemtables: d.opts.MaxMemtables,
		l0Slow: d.opts.testing.l0Slow, l0Stop: d.opts.testing.l0Stop,
	}
	rs := d.state.Load()
	if rs == nil {
		return p
	}
	scores := d.opts.Policy.Scores(d.treeLocked(rs.version))
	// If the policy does not want level 0 compacted, however many tables it has,
	// waiting would not make them fewer.
	if n := len(rs.version.Files(0)); n >= p.l0Slow && !d.unboundedLevel0 && scores[0] >= 1 {
		p.level0 = n
	}
	p.fullest = slices.Max(scores[1:])
	return p
}

// updateStallLocked looks at the tree anew and slows or frees the writers. d.mu
// is held; the returned event, if any, is for after it.
func (d *DB) updateStallLocked() func() {
	rate, why := d.pressureLocked().slowdown()
	s := &d.stall
	s.mu.Lock()
	defer s.mu.Unlock()
	was, since, before := s.rate != 0, s.since, s.why
	switch {
	case rate != 0 && was:
		s.rate, s.why = rate, why
	case rate != 0:
		s.begin(rate, why)
		return func() { emit(d.opts.Events.StallBegin, StallInfo{Cause: why.String()}) }
	case was:
		s.end()
		took := time.Since(since)
		return func() { emit(d.opts.Events.StallEnd, StallInfo{Cause: before.String(), Duration: took}) }
	}
	return func() {}
}

// stopCause returns why a memtable may not be sealed now.
func (d *DB) stopCause() stallCause {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.pressureLocked().stop()
}

// waitForRoom waits while a memtable may not be sealed because of why. Another
// cause may then be in the way. It is called without locks.
func (d *DB) waitForRoom(why stallCause) error {
	start := time.Now()
	emit(d.opts.Events.StallBegin, StallInfo{Cause: why.String(), Stopped: true})
	err := d.waitStalled(why)
	took := time.Since(start)
	d.stall.note(why, took)
	emit(d.opts.Events.StallEnd, StallInfo{Cause: why.String(), Stopped: true, Duration: took})
	return err
}

// waitStalled waits until why stalls no more, or what would bring that about has
// failed, or the DB is closed.
func (d *DB) waitStalled(why stallCause) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	for {
		switch {
		case d.mu.closed:
			return ErrClosed
		case d.pressureLocked().stop() != why:
			return nil
		}
		if err := d.stuckLocked(why); err != nil {
			return err
		}
		d.mu.cond.Wait()
	}
}

// stuckLocked returns why a stall cannot end by itself now. d.mu is held.
func (d *DB) stuckLocked(why stallCause) error {
	b := &d.mu.background
	if why == stallMemtables {
		if b.flushRetry.waiting {
			return b.flushRetry.err
		}
		return nil
	}
	if b.compactRetry.waiting && b.compacting == 0 {
		return b.compactRetry.err
	}
	if len(b.quarantined) > 0 && b.compacting == 0 {
		for _, err := range b.quarantined {
			return fmt.Errorf("level 0 is full and cannot be compacted: %w", err)
		}
	}
	return nil
}

// sealLocked seals the mutable memtable, gives it to the flush, and begins a new
// one with a log segment of its own; or finds, after a stall, that another writer
// has done so. d.commits.mu is held, and let go while writers wait and while
// events are called.
//
// The numbers taken here keep level 0 in order of age by file number, which is
// how LevelDB reads it: the sealed memtable's table, a spare for a merge of its
// neighbourhood, then the next log.
func (d *DB) sealLocked() error {
	c := &d.commits
	old := c.mem
	for why := d.stopCause(); why != stallNone; why = d.stopCause() {
		c.mu.Unlock()
		err := d.waitForRoom(why)
		c.mu.Lock()
		switch {
		case err != nil:
			return err
		case c.closed:
			return ErrClosed
		case c.mem != old:
			return nil
		}
	}
	if old.tableNum == 0 { // not tried before, or a full disk would use up the spares
		old.tableNum = d.set.NewFileNum()
		d.set.ReserveSpare(d.set.NewFileNum())
	}
	num := d.nextLogLocked()
	if err := d.log.Rotate(num, c.nextSeq); err != nil {
		return err
	}
	old.lastSeq = c.nextSeq - 1
	c.mem = d.newMemEntry(num)
	d.mu.Lock()
	d.mu.segments = append(d.mu.segments, segment{num, c.nextSeq})
	d.mu.imm = append(d.mu.imm, old)
	d.mu.mem = c.mem
	retired := d.publishStateLocked()
	d.scheduleLocked()
	event := d.updateStallLocked()
	d.mu.Unlock()
	c.mu.Unlock()
	retired.retire()
	event()
	emit(d.opts.Events.LogCreated, FileInfo{Name: d.logName(num)})
	c.mu.Lock()
	return nil
}

// sustainedWriting is how quickly a memtable has to fill for the next segment to
// be worth making ahead of time: an idle database should not hold space it may
// never need.
const sustainedWriting = 10 * time.Second

// nextLogLocked returns the number of the next segment, and decides whether the
// one after it is to be prepared when this one is half full.
func (d *DB) nextLogLocked() base.FileNum {
	c := &d.commits
	now := time.Now()
	c.prepareAt = math.MaxInt64
	if now.Sub(c.sealed) < sustainedWriting {
		c.prepareAt = d.opts.MemtableBytes / 2
	}
	c.sealed = now
	num := c.prepared
	c.prepared = 0
	if num == 0 {
		num = d.set.NewFileNum()
	}
	return num
}

// prepareLogLocked makes the next segment in the background.
func (d *DB) prepareLogLocked() {
	c := &d.commits
	c.prepareAt = math.MaxInt64
	d.set.NewFileNum() // left free for an anchor; see anchorLog
	c.prepared = d.set.NewFileNum()
	d.log.Prepare(c.prepared)
}
