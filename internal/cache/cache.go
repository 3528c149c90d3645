package cache

import (
	"math/bits"
	"sync"
	"sync/atomic"
)

const (
	// maxShards bounds how many mutexes insertions spread over. Only misses take
	// one, and a miss costs microseconds anyway.
	maxShards = 32
	// minShardBytes is the smallest share worth a shard of its own: a block
	// larger than a share is not kept, so shares must dwarf blocks.
	minShardBytes = 2 << 20
)

// A Cache is a bounded set of blocks. All methods may be called concurrently.
type Cache struct {
	shards [maxShards]shard

	// active is how many shards get insertions: a power of two. The others have
	// a share of zero.
	active   atomic.Uint32
	capacity atomic.Int64

	// tables numbers the tables, to hash their slots.
	tables atomic.Uint64

	counters counters

	// resize serialises SetCapacity.
	resize sync.Mutex
}

// New returns a cache of at most that many bytes. Zero or less keeps nothing:
// every Get misses.
func New(bytes int64) *Cache {
	c := new(Cache)
	c.SetCapacity(bytes)
	return c
}

// Capacity returns the bound in bytes.
func (c *Cache) Capacity() int64 { return c.capacity.Load() }

// SetCapacity changes the bound. When it returns, the cache holds no more than n
// bytes.
func (c *Cache) SetCapacity(n int64) {
	c.resize.Lock()
	defer c.resize.Unlock()
	n = max(n, 0)
	active := shardsFor(n)
	c.capacity.Store(n)
	c.active.Store(active)
	for i := range c.shards {
		share := int64(0)
		if uint32(i) < active {
			share = n / int64(active)
		}
		c.shards[i].setCapacity(share)
	}
}

// shardsFor returns the number of shards for n bytes: the largest power of two
// that leaves each at least minShardBytes.
func shardsFor(n int64) uint32 {
	shares := uint64(n / minShardBytes)
	if shares < 2 {
		return 1
	}
	return min(maxShards, uint32(1)<<(bits.Len64(min(shares, maxShards))-1))
}

// shardOf returns the shard for new blocks of a slot. Neighbouring blocks of a
// table fall into different shards (Fibonacci hashing, Knuth volume 3, 6.4).
func (c *Cache) shardOf(t *Table, i int) uint32 {
	const phi = 0x9e3779b97f4a7c15
	h := (t.seed + uint64(i)) * phi
	return uint32(h>>32) & (c.active.Load() - 1)
}

// Metrics are counts since the cache was made, and what it holds now.
type Metrics struct {
	Capacity  int64 // bytes
	Bytes     int64 // held now, with overhead
	Blocks    int64 // held now
	Hits      int64
	Misses    int64
	Inserts   int64
	Evictions int64 // to make room; blocks of dropped tables do not count
}

// HitRate returns hits as a fraction of all lookups, 0 if there were none.
func (m Metrics) HitRate() float64 {
	if m.Hits+m.Misses == 0 {
		return 0
	}
	return float64(m.Hits) / float64(m.Hits+m.Misses)
}

// Metrics returns a sum over shards and counters that go on changing while it is
// taken.
func (c *Cache) Metrics() Metrics {
	m := Metrics{Capacity: c.Capacity()}
	m.Hits, m.Misses = c.counters.sum()
	for i := range c.shards {
		c.shards[i].addMetrics(&m)
	}
	return m
}
