package compaction

import (
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/strata-db/strata/internal/base"
	"github.com/strata-db/strata/version"
)

// sizedFile is a file over all keys, of which only sizes matter. raw is 0 where
// it is not known.
func sizedFile(num base.FileNum, size, raw uint64) *version.FileMeta {
	f := manualFile(num, fmt.Sprintf("a#%d,SET:v", 100+num), fmt.Sprintf("z#%d,SET:v", 100+num))
	f = &version.FileMeta{Num: num, Type: f.Type, Size: size, Smallest: f.Smallest, Largest: f.Largest}
	f.SetSeqBounds(version.SeqBounds{Smallest: base.SeqNum(100 + num), Largest: base.SeqNum(100 + num)})
	if raw > 0 {
		f.SetStats(version.Stats{Entries: 2, UserKeys: 2, RawBytes: raw})
	}
	return f
}

// sizedTree has level 0 files of the given sizes, newest first, and of one size in
// each of levels 1 to deep.
func sizedTree(size, raw uint64, l0, deep int) *Tree {
	var levels [version.NumLevels][]*version.FileMeta
	for i := range l0 {
		levels[0] = append(levels[0], sizedFile(base.FileNum(1000-10*i), size, raw))
	}
	for level := 1; level <= deep; level++ {
		levels[level] = []*version.FileMeta{sizedFile(base.FileNum(100-level), 10<<30<<level, 0)}
	}
	return &Tree{Version: version.NewVersion(base.Bytewise, levels), Cmp: base.Bytewise, OldestSnapshot: base.SeqNumMax}
}

// A merge inside level 0 makes one table of all its inputs, and one whose index or
// filter passed 2 GiB could not be finished: the job failed at its end and was
// tried again for ever. No policy may make such a plan, and all still make one.
func TestNoTableTooLargeIsMerged(t *testing.T) {
	const gib = 1 << 30
	for _, c := range []struct {
		name      string
		policy    Policy
		deep      int
		size, raw uint64
		inside    bool // a merge inside level 0 is due
		none      bool
	}{
		{"fifo, small", FIFO(FIFOOptions{MaxBytes: 1 << 50, MergeFiles: 2}), 0, gib / 16, 0, true, false},
		{"fifo, compressed", FIFO(FIFOOptions{MaxBytes: 1 << 50, MergeFiles: 2}), 0, gib / 256, gib / 4, true, false},
		{"fifo, large", FIFO(FIFOOptions{MaxBytes: 1 << 50, MergeFiles: 2}), 0, gib, 0, false, true},
		{"fifo, compressed much", FIFO(FIFOOptions{MaxBytes: 1 << 50, MergeFiles: 2}), 0, gib / 256, gib, false, true},
		{"tiered, small", Tiered(TieredOptions{}), 6, gib / 16, 0, true, false},
		{"tiered, large", Tiered(TieredOptions{}), 6, gib, 0, false, false},
		{"tiered, compressed much", Tiered(TieredOptions{}), 6, gib / 256, gib, false, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			tree := sizedTree(c.size, c.raw, 6, c.deep)
			p := c.policy.Pick(tree)
			if c.none {
				require.Nil(t, p)
				return
			}
			require.NotNil(t, p)
			require.Equal(t, c.inside, p.SingleOutput, "%s", p)
			if p.SingleOutput {
				require.LessOrEqual(t, uint64(len(p.Inputs[0].Files))*max(c.size, c.raw), uint64(gib))
			}
		})
	}
}
