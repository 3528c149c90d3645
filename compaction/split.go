package compaction

import (
	"github.com/strata-db/strata/internal/base"
	"github.com/strata-db/strata/version"
)

// A splitter decides where one output ends and the next begins. It is asked
// before the first version of each user key only, so that the versions of a key
// are never spread over two files of a level.
//
// An output ends
//
//   - when it is full: MaxOutputBytes;
//
//   - when it overlaps too much of the next level: MaxGrandparentBytes. To
//     compact it later would rewrite all of that for a few bytes;
//
//   - when it is nearly full and a file of the next level has just been passed:
//     files whose ends agree with those below overlap one file less.
//
//     outputs        |------full------|---|--nearly full--|
//     grandparents  |-----| |---| |--||||||||||||| |------||---
//
// The second cause is LevelDB's (Compaction::ShouldStopBefore).
type splitter struct {
	compare       func(a, b []byte) int
	max, maxBelow uint64 // 0 is no limit
	grandparents  []*version.FileMeta
	passed        int    // grandparents that end before the last key
	below         uint64 // bytes of those passed since the output began
	single        bool
}

func newSplitter(cmp *base.Comparer, p *Plan) *splitter {
	return &splitter{
		compare: cmp.Compare, max: p.MaxOutputBytes, maxBelow: p.MaxGrandparentBytes,
		grandparents: p.Grandparents, single: p.SingleOutput,
	}
}

// cut reports whether an output of size bytes ends before ukey, the first of
// its versions. It must be asked for every such key, with open false while there
// is no output.
func (s *splitter) cut(ukey []byte, open bool, size uint64) bool {
	if s.single {
		return false
	}
	crossed := false
	for s.passed < len(s.grandparents) && s.compare(ukey, s.grandparents[s.passed].Largest.UserKey) > 0 {
		s.below += s.grandparents[s.passed].Size
		s.passed++
		crossed = true
	}
	if !open {
		s.below = 0
		return false
	}
	full := s.max > 0 && (size >= s.max || crossed && size >= s.max/2)
	if full || s.maxBelow > 0 && s.below > s.maxBelow {
		s.below = 0
		return true
	}
	return false
}
