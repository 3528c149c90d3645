package compaction

import (
	"sort"

	"github.com/strata-db/strata/internal/base"
	"github.com/strata-db/strata/version"
)

// A Policy decides what to compact next. Its methods are pure: they read the
// Tree and return a value, open nothing and lock nothing. One Policy may serve
// any number of databases at once.
type Policy interface {
	// Name returns "leveled", "tiered" or "fifo".
	Name() string

	// Pick returns the most useful plan that can start now beside the running
	// ones, or nil.
	Pick(t *Tree) *Plan

	// Scores returns one score a level: 1 and more wants work. Running
	// compactions are not taken into account.
	Scores(t *Tree) []float64

	// Debt estimates the bytes that must be rewritten before no score wants
	// work. Running compactions are not taken into account.
	Debt(t *Tree) uint64

	// manual returns the next plan of m. See Manual.Next.
	manual(t *Tree, m *Manual) (p *Plan, done bool)
}

// A Tree is what a policy looks at: one immutable version and what is going on
// around it. The caller fills it under its scheduling lock.
type Tree struct {
	Version *version.Version
	Cmp     *base.Comparer

	// Running holds the plans at work, moves and drops included until their edit
	// is applied. Their files are busy, and no plan is made whose outputs could
	// overlap theirs in one level.
	Running []*Plan

	// Busy reports further files that must not be taken. Optional: the inputs of
	// Running are busy anyway.
	Busy func(*version.FileMeta) bool

	// Damaged reports files that cannot be read, so that they can only be dropped.
	// Optional.
	Damaged func(*version.FileMeta) bool

	// Pointer returns the compaction pointer of a level: an encoded internal
	// key, nil for none. Optional.
	Pointer func(level int) []byte

	// OldestSnapshot is the lowest sequence number that a snapshot holds, and
	// base.SeqNumMax if there is no snapshot. At 0 no compaction is made for the
	// sake of tombstones alone.
	OldestSnapshot base.SeqNum

	// Spare reports whether a file number strictly between lo and hi can be had
	// for a merge inside level 0. Optional: without it every gap is taken to
	// have one. A caller whose numbers run out must say so here, or it is
	// offered the same plan again.
	Spare func(lo, hi base.FileNum) bool

	busyFiles map[*version.FileMeta]bool // inputs of Running; made on first use
}

// busy reports whether f may not be merged or moved.
func (t *Tree) busy(f *version.FileMeta) bool {
	return t.taken(f) || t.Damaged != nil && t.Damaged(f)
}

// taken reports whether f may not even be dropped.
func (t *Tree) taken(f *version.FileMeta) bool {
	if t.busyFiles == nil {
		t.busyFiles = make(map[*version.FileMeta]bool)
		for _, p := range t.Running {
			for _, f := range p.Files() {
				t.busyFiles[f] = true
			}
		}
	}
	return t.busyFiles[f] || t.Busy != nil && t.Busy(f)
}

func (t *Tree) anyBusy(files []*version.FileMeta) bool {
	for _, f := range files {
		if t.busy(f) {
			return true
		}
	}
	return false
}

// blocked reports whether a running plan writes into level where s lies. Its
// inputs alone do not tell: an output may span the gap between two of them, and
// a file may have come to lie in that gap since.
func (t *Tree) blocked(level int, s span) bool {
	for _, p := range t.Running {
		if p.OutputLevel == level && level > 0 && p.hasSpan && s.overlaps(t.Cmp, p.span) {
			return true
		}
	}
	return false
}

func (t *Tree) spare(lo, hi base.FileNum) bool {
	return hi > lo+1 && (t.Spare == nil || t.Spare(lo, hi))
}

func (t *Tree) pointer(level int) (base.InternalKey, bool) {
	if t.Pointer == nil {
		return base.InternalKey{}, false
	}
	return base.ParseInternalKey(t.Pointer(level))
}

// A span is a range of user keys, both ends inclusive.
type span struct{ lo, hi []byte }

func fileSpan(f *version.FileMeta) span { return span{f.Smallest.UserKey, f.Largest.UserKey} }

// with returns s grown to cover f; if ok is false s is empty.
func (s span) with(cmp *base.Comparer, f *version.FileMeta, ok bool) span {
	if !ok {
		return fileSpan(f)
	}
	if cmp.Compare(f.Smallest.UserKey, s.lo) < 0 {
		s.lo = f.Smallest.UserKey
	}
	if cmp.Compare(f.Largest.UserKey, s.hi) > 0 {
		s.hi = f.Largest.UserKey
	}
	return s
}

func (s span) overlaps(cmp *base.Comparer, o span) bool {
	return cmp.Compare(s.lo, o.hi) <= 0 && cmp.Compare(o.lo, s.hi) <= 0
}

// spanOf covers all files; there must be one at least.
func spanOf(cmp *base.Comparer, files []*version.FileMeta) span {
	s := fileSpan(files[0])
	for _, f := range files[1:] {
		s = s.with(cmp, f, true)
	}
	return s
}

func bytesOf(files []*version.FileMeta) uint64 {
	var n uint64
	for _, f := range files {
		n += f.Size
	}
	return n
}

// overlapping returns the index range [i, j) of the files of a level below 0
// that overlap s.
func (t *Tree) overlapping(level int, s span) (i, j int) {
	files := t.Version.Files(level)
	i = sort.Search(len(files), func(i int) bool { return t.Cmp.Compare(files[i].Largest.UserKey, s.lo) >= 0 })
	j = i + sort.Search(len(files)-i, func(j int) bool { return t.Cmp.Compare(files[i+j].Smallest.UserKey, s.hi) > 0 })
	return i, j
}

// overlapped returns the files of a level below 0 that overlap s, grown to clean
// cuts.
func (t *Tree) overlapped(level int, s span) []*version.FileMeta {
	if level >= version.NumLevels {
		return nil
	}
	i, j := t.overlapping(level, s)
	i, j = t.cleanCut(level, i, j)
	return t.Version.Files(level)[i:j]
}

// shared reports whether the neighbours a, b of one level hold versions of one
// user key.
func (t *Tree) shared(a, b *version.FileMeta) bool {
	return t.Cmp.Compare(a.Largest.UserKey, b.Smallest.UserKey) >= 0
}

// cleanCut grows [i, j) of a level below 0 until no user key has versions on
// both sides of either end. Such keys occur in directories of other engines; to
// move one version without the other would reverse their age.
func (t *Tree) cleanCut(level, i, j int) (int, int) {
	files := t.Version.Files(level)
	if i == j {
		return i, j
	}
	for i > 0 && t.shared(files[i-1], files[i]) {
		i--
	}
	for j < len(files) && t.shared(files[j-1], files[j]) {
		j++
	}
	return i, j
}
