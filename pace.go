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
	// free is when the bytes let through so far are paid for. What was not used
	// while nothing ran is not saved up.
	free time.Time
}

// minPaceWait is the shortest sleep: compactions run ahead until they owe as much.
const minPaceWait = time.Millisecond

// wait lets n bytes through, and returns when they are paid for or ctx ends.
func (p *pacer) wait(ctx context.Context, n int) {
	p.mu.Lock()
	now := time.Now()
	if p.free.Before(now) {
		p.free = now
	}
	p.free = p.free.Add(time.Duration(float64(n) / float64(p.rate) * float64(time.Second)))
	owed := p.free.Sub(now)
	p.mu.Unlock()
	if owed < minPaceWait {
		return
	}
	t := time.NewTimer(owed)
	defer t.Stop()
	select {
	case <-t.C:
	case <-ctx.Done():
	}
}
