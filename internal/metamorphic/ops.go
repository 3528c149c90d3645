package metamorphic

import (
	"fmt"
	"math/rand/v2"
	"strings"
)

// OpKind is a kind of operation.
type OpKind uint8

// The kinds of operations.
const (
	OpPut OpKind = iota
	OpDelete
	OpBatch
	OpFill // batches of keys behind all that were filled before
	OpWipe // deletions of a range, one by one
	OpGet
	OpScan
	OpScanBack
	OpSnapshot // taken into a slot; the one that is there is closed
	OpSnapshotGet
	OpSnapshotScan
	OpSnapshotClose
	OpIterator // like OpSnapshot
	OpIteratorMove
	OpIteratorClose
	OpFlush
	OpCompact
	OpWaitIdle
	OpSync
	OpCheckpoint
	OpVerify
	OpReopen
	opKinds
)

// String returns the name of k.
func (k OpKind) String() string {
	return [...]string{
		"put", "delete", "batch", "fill", "wipe", "get", "scan", "scan-back", "snapshot", "snapshot-get",
		"snapshot-scan", "snapshot-close", "iterator", "iterator-move", "iterator-close", "flush", "compact",
		"wait-idle", "sync", "checkpoint", "verify", "reopen",
	}[k]
}

// weights say how often each kind comes, of the sum of all.
var weights = [opKinds]int{
	OpPut: 4000, OpDelete: 700, OpBatch: 700, OpFill: 60, OpWipe: 20, OpGet: 1500, OpScan: 40, OpScanBack: 40,
	OpSnapshot: 20, OpSnapshotGet: 150, OpSnapshotScan: 15, OpSnapshotClose: 25,
	OpIterator: 30, OpIteratorMove: 500, OpIteratorClose: 15,
	OpFlush: 12, OpCompact: 8, OpWaitIdle: 10, OpSync: 20, OpCheckpoint: 4, OpVerify: 2, OpReopen: 12,
}

// slots is how many snapshots, and how many iterators, may be open at once.
const slots = 4

// Step is how an iterator moves.
type Step uint8

// The ways of an iterator.
const (
	StepFirst Step = iota
	StepLast
	StepSeekGE
	StepSeekLT
	StepNext
	StepPrev
	steps
)

// An Op is one operation. Which fields count depends on its Kind.
type Op struct {
	Kind OpKind

	Key     []byte // of a point operation; the lower bound of a range, nil if open
	End     []byte // its upper bound, exclusive (inclusive for OpCompact); nil if open
	Value   []byte
	Entries []Entry // of a batch, a fill or a wipe
	Sync    bool
	Slot    int  // of a snapshot or iterator
	From    int  // snapshot slot that an iterator reads from, -1 for the database
	Step    Step // of an iterator
	Count   int  // how often it goes
}

// An Entry is a part of a batch.
type Entry struct {
	Key, Value []byte
	Delete     bool
}

// String prints op for people.
func (op Op) String() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s %.40q..%.40q", op.Kind, op.Key, op.End)
	fmt.Fprintf(&b, " value %d B, entries %d, sync %v, slot %d, from %d, step %d x %d", len(op.Value), len(op.Entries), op.Sync, op.Slot, op.From, op.Step, op.Count)
	return b.String()
}

// Generate returns n operations that depend on the seed alone.
func Generate(seed uint64, n int) []Op {
	g := &generator{r: rand.New(rand.NewPCG(seed, 77)), keys: 2500}
	for _, w := range weights {
		g.sum += w
	}
	ops := make([]Op, n)
	for i := range ops {
		ops[i] = g.next()
	}
	ops[n-1] = Op{Kind: OpReopen} // and see everything
	return ops
}

type generator struct {
	r      *rand.Rand
	keys   int // how many keys are put and deleted at random
	filled int // how many were filled
	sum    int
	values int
}

func (g *generator) kind() OpKind {
	n := g.r.IntN(g.sum)
	for k, w := range weights {
		if n -= w; n < 0 {
			return OpKind(k)
		}
	}
	panic("unreachable")
}

func (g *generator) next() Op {
	op := Op{Kind: g.kind(), Slot: g.r.IntN(slots), From: -1, Sync: g.r.IntN(30) == 0}
	switch op.Kind {
	case OpPut:
		op.Key, op.Value = g.key(), g.value()
	case OpDelete, OpGet, OpSnapshotGet:
		op.Key = g.key()
	case OpBatch:
		op.Entries = g.batch()
	case OpFill:
		op.Entries = g.fill()
	case OpWipe:
		op.Entries = g.wipe()
	case OpScan, OpScanBack, OpSnapshotScan, OpCompact:
		op.Key, op.End = g.bound(), g.bound()
	case OpIterator:
		op.Key, op.End = g.bound(), g.bound()
		op.From = g.r.IntN(slots+2) - 2
	case OpIteratorMove:
		op.Step, op.Key, op.Count = Step(g.r.IntN(int(steps))), g.key(), 1+g.r.IntN(20)
	}
	return op
}

// key returns one of few keys; the low ones come more often.
func (g *generator) key() []byte {
	switch n := g.r.IntN(100); {
	case n == 0:
		return []byte{}
	case n == 1:
		return fmt.Appendf(nil, "\xff\xff%d", g.r.IntN(5))
	case n < 10 && g.filled > 0:
		return fillKey(g.r.IntN(g.filled))
	case n < 30:
		return randomKey(g.r.IntN(50))
	}
	return randomKey(g.r.IntN(g.keys))
}

func randomKey(i int) []byte { return fmt.Appendf(nil, "key%05d", i) }
func fillKey(i int) []byte   { return fmt.Appendf(nil, "sequence%07d", i) }

// bound returns a key, or nil: no bound.
func (g *generator) bound() []byte {
	if g.r.IntN(4) == 0 {
		return nil
	}
	return g.key()
}

// value returns some bytes, half of which compress well, that no other has.
func (g *generator) value() []byte {
	g.values++
	n := g.r.IntN(700)
	if g.r.IntN(500) == 0 {
		n = 20 << 10
	}
	v := fmt.Appendf(nil, "%d:", g.values)
	for range n / 2 {
		v = append(v, byte('a'+g.r.IntN(26)))
	}
	return append(v, strings.Repeat("x", n/2)...)
}

func (g *generator) batch() []Entry {
	var b []Entry
	for range g.r.IntN(15) {
		if g.r.IntN(4) == 0 {
			b = append(b, Entry{Key: g.key(), Delete: true})
		} else {
			b = append(b, Entry{Key: g.key(), Value: g.value()})
		}
	}
	return b
}

func (g *generator) fill() []Entry {
	var b []Entry
	for range 100 + g.r.IntN(100) {
		b = append(b, Entry{Key: fillKey(g.filled), Value: g.value()})
		g.filled++
	}
	return b
}

func (g *generator) wipe() []Entry {
	name, n := randomKey, g.keys
	if g.r.IntN(2) == 0 && g.filled > 0 {
		name, n = fillKey, g.filled
	}
	first := g.r.IntN(n)
	var b []Entry
	for i := first; i < min(first+300, n); i++ {
		b = append(b, Entry{Key: name(i), Delete: true})
	}
	return b
}
