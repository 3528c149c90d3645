package compaction

import (
	"cmp"
	"slices"

	"github.com/strata-db/strata/internal/base"
	"github.com/strata-db/strata/version"
)

// maxMergeFiles bounds the inputs of one merge inside level 0 and what is added
// freely to a merge out of it, so that one unit of work stays a unit.
const maxMergeFiles = 32

// maxMergeBytes bounds what one table made by a merge inside level 0 may hold, in
// bytes of keys and values as far as these are known. Such a merge has one output,
// and neither the index nor the filter of that may pass the 2 GiB that a block can
// have: it would fail at its end, and be tried again for ever. Each takes less than
// twice as much as the keys together, whatever their length.
const maxMergeBytes = 1 << 30

// mergeable reports that files may become one table.
func mergeable(files []*version.FileMeta) bool {
	var n uint64
	for _, f := range files {
		n += held(f)
	}
	return n <= maxMergeBytes
}

// held returns the bytes that f holds before compression, or if they are not known
// its size.
func held(f *version.FileMeta) uint64 {
	s, _ := f.Stats()
	return max(f.Size, s.RawBytes)
}

// An l0Set is a set of level 0 files that may leave level 0 together: no file
// outside it that could be older than one of its own overlaps its span.
//
// Which file is older is known for certain only from sequence bounds. Where they
// are unknown (tables of other engines, repaired directories, files that nobody
// has opened yet) neither number nor place is trusted, and overlapping files go
// together.
type l0Set struct {
	t     *Tree
	files []*version.FileMeta // of level 0, newest number first
	in    []bool
	count int
	bytes uint64
	span  span
	// maxSeq is the highest sequence number in the set, SeqNumMax if unknown.
	maxSeq base.SeqNum
}

func (s *l0Set) add(i int) {
	f := s.files[i]
	s.in[i] = true
	s.span = s.span.with(s.t.Cmp, f, s.count > 0)
	s.count++
	s.bytes += f.Size
	if b, ok := f.SeqBounds(); ok {
		s.maxSeq = max(s.maxSeq, b.Largest)
	} else {
		s.maxSeq = base.SeqNumMax
	}
}

// certainlyNewer reports that every entry of f is newer than the set.
func (s *l0Set) certainlyNewer(f *version.FileMeta) bool {
	b, ok := f.SeqBounds()
	return ok && b.Smallest > s.maxSeq
}

// close adds what must go along. It returns false if that includes a busy file.
func (s *l0Set) close() bool {
	for changed := true; changed; {
		changed = false
		for i, f := range s.files {
			if s.in[i] || !s.span.overlaps(s.t.Cmp, fileSpan(f)) || s.certainlyNewer(f) {
				continue
			}
			if s.t.busy(f) {
				return false
			}
			s.add(i)
			changed = true
		}
	}
	return true
}

// grow adds overlapping files that need not go along, oldest first: each one
// taken now is one rewrite of level 1 less.
func (s *l0Set) grow(maxFiles int, maxBytes uint64) {
	for i := len(s.files) - 1; i >= 0; i-- {
		if s.in[i] || s.t.busy(s.files[i]) || !s.span.overlaps(s.t.Cmp, fileSpan(s.files[i])) {
			continue
		}
		trial := *s
		trial.in = slices.Clone(s.in)
		trial.add(i)
		if !trial.close() || trial.count > maxFiles || trial.bytes > maxBytes {
			return // and so would every newer file, which needs this one
		}
		*s = trial
	}
}

// list returns the set, newest number first.
func (s *l0Set) list() []*version.FileMeta {
	out := make([]*version.FileMeta, 0, s.count)
	for i, f := range s.files {
		if s.in[i] {
			out = append(out, f)
		}
	}
	return out
}

// leaveL0 returns the smallest set around seed (an index into level 0) that may
// leave level 0, grown within the limits; nil if a busy file is needed.
func (t *Tree) leaveL0(seed int, maxFiles int, maxBytes uint64) []*version.FileMeta {
	files := t.Version.Files(0)
	if t.busy(files[seed]) {
		return nil
	}
	s := &l0Set{t: t, files: files, in: make([]bool, len(files))}
	s.add(seed)
	if !s.close() {
		return nil
	}
	s.grow(maxFiles, maxBytes)
	return s.list()
}

