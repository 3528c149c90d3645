package cache

import (
	"math/rand/v2"
	"runtime"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func block(n int) *Block { return &Block{Data: make([]byte, n)} }

// charge of block(n), as the bound counts it.
func chargeOf(n int) int64 { return block(n).charge() }

// held recounts the rings and compares every sum and link with what the shards
// believe.
func held(t *testing.T, c *Cache) (blocks, bytes int64) {
	t.Helper()
	for i := range c.shards {
		s := &c.shards[i]
		s.mu.Lock()
		var n, sum int64
		for b := s.hand; b != nil; b = b.next {
			require.Same(t, b, b.table.slots[b.index].Load(), "a block in the ring is in its slot")
			require.Same(t, b, b.next.prev)
			require.EqualValues(t, i, b.shard)
			n++
			sum += b.charge()
			if b.next == s.hand {
				break
			}
		}
		require.Equal(t, n, s.blocks)
		require.Equal(t, sum, s.bytes)
		require.LessOrEqual(t, s.bytes, s.capacity)
		blocks, bytes = blocks+n, bytes+sum
		s.mu.Unlock()
	}
	return blocks, bytes
}

func TestHitAndMiss(t *testing.T) {
	c := New(1 << 20)
	tab := c.NewTable(4)
	require.Nil(t, tab.Get(2))
	b := block(100)
	require.Same(t, b, tab.Put(2, b, false))
	require.Same(t, b, tab.Get(2))
	require.Same(t, b, tab.Peek(2))
	require.Nil(t, tab.Get(3))
	m := c.Metrics()
	require.Equal(t, Metrics{Capacity: 1 << 20, Bytes: chargeOf(100), Blocks: 1, Hits: 1, Misses: 2, Inserts: 1}, m)
	require.InDelta(t, 1.0/3, m.HitRate(), 1e-9)
}

// The first of two readers that load one block wins.
func TestPutKeepsTheFirst(t *testing.T) {
	c := New(1 << 20)
	tab := c.NewTable(1)
	first, second := block(10), block(10)
	require.Same(t, first, tab.Put(0, first, false))
	require.Same(t, first, tab.Put(0, second, false))
	blocks, bytes := held(t, c)
	require.EqualValues(t, 1, blocks)
	require.Equal(t, chargeOf(10), bytes)
}

func TestNothingIsKept(t *testing.T) {
	for name, tab := range map[string]*Table{
		"capacity zero":     New(0).NewTable(1),
		"negative capacity": New(-5).NewTable(1),
		"larger than share": New(1000).NewTable(1),
		"no cache":          (*Cache)(nil).NewTable(1),
	} {
		b := block(2000)
		require.Same(t, b, tab.Put(0, b, false), name)
		require.Nil(t, tab.Get(0), name)
		tab.Drop()
	}
}

// The hand passes blocks in use and takes the others in order of age; a block
// put as cold goes before all of them.
func TestClockOrder(t *testing.T) {
	c := New(4 * chargeOf(100))
	tab := c.NewTable(10)
	for i := range 4 {
		tab.Put(i, block(100), false)
	}
	cached := func() (is []int) {
		held(t, c)
		for i := range 10 {
			if tab.Peek(i) != nil {
				is = append(is, i)
			}
		}
		return is
	}
	tab.Get(0)
	tab.Put(4, block(100), false)
	require.Equal(t, []int{0, 2, 3, 4}, cached(), "0 was used, so 1 went")
	tab.Put(5, block(100), true) // evicts 2, sits at the hand
	require.Equal(t, []int{0, 3, 4, 5}, cached())
	tab.Put(6, block(100), true)
	require.Equal(t, []int{0, 3, 4, 6}, cached(), "a scan replaces its own block")
	tab.Get(6)
	tab.Put(7, block(100), false)
	require.Equal(t, []int{0, 4, 6, 7}, cached(), "a cold block that was used stays")
	require.EqualValues(t, 4, c.Metrics().Evictions)
}

// Blocks that are always in use do not make the hand turn for ever.
func TestAllUsed(t *testing.T) {
	c := New(4 * chargeOf(100))
	tab := c.NewTable(100)
	for i := range 100 {
		tab.Put(i, block(100), false)
		for j := range 100 {
			tab.Get(j)
		}
	}
	blocks, _ := held(t, c)
	require.EqualValues(t, 4, blocks)
}

func TestSetCapacity(t *testing.T) {
	c := New(64 << 20)
	tab := c.NewTable(10000)
	for i := range 10000 {
		tab.Put(i, block(4096), false)
	}
	for _, n := range []int64{32 << 20, 3 << 20, 100 << 20, 5000, 0, 1 << 20} {
		c.SetCapacity(n)
		require.Equal(t, n, c.Capacity())
		for i := range 2000 {
			tab.Put(i, block(4096), false)
		}
		_, bytes := held(t, c)
		require.LessOrEqual(t, bytes, n)
		if n >= 5000 {
			require.Greater(t, bytes, min(n, 2000*4096)/2, "capacity %d is made use of", n)
		}
	}
}

func TestShardsFor(t *testing.T) {
	for n, want := range map[int64]uint32{0: 1, 1 << 20: 1, 4 << 20: 2, 7 << 20: 2, 8 << 20: 4, 128 << 20: 32, 1 << 40: 32, 1<<63 - 1: 32} {
		require.Equal(t, want, shardsFor(n), "%d bytes", n)
	}
}

func TestDrop(t *testing.T) {
	c := New(64 << 20)
	one, two := c.NewTable(500), c.NewTable(500)
	for i := range 500 {
		one.Put(i, block(1000), false)
		two.Put(i, block(1000), false)
	}
	kept := one.Get(7)
	one.Drop()
	one.Drop()
	blocks, bytes := held(t, c)
	require.EqualValues(t, 500, blocks)
	require.Equal(t, 500*chargeOf(1000), bytes)
	require.Nil(t, one.Get(7))
	require.NotNil(t, two.Get(7))
	require.Len(t, kept.Data, 1000, "a reader's block outlives the table")
	one.Put(7, block(1000), false)
	require.Nil(t, one.Get(7), "a dropped table keeps nothing")
	require.EqualValues(t, 0, c.Metrics().Evictions)
	c.shards[kept.shard].drop(kept) // seen in its slot before somebody else dropped it
	held(t, c)
}

// An evicted block must not keep the rest of the ring from the collector, and
// the cache must not keep an evicted block.
func TestEvictedBlocksAreFreed(t *testing.T) {
	c := New(1 << 20)
	tab := c.NewTable(2)
	freed := make(chan struct{})
	func() {
		b := block(1000)
		runtime.AddCleanup(b, func(int) { close(freed) }, 0)
		tab.Put(0, block(1000), false)
		tab.Put(1, b, false)
	}()
	kept := tab.Get(0) // leaves the ring first, when the other is its neighbour
	tab.Drop()
	for range 50 {
		runtime.GC()
		select {
		case <-freed:
			runtime.KeepAlive(kept)
			return
		case <-time.After(100 * time.Millisecond):
		}
	}
	t.Fatal("the block is still reachable")
}

// Readers, loaders, droppers and resizes at once. Contents must always be those
// of the slot asked for, and at the end the accounting must be exact. Worth most
// under -race.
func TestConcurrent(t *testing.T) {
	const slots, tables = 64, 8
	c := New(6 << 20)
	var mu sync.RWMutex
	tabs := make([]*Table, tables)
	ids := make([]byte, tables)
	for i := range tabs {
		tabs[i] = c.NewTable(slots)
	}
	pick := func(r *rand.Rand) (*Table, byte) {
		mu.RLock()
		defer mu.RUnlock()
		i := r.IntN(tables)
		return tabs[i], ids[i]
	}
	var wg sync.WaitGroup
	var all []*Table
	for g := range 4 {
		wg.Go(func() {
			r := rand.New(rand.NewPCG(uint64(g), 1))
			for range 20000 {
				tab, id := pick(r)
				i := r.IntN(slots)
				b := tab.Get(i)
				if b == nil {
					nb := block(1000 + r.IntN(40000))
					nb.Data[0], nb.Data[1] = byte(i), id
					b = tab.Put(i, nb, r.IntN(3) == 0)
				}
				if b.Data[0] != byte(i) || b.Data[1] != id {
					t.Errorf("slot %d of table %d holds block %d of table %d", i, id, b.Data[0], b.Data[1])
				}
			}
		})
	}
	wg.Go(func() {
		r := rand.New(rand.NewPCG(9, 9))
		for n := range 200 {
			i := r.IntN(tables)
			mu.Lock()
			old := tabs[i]
			tabs[i], ids[i] = c.NewTable(slots), ids[i]+1
			mu.Unlock()
			old.Drop()
			all = append(all, old)
			if n%20 == 0 {
				c.SetCapacity(int64(1+r.IntN(8)) << 20)
			}
			runtime.Gosched()
		}
	})
	wg.Wait()
	for _, tab := range all {
		for i := range slots {
			require.Nil(t, tab.Peek(i), "a dropped table holds nothing")
		}
	}
	blocks, bytes := held(t, c)
	m := c.Metrics()
	require.Equal(t, m.Blocks, blocks)
	require.Equal(t, m.Bytes, bytes)
	require.EqualValues(t, 80000, m.Hits+m.Misses)
	for _, tab := range tabs {
		tab.Drop()
	}
	blocks, bytes = held(t, c)
	require.Zero(t, blocks)
	require.Zero(t, bytes)
}

// A block put at the moment its table is dropped, twice at once even, does not
// stay behind.
func TestPutBesideDrop(t *testing.T) {
	c := New(1 << 20)
	for range 30000 {
		tab := c.NewTable(1)
		var wg sync.WaitGroup
		wg.Add(2)
		go func() { tab.Put(0, &Block{}, false); wg.Done() }()
		go func() { tab.Drop(); wg.Done() }()
		tab.Drop()
		wg.Wait()
		if tab.Peek(0) != nil {
			t.Fatal("a dropped table holds a block")
		}
	}
	blocks, bytes := held(t, c)
	require.Zero(t, blocks)
	require.Zero(t, bytes)
}

func BenchmarkHit(b *testing.B) {
	c := New(1 << 20)
	tab := c.NewTable(8)
	tab.Put(3, block(1000), false)
	b.Run("one", func(b *testing.B) {
		for b.Loop() {
			tab.Get(3)
		}
	})
	b.Run("parallel", func(b *testing.B) {
		b.RunParallel(func(pb *testing.PB) {
			for pb.Next() {
				tab.Get(3)
			}
		})
	})
}

func BenchmarkPutEvict(b *testing.B) {
	c := New(8 << 20)
	tab := c.NewTable(1 << 16)
	data := make([]byte, 4096)
	b.ReportAllocs()
	i := 0
	for b.Loop() {
		tab.Put(i&(1<<16-1), &Block{Data: data}, false)
		i++
	}
}
