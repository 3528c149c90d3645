package tablecache

import (
	"path/filepath"
	"sync"

	"github.com/strata-db/strata/internal/base"
	"github.com/strata-db/strata/internal/cache"
	"github.com/strata-db/strata/sstable"
	"github.com/strata-db/strata/version"
	"github.com/strata-db/strata/vfs"
)

// defaultMaxOpenFiles leaves room for the rest of the process under the usual
// limit of 1,024.
const defaultMaxOpenFiles = 900

// Options configure a Cache.
type Options struct {
	FS  vfs.FS
	Dir string
	Cmp *base.Comparer

	// MaxOpenFiles is the number of descriptors that are never exceeded.
	// Default 900; at least 1. With too few, reads of uncached blocks wait for
	// each other and reopen files.
	MaxOpenFiles int

	// MaxReaderBytes bounds the memory of indexes and filters: readers used
	// least lately are dropped, with their cached blocks, and load anew when
	// they are asked for. 0 is no bound. The bound is exceeded by one reader if
	// that alone is larger. Too small a bound makes point reads load an index.
	MaxReaderBytes int64

	// Blocks caches the blocks of the tables; nil caches none.
	Blocks *cache.Cache
}

// A Cache holds the open tables of one database. All methods may be called
// concurrently.
type Cache struct {
	o    Options
	pool pool

	mu struct {
		sync.Mutex
		ring    []*Table // those with a Reader
		hand    int
		bytes   int64 // memory of their readers
		loads   int64
		dropped int64
		closed  bool
	}
}

// New returns a cache that has nothing open.
func New(o Options) *Cache {
	if o.MaxOpenFiles <= 0 {
		o.MaxOpenFiles = defaultMaxOpenFiles
	}
	c := &Cache{o: o}
	c.pool.init(o.FS, o.MaxOpenFiles)
	return c
}

// Attach returns the Table of a file, for FileMeta.Table. It opens nothing.
func (c *Cache) Attach(f *version.FileMeta) *Table {
	t := &Table{c: c, meta: f, pos: -1}
	t.file.pool = &c.pool
	t.file.name = f.Name()
	t.file.path = filepath.Join(c.o.Dir, t.file.name)
	return t
}

// Close closes all descriptors, for which it waits until reads that use one are
// done, and drops the cached blocks. Reads that need a descriptor after it give
// base.ErrClosed.
func (c *Cache) Close() error {
	c.mu.Lock()
	c.mu.closed = true
	for len(c.mu.ring) > 0 {
		c.forget(c.mu.ring[len(c.mu.ring)-1])
	}
	c.mu.Unlock()
	c.pool.close()
	return nil
}

// Metrics are counts since the cache was made, and what it holds now.
type Metrics struct {
	OpenFiles    int // descriptors
	MaxOpenFiles int
	Opens        int64 // of descriptors
	Evictions    int64 // descriptors closed to make room for others
	Waits        int64 // times a read waited because all descriptors were in use
	Refused      int64 // opens that failed for want of descriptors in the system

	Readers        int   // tables whose index and filter are in memory
	ReaderBytes    int64 // what these take
	ReaderLoads    int64
	ReadersDropped int64 // to stay below MaxReaderBytes
}

// Metrics returns the figures of this moment.
func (c *Cache) Metrics() Metrics {
	var m Metrics
	c.pool.addMetrics(&m)
	c.mu.Lock()
	defer c.mu.Unlock()
	m.Readers, m.ReaderBytes = len(c.mu.ring), c.mu.bytes
	m.ReaderLoads, m.ReadersDropped = c.mu.loads, c.mu.dropped
	return m
}

// remember makes r the Reader of t. It reports false if there is no use for it
// any more.
func (c *Cache) remember(t *Table, r *sstable.Reader) bool {
	bytes := r.MemoryBytes()
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.mu.closed || t.gone {
		return false
	}
	t.reader.Store(r)
	t.pos, t.bytes = len(c.mu.ring), bytes
	c.mu.ring = append(c.mu.ring, t)
	c.mu.bytes += bytes
	c.mu.loads++
	c.trim(t)
	return true
}

// trim drops readers, but not keep's, until the rest is within the bound. The
// clock walks two turns at most. c.mu is held.
func (c *Cache) trim(keep *Table) {
	for n := 2 * len(c.mu.ring); n > 0 && c.o.MaxReaderBytes > 0 && c.mu.bytes > c.o.MaxReaderBytes; n-- {
		if c.mu.hand >= len(c.mu.ring) {
			c.mu.hand = 0
		}
		t := c.mu.ring[c.mu.hand]
		if t == keep || t.used.Swap(false) {
			c.mu.hand++
			continue
		}
		c.forget(t)
		c.mu.dropped++
	}
}

// forget drops the reader of a table in the ring and its cached blocks. Whoever
// still has the Reader may go on using it. c.mu is held.
func (c *Cache) forget(t *Table) {
	last := len(c.mu.ring) - 1
	c.mu.ring[t.pos] = c.mu.ring[last]
	c.mu.ring[t.pos].pos = t.pos
	c.mu.ring[last] = nil
	c.mu.ring = c.mu.ring[:last]
	c.mu.bytes -= t.bytes
	t.pos, t.bytes = -1, 0
	t.reader.Swap(nil).Close()
}
