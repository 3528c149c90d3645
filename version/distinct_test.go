package version

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/strata-db/strata/internal/base"
)

// A level is distinct when the counts of all its files say so and neighbours share
// no key; counts that come later are taken in.
func TestDistinct(t *testing.T) {
	file := func(num base.FileNum, lo, hi string, entries, keys uint64) *FileMeta {
		f := &FileMeta{
			Num: num, Type: base.FileTable, Size: 1,
			Smallest: base.MakeKey([]byte(lo), 5, base.KindSet), Largest: base.MakeKey([]byte(hi), 4, base.KindSet),
		}
		if entries > 0 {
			f.SetStats(Stats{Entries: entries, UserKeys: keys})
		}
		return f
	}
	distinct := func(level int, files ...*FileMeta) bool {
		var levels [NumLevels][]*FileMeta
		levels[level] = files
		return NewVersion(base.Bytewise, levels).Distinct(level)
	}
	a, b := file(1, "a", "b", 7, 7), file(2, "c", "d", 3, 3)
	require.True(t, distinct(1, a, b))
	require.False(t, distinct(0, a))
	require.False(t, distinct(1, a, file(3, "c", "d", 3, 2)))
	require.False(t, distinct(1, a, file(4, "c", "d", 3, 0)), "keys not counted")
	shares := file(5, "b", "d", 3, 3)
	shares.Smallest.Trailer = base.MakeTrailer(3, base.KindSet)
	require.False(t, distinct(1, a, shares))

	late := file(6, "c", "d", 0, 0)
	var levels [NumLevels][]*FileMeta
	levels[2] = []*FileMeta{a, late}
	v := NewVersion(base.Bytewise, levels)
	require.False(t, v.Distinct(2))
	late.SetStats(Stats{Entries: 3, UserKeys: 3})
	require.True(t, v.Distinct(2))
}
