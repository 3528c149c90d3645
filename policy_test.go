package strata

import (
	"context"
	"fmt"
	"math/rand/v2"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/strata-db/strata/compaction"
	"github.com/strata-db/strata/vfs"
)

// Each trigger of each policy is shown to run in a database, and to leave the
// content right: the keys of a map, or with FIFO the newest of them.

// policyCase is a workload that must bring about compactions for reasons.
type policyCase struct {
	name    string
	opts    Options
	load    func(t *testing.T, db *DB, m map[string]string)
	reasons []compaction.Reason
}

const smallTable = 32 << 10

func policyCases() []policyCase {
	leveled := func(o LeveledOptions) Options {
		o.TableBytes = smallTable
		return Options{Policy: Leveled(o), Workers: 2}
	}
	return []policyCase{
		{"leveled/random", leveled(LeveledOptions{BaseBytes: 96 << 10, FanOut: 3}), loadRandom, []compaction.Reason{compaction.ReasonL0, compaction.ReasonLevelSize}},
		{"leveled/sequential", leveled(LeveledOptions{BaseBytes: 64 << 10, FanOut: 2, L0Files: 1}), loadSequential, []compaction.Reason{compaction.ReasonMove}},
		{"leveled/tombstones", leveled(LeveledOptions{BaseBytes: 8 << 20}), loadAndDelete, []compaction.Reason{compaction.ReasonTombstones}},
		{"leveled/intra-l0", leveled(LeveledOptions{BaseBytes: 64 << 20}), loadIntoWideBase, []compaction.Reason{compaction.ReasonIntraL0}},
		{"tiered/runs", Options{Policy: Tiered(TieredOptions{TableBytes: smallTable, Runs: 3, MaxSpaceAmpPercent: 1e6})}, loadRandom, []compaction.Reason{compaction.ReasonTieredSizeRatio}},
		{"tiered/space", Options{Policy: Tiered(TieredOptions{TableBytes: smallTable, Runs: 4, MaxSpaceAmpPercent: 50})}, loadRandom, []compaction.Reason{compaction.ReasonTieredSpaceAmp}},
	}
}

func TestEveryTriggerRuns(t *testing.T) {
	for _, c := range policyCases() {
		t.Run(c.name, func(t *testing.T) {
			c.opts.FS, c.opts.MemtableBytes = vfs.NewMem(), 32<<10
			db := openMem(t, &c.opts)
			want := map[string]string{}
			c.load(t, db, want)
			require.NoError(t, db.WaitIdle(context.Background()))
			// How much has come together when a plan is made is a matter of chance.
			for tries := 0; tries < 20 && !ran(db, c.reasons); tries++ {
				c.load(t, db, want)
				require.NoError(t, db.WaitIdle(context.Background()))
			}
			m := db.Metrics()
			for _, r := range c.reasons {
				require.Positive(t, m.Compaction.Count[r.String()], "no %s compaction ran:\n%s", r, m)
			}
			got := map[string]string{}
			var err error
			for k, v := range db.Range(nil, &err) {
				got[string(k)] = string(v)
			}
			require.NoError(t, err)
			require.Equal(t, want, got)
		})
	}
}

// ran reports whether compactions for all reasons have run.
func ran(db *DB, reasons []compaction.Reason) bool {
	m := db.Metrics()
	for _, r := range reasons {
		if m.Compaction.Count[r.String()] == 0 {
			return false
		}
	}
	return true
}

func loadRandom(t *testing.T, db *DB, m map[string]string) {
	r := rand.New(rand.NewPCG(1, 1))
	for i := range 12000 {
		k := fmt.Sprintf("key%06d", r.IntN(8000))
		m[k] = fmt.Sprintf("value %d of %s %x", i, k, r.Uint64())
		mustPut(t, db, k, m[k])
	}
}

func loadSequential(t *testing.T, db *DB, m map[string]string) {
	for i := range 8000 {
		k := fmt.Sprintf("key%06d", i)
		m[k] = fmt.Sprintf("value %d", i*i)
		mustPut(t, db, k, m[k])
	}
}

// loadAndDelete leaves tables below level 0 that are mostly tombstones.
func loadAndDelete(t *testing.T, db *DB, m map[string]string) {
	loadSequential(t, db, m)
	require.NoError(t, db.CompactRange(context.Background(), nil, nil))
	snap := db.NewSnapshot() // keeps the tombstones until it is closed
	for k := range m {
		require.NoError(t, db.Delete([]byte(k), nil))
		delete(m, k)
	}
	require.NoError(t, db.CompactRange(context.Background(), nil, nil))
	require.NoError(t, snap.Close())
}

// loadIntoWideBase makes level 1 so much larger than level 0 that merging into it
// would not pay.
func loadIntoWideBase(t *testing.T, db *DB, m map[string]string) {
	r := rand.New(rand.NewPCG(3, 3))
	for i := range 30000 {
		k := fmt.Sprintf("key%08d", r.IntN(1e8))
		m[k] = fmt.Sprintf("value %d %x %x", i, r.Uint64(), r.Uint64())
		mustPut(t, db, k, m[k])
		if i%5000 == 0 {
			require.NoError(t, db.WaitIdle(context.Background()))
		}
	}
}

// FIFO keeps the newest data up to its limit, drops strictly the oldest, and
// merges small neighbours.
func TestFIFODropsTheOldest(t *testing.T) {
	db := openMem(t, &Options{
		MemtableBytes: 32 << 10, Compression: NoCompression,
		Policy: FIFO(FIFOOptions{MaxBytes: 2 << 20, MergeFiles: 4}),
	})
	const n = 50000
	for i := range n {
		mustPut(t, db, fmt.Sprintf("key%06d", i), fmt.Sprintf("%064d", i))
		if i%2000 == 0 {
			require.NoError(t, db.WaitIdle(context.Background()))
		}
	}
	require.NoError(t, db.WaitIdle(context.Background()))
	m := db.Metrics()
	require.Positive(t, m.Compaction.Count["fifo-drop"], "%s", m)
	require.Positive(t, m.Compaction.Count["fifo-merge"], "%s", m)
	require.LessOrEqual(t, m.Levels[0].Bytes, uint64(2<<20))
	next := -1
	var err error
	for k := range db.Range(nil, &err) {
		var i int
		fmt.Sscanf(string(k), "key%06d", &i)
		if next >= 0 {
			require.Equal(t, next, i, "a hole: something newer than a survivor is gone")
		}
		next = i + 1
	}
	require.NoError(t, err)
	require.Equal(t, n, next)
}
