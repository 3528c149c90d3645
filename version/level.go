package version

import (
	"bytes"
	"encoding/binary"
	"slices"
	"sort"
	"sync/atomic"

	"github.com/strata-db/strata/internal/base"
)

// A level is the immutable list of the files of one level. Successive versions
// share it while the level does not change.
type level struct {
	files []*FileMeta
	bytes uint64

	// shared is the longest prefix that all Largest user keys have in common, and
	// fences[i] the eight bytes that follow it in files[i].Largest, zero padded.
	// Both are set for the bytewise order in sorted levels only.
	shared []byte
	fences []uint64

	// distinct is how many of the first files are known to hold one entry for each
	// of their user keys and share none with the next. See Version.Distinct.
	distinct atomic.Int32

	// refs counts the versions in use that hold the level. While it is above zero
	// the level holds one reference on each of its files.
	refs atomic.Int32
}

// newLevel takes ownership of files, which must be in the order of level num.
func newLevel(cmp *base.Comparer, num int, files []*FileMeta) *level {
	l := &level{files: files}
	for _, f := range files {
		l.bytes += f.Size
	}
	if num > 0 && len(files) > 0 && cmp.IsBytewise() {
		l.setFences()
	}
	return l
}

func (l *level) setFences() {
	first, last := l.files[0].Largest.UserKey, l.files[len(l.files)-1].Largest.UserKey
	n := 0
	for n < min(len(first), len(last)) && first[n] == last[n] {
		n++
	}
	l.shared = first[:n]
	l.fences = make([]uint64, len(l.files))
	for i, f := range l.files {
		l.fences[i] = prefix8(f.Largest.UserKey[n:])
	}
}

// prefix8 returns the first eight bytes of b, zero padded, as a number. Where two
// strings have different prefixes, these compare as the strings do.
func prefix8(b []byte) uint64 {
	if len(b) >= 8 {
		return binary.BigEndian.Uint64(b)
	}
	var p [8]byte
	copy(p[:], b)
	return binary.BigEndian.Uint64(p[:])
}

// find returns the index of the first file whose Largest is >= k. The level must
// be sorted.
func (l *level) find(cmp *base.Comparer, k base.InternalKey) int {
	lo, hi := 0, len(l.files)
	if l.fences != nil {
		lo, hi = l.findFences(k.UserKey)
	}
	for lo < hi {
		mid := int(uint(lo+hi) >> 1)
		if cmp.CompareInternal(l.files[mid].Largest, k) < 0 {
			lo = mid + 1
		} else {
			hi = mid
		}
	}
	return lo
}

// findFences narrows the search to [lo, hi]: files before lo end before ukey, the
// file at hi ends after it.
func (l *level) findFences(ukey []byte) (lo, hi int) {
	n := len(l.shared)
	if !bytes.HasPrefix(ukey, l.shared) {
		if bytes.Compare(ukey, l.shared) < 0 {
			return 0, 0
		}
		return len(l.files), len(l.files)
	}
	p := prefix8(ukey[n:])
	lo, hi = 0, len(l.fences)
	for lo < hi {
		mid := int(uint(lo+hi) >> 1)
		if l.fences[mid] < p {
			lo = mid + 1
		} else {
			hi = mid
		}
	}
	// Files that share the prefix with ukey are told apart by their full keys.
	for hi = lo; hi < len(l.fences) && l.fences[hi] == p; {
		hi += 1 + sort.Search(len(l.fences)-hi-1, func(i int) bool { return l.fences[hi+1+i] != p })
	}
	return lo, hi
}

// overlaps returns the files that may hold a user key in [lower, upper], a
// subslice of files for sorted levels. nil is open.
func (l *level) overlaps(cmp *base.Comparer, num int, lower, upper []byte) []*FileMeta {
	if num == 0 {
		var out []*FileMeta
		for _, f := range l.files {
			if f.overlaps(cmp, lower, upper) {
				out = append(out, f)
			}
		}
		return out
	}
	lo, hi := 0, len(l.files)
	if lower != nil {
		lo = l.find(cmp, base.SeekKey(lower, base.SeqNumMax))
	}
	if upper != nil {
		hi = lo + sort.Search(hi-lo, func(i int) bool {
			return cmp.Compare(l.files[lo+i].Smallest.UserKey, upper) > 0
		})
	}
	return l.files[lo:hi:hi]
}

// overlaps reports whether f may hold a user key in [lower, upper].
func (f *FileMeta) overlaps(cmp *base.Comparer, lower, upper []byte) bool {
	return (upper == nil || cmp.Compare(f.Smallest.UserKey, upper) <= 0) &&
		(lower == nil || cmp.Compare(f.Largest.UserKey, lower) >= 0)
}

// sortFiles puts files into the order of level num: level 0 newest number first,
// deeper levels by smallest key.
func sortFiles(cmp *base.Comparer, num int, files []*FileMeta) {
	slices.SortFunc(files, func(a, b *FileMeta) int { return compareFiles(cmp, num, a, b) })
}

func compareFiles(cmp *base.Comparer, num int, a, b *FileMeta) int {
	if num > 0 {
		if c := cmp.CompareInternal(a.Smallest, b.Smallest); c != 0 {
			return c
		}
	}
	switch {
	case a.Num > b.Num:
		return -1
	case a.Num < b.Num:
		return 1
	}
	return 0
}

// acquire adds a reference to l, and with the first one to its files.
func (l *level) acquire() {
	if l.refs.Add(1) == 1 {
		for _, f := range l.files {
			f.refs.Add(1)
		}
	}
}

// release drops a reference and appends to dead the files that nothing names any
// more.
func (l *level) release(dead []*FileMeta) []*FileMeta {
	switch n := l.refs.Add(-1); {
	case n < 0:
		panic("version: level released more often than acquired")
	case n > 0:
		return dead
	}
	for _, f := range l.files {
		if f.refs.Add(-1) == 0 {
			dead = append(dead, f)
		}
	}
	return dead
}

// Distinct reports that no user key has two entries in a level below 0, as far
// as the counts of its files tell: false may also mean that a file has none, or
// was not opened yet. A scan of such a level need not look for older versions.
func (v *Version) Distinct(num int) bool {
	l := v.levels[num]
	i := int(l.distinct.Load())
	for ; i < len(l.files); i++ {
		f := l.files[i]
		s, ok := f.Stats()
		if !ok || s.UserKeys == 0 || s.UserKeys != s.Entries {
			break
		}
		if i+1 < len(l.files) && v.cmp.Compare(f.Largest.UserKey, l.files[i+1].Smallest.UserKey) >= 0 {
			break
		}
	}
	l.distinct.Store(int32(i))
	return num > 0 && i == len(l.files)
}
