package memtable

import "github.com/strata-db/strata/internal/invariant"

// poison overwrites b in builds that check invariants, so that a slice of a
// table that is kept too long shows nonsense at once.
func poison(b []byte) {
	if !invariant.Enabled {
		return
	}
	for i := range b {
		b[i] = 0xdb
	}
}
