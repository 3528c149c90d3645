package iterator

import (
	"bytes"

	"github.com/strata-db/strata/internal/base"
)

// stepsBeforeSeek is how many dead versions of one user key are stepped over
// before the rest is skipped by seeking. A step costs some ten nanoseconds, a
// seek some hundreds, and most keys have few versions.
const stepsBeforeSeek = 8

// A Visible is what a user sees of a source at one sequence number: of each user
// key within the bounds the newest version not above that number, unless it is a
// tombstone. For example, at 20:
//
//	a#25,SET:v  a#17,SET:x  a#12,SET:y  b#19,DEL  b#3,SET:z  c#9,SET:w
//	too new     shown       dead        -         dead       shown
//
// Before the first positioning Next means First and Prev means Last. Past the end
// Prev means Last, before the start Next means First. An error is kept until the
// next absolute positioning.
//
// Going forward the source stands at the shown entry, and Key and Value are the
// source's. Going backward the oldest version of a key comes first, so the newest
// visible one is known only when the source has left the key: key and value are
// copies, and the source stands before every version of the key.
//
// Range tombstones (base.KindRangeDelete) are not written by this release. Their
// place is shown, the one function that decides what a visible entry means, in
// both directions: there an entry would be compared with the newest range
// tombstone over its key, and one with a lower sequence number be treated like a
// point tombstone.
//
// A Visible is used by one goroutine at a time.
type Visible struct {
	cmp          *base.Comparer
	bytewise     bool
	identical    bool // equal keys are equal bytes
	empty        bool // the range is empty whatever the order says
	it           Iterator
	at           base.SeqNum
	lower, upper []byte // half open; nil is open

	// distinct: no two entries of the source have one user key.
	distinct bool

	state      state
	curK, curV []byte
	curT       base.Trailer
	kv         *KV    // the source's entry: the shown one forward, the one before it backward
	key, val   []byte // reused buffers; key is the user key being left or collected
	seek       []byte // reused: the key sought, which may alias a source's bytes
	err        error

	stats    SkipStats
	run      int // entries skipped by the current move
	hookStep int
	hook     func(ukey []byte, skipped int)
}

type state uint8

const (
	fresh state = iota
	atForward
	atBackward
	beforeStart
	pastEnd
	broken // err says why
)

// SkipStats count what a Visible passed over without showing it.
type SkipStats struct {
	Tombstones int64 // visible tombstones
	Dead       int64 // versions shadowed by a newer visible one
	TooNew     int64 // versions above the sequence number
	Seeks      int64 // seeks that jumped over further versions, not counted above
}

// NewVisible returns the view of it at sequence number at, within lower
// (inclusive) and upper (exclusive), not yet positioned. A nil bound is open; an
// empty upper that is not nil makes an empty range. The bounds are kept and must
// not change. The view owns it and closes it.
func NewVisible(cmp *base.Comparer, it Iterator, at base.SeqNum, lower, upper []byte) *Visible {
	v := new(Visible)
	v.Init(cmp, it, at, lower, upper)
	return v
}

// Init is NewVisible for a Visible that is new or closed. Its buffers are used
// again, unless they are large.
func (v *Visible) Init(cmp *base.Comparer, it Iterator, at base.SeqNum, lower, upper []byte) {
	*v = Visible{
		key: keep(v.key), val: keep(v.val), seek: keep(v.seek),

		cmp:       cmp,
		bytewise:  cmp.IsBytewise(),
		identical: cmp.EqualIsIdentical,
		empty:     upper != nil && len(upper) == 0,
		it:        it,
		at:        at,
		lower:     lower,
		upper:     upper,
	}
}

// keep returns b, empty, if it is worth keeping.
func keep(b []byte) []byte {
	if cap(b) > 64<<10 {
		return nil
	}
	return b[:0]
}

// AssumeDistinct says that no two entries of the source have the same user key,
// so that no move needs to look for versions. To be called before the first
// positioning.
func (v *Visible) AssumeDistinct() { v.distinct = true }

// OnSkip has hook called each time one move has skipped another every entries,
// with the user key it has come to (valid during the call) and the number skipped
// by this move so far: a place that a compaction would clean. every must be
// positive.
func (v *Visible) OnSkip(every int, hook func(ukey []byte, skipped int)) {
	v.hookStep, v.hook = every, hook
}

// Stats returns what was passed over since NewVisible.
func (v *Visible) Stats() SkipStats { return v.stats }

// Valid reports whether the view is at a key.
func (v *Visible) Valid() bool { return v.state == atForward || v.state == atBackward }

// Key returns the current user key, nil if there is none. It is valid, and must
// not be modified, until the next move.
func (v *Visible) Key() []byte { return v.curK }

// Value returns the current value, under the same terms as Key.
func (v *Visible) Value() []byte { return v.curV }

