package compaction

import (
	"slices"

	"github.com/strata-db/strata/internal/base"
	"github.com/strata-db/strata/version"
)

// A Manual is one CompactRange in progress. It says which plan comes next until
// everything in its range is where it is to be, and that is when CompactRange is
// done: one call is enough.
//
//	m := compaction.NewManual(tree, policy, lower, upper)
//	for {
//		p, done := m.Next(tree)      // tree filled anew each time
//		if done { break }            // when the plans handed out have ended too
//		if p == nil { wait for a running compaction to end; continue }
//		run p, or apply its move
//	}
//
// Leveled: level by level from 0 everything that overlaps the range goes one
// down, in pieces, to the deepest level that holds data of the range. Files of
// that level that were not rewritten on the way are rewritten where they are if
// they hold something that may go. Tiered: one merge of all runs. FIFO: merges
// inside level 0.
//
// A Manual is used under the scheduling lock. Every plan it returns must be run;
// if one fails the Manual is given up. Several of its plans may run at once.
type Manual struct {
	// Garbage reports whether a file of the last level holds tombstones or
	// shadowed versions that may go. Optional: by default a file whose counts
	// are unknown may, and one with several versions of a key, or a tombstone
	// that no snapshot needs, does.
	Garbage func(*version.FileMeta) bool

	policy       Policy
	lower, upper []byte // user keys, inclusive; nil is open

	newest  base.FileNum // files with higher numbers were made since
	minimal base.FileNum // higher numbers that were not moved hold nothing that may go
	mine    map[*Plan]bool
	others  bool                       // plans that are not mine were running at the last look
	down    map[*version.FileMeta]bool // moved by edit by my plans
	level   int                        // leveled: the level being emptied
	deepest int                        // leveled: where data is to end up
	cursor  []byte                     // leveled: largest user key of level already handled
	moved   bool                       // leveled: cursor is set
	planned bool                       // tiered: the one plan was handed out
	steps   int                        // fifo: merges left
}

// NewManual begins a manual compaction of the user keys from lower to upper,
// both inclusive; nil is open. Data written later need not be compacted.
func NewManual(t *Tree, p Policy, lower, upper []byte) *Manual {
	m := &Manual{policy: p, lower: lower, upper: upper, deepest: 1, mine: make(map[*Plan]bool), down: make(map[*version.FileMeta]bool)}
	m.newest = highestNum(t.Version)
	m.minimal = m.newest
	m.steps = len(t.Version.Files(0))
	return m
}

func highestNum(v *version.Version) base.FileNum {
	var n base.FileNum
	for level := range version.NumLevels {
		for _, f := range v.Files(level) {
			n = max(n, f.Num)
		}
	}
	return n
}

// Next returns the next plan to run. Without one, done tells whether there will
// be none, or whether a running compaction must end first. If none is running
// then, Tree.Busy or Damaged holds files of the range back for good.
func (m *Manual) Next(t *Tree) (p *Plan, done bool) {
	m.watch(t)
	if p, done = m.policy.manual(t, m); p != nil {
		m.mine[p] = true
		for _, f := range p.Files() {
			if p.Move {
				m.down[f] = true
			}
		}
	}
	return p, done
}

// watch looks whether plans of others run or have ended since the last look. What
// they write need not be minimal: a snapshot that they knew may be closed by now.
// Nor what was written beside them, as an older entry that kept a tombstone there
// may have gone with them.
func (m *Manual) watch(t *Tree) {
	others := slices.ContainsFunc(t.Running, func(p *Plan) bool { return !m.mine[p] })
	if m.others || others {
		m.minimal = highestNum(t.Version)
	}
	m.others = others
}

// overlaps reports whether f overlaps the range.
func (m *Manual) overlaps(t *Tree, f *version.FileMeta) bool {
	return (m.lower == nil || t.Cmp.Compare(f.Largest.UserKey, m.lower) >= 0) &&
		(m.upper == nil || t.Cmp.Compare(f.Smallest.UserKey, m.upper) <= 0)
}

func (m *Manual) overlapsLevel(t *Tree, level int) bool {
	for _, f := range t.Version.Files(level) {
		if m.overlaps(t, f) {
			return true
		}
	}
	return false
}

