package compaction

import (
	"slices"

	"github.com/strata-db/strata/internal/base"
	"github.com/strata-db/strata/version"
)

// An older says whether data outside the inputs of a plan may hold an older
// entry of a user key. It is asked with user keys in ascending order.
//
// What can be older:
//
//	every level deeper than the deepest input, for a flush all of them
//	if all inputs lie in level 0, or for a flush: every other file of level 0
//	that is not known, by sequence bounds, to be newer than all inputs
//
// The rest is newer, or holds none of the inputs' user keys, as inputs are clean
// cuts. The version may be that of the time the plan was made: whatever happens
// to the tree meanwhile moves older data only between places that are looked at
// here, and never widens the key range it was found in.
type older struct {
	cmp  *base.Comparer
	all  bool // nothing is known of the tree: everything may be held
	runs []olderRun
}

// An olderRun is n disjoint spans in key order and the first of them that may
// hold the next key.
type olderRun struct {
	n, i int
	at   func(int) span
}

func newOlder(cmp *base.Comparer, v *version.Version, p *Plan) *older {
	o := &older{cmp: cmp, all: v == nil}
	if v == nil {
		return o
	}
	deepest := p.deepest()
	if deepest <= 0 {
		o.addL0(v, p)
	}
	for level := max(deepest, 0) + 1; level < version.NumLevels; level++ {
		files := v.Files(level)
		if p.hasSpan {
			files = v.Overlaps(level, p.span.lo, p.span.hi)
		}
		o.add(len(files), func(i int) span { return fileSpan(files[i]) })
	}
	return o
}

func (o *older) add(n int, at func(int) span) {
	if n > 0 {
		o.runs = append(o.runs, olderRun{n: n, at: at})
	}
}

// addL0 adds the other files of level 0 as one run of their united spans.
func (o *older) addL0(v *version.Version, p *Plan) {
	input := make(map[base.FileNum]bool)
	var newest base.SeqNum // highest sequence number of the inputs
	if len(p.Inputs) == 0 {
		newest = base.SeqNumMax
	}
	for _, f := range p.Files() {
		input[f.Num] = true
		if b, ok := f.SeqBounds(); ok {
			newest = max(newest, b.Largest)
		} else {
			newest = base.SeqNumMax
		}
	}
	var spans []span
	for _, f := range v.Files(0) {
		if input[f.Num] {
			continue
		}
		if b, ok := f.SeqBounds(); ok && b.Smallest > newest {
			continue
		}
		spans = append(spans, fileSpan(f))
	}
	spans = unite(o.cmp, spans)
	o.add(len(spans), func(i int) span { return spans[i] })
}

// unite sorts spans and joins those that overlap.
func unite(cmp *base.Comparer, spans []span) []span {
	slices.SortFunc(spans, func(a, b span) int { return cmp.Compare(a.lo, b.lo) })
	var out []span
	for _, s := range spans {
		if n := len(out); n > 0 && cmp.Compare(s.lo, out[n-1].hi) <= 0 {
			if cmp.Compare(s.hi, out[n-1].hi) > 0 {
				out[n-1].hi = s.hi
			}
			continue
		}
		out = append(out, s)
	}
	return out
}

// mayHold reports whether older data may hold ukey, which must not sort before
// the key of an earlier call.
func (o *older) mayHold(ukey []byte) bool {
	if o.all {
		return true
	}
	for i := range o.runs {
		if r := &o.runs[i]; r.seek(o.cmp, ukey) && o.cmp.Compare(r.at(r.i).lo, ukey) <= 0 {
			return true
		}
	}
	return false
}

// seek goes to the first span that does not end before ukey, in steps that
// double: a flush passes many files for each of its tombstones, a compaction
// few.
func (r *olderRun) seek(cmp *base.Comparer, ukey []byte) bool {
	before := func(i int) bool { return cmp.Compare(r.at(i).hi, ukey) < 0 }
	if r.i < r.n && !before(r.i) {
		return true
	}
	lo, step := r.i, 1
	for lo+step < r.n && before(lo+step) {
		lo, step = lo+step, 2*step
	}
	hi := min(lo+step, r.n)
	for lo < hi {
		if mid := int(uint(lo+hi) >> 1); before(mid) {
			lo = mid + 1
		} else {
			hi = mid
		}
	}
	r.i = lo
	return r.i < r.n
}
