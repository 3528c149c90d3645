package wal

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"

	"github.com/strata-db/strata/internal/base"
	"github.com/strata-db/strata/internal/batch"
	"github.com/strata-db/strata/vfs"
)

var (
	// ErrSyncFailed is in the error of every Sync that failed, and of all later
	// ones while the segment is live. base.ErrNotDurable and the cause are too.
	ErrSyncFailed = errors.New("wal: sync failed")

	// ErrSegmentRetired is the error of an Append to a segment that a failed
	// append or sync has ended. Rotate, then append again.
	ErrSegmentRetired = errors.New("wal: segment is retired")

	// ErrNoNumber is the error of AnchorBefore if there is no room between the
	// segment and the one before it.
	ErrNoNumber = errors.New("wal: no number before the segment is free")
)

// Options configures a Log.
type Options struct {
	FS  vfs.FS
	Dir string
	// Type names the files: base.FileLog, which is what zero means, or
	// base.FileLogUpgr.
	Type base.FileType
	// Append is how files are appended to. MaxStepBytes should be the memtable's
	// size.
	Append vfs.AppendOptions
	// MarkEveryBytes is how much may be appended to a segment under load before
	// appends are held for one sync, so that a mark can be placed. Default
	// 4 MiB. Less delays writers more often; more leaves more synced bytes in
	// which damage is taken for a torn end.
	MarkEveryBytes int64
}

func (o Options) withDefaults() Options {
	o.Type = cmp.Or(o.Type, base.FileLog)
	o.MarkEveryBytes = cmp.Or(o.MarkEveryBytes, 4<<20)
	return o
}

// A Log appends batches to segments and syncs them.
type Log struct {
	o Options

	// app serialises what changes the current segment's bytes: appends, marks,
	// rotation. It is taken before mu. A sync that is to place a mark under load
	// holds it.
	app struct {
		sync.Mutex
		next base.SeqNum // of the next batch
		buf  []byte      // for marks
	}

	// cur is stored with app held; nil before the first Rotate.
	cur atomic.Pointer[segment]

	// naming is held while the directory is synced for the segments' names, as
	// segment.syncing is for their bytes. It is taken before mu.
	naming sync.Mutex

	// mu is never held across I/O, but for closing files.
	mu     sync.Mutex
	live   []*segment // ascending; the current one is among them
	next   *prepared
	sync   rounds
	closed bool

	background sync.WaitGroup
}

// New returns a Log without segments. It does no I/O.
func New(o Options) *Log { return &Log{o: o.withDefaults()} }

// Rotate begins segment num, whose first batch will have the sequence number
// next, and makes it the current one. The old one is sealed: cut to its length,
// not synced, and live until it is retired. num must be greater than every
// segment's. On an error the old segment is still current, and num is used up.
//
// Name and signature of the first segment of a Log are on disk when Rotate
// returns; later ones' signatures soon are.
func (l *Log) Rotate(num base.FileNum, next base.SeqNum) error {
	l.app.Lock()
	defer l.app.Unlock()
	if l.isClosed() {
		return base.ErrClosed
	}
	old := l.cur.Load()
	if old != nil && next != l.app.next {
		return fmt.Errorf("wal: segment %s begins at sequence number %d, the next one is %d", num, next, l.app.next)
	}
	s, err := l.begin(num, next)
	if err != nil {
		return err
	}
	if old == nil {
		if err := l.syncFirst(s); err != nil {
			l.discard(s.file, s.path)
			return fmt.Errorf("begin log segment %s: %w", num, err)
		}
	}
	l.addLive(s)
	l.cur.Store(s)
	l.app.next = next
	if old != nil {
		l.syncSignature(s)
		_ = l.seal(old) // reported by Sync and Unsynced
	}
	return nil
}

// syncFirst makes the beginning of a Log's first segment durable. Were it lost,
// no earlier segment could tell that something is missing before the next one,
// or that this one is ours.
func (l *Log) syncFirst(s *segment) error {
	if err := s.file.Sync(); err != nil {
		return err
	}
	if err := l.o.FS.SyncDir(l.o.Dir); err != nil {
		return err
	}
	s.synced, s.named = s.size.Load(), true
	return nil
}

func (l *Log) isClosed() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.closed
}

func (l *Log) addLive(s *segment) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.live = append(l.live, s)
	slices.SortFunc(l.live, func(a, b *segment) int { return cmp.Compare(a.num, b.num) })
}

// AddReplayed takes over a segment of an earlier process that is still needed,
// whose file is of the same type:
// the next Sync syncs it too. To be called before the first Rotate.
func (l *Log) AddReplayed(num base.FileNum) {
	l.addLive(&segment{num: num, path: l.path(num), synced: -1})
}