func (m *Manual) overlapsAny(t *Tree) bool {
	for level := range version.NumLevels {
		if m.overlapsLevel(t, level) {
			return true
		}
	}
	return false
}

// garbage reports whether a rewrite of f in the last level may drop something.
// What only this compaction has written there is as small as it can be. What it wrote
// further up and then moved is not: a table below that seemed to hold an older entry,
// by its span, may have been rewritten by then.
func (m *Manual) garbage(t *Tree, f *version.FileMeta) bool {
	if f.Num > m.minimal && !m.down[f] {
		return false
	}
	if m.Garbage != nil {
		return m.Garbage(f)
	}
	st, ok := f.Stats()
	if !ok {
		return true
	}
	if st.UserKeys > 0 && st.Entries > st.UserKeys {
		return true
	}
	b, ok := f.SeqBounds()
	return st.Tombstones > 0 && (!ok || b.Smallest <= t.OldestSnapshot)
}

// manualTables is the size of one piece of a manual compaction, in TableBytes:
// large enough that what two pieces rewrite twice at their common border is
// little, small enough that a piece is soon done.
const manualTables = 4

func (l *leveled) manual(t *Tree, m *Manual) (*Plan, bool) {
	for level := m.deepest; level < version.NumLevels; level++ {
		if m.overlapsLevel(t, level) {
			m.deepest = level
		}
	}
	for ; m.level < m.deepest; m.level++ {
		p, passed := l.manualStep(t, m)
		if p != nil || !passed {
			return p, false
		}
		m.cursor, m.moved = nil, false
	}
	return l.manualRewrite(t, m)
}

// manualStep returns the next piece of m.level that goes down. passed means that
// there is none left and none is still running.
func (l *leveled) manualStep(t *Tree, m *Manual) (p *Plan, passed bool) {
	if m.level == 0 {
		in, ok := t.leaveL0Span(func(f *version.FileMeta) bool { return f.Num <= m.newest && m.overlaps(t, f) })
		if !ok {
			return nil, false
		}
		if len(in) == 0 {
			return nil, true
		}
		return l.setup(t, ReasonManual, 0, in, true), false
	}
	in, busy := l.manualPiece(t, m, func(*version.FileMeta) bool { return true })
	if in == nil {
		return nil, !busy
	}
	p = l.setup(t, ReasonManual, m.level, in, true)
	l.advance(m, p)
	return p, false
}

// manualRewrite returns the next rewrite in the last level.
func (l *leveled) manualRewrite(t *Tree, m *Manual) (p *Plan, done bool) {
	in, busy := l.manualPiece(t, m, func(f *version.FileMeta) bool { return m.garbage(t, f) })
	if in == nil {
		return nil, !busy
	}
	p = l.inPlace(t, ReasonManual, m.level, in)
	l.advance(m, p)
	return p, false
}

func (l *leveled) advance(m *Manual, p *Plan) {
	if p == nil {
		return
	}
	files := p.Inputs[0].Files
	m.cursor, m.moved = files[len(files)-1].Largest.UserKey, true
}

// manualPiece returns the next clean cut of idle files of m.level behind the
// cursor that overlap the range and that want passes. busy reports that files
// which want passes are taken by a running compaction.
func (l *leveled) manualPiece(t *Tree, m *Manual, want func(*version.FileMeta) bool) (in []*version.FileMeta, busy bool) {
	files := t.Version.Files(m.level)
	first, bytes := -1, uint64(0)
	for i := 0; i < len(files); {
		_, j := t.cleanCut(m.level, i, i+1)
		group, at := files[i:j], i
		i = j
		wanted := false
		for _, f := range group {
			wanted = wanted || m.overlaps(t, f) && want(f)
		}
		taken := t.anyBusy(group)
		busy = busy || wanted && taken
		behind := m.moved && t.Cmp.Compare(group[0].Smallest.UserKey, m.cursor) <= 0
		if !wanted || taken || behind {
			if first >= 0 {
				return files[first:at], busy
			}
			if wanted && taken && !behind {
				return nil, true // pieces are handed out in key order
			}
			continue
		}
		if first < 0 {
			first = at
		}
		if bytes += bytesOf(group); bytes >= manualTables*l.o.TableBytes {
			return files[first:j], busy
		}
	}
	if first < 0 {
		return nil, busy
	}
	return files[first:], busy
}
