package compaction

import (
	"fmt"
	"iter"
	"strings"

	"github.com/strata-db/strata/internal/base"
	"github.com/strata-db/strata/version"
)

// Reason is why a plan was made. Metrics keep a count for each.
type Reason uint8

// The reasons.
const (
	ReasonFlush           Reason = iota // a memtable becomes a level 0 file
	ReasonL0                            // level 0 has too many files or bytes
	ReasonIntraL0                       // level 0 files merged among themselves: level 1 is busy or too large
	ReasonLevelSize                     // a level is over its target
	ReasonMove                          // a file changes level by edit only
	ReasonTombstones                    // a file is mostly tombstones that may go
	ReasonManual                        // CompactRange
	ReasonTieredSizeRatio               // neighbouring runs of like size
	ReasonTieredSpaceAmp                // newer runs outgrew the oldest one: full merge
	ReasonTieredRunCount                // too many runs
	ReasonTieredMove                    // a run moves to a deeper free level
	ReasonFIFODrop                      // the oldest files are over the size limit
	ReasonFIFOMerge                     // small neighbouring files become one

	NumReasons
)

var reasonNames = [NumReasons]string{
	"flush", "l0", "intra-l0", "level-size", "move", "tombstones", "manual",
	"tiered-size-ratio", "tiered-space-amp", "tiered-run-count", "tiered-move",
	"fifo-drop", "fifo-merge",
}

// String returns the reason as metrics and events print it.
func (r Reason) String() string {
	if r < NumReasons {
		return reasonNames[r]
	}
	return fmt.Sprintf("reason-%d", uint8(r))
}

// Input is the part of a plan's inputs that lies in one level: in level 0
// newest number first, below it by key.
type Input struct {
	Level int
	Files []*version.FileMeta
}

// A Plan says what one compaction does. It is a value: making one changes
// nothing, and it stays valid only while none of its inputs is taken by another
// compaction.
type Plan struct {
	Reason Reason

	// Inputs by level, shallowest first. Empty for a flush.
	Inputs []Input

	// OutputLevel is where the outputs go.
	OutputLevel int

	// Move means: the inputs change level by edit only. Drop means: they are
	// deleted by edit only. Neither is given to Run.
	Move, Drop bool

	// Grandparents are the files of OutputLevel+1 that overlap the inputs, by
	// key. Outputs are cut where they would overlap more than
	// MaxGrandparentBytes of them; 0 is no limit.
	Grandparents        []*version.FileMeta
	MaxGrandparentBytes uint64

	// MaxOutputBytes is the size at which an output is closed; 0 is no limit.
	MaxOutputBytes uint64

	// SingleOutput means that the output must be one file, however large, as
	// everything in level 0 that LevelDB may read.
	SingleOutput bool

	// NumLo and NumHi bound the number of the output in level 0: it must lie
	// strictly between them, so that number order stays age order. The caller
	// takes it when it starts the plan: it may be gone later. Both are 0 when any
	// new number is right.
	NumLo, NumHi base.FileNum

	// Pointer is the encoded internal key to record as the compaction pointer
	// of PointerLevel in the edit; nil for none.
	Pointer      []byte
	PointerLevel int

	// span covers every input; hasSpan is false for a flush.
	span    span
	hasSpan bool
}

// FlushPlan returns the plan of a flush: the only inputs are the extra iterators
// given to Run, the output is one level 0 file.
func FlushPlan() *Plan { return &Plan{Reason: ReasonFlush, SingleOutput: true} }

// Files returns every input with its level.
func (p *Plan) Files() iter.Seq2[int, *version.FileMeta] {
	return func(yield func(int, *version.FileMeta) bool) {
		for _, in := range p.Inputs {
			for _, f := range in.Files {
				if !yield(in.Level, f) {
					return
				}
			}
		}
	}
}

// Bytes returns the size of all inputs.
func (p *Plan) Bytes() uint64 {
	var n uint64
	for _, f := range p.Files() {
		n += f.Size
	}
	return n
}

// FileCount returns the number of inputs.
func (p *Plan) FileCount() int {
	n := 0
	for _, in := range p.Inputs {
		n += len(in.Files)
	}
	return n
}

// Range returns the smallest and largest user key of the inputs, both
// inclusive, and false if there are none.
func (p *Plan) Range() (smallest, largest []byte, ok bool) {
	return p.span.lo, p.span.hi, p.hasSpan
}

// deepest returns the deepest input level, -1 for a flush.
func (p *Plan) deepest() int {
	d := -1
	for _, in := range p.Inputs {
		d = max(d, in.Level)
	}
	return d
}

// seal computes what is derived from the inputs. Empty input lists go.
func (p *Plan) seal(cmp *base.Comparer) *Plan {
	kept := p.Inputs[:0]
	for _, in := range p.Inputs {
		if len(in.Files) > 0 {
			kept = append(kept, in)
		}
	}
	p.Inputs = kept
	for _, f := range p.Files() {
		p.span, p.hasSpan = p.span.with(cmp, f, p.hasSpan), true
	}
	return p
}

// String returns the plan on one line, as tests and logs print it:
//
//	level-size: L1 000007 + L2 000003 000004 -> L2
func (p *Plan) String() string {
	if p == nil {
		return "none"
	}
	var b strings.Builder
	b.WriteString(p.Reason.String() + ":")
	for i, in := range p.Inputs {
		if i > 0 {
			b.WriteString(" +")
		}
		fmt.Fprintf(&b, " L%d", in.Level)
		for _, f := range in.Files {
			b.WriteString(" " + f.Num.String())
		}
	}
	switch {
	case p.Drop:
		b.WriteString(" -> drop")
	case p.Move:
		fmt.Fprintf(&b, " -> L%d by move", p.OutputLevel)
	default:
		fmt.Fprintf(&b, " -> L%d", p.OutputLevel)
	}
	if p.SingleOutput {
		b.WriteString(" as one file")
	}
	if p.NumHi != 0 {
		fmt.Fprintf(&b, " numbered in (%d, %d)", p.NumLo, p.NumHi)
	}
	return b.String()
}
