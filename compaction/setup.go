package compaction

import (
	"slices"

	"github.com/strata-db/strata/version"
)

// Limits in multiples of TableBytes, as in LevelDB.
const (
	grandparentTables = 10 // one output overlaps at most so much of the level after next
	expandTables      = 25 // inputs are picked up for free only up to this size
)

// setup makes the plan that takes in (a clean cut of level, or a set that may
// leave level 0) one level down. It returns nil if a busy file is in the way.
// With move it may become a trivial move.
//
//	level        |--a--|  |==in==|  |--b--|
//	level+1   |--c--| |==d==||==e==|  |--f--|      d, e go along
//	                  ^ all of it ^                a, b too if that adds neither c nor f
func (l *leveled) setup(t *Tree, reason Reason, level int, in []*version.FileMeta, move bool) *Plan {
	below := t.overlapped(level+1, spanOf(t.Cmp, in))
	if t.anyBusy(in) || t.anyBusy(below) {
		return nil
	}
	if move && len(below) == 0 {
		if p := l.trivialMove(t, level, in); p != nil {
			return p
		}
	}
	in = l.pickUp(t, level, in, below)
	p := l.plan(t, reason, level+1, Input{level, in}, Input{level + 1, below})
	if t.blocked(level+1, p.span) {
		return nil
	}
	if level > 0 {
		p.PointerLevel, p.Pointer = level, pointerAfter(in)
	}
	return p
}

// plan fills in the output limits.
func (l *leveled) plan(t *Tree, reason Reason, out int, inputs ...Input) *Plan {
	p := (&Plan{
		Reason: reason, Inputs: inputs, OutputLevel: out,
		MaxOutputBytes: l.o.TableBytes, MaxGrandparentBytes: grandparentTables * l.o.TableBytes,
	}).seal(t.Cmp)
	p.Grandparents = t.overlapped(out+1, p.span)
	return p
}

// trivialMove returns the plan that moves in by edit only: nothing in the next
// level overlaps it. Not where it would then overlap so much of the level after
// that its next compaction became a large one.
func (l *leveled) trivialMove(t *Tree, level int, in []*version.FileMeta) *Plan {
	if level == 0 && len(in) > 1 {
		return nil // the files overlap each other
	}
	p := (&Plan{Reason: ReasonMove, Inputs: []Input{{level, in}}, OutputLevel: level + 1, Move: true}).seal(t.Cmp)
	if t.blocked(level+1, p.span) || bytesOf(t.overlapped(level+2, p.span)) > grandparentTables*l.o.TableBytes {
		return nil
	}
	if level > 0 {
		p.PointerLevel, p.Pointer = level, pointerAfter(in)
	}
	return p
}

// pickUp returns in and whatever else of its level can go along without adding
// a file of the level below: those bytes are rewritten anyway.
// Source: LevelDB, VersionSet::SetupOtherInputs.
func (l *leveled) pickUp(t *Tree, level int, in, below []*version.FileMeta) []*version.FileMeta {
	if len(below) == 0 {
		return in
	}
	all := spanOf(t.Cmp, slices.Concat(in, below))
	var more []*version.FileMeta
	if level == 0 {
		files, ok := t.leaveL0Span(func(f *version.FileMeta) bool { return all.overlaps(t.Cmp, fileSpan(f)) })
		if !ok {
			return in
		}
		more = files
	} else {
		more = t.overlapped(level, all)
	}
	limit := max(expandTables*l.o.TableBytes, bytesOf(in)+bytesOf(below))
	if len(more) <= len(in) || t.anyBusy(more) || bytesOf(more)+bytesOf(below) > limit {
		return in
	}
	if len(t.overlapped(level+1, spanOf(t.Cmp, more))) != len(below) {
		return in
	}
	return more
}

// pickTombstones compacts a file for its tombstones: one level down while older
// data may lie below, and in place, where they vanish, if none does. Only files
// whose counts and sequence bounds are known and which no snapshot needs whole
// are taken, so each such plan is progress.
func (l *leveled) pickTombstones(t *Tree) *Plan {
	if l.o.TombstonePercent < 0 {
		return nil
	}
	for level := 1; level <= lastLevel; level++ {
		files := t.Version.Files(level)
		for i, f := range files {
			if !l.mostlyTombstones(t, f) || t.busy(f) {
				continue
			}
			i, j := t.cleanCut(level, i, i+1)
			if t.anyBusy(files[i:j]) {
				continue
			}
			if p := l.tombstonePlan(t, level, files[i:j]); p != nil {
				return p
			}
		}
	}
	return nil
}

func (l *leveled) mostlyTombstones(t *Tree, f *version.FileMeta) bool {
	st, ok := f.Stats()
	if !ok || st.Tombstones == 0 || 100*float64(st.Tombstones) <= float64(l.o.TombstonePercent)*float64(st.Entries) {
		return false
	}
	b, ok := f.SeqBounds()
	return ok && b.Largest <= t.OldestSnapshot
}

func (l *leveled) tombstonePlan(t *Tree, level int, in []*version.FileMeta) *Plan {
	if t.anyBelow(level, spanOf(t.Cmp, in)) {
		return l.setup(t, ReasonTombstones, level, in, true)
	}
	return l.inPlace(t, ReasonTombstones, level, in)
}

// inPlace rewrites files of a level where they are.
func (l *leveled) inPlace(t *Tree, reason Reason, level int, in []*version.FileMeta) *Plan {
	p := l.plan(t, reason, level, Input{level, in})
	if t.anyBusy(in) || t.blocked(level, p.span) {
		return nil
	}
	return p
}

// anyBelow reports whether a file deeper than level overlaps s.
func (t *Tree) anyBelow(level int, s span) bool {
	for level++; level < version.NumLevels; level++ {
		if i, j := t.overlapping(level, s); i < j {
			return true
		}
	}
	return false
}
