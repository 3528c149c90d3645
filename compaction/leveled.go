package compaction

import (
	"cmp"
	"slices"

	"github.com/strata-db/strata/internal/base"
	"github.com/strata-db/strata/version"
)

const (
	lastLevel = version.NumLevels - 1
	mebibyte  = 1 << 20
)

// LeveledOptions configures Leveled. The zero value works.
type LeveledOptions struct {
	// TableBytes is the size at which an output is closed. Default 16 MiB.
	// Smaller makes units of work finer and files more numerous; larger makes
	// each compaction out of a level hold more of the next one busy.
	TableBytes uint64

	// BaseBytes is the target of level 1. Default 256 MiB: four memtables of
	// the default size, so that a full level 0 meets about as many bytes in
	// level 1 and neither is rewritten for a trifle. Smaller adds a level
	// sooner, larger makes each merge out of level 0 dearer.
	BaseBytes uint64

	// FanOut is the target of a level over that of the one above. Default 10.
	// Smaller means more levels to read, larger more bytes to rewrite for one
	// that goes down.
	FanOut int

	// L0Files is the number of level 0 files that makes them due. Default 4.
	// Each one is a run that reads must probe.
	L0Files int

	// TombstonePercent is the share of tombstones in a file below level 0 above
	// which it is compacted for their sake alone. Default 30, negative is never.
	TombstonePercent int
}

func (o LeveledOptions) withDefaults() LeveledOptions {
	def(&o.TableBytes, 16*mebibyte)
	def(&o.BaseBytes, 256*mebibyte)
	def(&o.FanOut, 10)
	def(&o.L0Files, 4)
	def(&o.TombstonePercent, 30)
	o.FanOut = max(o.FanOut, 2)
	return o
}

func def[T int | uint64](v *T, d T) {
	if *v == 0 {
		*v = d
	}
}

type leveled struct{ o LeveledOptions }

// Leveled keeps every level below 0 one run with a size target, each FanOut
// times the one above: few runs to read, little space held twice, at the price
// of rewriting a byte about FanOut/2 times a level. See the package comment.
func Leveled(o LeveledOptions) Policy { return &leveled{o.withDefaults()} }

func (l *leveled) Name() string { return "leveled" }

// target returns the size target of a level below 0.
func (l *leveled) target(level int) float64 {
	t := float64(l.o.BaseBytes)
	for range level - 1 {
		t *= float64(l.o.FanOut)
	}
	return t
}

// score judges a level that holds so many files and bytes. The last level has
// no target.
func (l *leveled) score(level, files int, bytes uint64) float64 {
	switch level {
	case 0:
		return max(float64(files)/float64(l.o.L0Files), float64(bytes)/float64(l.o.BaseBytes))
	case lastLevel:
		return 0
	}
	return float64(bytes) / l.target(level)
}

func (l *leveled) Scores(t *Tree) []float64 {
	scores := make([]float64, version.NumLevels)
	for level := range scores {
		scores[level] = l.score(level, len(t.Version.Files(level)), t.Version.Bytes(level))
	}
	return scores
}

// idleScores judges what no running compaction has taken.
func (l *leveled) idleScores(t *Tree) []float64 {
	scores := make([]float64, version.NumLevels)
	for level := range scores {
		n, bytes := 0, uint64(0)
		for _, f := range t.Version.Files(level) {
			if !t.busy(f) {
				n++
				bytes += f.Size
			}
		}
		scores[level] = l.score(level, n, bytes)
	}
	return scores
}

// Debt follows what is over target down the tree: from each level the excess
// goes into the next one and takes a FanOut's worth of it along. The estimate is
// RocksDB's (VersionStorageInfo::EstimateCompactionBytesNeeded).
func (l *leveled) Debt(t *Tree) uint64 {
	var debt, arriving float64
	if n := t.Version.Bytes(0); l.score(0, len(t.Version.Files(0)), n) >= 1 {
		arriving = float64(n)
		debt = arriving + float64(t.Version.Bytes(1))
	}
	for level := 1; level < lastLevel; level++ {
		size := float64(t.Version.Bytes(level)) + arriving
		arriving = 0
		if excess := size - l.target(level); excess > 0 {
			next := float64(t.Version.Bytes(level + 1))
			debt += excess * (1 + min(next/size, float64(l.o.FanOut)))
			arriving = excess
		}
	}
	return uint64(debt)
}

