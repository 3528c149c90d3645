package memtable

import (
	"math/rand/v2"
	"runtime"

	"github.com/strata-db/strata/internal/invariant"
)

// pause stands between two steps that another goroutine may come between. In
// builds that check invariants it now and then lets one, so that tests meet
// interleavings that are rare otherwise. In others it is nothing.
func pause() {
	if invariant.Enabled && rand.Uint32()%4 == 0 {
		runtime.Gosched()
	}
}
