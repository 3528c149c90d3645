package memtable

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/strata-db/strata/internal/base"
)

// What is asked for ahead stays between the ends, is asked for once, and is
// always further than what a steady stream of inserts has come to.
func TestAheadReaches(t *testing.T) {
	const size = 24 << 20
	a := &arena{mem: make([]byte, size), mapped: true}
	h := newAhead(a)
	require.Equal(t, ahead{low: smallEnd, high: size - smallEnd}, h)
	end, start := int64(granule), int64(size)
	for start-end > 4096 {
		end += 3000
		start -= 1000
		h.reach(a, end, start)
		require.LessOrEqual(t, h.low, h.high)
		if h.low < h.high {
			require.Greater(t, h.low, end)
			require.Less(t, h.high, start)
		}
	}
	require.Equal(t, h.low, h.high)
	require.EqualValues(t, size, h.asked(a))
}

// Small arenas, those of the Go heap and those that were in use before are left
// alone.
func TestAheadIsForLargeNewArenas(t *testing.T) {
	for _, a := range []*arena{
		{mem: make([]byte, 4<<20), mapped: true},
		{mem: make([]byte, 24<<20)},
		{mem: make([]byte, 24<<20), mapped: true, touched: 1},
	} {
		h := newAhead(a)
		h.reach(a, 3<<20, int64(len(a.mem))-1)
		require.Equal(t, ahead{}, h)
		require.Zero(t, h.asked(a))
	}
}

// What was asked for ahead in an arena that a large batch then outgrew is not
// forgotten: it may be resident.
func TestAheadOfOutgrownArena(t *testing.T) {
	m := New(base.Bytewise, 32<<20)
	defer m.Unref()
	require.True(t, m.Reserve(1, 1))
	require.True(t, m.Reserve(1, 1))
	m.Unreserve(2, 2)
	asked := m.ahead.asked(m.tree.Load().mem)
	require.True(t, m.Reserve(1, 80<<20))
	require.Len(t, m.outgrown, 1)
	require.GreaterOrEqual(t, m.outgrown[0].touched, asked)
}
