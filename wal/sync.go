package wal

import (
	"fmt"
	"slices"

	"github.com/strata-db/strata/internal/base"
	"github.com/strata-db/strata/internal/batch"
)

// rounds is how concurrent callers of Sync share the work: one round runs, and
// all that come meanwhile wait for one more, which the first of them leads.
// Guarded by Log.mu.
type rounds struct {
	running, waiting *round
}

type round struct {
	done chan struct{} // closed when err is set
	err  error
}

// Sync returns nil when everything that was appended before the call is on disk,
// in every live segment, and the segments' names are too. Concurrent callers
// share one sync of the file. After a success a mark is placed if nothing was
// appended meanwhile.
//
// A sync that fails retires its segment for ever: the file is not synced again,
// as the kernel counts its pages as clean and would report success. This call
// and all later ones give ErrSyncFailed until the segment is retired. That does
// not hold for errors of opening a replayed segment, which may be gone the next
// time.
func (l *Log) Sync() error {
	l.mu.Lock()
	if r := l.sync.waiting; r != nil {
		l.mu.Unlock()
		<-r.done
		return r.err
	}
	r := &round{done: make(chan struct{})}
	if before := l.sync.running; before != nil {
		l.sync.waiting = r
		l.mu.Unlock()
		<-before.done
		l.mu.Lock()
		l.sync.waiting = nil
	}
	l.sync.running = r
	l.mu.Unlock()

	r.err = l.syncAll()

	l.mu.Lock()
	l.sync.running = nil
	l.mu.Unlock()
	close(r.done)
	return r.err
}

// A target is a segment that a round has to sync, up to some length.
type target struct {
	*segment
	handle syncer
	size   int64
}

// syncAll syncs what is live now, oldest segment first, and places a mark.
func (l *Log) syncAll() error {
	l.app.Lock()
	hold := l.markDue()
	targets, err := l.targets()
	if !hold {
		l.app.Unlock()
	}
	if err == nil {
		err = l.syncTargets(targets)
	}
	if !hold {
		l.app.Lock()
	}
	defer l.app.Unlock()
	if err == nil {
		l.placeMark(targets)
	}
	l.finish(targets)
	return err
}

// markDue reports that the current segment went on for so long without a mark
// that appends are to wait for one. Called with app held.
func (l *Log) markDue() bool {
	s := l.cur.Load()
	return s != nil && s.size.Load()-s.markEnd >= l.o.MarkEveryBytes
}

// targets returns what is to be synced, and holds the handles open. Called with
// app held.
func (l *Log) targets() ([]target, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.closed {
		return nil, base.ErrClosed
	}
	var ts []target
	for _, s := range l.live {
		if s.failed != nil {
			return nil, s.syncError()
		}
	}
	for _, s := range l.live {
		size := s.size.Load()
		if s.durableLocked() {
			continue
		}
		s.users++
		ts = append(ts, target{s, s.handle, size})
	}
	return ts, nil
}

// syncError is what Sync returns after a sync of s failed. Called with mu held.
func (s *segment) syncError() error {
	return fmt.Errorf("%w: %w: log segment %s: %w", ErrSyncFailed, base.ErrNotDurable, s.num, s.failed)
}

func (l *Log) syncTargets(ts []target) error {
	for _, t := range ts {
		if err := l.syncOne(t); err != nil {
			return err
		}
	}
	return l.syncNames(ts)
}

// syncOne syncs the bytes of one segment, if need be.
func (l *Log) syncOne(t target) error {
	t.syncing.Lock()
	defer t.syncing.Unlock()
	l.mu.Lock()
	durable, failed := t.gone || t.synced >= t.size, t.failed
	if failed != nil && !t.gone {
		defer l.mu.Unlock()
		return t.syncError()
	}
	l.mu.Unlock()
	if durable {
		return nil
	}
	h := t.handle
	if h == nil {
		f, err := l.openToSync(t.path)
		if err != nil && l.isGone(t.segment) {
			return nil // flushed and removed since the round began
		}
		if err != nil {
			return fmt.Errorf("sync log segment %s: %w: %w", t.num, base.ErrNotDurable, err)
		}
		defer f.Close()
		h = f
	}
	err := h.Sync()
	l.mu.Lock()
	defer l.mu.Unlock()
	if err != nil {
		t.fail(err)
	}
	if t.failed != nil {
		return t.syncError()
	}
	t.synced = max(t.synced, t.size)
	return nil
}

// isGone reports that s was retired: its bytes are in tables.
func (l *Log) isGone(s *segment) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return s.gone
}

// syncNames makes the directory entries durable. If that fails nothing is known
// about any of them.
func (l *Log) syncNames(ts []target) error {
	l.naming.Lock()
	defer l.naming.Unlock()
	l.mu.Lock()
	unnamed := slices.DeleteFunc(slices.Clone(ts), func(t target) bool { return t.named || t.gone })
	for _, t := range unnamed {
		if t.failed != nil { // meanwhile, maybe for want of this very name
			defer l.mu.Unlock()
			return t.syncError()
		}
	}
	l.mu.Unlock()
	if len(unnamed) == 0 {
		return nil
	}
	err := l.o.FS.SyncDir(l.o.Dir)
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, t := range unnamed {
		if err == nil {
			t.named = true
		} else {
			t.fail(err)
		}
	}
	if err != nil {
		return unnamed[len(unnamed)-1].syncError()
	}
	return nil
}

