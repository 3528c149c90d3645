package cache

import (
	"sync/atomic"
	"unsafe"
)

// counters count lookups without a cache line that all processors write: a
// goroutine adds to the stripe its stack address hashes to, and only readers of
// the metrics add the stripes up. Counts are exact.
type counters [16]stripe

type stripe struct {
	hits, misses atomic.Int64
	_            [112]byte // two lines a stripe: processors fetch them in pairs
}

// stripe returns the calling goroutine's stripe. Two goroutines may share one,
// and one may change with a growing stack: that costs speed, not counts.
func (c *counters) stripe() *stripe {
	var here byte
	// Stacks are at least 2 KiB apart.
	h := uint32(uintptr(unsafe.Pointer(&here))>>11) * 0x9e3779b1
	return &c[h>>28]
}

func (c *counters) sum() (hits, misses int64) {
	for i := range c {
		hits += c[i].hits.Load()
		misses += c[i].misses.Load()
	}
	return hits, misses
}
