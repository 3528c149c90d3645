package version

import (
	"fmt"
	"sync/atomic"

	"github.com/strata-db/strata/internal/base"
)

// A Version is the immutable list of the live tables of all levels at one moment.
// Levels that did not change are shared with the version before.
//
// Level 0 holds its files newest number first; their key ranges may overlap. In a
// deeper level files are in key order and do not overlap as internal keys,
// though two neighbours may share a user key.
//
// A Version is reference counted: its files stay on disk until the last reference
// to the last version that names them is gone.
type Version struct {
	cmp    *base.Comparer
	levels [NumLevels]*level
	refs   atomic.Int32

	// obsolete gets the files that the release of this version left unnamed. nil
	// for a version that belongs to no Set.
	obsolete func([]*FileMeta)
}

// NewVersion returns a version of the given files, with one reference. It takes
// ownership of the slices and sorts them. For tests and tools; a Set makes its own.
func NewVersion(cmp *base.Comparer, levels [NumLevels][]*FileMeta) *Version {
	v := &Version{cmp: cmp}
	for i, files := range levels {
		sortFiles(cmp, i, files)
		v.levels[i] = newLevel(cmp, i, files)
	}
	v.install()
	return v
}

// install takes the first reference and with it those on levels and files. Until
// then v may be dropped without a trace.
func (v *Version) install() {
	for _, l := range v.levels {
		l.acquire()
	}
	v.refs.Store(1)
}

// Ref adds a reference. The caller must hold one already.
func (v *Version) Ref() {
	if v.refs.Add(1) <= 1 {
		panic("version: Ref of a version without references")
	}
}

// Unref drops a reference. With the last one the files that no other version names
// go to Options.Obsolete, called from here: hold no lock that it takes.
func (v *Version) Unref() {
	switch n := v.refs.Add(-1); {
	case n > 0:
		return
	case n < 0:
		panic("version: Unref of a version without references")
	}
	var dead []*FileMeta
	for _, l := range v.levels {
		dead = l.release(dead)
	}
	handOver(v.obsolete, dead)
}

// handOver gives files that nothing names to their owner.
func handOver(obsolete func([]*FileMeta), files []*FileMeta) {
	if obsolete == nil || len(files) == 0 {
		return
	}
	for _, f := range files {
		f.gone.Store(true)
	}
	obsolete(files)
}

// Files returns the files of a level in its order. The slice must not be modified.
func (v *Version) Files(level int) []*FileMeta { return v.levels[level].files }

// Bytes returns the sum of the file sizes of a level.
func (v *Version) Bytes(level int) uint64 { return v.levels[level].bytes }

// NumFiles returns the number of files in all levels.
func (v *Version) NumFiles() int {
	n := 0
	for _, l := range v.levels {
		n += len(l.files)
	}
	return n
}

// TotalBytes returns the sum of all file sizes.
func (v *Version) TotalBytes() uint64 {
	n := uint64(0)
	for _, l := range v.levels {
		n += l.bytes
	}
	return n
}

// Find returns the index in Files(level) of the first file whose Largest is >= k,
// or the number of files if there is none. level must be above 0. Internal keys
// are compared, not user keys: neighbours may share a user key.
//
// For the bytewise order it searches an array of eight-byte key prefixes and reads
// full keys only where these are equal.
func (v *Version) Find(level int, k base.InternalKey) int { return v.levels[level].find(v.cmp, k) }

// Overlaps returns the files of a level, in its order, that may hold a user key in
// [lower, upper]. Both bounds are inclusive; nil is open. The slice must not be
// modified.
func (v *Version) Overlaps(level int, lower, upper []byte) []*FileMeta {
	return v.levels[level].overlaps(v.cmp, level, lower, upper)
}

// CheckOrder returns an error unless every file's Smallest is <= its Largest, level
// 0 is sorted by number and every deeper level is sorted without overlap.
func (v *Version) CheckOrder(cmp *base.Comparer) error {
	for i, l := range v.levels {
		for j, f := range l.files {
			if cmp.CompareInternal(f.Smallest, f.Largest) > 0 {
				return fmt.Errorf("level %d: %s ends before it begins", i, f)
			}
			if j == 0 {
				continue
			}
			if err := checkNeighbours(cmp, i, l.files[j-1], f); err != nil {
				return err
			}
		}
	}
	return nil
}

func checkNeighbours(cmp *base.Comparer, num int, a, b *FileMeta) error {
	if num == 0 {
		if a.Num <= b.Num {
			return fmt.Errorf("level 0: %s does not come after %s", b.Num, a.Num)
		}
		return nil
	}
	if cmp.CompareInternal(a.Largest, b.Smallest) >= 0 {
		return fmt.Errorf("level %d: %s and %s overlap", num, a, b)
	}
	return nil
}
