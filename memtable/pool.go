package memtable

import "sync"

const (
	// pageBytes is the unit of arena sizes: a multiple of every system's page.
	pageBytes = 64 << 10

	// Idle arenas that may stay resident, so that the next memtable need not
	// fault its memory in again. More than that goes back to the system.
	maxWarmArenas = 3
	maxWarmBytes  = 192 << 20
)

// idle holds the arenas no table uses, of the whole process: databases come and
// go, and many small ones share a few large arenas.
//
// An arena outside the Go heap is never unmapped, because a caller may still
// hold a slice of it: a slice kept too long shows old bytes, zeros or another
// table's, but reading it does not crash. An idle arena beyond the warm ones has
// its pages taken away instead; what remains of it is address space, and at
// most as much as was in use at one time. Arenas of the Go heap beyond the warm
// ones are left to the collector, which knows who holds a slice.
var idle pool

type pool struct {
	mu sync.Mutex
	// free is ordered by release, oldest first. Invariant: at most maxWarmArenas
	// of them, with at most maxWarmBytes, have touched > 0.
	free []*arena
}

// get returns an arena of at least n bytes, with any content, or nil if n is
// beyond what an arena can hold. It prefers the smallest that fits and among
// equals the one most recently used. Arenas much larger than n are left to those
// who need them.
func (p *pool) get(n int64) *arena {
	n = (n + pageBytes - 1) &^ (pageBytes - 1)
	if n > maxArenaBytes {
		return nil
	}
	if a := p.take(n); a != nil {
		return a
	}
	if mem := mapArena(n); mem != nil {
		return &arena{mem: mem, mapped: true}
	}
	return &arena{mem: make([]byte, n)}
}

// take removes the best idle arena for n bytes, or returns nil.
func (p *pool) take(n int64) *arena {
	p.mu.Lock()
	defer p.mu.Unlock()
	best := -1
	for i, a := range p.free {
		size := int64(len(a.mem))
		if size >= n && size <= 4*n && (best < 0 || size <= int64(len(p.free[best].mem))) {
			best = i
		}
	}
	if best < 0 {
		return nil
	}
	a := p.free[best]
	p.free = append(p.free[:best], p.free[best+1:]...)
	return a
}

// put takes back an arena of which bytes [0, low) and [high, end) were touched
// since get.
func (p *pool) put(a *arena, low, high int64) {
	size := int64(len(a.mem))
	poison(a.mem[:low])
	poison(a.mem[high:])
	a.touched = min(max(a.touched, low+size-high), size)
	p.mu.Lock()
	defer p.mu.Unlock()
	p.free = append(p.free, a)
	p.coolLocked(maxWarmArenas, maxWarmBytes)
}

// coolLocked takes the memory of all idle arenas but the latest count, with
// together at most limit bytes.
func (p *pool) coolLocked(count int, limit int64) {
	keep := p.free[:0]
	for i := len(p.free) - 1; i >= 0; i-- {
		a := p.free[i]
		if a.touched == 0 {
			continue
		}
		count--
		limit -= a.touched
		if count < 0 || limit < 0 {
			a.drop()
		}
	}
	for _, a := range p.free {
		if a.mem != nil {
			keep = append(keep, a)
		}
	}
	clear(p.free[len(keep):])
	p.free = keep
}

// drop gives the arena's memory back: pages to the system, heap to the
// collector (mem is nil then).
func (a *arena) drop() {
	a.touched = 0
	if a.mapped {
		forget(a.mem)
		return
	}
	a.mem = nil
}

// ReleaseIdle gives the memory of all arenas that no table uses back to the
// system. It may be called at any time, for instance when the last database of
// a process is closed.
func ReleaseIdle() {
	idle.mu.Lock()
	defer idle.mu.Unlock()
	idle.coolLocked(0, 0)
}
