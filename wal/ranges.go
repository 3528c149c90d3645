package wal

import (
	"cmp"
	"slices"

	"github.com/strata-db/strata/internal/base"
)

// ranges is a set of sequence numbers. They nearly always come in order, each
// range right behind the one before, which costs two comparisons.
type ranges struct {
	lo, hi base.SeqNum // the range that is growing; hi is inclusive, 0 is none
	older  []seqRange  // the others, ascending, apart from each other
}

type seqRange struct{ lo, hi base.SeqNum } // hi is inclusive

// add adds lo to hi, inclusive. It adds nothing and reports false if one of them
// is in the set. lo must not be greater than hi.
func (r *ranges) add(lo, hi base.SeqNum) bool {
	if lo != r.hi+1 || r.hi == 0 {
		return r.jump(lo, hi)
	}
	if len(r.older) > 0 && overlaps(r.older, lo, hi) {
		return false
	}
	r.hi = hi
	return true
}

// jump begins a new growing range.
func (r *ranges) jump(lo, hi base.SeqNum) bool {
	if overlaps(r.older, lo, hi) || r.hi != 0 && lo <= r.hi && hi >= r.lo {
		return false
	}
	if r.hi != 0 {
		i := search(r.older, r.lo)
		r.older = slices.Insert(r.older, i, seqRange{r.lo, r.hi})
	}
	r.lo, r.hi = lo, hi
	return true
}

// search returns the index of the first range that ends at or behind s.
func search(rs []seqRange, s base.SeqNum) int {
	i, _ := slices.BinarySearchFunc(rs, s, func(r seqRange, s base.SeqNum) int { return cmp.Compare(r.hi, s) })
	return i
}

func overlaps(rs []seqRange, lo, hi base.SeqNum) bool {
	i := search(rs, lo)
	return i < len(rs) && rs[i].lo <= hi
}
