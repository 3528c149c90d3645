package strata

import (
	"iter"
	"runtime/debug"
	"sync"
	"sync/atomic"
	"time"

	"github.com/strata-db/strata/internal/base"
)

// A Snapshot is the database as it was at one moment. Any number of goroutines
// may use it. What it can see is kept on disk until it is closed.
type Snapshot struct {
	db     *DB
	at     base.SeqNum
	made   time.Time
	stack  []byte // with Options.Debug
	closed atomic.Bool

	next, prev *Snapshot // in snapshotList, by age
}

// snapshotList holds the open snapshots, oldest first, in a ring around root.
type snapshotList struct {
	sync.Mutex
	root Snapshot
	n    int
}

func (l *snapshotList) init() { l.root.next, l.root.prev = &l.root, &l.root }

// seqs returns the distinct sequence numbers of the open snapshots, ascending.
// Whoever compacts asks for them after it has fixed its inputs: every snapshot
// made later is at a number that all entries of those inputs are at or below.
func (l *snapshotList) seqs() []base.SeqNum {
	l.Lock()
	defer l.Unlock()
	var out []base.SeqNum
	for s := l.root.next; s != &l.root; s = s.next {
		if len(out) == 0 || out[len(out)-1] != s.at {
			out = append(out, s.at)
		}
	}
	return out
}

// oldest returns the oldest open snapshot, nil if there is none.
func (l *snapshotList) oldest() *Snapshot {
	l.Lock()
	defer l.Unlock()
	if l.n == 0 {
		return nil
	}
	return l.root.next
}

// NewSnapshot returns the database as it is now. It must be closed. On a closed
// DB it returns a snapshot whose methods give ErrClosed.
func (d *DB) NewSnapshot() *Snapshot {
	s := &Snapshot{db: d, made: time.Now()}
	if d.opts.Debug {
		s.stack = debug.Stack()
	}
	l := &d.snapshots
	l.Lock()
	s.at = base.SeqNum(d.commits.visible.Load())
	s.prev, s.next = l.root.prev, &l.root
	s.prev.next, s.next.prev = s, s
	l.n++
	l.Unlock()
	return s
}

// Close lets go of what the snapshot kept. It may be called twice.
func (s *Snapshot) Close() error {
	if s.closed.Swap(true) {
		return nil
	}
	l := &s.db.snapshots
	l.Lock()
	s.prev.next, s.next.prev = s.next, s.prev
	l.n--
	l.Unlock()
	s.db.snapshotClosed()
	return nil
}

// pin pins the current state, for a read as of the snapshot; the pin is empty if
// the snapshot or the DB is closed. The state must be pinned before the look at
// closed: one that is published later may lack what the snapshot kept.
func (s *Snapshot) pin() pinned {
	p := s.db.pin()
	if p.readState != nil && s.closed.Load() {
		p.unpin()
		return pinned{}
	}
	return p
}

// Get is DB.Get as of the snapshot.
func (s *Snapshot) Get(key []byte) ([]byte, error) { return s.Append(nil, key) }

// Append is DB.Append as of the snapshot.
func (s *Snapshot) Append(dst, key []byte) ([]byte, error) {
	return s.db.appendAt(s.pin(), dst, key, s.at)
}

// Has is DB.Has as of the snapshot.
func (s *Snapshot) Has(key []byte) (bool, error) { return s.db.hasAt(s.pin(), key, s.at) }

// View is DB.View as of the snapshot.
func (s *Snapshot) View(key []byte, fn func(value []byte) error) error {
	return s.db.viewAt(s.pin(), key, s.at, fn)
}

// NewIterator is DB.NewIterator as of the snapshot. The iterator stays good when
// the snapshot is closed.
func (s *Snapshot) NewIterator(o *IterOptions) *Iterator {
	return s.db.newIterator(s.pin(), o, s.at)
}

// Range is DB.Range as of the snapshot.
func (s *Snapshot) Range(o *IterOptions, errp *error) iter.Seq2[[]byte, []byte] {
	return rangeOver(s, o, errp)
}