// Append puts one batch, with its header, behind all others. When it returns
// nil the batch survives the death of the process, not yet a power cut. On an
// error nothing of it counts; NeedsRotate then says whether the segment has
// ended with that. rec may be reused afterwards. A batch without entries is not
// appended.
//
// The sequence number must be the one that follows the previous batch's last.
func (l *Log) Append(rec []byte) error {
	l.app.Lock()
	defer l.app.Unlock()
	s := l.cur.Load()
	if s == nil {
		return errNoSegment
	}
	if s.w == nil {
		return base.ErrClosed
	}
	if s.unusable.Load() {
		return ErrSegmentRetired
	}
	if len(rec) < batch.HeaderLen || batch.SeqNum(rec) < l.app.next {
		return l.badBatch(rec)
	}
	if batch.Count(rec) == 0 {
		return nil
	}
	if err := l.write(s, rec); err != nil {
		return err
	}
	l.app.next = batch.LastSeqNum(rec) + 1
	return nil
}

func (l *Log) badBatch(rec []byte) error {
	if len(rec) < batch.HeaderLen {
		return fmt.Errorf("wal: batch of %d bytes", len(rec))
	}
	return fmt.Errorf("wal: batch at sequence number %d, the next one is %d", batch.SeqNum(rec), l.app.next)
}

// write appends a record to the current segment. Called with app held.
func (l *Log) write(s *segment, rec []byte) error {
	err := s.w.Write(rec)
	s.size.Store(s.w.Size())
	if err == nil {
		return nil
	}
	if s.file.Broken() || s.w.Unfinished() {
		s.unusable.Store(true)
	}
	return fmt.Errorf("append to log segment %s: %w", s.num, err)
}

// NeedsRotate reports that the current segment has ended, by an append that
// could not be undone or a sync that failed, or that there is none: Rotate must
// come before the next Append.
func (l *Log) NeedsRotate() bool {
	s := l.cur.Load()
	return s == nil || s.unusable.Load()
}

// Unsynced returns the newest live segment whose sync failed. While there is
// one nothing can be acknowledged as synced.
func (l *Log) Unsynced() (num base.FileNum, bad bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, s := range slices.Backward(l.live) {
		if s.failed != nil {
			return s.num, true
		}
	}
	return 0, false
}

// Retire says that the segments below that number are not needed any more: what
// they hold is in synced tables, and a synced manifest says so. It returns their
// numbers, ascending; the caller deletes the files. The current segment stays.
func (l *Log) Retire(below base.FileNum) []base.FileNum {
	cur := l.cur.Load()
	l.mu.Lock()
	defer l.mu.Unlock()
	var nums []base.FileNum
	l.live = slices.DeleteFunc(l.live, func(s *segment) bool {
		if s.num >= below || s == cur {
			return false
		}
		nums = append(nums, s.num)
		s.gone = true
		if s.handle != nil {
			s.closing = append(s.closing, s.handle)
			s.handle = nil
		}
		_ = l.closeUnusedLocked(s) // nobody needs the bytes
		return true
	})
	return nums
}

// Size returns the length of the current segment in bytes.
func (l *Log) Size() int64 {
	if s := l.cur.Load(); s != nil {
		return s.size.Load()
	}
	return 0
}

// LiveSegments describes the live segments, ascending.
func (l *Log) LiveSegments() []SegmentInfo {
	l.mu.Lock()
	defer l.mu.Unlock()
	infos := make([]SegmentInfo, len(l.live))
	for i, s := range l.live {
		infos[i] = SegmentInfo{
			Num: s.num, First: s.first, Bytes: s.size.Load(),
			Synced: s.durableLocked(), Failed: s.failed != nil,
			Replayed: s.first == 0,
		}
	}
	return infos
}

// Close cuts preallocated space off and closes all files. It does not sync.
// Later calls give nil.
func (l *Log) Close() error {
	l.app.Lock()
	defer l.app.Unlock()
	l.mu.Lock()
	if l.closed {
		l.mu.Unlock()
		return nil
	}
	l.closed = true
	l.mu.Unlock()
	l.background.Wait()
	_, _ = l.takePrepared(0) // removed: no segment is number 0
	l.mu.Lock()
	defer l.mu.Unlock()
	var err error
	for _, s := range l.live {
		s.unusable.Store(true)
		s.file, s.w = nil, nil
		if s.handle != nil {
			s.closing = append(s.closing, s.handle)
			s.handle = nil
		}
		if cerr := l.closeUnusedLocked(s); err == nil {
			err = cerr
		}
	}
	return err
}