func (l *leveled) Pick(t *Tree) *Plan {
	scores := l.idleScores(t)
	levels := make([]int, 0, len(scores))
	for level, s := range scores {
		if s >= 1 {
			levels = append(levels, level)
		}
	}
	slices.SortStableFunc(levels, func(a, b int) int {
		return cmp.Compare(scores[b], scores[a])
	})
	if scores[0] < crowded {
		for _, level := range levels {
			if level > 0 && scores[level] >= overfull {
				if p := l.pickLevel(t, level); p != nil {
					return p
				}
			}
		}
	}
	l0Waits := false
	if slices.Contains(levels, 0) {
		// Otherwise level 0 goes first whenever it is due: it is what writers wait
		// for.
		p := l.pickL0(t)
		if p != nil {
			return p
		}
		l0Waits = true
	}
	for _, level := range levels {
		// Level 0 waits for files of level 1. Taking more of these would let
		// the two keep each other out for ever.
		if level == 0 || level == 1 && l0Waits {
			continue
		}
		if p := l.pickLevel(t, level); p != nil {
			return p
		}
	}
	return l.pickTombstones(t)
}

// A level that holds overfull times its target goes before level 0, until the score
// of that is crowded: under a load that keeps level 0 due for ever, the level below
// it would grow for ever, and each merge into it with it. At crowded, which is ten
// files by default, writers are not yet slowed, so a tree with an overfull level,
// opened with smaller targets than it was written with, does not stop them.
const (
	overfull = 4
	crowded  = 2.5
)

// l0Seeds bounds how many starting points in level 0 are tried.
const l0Seeds = 16

// lopsided is how many times the bytes taken out of level 0 the bytes of level 1
// that must be rewritten with them may be, before a merge inside level 0 is
// preferred. A merge inside level 0 rewrites the former once. In a simulation of
// random writes with a level 1 of 32 memtables, 2 rewrote less than 1, 4 and
// never.
const lopsided = 2

// pickL0 empties level 0 into level 1, or makes its files fewer where that is
// blocked or too dear for now.
func (l *leveled) pickL0(t *Tree) *Plan {
	var down *Plan
	order := t.byAge()
	for _, seed := range order[:min(len(order), l0Seeds)] {
		in := t.leaveL0(seed, max(maxMergeFiles, l.o.L0Files), 4*l.o.BaseBytes)
		if in == nil {
			continue
		}
		if down = l.setup(t, ReasonL0, 0, in, true); down != nil {
			break
		}
	}
	if down != nil && (down.Move || t.Version.Bytes(0) >= l.o.BaseBytes) {
		return down
	}
	if down == nil || down.Bytes()-down.bytesAt(0) > lopsided*down.bytesAt(0) {
		if p := t.mergeL0(ReasonIntraL0, l.o.L0Files, l.o.BaseBytes); p != nil {
			return p
		}
	}
	return down
}

// bytesAt returns the bytes of the inputs in one level.
func (p *Plan) bytesAt(level int) uint64 {
	var n uint64
	for _, in := range p.Inputs {
		if in.Level == level {
			n += bytesOf(in.Files)
		}
	}
	return n
}

// pickLevel moves the part of a level down that meets the fewest bytes below for
// each byte of its own. Among equals the first after the compaction pointer
// wins, so that equal parts take turns.
func (l *leveled) pickLevel(t *Tree, level int) *Plan {
	for _, c := range l.candidates(t, level) {
		if p := l.setup(t, ReasonLevelSize, level, t.Version.Files(level)[c.i:c.j], true); p != nil {
			return p
		}
	}
	return nil
}

// A candidate is the smallest part of a level that may go down alone: [i, j),
// one file where no user key is shared.
type candidate struct {
	i, j  int
	ratio float64 // bytes below that it overlaps over its own bytes
	turn  int     // place in the round that begins at the compaction pointer
}

// maxCandidates bounds how many parts of a level are tried.
const maxCandidates = 64

// candidates returns the idle parts of a level, best first.
func (l *leveled) candidates(t *Tree, level int) []candidate {
	files, next := t.Version.Files(level), t.Version.Files(level+1)
	pointer, hasPointer := t.pointer(level)
	var out []candidate
	k := 0 // first file below that may overlap
	for i := 0; i < len(files); {
		_, j := t.cleanCut(level, i, i+1)
		c := candidate{i: i, j: j, turn: i}
		if hasPointer && t.Cmp.CompareInternal(files[i].Smallest, pointer) <= 0 {
			c.turn += len(files)
		}
		for k < len(next) && t.Cmp.Compare(next[k].Largest.UserKey, files[i].Smallest.UserKey) < 0 {
			k++
		}
		var below uint64
		for m := k; m < len(next) && t.Cmp.Compare(next[m].Smallest.UserKey, files[j-1].Largest.UserKey) <= 0; m++ {
			below += next[m].Size
		}
		c.ratio = float64(below) / float64(max(bytesOf(files[i:j]), 1))
		if !t.anyBusy(files[i:j]) {
			out = append(out, c)
		}
		i = j
	}
	slices.SortFunc(out, func(a, b candidate) int {
		return cmp.Or(cmp.Compare(a.ratio, b.ratio), a.turn-b.turn)
	})
	return out[:min(len(out), maxCandidates)]
}

// pointerAfter returns the encoded largest key of files, which lie in order.
func pointerAfter(files []*version.FileMeta) []byte {
	return base.AppendInternalKey(nil, files[len(files)-1].Largest)
}