// Trailer returns sequence number and kind of the entry that is shown, 0 if there
// is none.
func (v *Visible) Trailer() base.Trailer { return v.curT }

// Err returns the error that ended the last move, nil at a plain end.
func (v *Visible) Err() error { return v.err }

// Close closes the source and returns the first error. A second call does nothing.
func (v *Visible) Close() error {
	if v.it == nil {
		return nil
	}
	err := v.it.Close()
	v.it = nil
	if v.err != nil {
		err = v.err
	}
	v.end(fresh)
	return err
}

// First moves to the first key. Like all moves it reports whether there is one.
func (v *Visible) First() bool {
	if v.start() {
		return v.end(pastEnd)
	}
	if v.lower != nil {
		return v.forward(v.it.SeekGE(base.SeekKey(v.lower, v.at)), false)
	}
	return v.forward(v.it.First(), false)
}

// Last moves to the last key.
func (v *Visible) Last() bool {
	if v.start() {
		return v.end(beforeStart)
	}
	if v.upper != nil {
		return v.backward(v.it.SeekLT(base.SeekKey(v.upper, base.SeqNumMax)))
	}
	return v.backward(v.it.Last())
}

// SeekGE moves to the first key at or after ukey.
func (v *Visible) SeekGE(ukey []byte) bool {
	if v.lower != nil && v.compare(ukey, v.lower) < 0 {
		ukey = v.lower
	}
	if v.start() || v.upper != nil && v.compare(ukey, v.upper) >= 0 {
		return v.end(pastEnd)
	}
	v.seek = append(v.seek[:0], ukey...)
	return v.forward(v.it.SeekGE(base.SeekKey(v.seek, v.at)), false)
}

// SeekLT moves to the last key before ukey.
func (v *Visible) SeekLT(ukey []byte) bool {
	if v.upper != nil && v.compare(ukey, v.upper) > 0 {
		ukey = v.upper
	}
	if v.start() || v.lower != nil && v.compare(ukey, v.lower) <= 0 {
		return v.end(beforeStart)
	}
	v.seek = append(v.seek[:0], ukey...)
	return v.backward(v.it.SeekLT(base.SeekKey(v.seek, base.SeqNumMax)))
}

// Next moves to the following key.
func (v *Visible) Next() bool {
	if v.state == atForward {
		if v.distinct {
			v.run = 0
			return v.ahead(v.it.Next())
		}
		v.key = append(v.key[:0], v.kv.K.UserKey...)
		v.run = 0
		return v.forward(v.it.Next(), true)
	}
	switch v.state {
	case fresh, beforeStart:
		return v.First()
	case atBackward:
		v.run = 0
		return v.turnForward()
	}
	return false
}

// Prev moves to the preceding key.
func (v *Visible) Prev() bool {
	switch v.state {
	case atBackward:
		v.run = 0
		return v.backward(v.kv)
	case atForward:
		v.run = 0
		if v.distinct {
			return v.behind(v.it.Prev())
		}
		return v.turnBackward()
	case fresh, pastEnd:
		return v.Last()
	}
	return false
}

// start begins an absolute positioning. It reports that the range is empty.
func (v *Visible) start() bool {
	v.err, v.run = nil, 0
	return v.empty
}

// end leaves the view without a current key.
func (v *Visible) end(s state) bool {
	v.state, v.kv, v.curK, v.curV, v.curT = s, nil, nil, nil, 0
	return false
}

// ended is end for a source that gave nil: at its end or with an error.
func (v *Visible) ended(s state) bool {
	if err := v.it.Err(); err != nil {
		return v.fail(err)
	}
	return v.end(s)
}

func (v *Visible) fail(err error) bool {
	v.err = err
	return v.end(broken)
}

// shown decides about the newest visible version of a key: shown or not. err is
// not nil for kinds this release cannot read, wherever they are met.
func shown(k base.InternalKey) (bool, error) {
	switch k.Kind() {
	case base.KindSet:
		return true, nil
	case base.KindDelete:
		return false, nil
	}
	return false, unknownKind(k)
}

func unknownKind(k base.InternalKey) error {
	return base.Corruptf("", -1, "entry %s is of a kind that this release cannot read", k)
}

func (v *Visible) compare(a, b []byte) int {
	if v.bytewise {
		return bytes.Compare(a, b)
	}
	return v.cmp.Compare(a, b)
}

func (v *Visible) equal(a, b []byte) bool {
	if v.identical {
		return bytes.Equal(a, b)
	}
	return v.cmp.Compare(a, b) == 0
}

// skipped counts one entry that this move passed over.
func (v *Visible) skipped(ukey []byte) {
	v.run++
	if v.hook != nil && v.run%v.hookStep == 0 {
		v.hook(ukey, v.run)
	}
}
