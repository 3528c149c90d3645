package version

import (
	"slices"

	"github.com/strata-db/strata/internal/base"
)

// maxSpares bounds the list; the lowest are forgotten first.
const maxSpares = 4096

// spares are file numbers kept free on purpose. Level 0 is read in the order of its
// file numbers (by LevelDB alone by that), so the result of merging neighbours must
// get a number that lies between what is older and what is newer than they. Each
// rotation of the memtable therefore takes one number more than it needs.
//
// The Set's lock guards it.
type spares struct{ nums []base.FileNum } // ascending, distinct

func (s *spares) add(n base.FileNum) {
	i, found := slices.BinarySearch(s.nums, n)
	if found {
		return
	}
	s.nums = slices.Insert(s.nums, i, n)
	if len(s.nums) > maxSpares {
		s.nums = slices.Delete(s.nums, 0, 1)
	}
}

// take removes and returns the lowest spare n with lo < n < hi.
func (s *spares) take(lo, hi base.FileNum) (base.FileNum, bool) {
	i, _ := slices.BinarySearch(s.nums, lo+1)
	if i == len(s.nums) || s.nums[i] >= hi {
		return 0, false
	}
	n := s.nums[i]
	s.nums = slices.Delete(s.nums, i, i+1)
	return n, true
}

// prune forgets the spares below every file of level 0: no merge can want them. An
// empty level 0 says nothing, as the first flush may still be on its way.
func (s *spares) prune(v *Version) {
	if files := v.Files(0); len(files) > 0 {
		i, _ := slices.BinarySearch(s.nums, files[len(files)-1].Num)
		s.nums = slices.Delete(s.nums, 0, i)
	}
}

// derive finds spares in a directory of unknown history: the number after a table of
// level 0, if it was handed out and no file in the directory has it.
func (s *spares) derive(v *Version, list *Listing, next base.FileNum) {
	used := make(map[base.FileNum]bool)
	for _, f := range list.Files {
		used[f.Num] = true
	}
	for _, l := range v.levels {
		for _, f := range l.files {
			used[f.Num] = true
		}
	}
	for _, f := range slices.Backward(v.Files(0)) {
		if n := f.Num + 1; n < next && !used[n] {
			s.add(n)
		}
	}
}
