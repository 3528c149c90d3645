package wal

import (
	"errors"
	"fmt"
	"path/filepath"
	"runtime"
	"sync"
	"sync/atomic"

	"github.com/strata-db/strata/internal/base"
	"github.com/strata-db/strata/internal/batch"
	"github.com/strata-db/strata/vfs"
	"github.com/strata-db/strata/wal/record"
)

// syncer is a handle through which a file is synced.
type syncer interface {
	Sync() error
	Close() error
}

// A segment is one file of a Log.
type segment struct {
	// Fixed at its birth. first is 0 and file nil if it was replayed.
	num   base.FileNum
	path  string
	first base.SeqNum

	// Guarded by Log.app. file is nil once the segment is sealed.
	file    vfs.AppendFile
	w       *record.Writer
	markEnd int64 // offset behind the last mark, or behind the signature

	// size is stored with Log.app held: the bytes appended.
	size atomic.Int64
	// unusable says that nothing may be appended any more, ever.
	unusable atomic.Bool

	// syncing is held during each sync, so that its outcome is known before the next
	// begins: the kernel tells of a failed write to one sync, and the one beside it
	// succeeds. It is taken before Log.mu.
	syncing sync.Mutex

	// Guarded by Log.mu.
	handle  syncer   // nil: open the file by name
	closing []syncer // handles to close when nobody syncs through them any more
	users   int      // goroutines that sync through handle
	synced  int64    // of the first that many bytes it is known that they are on disk; -1: nothing is
	named   bool     // the directory entry is on disk
	failed  error    // of the sync that failed; for ever
	gone    bool     // retired: nobody needs the bytes
}

// SegmentInfo describes a live segment.
type SegmentInfo struct {
	Num      base.FileNum
	First    base.SeqNum // 0 if it was replayed
	Bytes    int64       // appended by this Log
	Synced   bool        // all of it is known to be on disk
	Failed   bool        // a sync of it failed
	Replayed bool        // it was left by an earlier process
}

// path returns where segment num is.
func (l *Log) path(num base.FileNum) string {
	return filepath.Join(l.o.Dir, base.FileName(l.o.Type, num))
}

// begin makes the file of segment num, with its signature.
func (l *Log) begin(num base.FileNum, next base.SeqNum) (*segment, error) {
	path := l.path(num)
	f, err := l.takePrepared(num)
	if f == nil && err == nil {
		f, err = l.o.FS.CreateAppend(path, l.o.Append)
	}
	if err != nil {
		return nil, fmt.Errorf("begin log segment %s: %w", num, err)
	}
	sig := signature(next)
	if err := f.Append(sig); err != nil {
		l.discard(f, path)
		return nil, fmt.Errorf("begin log segment %s: %w", num, err)
	}
	s := &segment{num: num, path: path, first: next, file: f, handle: f}
	s.w = record.NewWriter(f, int64(len(sig)))
	s.markEnd = int64(len(sig))
	s.size.Store(int64(len(sig)))
	return s, nil
}

// discard removes a segment that nothing was appended to. What remains of it if
// that fails replays as nothing.
func (l *Log) discard(f vfs.AppendFile, path string) {
	_ = f.Close()
	_ = l.o.FS.Remove(path)
}

// framed collects framed records.
type framed []byte

func (b *framed) Append(p []byte) error { *b = append(*b, p...); return nil }

// signature returns the first bytes of a segment. They are appended at once, so
// that no crash leaves half of them, which would be a mark.
func signature(next base.SeqNum) []byte {
	var b framed
	w := record.NewWriter(&b, 0)
	rec := batch.AppendEmpty(nil, next)
	_ = w.Write(rec) // framed.Append does not fail
	_ = w.Write(rec)
	return b
}

// signatureLen is the length of a signature in bytes.
const signatureLen = 2 * (record.HeaderLen + batch.HeaderLen)

// seal ends appends to s: its preallocated space is cut off. Unless all of it is
// on disk already, a handle to sync it through is kept. It is opened before the
// old one is closed, so that an error of the kernel's own writing is not missed.
// Called with app held.
func (l *Log) seal(s *segment) error {
	if s.file == nil {
		return nil
	}
	l.mu.Lock()
	durable := s.durableLocked()
	l.mu.Unlock()
	var reopened syncer
	if !durable {
		h, err := l.o.FS.Open(s.path)
		// Windows syncs through handles for writing only.
		if err != nil || runtime.GOOS == "windows" {
			if err == nil {
				_ = h.Close()
			}
			return nil // stays open as it is until it is synced or retired
		}
		reopened = h
	}
	file := s.file
	s.file, s.w = nil, nil
	l.mu.Lock()
	defer l.mu.Unlock()
	s.handle = reopened
	s.closing = append(s.closing, file)
	return l.closeUnusedLocked(s)
}

// closeUnusedLocked closes the handles that wait for it, if nobody uses them. An
// error then may be one of writing: the segment is not trusted any more.
func (l *Log) closeUnusedLocked(s *segment) error {
	if s.users > 0 {
		return nil
	}
	var err error
	for _, c := range s.closing {
		if cerr := c.Close(); err == nil {
			err = cerr
		}
	}
	s.closing = nil
	if err != nil && s.failed == nil && !s.durableLocked() {
		s.fail(err)
	}
	return err
}

// durableLocked reports that all of s is on disk, its name too.
func (s *segment) durableLocked() bool { return s.named && s.synced >= s.size.Load() }

// fail retires s for ever. Called with Log.mu held.
func (s *segment) fail(cause error) {
	s.failed = cause
	s.unusable.Store(true)
}

// prepared is a segment's file made ahead of its time.
type prepared struct {
	num  base.FileNum
	file vfs.AppendFile
	err  error
	done chan struct{} // closed when file and err are set
}

// Prepare makes the file of the next segment in the background, with room for a
// whole one, so that Rotate need not wait for it. num must not be used for
// anything else but the next Rotate; if that takes another one, the file is
// removed again. Worth its while under sustained writing only. Optional.
func (l *Log) Prepare(num base.FileNum) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.next != nil || l.closed {
		return
	}
	p := &prepared{num: num, done: make(chan struct{})}
	l.next = p
	o := l.o.Append
	o.InitialBytes = max(o.InitialBytes, o.MaxStepBytes)
	go func() {
		defer close(p.done)
		p.file, p.err = l.o.FS.CreateAppend(l.path(p.num), o)
	}()
}

// takePrepared returns the prepared file of segment num, or nil. One of another
// number is removed.
func (l *Log) takePrepared(num base.FileNum) (vfs.AppendFile, error) {
	l.mu.Lock()
	p := l.next
	l.next = nil
	l.mu.Unlock()
	if p == nil {
		return nil, nil
	}
	<-p.done
	switch {
	case p.err != nil:
		return nil, nil // trying again gives the error of today
	case p.num != num:
		l.discard(p.file, l.path(p.num))
		return nil, nil
	}
	return p.file, nil
}

// errNoSegment is a caller's mistake.
var errNoSegment = errors.New("wal: append before the first segment")
