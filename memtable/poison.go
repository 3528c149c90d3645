package memtable

import "github.com/strata-db/strata/internal/invariant"

// poison overwrites what a table wrote into its arena, in builds that check
// invariants, so that a slice kept too long shows nonsense at once.
func poison(a *arena, used int64) {
	if !invariant.Enabled || used > 64<<20 {
		return
	}
	for i := range a.mem[:min(used, int64(len(a.mem)))] {
		a.mem[i] = 0xdb
	}
}
