package compaction

import (
	"fmt"
	"testing"

	"github.com/strata-db/strata/internal/base"
	"github.com/strata-db/strata/iterator"
	"github.com/stretchr/testify/require"
)

// TestWriteAmplification protects the shape of the trees: 20,000 random writes in
// 400 flushes, compacted one plan at a time. The bounds are a tenth above what
// was measured when they were written (8.2, 7.8 and 5.1); without merges
// inside level 0 tiered was beyond 20.
func TestWriteAmplification(t *testing.T) {
	if testing.Short() {
		t.Skip("long")
	}
	const n, mem = 20000, 50
	for _, c := range []struct {
		policy Policy
		max    float64
	}{
		{Leveled(LeveledOptions{TableBytes: mem * entryBytes / 4, BaseBytes: 4 * mem * entryBytes}), 9.0},
		{Leveled(LeveledOptions{TableBytes: mem * entryBytes, BaseBytes: 32 * mem * entryBytes}), 8.6},
		{Tiered(TieredOptions{TableBytes: mem * entryBytes / 4}), 5.6},
	} {
		s := newSim(t, 1, c.policy, simOptions{keys: n})
		flushed := 0
		for range n / mem {
			for range mem {
				s.seq++
				key := fmt.Appendf(nil, "k%07d", s.rng.IntN(n))
				s.mem = append(s.mem, iterator.KV{K: base.MakeKey(key, s.seq, base.KindSet)})
			}
			s.flush()
			flushed += mem * entryBytes
			for s.start() {
				s.finish(0)
			}
		}
		amp := 1 + float64(s.rewritten)/float64(flushed)
		t.Logf("%s: write amplification %.2f, plans %v", c.policy.Name(), amp, s.plans)
		require.Less(t, amp, c.max, c.policy.Name())
	}
}