// placeMark appends a mark to the current segment, if a sync up to its very end
// has just succeeded. Whatever stands against it, the mark is left out. The mark
// itself is not synced: losing it loses a claim, not data. Called with app held.
func (l *Log) placeMark(ts []target) {
	if len(ts) == 0 {
		return
	}
	t := ts[len(ts)-1]
	s := l.cur.Load()
	if t.segment != s || s.w == nil || s.unusable.Load() || s.size.Load() != t.size || s.markEnd == t.size {
		return
	}
	l.app.buf = batch.AppendEmpty(l.app.buf[:0], l.app.next)
	if err := l.write(s, l.app.buf); err != nil {
		return
	}
	s.markEnd = s.size.Load()
	l.mu.Lock()
	defer l.mu.Unlock()
	if s.failed == nil {
		s.synced = s.markEnd
	}
}

// finish lets go of the handles, and closes those of sealed segments that need
// no further sync. Called with app held.
func (l *Log) finish(ts []target) {
	cur := l.cur.Load()
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, t := range ts {
		t.users--
		if t.segment != cur && t.segment.handle != nil && t.durableLocked() {
			t.closing = append(t.closing, t.segment.handle)
			t.segment.handle, t.file, t.w = nil, nil, nil
		}
		_ = l.closeUnusedLocked(t.segment) // an error is kept in the segment
	}
}

// syncSignature syncs the beginning of a new segment in the background, without
// its name. Replay then knows the segment for ours whatever else of it is lost.
// Called with app held.
func (l *Log) syncSignature(s *segment) {
	l.mu.Lock()
	s.users++
	t := target{s, s.handle, s.size.Load()}
	l.mu.Unlock()
	l.background.Add(1)
	go func() {
		defer l.background.Done()
		_ = l.syncOne(t) // a failure retires the segment
		l.mu.Lock()
		defer l.mu.Unlock()
		s.users--
		_ = l.closeUnusedLocked(s)
	}()
}

// AnchorBefore stands in for Anchor where that can never succeed, because a sync
// of segment num failed: it makes an empty segment of the number before, whose
// signature says first, the first sequence number of segment num, and makes it
// durable. It is live from then on, and the one to be named as the oldest needed.
// What is lost of num is then lost behind a segment of ours, which replay can
// tell. A second call returns the same segment. ErrNoNumber: that number is taken.
func (l *Log) AnchorBefore(num base.FileNum, first base.SeqNum) (base.FileNum, error) {
	anchor := num - 1
	l.mu.Lock()
	below := base.FileNum(0)
	for _, s := range l.live {
		if s.num < num {
			below = s.num
		}
		if s.num == anchor && s.first == first && s.durableLocked() && s.handle == nil {
			l.mu.Unlock()
			return anchor, nil
		}
	}
	closed := l.closed
	l.mu.Unlock()
	switch {
	case closed:
		return 0, base.ErrClosed
	case anchor <= below:
		return 0, fmt.Errorf("%w: %s", ErrNoNumber, num)
	}
	if err := l.writeAnchor(anchor, first); err != nil {
		return 0, fmt.Errorf("anchor log segment %s: %w", num, err)
	}
	s := &segment{num: anchor, path: l.path(anchor), first: first, synced: signatureLen, named: true}
	s.size.Store(signatureLen)
	s.unusable.Store(true)
	l.addLive(s)
	return anchor, nil
}

// writeAnchor makes a durable segment of nothing but a signature.
func (l *Log) writeAnchor(num base.FileNum, first base.SeqNum) error {
	path := l.path(num)
	f, err := l.o.FS.Create(path)
	if err != nil {
		return err
	}
	if _, err = f.Write(signature(first)); err == nil {
		err = f.Sync()
	}
	if cerr := f.Close(); err == nil {
		err = cerr
	}
	if err == nil {
		err = l.o.FS.SyncDir(l.o.Dir)
	}
	if err != nil {
		_ = l.o.FS.Remove(path)
	}
	return err
}

// Anchor returns nil when the name and the signature of segment num are on disk.
// It must be called before a manifest names num as the oldest segment needed:
// replay takes a segment whose beginning is lost for ours only behind another
// one of ours.
func (l *Log) Anchor(num base.FileNum) error {
	l.mu.Lock()
	i := slices.IndexFunc(l.live, func(s *segment) bool { return s.num == num })
	if l.closed || i < 0 {
		defer l.mu.Unlock()
		if l.closed {
			return base.ErrClosed
		}
		return fmt.Errorf("wal: segment %s is not live", num)
	}
	s := l.live[i]
	s.users++
	t := target{s, s.handle, signatureLen}
	l.mu.Unlock()
	err := l.syncOne(t)
	if err == nil {
		err = l.syncNames([]target{t})
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	s.users--
	_ = l.closeUnusedLocked(s) // an error is kept in the segment
	return err
}