// leaveL0Span returns the smallest set around every file that passes keep, which
// may be empty. ok is false if a busy file is needed.
func (t *Tree) leaveL0Span(keep func(*version.FileMeta) bool) (files []*version.FileMeta, ok bool) {
	s := &l0Set{t: t, files: t.Version.Files(0)}
	s.in = make([]bool, len(s.files))
	for i, f := range s.files {
		if !keep(f) || s.in[i] {
			continue
		}
		if t.busy(f) {
			return nil, false
		}
		s.add(i)
	}
	if s.count > 0 && !s.close() {
		return nil, false
	}
	return s.list(), true
}

// byAge returns the indexes of level 0, oldest first as far as is known: by
// sequence bounds if every file has them and no two overlap, else by number. In a
// repaired directory that was a tree of levels they do overlap, and then tell
// nothing of a single key.
func (t *Tree) byAge() []int {
	files := t.Version.Files(0)
	order := make([]int, len(files))
	for i := range order {
		order[i] = len(files) - 1 - i
	}
	for _, f := range files {
		if _, ok := f.SeqBounds(); !ok {
			return order
		}
	}
	byNumber := slices.Clone(order)
	slices.SortStableFunc(order, func(a, b int) int {
		x, _ := files[a].SeqBounds()
		y, _ := files[b].SeqBounds()
		return cmp.Compare(x.Largest, y.Largest)
	})
	for i := 1; i < len(order); i++ {
		x, _ := files[order[i-1]].SeqBounds()
		y, _ := files[order[i]].SeqBounds()
		if x.Largest >= y.Smallest {
			return byNumber
		}
	}
	return order
}

// RelieveLevel0 returns the merge of at least minFiles neighbours inside level 0,
// of at most maxBytes and a gibibyte together, that costs the fewest bytes for each
// file it makes disappear, or nil. It is for times at which a policy may not pick:
// it leaves all other levels alone.
func RelieveLevel0(t *Tree, minFiles int, maxBytes uint64) *Plan {
	return t.mergeL0(ReasonIntraL0, minFiles, maxBytes)
}

// mergeL0 returns the merge of neighbours (in number order) inside level 0 that
// costs the fewest bytes for each file it makes disappear, nil if there is none
// of at least minFiles files and at most maxBytes and maxMergeBytes.
func (t *Tree) mergeL0(reason Reason, minFiles int, maxBytes uint64) *Plan {
	files := t.Version.Files(0)
	minFiles = max(minFiles, 2)
	bestI, bestJ, best := 0, 0, 0.0
	for i := range files {
		var bytes, all uint64
		for j := i; j < len(files) && j-i < maxMergeFiles && !t.busy(files[j]); j++ {
			bytes += files[j].Size
			if all += held(files[j]); bytes > maxBytes || all > maxMergeBytes {
				break
			}
			if j-i+1 < minFiles {
				continue
			}
			cost := float64(bytes) / float64(j-i)
			if bestJ != 0 && cost >= best || !t.spare(t.numWindow(i, j+1)) {
				continue
			}
			bestI, bestJ, best = i, j+1, cost
		}
	}
	if bestJ == 0 {
		return nil
	}
	return t.insideL0(reason, bestI, bestJ)
}

// insideL0 is the merge of level 0 files [i, j) into one in their place.
func (t *Tree) insideL0(reason Reason, i, j int) *Plan {
	p := &Plan{Reason: reason, SingleOutput: true, Inputs: []Input{{0, t.Version.Files(0)[i:j]}}}
	p.NumLo, p.NumHi = t.numWindow(i, j)
	return p.seal(t.Cmp)
}

// numWindow returns the bounds, both exclusive, for the number of a file that
// replaces [i, j) of level 0. They reach to the neighbours outside where those
// stay as they are. Beside a neighbour that is itself being merged, and before a
// flush whose number is already taken, they stop at the inputs' own numbers.
func (t *Tree) numWindow(i, j int) (lo, hi base.FileNum) {
	files := t.Version.Files(0)
	hi = files[i].Num
	if i > 0 && !t.busy(files[i-1]) {
		hi = files[i-1].Num
	}
	switch {
	case j == len(files):
		lo = 0
	case t.busy(files[j]):
		lo = files[j-1].Num
	default:
		lo = files[j].Num
	}
	return lo, hi
}
