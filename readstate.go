package strata

import (
	"sync"
	"sync/atomic"
	"unsafe"

	"github.com/strata-db/strata/compaction"
	"github.com/strata-db/strata/internal/base"
	"github.com/strata-db/strata/memtable"
	"github.com/strata-db/strata/version"
)

// memEntry is a memtable and what the log must keep for it.
type memEntry struct {
	table *memtable.Table

	// minLog is the first log segment that holds any of its entries: segments
	// below the oldest unflushed memtable's minLog are no longer needed.
	minLog base.FileNum

	// maxLog is the last one that does. Only replayed memtables share segments.
	maxLog base.FileNum

	// tableNum is the number of the table it will be flushed to. Taken when the
	// memtable is made or replayed, so that level 0's order by file number is
	// its order by age. Zero until it is first tried to be sealed.
	tableNum base.FileNum

	// lastSeq is the highest sequence number in it. Set when it is sealed.
	lastSeq base.SeqNum

	// flushed is its table, where that is written but could not be recorded.
	flushed *compaction.Result

	// logBytes is what replaying it takes.
	logBytes int64
}

// A readState is all that a read looks at: the memtables, newest first, and the
// version. It is immutable; a new one is published when a memtable is sealed or
// a version installed.
//
// Reads pin it without a shared counter: they increment one of several stripes
// and look again whether the state is still the current one. Once it is retired
// no new pin succeeds, so a pass over the stripes that finds all of them zero
// proves that nobody is left.
//
//	pin      stripe++ → still current? yes: pinned   no: stripe--, try the next
//	retire   published its successor → retired = true → all stripes zero? drained
//	unpin    stripe-- → retired and all stripes zero? drained
//
// A long reader (an iterator) takes a plain reference and gives its pin back, so
// that Close can wait for calls in flight and not for iterators.
type readState struct {
	mems    []*memEntry
	version *version.Version

	retired atomic.Bool
	drained atomic.Bool
	refs    atomic.Int32 // one until drained, one an iterator
	onDrain func()       // called once, when retired and no pin is left

	stripes [stripeCount]stripe
}

const stripeCount = 16

type stripe struct {
	n atomic.Int64
	_ [56]byte // a cache line of its own
}

func newReadState(mems []*memEntry, v *version.Version, onDrain func()) *readState {
	rs := &readState{mems: mems, version: v, onDrain: onDrain}
	rs.refs.Store(1)
	for _, m := range mems {
		m.table.Ref()
	}
	v.Ref()
	return rs
}

// pinned is a readState held by a call in flight.
type pinned struct {
	*readState
	stripe *stripe
}

// stripeIndex spreads goroutines over the stripes by the address of their
// stacks.
func stripeIndex() int {
	var b byte
	p := uintptr(unsafe.Pointer(&b))
	return int((p>>11 ^ p>>15) % stripeCount)
}

// pin returns the current state; its readState is nil once the DB is closed.
func (d *DB) pin() pinned {
	i := stripeIndex()
	for {
		rs := d.state.Load()
		if rs == nil {
			return pinned{}
		}
		s := &rs.stripes[i]
		s.n.Add(1)
		if d.state.Load() == rs {
			return pinned{rs, s}
		}
		pinned{rs, s}.unpin()
	}
}

func (p pinned) unpin() {
	p.stripe.n.Add(-1)
	if p.retired.Load() {
		p.checkDrained()
	}
}

func (rs *readState) retire() {
	rs.retired.Store(true)
	rs.checkDrained()
}

func (rs *readState) checkDrained() {
	for i := range rs.stripes {
		if rs.stripes[i].n.Load() != 0 {
			return
		}
	}
	if rs.drained.CompareAndSwap(false, true) {
		rs.onDrain()
		rs.unref()
	}
}

func (rs *readState) unref() {
	if rs.refs.Add(-1) == 0 {
		for _, m := range rs.mems {
			m.table.Unref()
		}
		rs.version.Unref()
	}
}

// stateTracker waits for every retired state to drain.
type stateTracker struct{ wg sync.WaitGroup }

// publishStateLocked makes mems and v what reads see. d.mu is held. The previous
// state is returned for retiring after d.mu is released: that may free files.
func (d *DB) publishStateLocked() *readState {
	mems := make([]*memEntry, 0, len(d.mu.imm)+1)
	if d.mu.mem != nil {
		mems = append(mems, d.mu.mem)
	}
	for i := len(d.mu.imm) - 1; i >= 0; i-- {
		mems = append(mems, d.mu.imm[i])
	}
	v := d.set.Current()
	d.states.wg.Add(1)
	rs := newReadState(mems, v, d.states.wg.Done)
	v.Unref() // newReadState took its own
	return d.state.Swap(rs)
}
