package strata

import (
	"context"
	"sync"
	"time"
)

// A pacer holds compactions to Options.CompactionBytesPerSecond, all of them
// together. Flushes are not held: writers would soon wait for them, and what they
// may write is bounded by what is put in.
type pacer struct {
	rate int64 // bytes a second; 0 is no limit

	mu sync.Mutex
	// free is when the bytes let through so far are paid for.
	free time.Time
}

// minWait is the shortest sleep: those who are held to a rate run ahead until they
// owe as much.
const minWait = time.Millisecond

// owe books n bytes at rate bytes a second behind those that are paid for at *free,
// and returns how long after now they will be. Time that was not used is not saved up.
func owe(free *time.Time, now time.Time, n, rate int64) time.Duration {
	if free.Before(now) {
		*free = now
	}
	*free = free.Add(time.Duration(float64(n) / float64(rate) * float64(time.Second)))
	return free.Sub(now)
}

// wait lets n bytes through, and returns when they are paid for or ctx ends.
func (p *pacer) wait(ctx context.Context, n int) {
	p.mu.Lock()
	owed := owe(&p.free, time.Now(), int64(n), p.rate)
	p.mu.Unlock()
	if owed < minWait {
		return
	}
	t := time.NewTimer(owed)
	defer t.Stop()
	select {
	case <-t.C:
	case <-ctx.Done():
	}
}
