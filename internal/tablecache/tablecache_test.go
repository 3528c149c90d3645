package tablecache

import (
	"errors"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"runtime"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"testing/synctest"

	"github.com/stretchr/testify/require"

	"github.com/strata-db/strata/internal/base"
	"github.com/strata-db/strata/internal/cache"
	"github.com/strata-db/strata/iterator"
	"github.com/strata-db/strata/iterator/itertest"
	"github.com/strata-db/strata/sstable"
	"github.com/strata-db/strata/version"
	"github.com/strata-db/strata/vfs"
)

// watchFS counts the descriptors open for reading, refuses more than limit as an
// operating system does, and finds reads of closed ones.
type watchFS struct {
	vfs.FS
	open, peak, opens atomic.Int64
	limit             atomic.Int64 // 0: none
	err               atomic.Pointer[error]
	gate              atomic.Pointer[chan struct{}] // reads wait for it
	late              atomic.Int64                  // reads of closed descriptors
}

func (w *watchFS) Open(name string) (vfs.File, error) {
	w.opens.Add(1)
	if e := w.err.Load(); e != nil {
		return nil, *e
	}
	n := w.open.Add(1)
	if limit := w.limit.Load(); limit > 0 && n > limit {
		w.open.Add(-1)
		return nil, &fs.PathError{Op: "open", Path: name, Err: syscall.EMFILE}
	}
	for p := w.peak.Load(); n > p && !w.peak.CompareAndSwap(p, n); p = w.peak.Load() {
	}
	f, err := w.FS.Open(name)
	if err != nil {
		w.open.Add(-1)
		return nil, err
	}
	return &watchFile{File: f, w: w}, nil
}

type watchFile struct {
	vfs.File
	w      *watchFS
	closed atomic.Bool
}

func (f *watchFile) ReadAt(p []byte, off int64) (int, error) {
	if g := f.w.gate.Load(); g != nil {
		<-*g
	}
	n, err := f.File.ReadAt(p, off)
	runtime.Gosched()
	if f.closed.Load() {
		f.w.late.Add(1)
	}
	return n, err
}

func (f *watchFile) Close() error {
	if f.closed.Swap(true) {
		f.w.late.Add(1)
	}
	f.w.open.Add(-1)
	return f.File.Close()
}

// fixture is a directory of tables that all hold the same entries.
type fixture struct {
	fs    *watchFS
	want  []iterator.KV
	metas []*version.FileMeta
}

func newFixture(t testing.TB, tables, entries int) *fixture {
	t.Helper()
	mem := vfs.NewMem()
	require.NoError(t, mem.MkdirAll("/db"))
	x := &fixture{fs: &watchFS{FS: mem}, want: itertest.Entries(1, entries, 2, base.Bytewise)}
	for i := range tables {
		num := base.FileNum(i + 1)
		f, err := mem.Create("/db/" + base.FileName(base.FileTable, num))
		require.NoError(t, err)
		w := sstable.NewWriter(f, sstable.WriterOptions{Cmp: base.Bytewise, BlockBytes: 512, FilterBitsPerKey: 10})
		for _, kv := range x.want {
			require.NoError(t, w.Add(kv.K, kv.V))
		}
		m, err := w.Finish()
		require.NoError(t, err)
		require.NoError(t, f.Close())
		x.metas = append(x.metas, &version.FileMeta{Num: num, Type: base.FileTable, Size: m.Size, Smallest: m.Smallest, Largest: m.Largest})
	}
	return x
}

func (x *fixture) cache(maxOpen int, blocks *cache.Cache) (*Cache, []*Table) {
	c := New(Options{FS: x.fs, Dir: "/db", Cmp: base.Bytewise, MaxOpenFiles: maxOpen, Blocks: blocks})
	var tabs []*Table
	for _, m := range x.metas {
		tabs = append(tabs, c.Attach(m))
	}
	return c, tabs
}

// read gets one entry of the table and checks it.
func (x *fixture) read(tab *Table, i int) error {
	r, err := tab.Reader()
	if err != nil {
		return err
	}
	kv := x.want[i]
	value, tr, found, err := r.Get(kv.K.UserKey, kv.K.SeqNum(), sstable.HashKey(kv.K.UserKey))
	if err != nil {
		return err
	}
	if !found || tr != kv.K.Trailer || string(value) != string(kv.V) {
		return fmt.Errorf("entry %s: found %v, %s", kv.K, found, value)
	}
	return nil
}

func TestOpensOnFirstUse(t *testing.T) {
	x := newFixture(t, 2, 300)
	c, tabs := x.cache(10, cache.New(1<<20))
	require.Zero(t, x.fs.opens.Load(), "attaching opens nothing")
	_, known := x.metas[0].SeqBounds()
	require.False(t, known)

	require.NoError(t, x.read(tabs[0], 7))
	bounds, known := x.metas[0].SeqBounds()
	require.True(t, known)
	require.Equal(t, version.SeqBounds{Smallest: 1, Largest: 300}, bounds)
	stats, known := x.metas[0].Stats()
	require.True(t, known)
	require.EqualValues(t, 300, stats.Entries)
	require.EqualValues(t, 300/7, stats.Tombstones)
	require.NotZero(t, stats.RawBytes)

	r1, err := tabs[0].Reader()
	require.NoError(t, err)
	r2, _ := tabs[0].Reader()
	require.Same(t, r1, r2)
	itertest.Run(t, x.want, base.Bytewise, func() iterator.Iterator { return r1.NewIter(sstable.IterOptions{FillCache: true}) })
	m := c.Metrics()
	require.Equal(t, 1, m.OpenFiles)
	require.EqualValues(t, 1, m.Opens)
	require.Equal(t, 1, m.Readers)
	require.Equal(t, r1.MemoryBytes(), m.ReaderBytes)
	require.NoError(t, c.Close())
	require.Zero(t, x.fs.open.Load())
	require.Zero(t, x.fs.late.Load())
}

// Index, filter and cached blocks stay when the descriptor goes.
func TestReadersOutliveDescriptors(t *testing.T) {
	x := newFixture(t, 4, 100)
	blocks := cache.New(1 << 20)
	c, tabs := x.cache(1, blocks)
	for range 3 {
		for _, tab := range tabs {
			for i := range x.want {
				require.NoError(t, x.read(tab, i))
			}
		}
	}
	m := c.Metrics()
	require.EqualValues(t, 4, m.ReaderLoads)
	require.EqualValues(t, 4, m.Opens, "the second and third round need no file")
	require.EqualValues(t, 3, m.Evictions)
	require.EqualValues(t, 1, x.fs.peak.Load())
	require.NoError(t, c.Close())
	require.Zero(t, blocks.Metrics().Bytes)
}

// Goroutines beat few descriptors; at no moment more are open than allowed, and
// none is closed under a read.
func TestHardCap(t *testing.T) {
	for _, maxOpen := range []int{1, 2, 5} {
		x := newFixture(t, 12, 200)
		c, tabs := x.cache(maxOpen, nil)
		var wg sync.WaitGroup
		for g := range 8 {
			wg.Go(func() {
				r := rand.New(rand.NewPCG(uint64(g), 2))
				for range 300 {
					if err := x.read(tabs[r.IntN(len(tabs))], r.IntN(len(x.want))); err != nil {
						t.Error(err)
					}
				}
			})
		}
		wg.Wait()
		require.LessOrEqual(t, x.fs.peak.Load(), int64(maxOpen))
		require.LessOrEqual(t, c.Metrics().OpenFiles, maxOpen)
		require.NoError(t, c.Close())
		require.Zero(t, x.fs.open.Load(), "nothing leaks")
		require.Zero(t, x.fs.late.Load(), "nothing is closed in use")
	}
}

// With every descriptor in use a read waits, and goes on when one is free.
func TestWaitsWhenAllAreInUse(t *testing.T) {
	x := newFixture(t, 2, 50)
	synctest.Test(t, func(t *testing.T) {
		c, tabs := x.cache(1, nil)
		require.NoError(t, x.read(tabs[0], 0))
		require.NoError(t, x.read(tabs[1], 0))
		gate := make(chan struct{})
		x.fs.gate.Store(&gate)
		var done atomic.Int32
		for _, tab := range tabs {
			go func() {
				if err := x.read(tab, 1); err != nil {
					t.Error(err)
				}
				done.Add(1)
			}()
			synctest.Wait()
		}
		require.Zero(t, done.Load())
		require.EqualValues(t, 1, c.Metrics().Waits)
		x.fs.gate.Store(nil)
		close(gate)
		synctest.Wait()
		require.EqualValues(t, 2, done.Load())
		require.EqualValues(t, 1, x.fs.peak.Load())
		require.NoError(t, c.Close())
	})
}

// When the system has fewer descriptors than the cache may use, idle ones are
// closed and reads go on.
func TestRunningOutOfDescriptors(t *testing.T) {
	x := newFixture(t, 10, 50)
	c, tabs := x.cache(100, nil)
	x.fs.limit.Store(3)
	for range 3 {
		for _, tab := range tabs {
			require.NoError(t, x.read(tab, 3))
		}
	}
	require.NotZero(t, c.Metrics().Refused)
	require.EqualValues(t, 3, x.fs.open.Load())
	require.NoError(t, c.Close())
}

// If closing does not help, the error says so, is not corruption, and is gone
// when the shortage is.
func TestRunningOutForGood(t *testing.T) {
	for _, errno := range []syscall.Errno{syscall.EMFILE, syscall.ENFILE, syscall.EIO} {
		x := newFixture(t, 3, 50)
		c, tabs := x.cache(100, nil)
		require.NoError(t, x.read(tabs[0], 0))
		refuse := error(&fs.PathError{Op: "open", Path: "x", Err: errno})
		x.fs.err.Store(&refuse)
		for range 2 {
			_, err := tabs[1].Reader()
			require.ErrorIs(t, err, errno)
			require.NotErrorIs(t, err, base.ErrCorruption)
			require.ErrorContains(t, err, "000002.ldb")
		}
		require.LessOrEqual(t, x.fs.opens.Load(), int64(1+2*openAttempts))
		x.fs.err.Store(nil)
		require.NoError(t, x.read(tabs[1], 0))
		require.NoError(t, x.read(tabs[0], 0))
		require.NoError(t, c.Close())
		require.Zero(t, x.fs.open.Load())
	}
}

func TestMissingAndShortTables(t *testing.T) {
	x := newFixture(t, 3, 50)
	c, tabs := x.cache(10, nil)
	name := func(i int) string { return "/db/" + x.metas[i].Name() }
	require.NoError(t, x.fs.Rename(name(0), name(0)+".away"))
	require.NoError(t, x.fs.Truncate(name(1), int64(x.metas[1].Size)-1))
	for i := range 2 {
		_, err := tabs[i].Reader()
		var damage *base.CorruptionError
		require.ErrorAs(t, err, &damage)
		require.ErrorIs(t, err, base.ErrCorruption)
		require.Equal(t, x.metas[i].Name(), damage.File)
	}
	_, err := tabs[0].Reader()
	require.ErrorIs(t, err, fs.ErrNotExist)
	require.NoError(t, x.fs.Rename(name(0)+".away", name(0)))
	require.NoError(t, x.read(tabs[0], 0), "errors are not remembered")
	require.NoError(t, c.Close())
}

func TestEvict(t *testing.T) {
	x := newFixture(t, 2, 50)
	blocks := cache.New(1 << 20)
	c, tabs := x.cache(10, blocks)
	require.NoError(t, x.read(tabs[0], 0))
	r, err := tabs[0].Reader()
	require.NoError(t, err)
	tabs[0].Evict()
	tabs[0].Evict()
	tabs[1].Evict() // never opened
	require.Zero(t, x.fs.open.Load())
	require.Zero(t, blocks.Metrics().Blocks)
	for _, tab := range tabs {
		_, err = tab.Reader()
		require.ErrorIs(t, err, base.ErrClosed)
	}
	k := x.want[1].K.UserKey
	_, _, _, err = r.Get(k, base.SeqNumMax, sstable.HashKey(k))
	require.ErrorIs(t, err, base.ErrClosed)
	require.NotErrorIs(t, err, base.ErrCorruption)
	require.False(t, c.remember(tabs[0], r), "a load that ends after the eviction leaves nothing behind")
	require.Zero(t, c.Metrics().Readers)
	require.NoError(t, c.Close())
}

// A read that holds the descriptor when its table is evicted, or the cache
// closed, ends well, and then the descriptor goes. Close waits for that.
func TestEvictDuringRead(t *testing.T) {
	for name, away := range map[string]func(c *Cache, tab *Table){
		"evict": func(_ *Cache, tab *Table) { tab.Evict() },
		"close": func(c *Cache, _ *Table) { c.Close() },
	} {
		x := newFixture(t, 1, 50)
		synctest.Test(t, func(t *testing.T) {
			c, tabs := x.cache(1, nil)
			require.NoError(t, x.read(tabs[0], 0))
			gate := make(chan struct{})
			x.fs.gate.Store(&gate)
			var err error
			done := make(chan struct{})
			go func() { err = x.read(tabs[0], 1); close(done) }()
			synctest.Wait()
			var gone atomic.Bool
			go func() { away(c, tabs[0]); gone.Store(true) }()
			synctest.Wait()
			require.Equal(t, name == "evict", gone.Load(), name)
			require.EqualValues(t, 1, x.fs.open.Load(), name)
			close(gate)
			<-done
			synctest.Wait()
			require.True(t, gone.Load(), name)
			require.NoError(t, err, name)
			require.Zero(t, x.fs.open.Load(), name)
			require.Zero(t, x.fs.late.Load(), name)
			require.Zero(t, c.Metrics().OpenFiles, name)
		})
	}
}

// Readers, evictions of some tables and a final close at once: every read gives
// the truth or ErrClosed, and nothing leaks.
func TestConcurrentEvict(t *testing.T) {
	x := newFixture(t, 30, 100)
	blocks := cache.New(64 << 10)
	c := New(Options{FS: x.fs, Dir: "/db", Cmp: base.Bytewise, MaxOpenFiles: 4, Blocks: blocks, MaxReaderBytes: 4 << 10})
	tabs := make([]*Table, len(x.metas))
	for i, m := range x.metas {
		tabs[i] = c.Attach(m)
	}
	var wg sync.WaitGroup
	var good atomic.Int64
	for g := range 6 {
		wg.Go(func() {
			r := rand.New(rand.NewPCG(uint64(g), 3))
			for range 400 {
				err := x.read(tabs[r.IntN(len(tabs))], r.IntN(len(x.want)))
				if err == nil {
					good.Add(1)
				} else if !errors.Is(err, base.ErrClosed) {
					t.Error(err)
				}
			}
		})
	}
	wg.Go(func() {
		for i := range 20 {
			for range 50 {
				runtime.Gosched()
			}
			tabs[i].Evict()
		}
	})
	wg.Wait()
	require.NotZero(t, good.Load())
	require.NoError(t, c.Close())
	require.Zero(t, x.fs.open.Load())
	require.Zero(t, x.fs.late.Load())
	require.LessOrEqual(t, x.fs.peak.Load(), int64(4))
	m := c.Metrics()
	require.Zero(t, m.Readers)
	require.Zero(t, m.ReaderBytes)
	require.Zero(t, m.OpenFiles)
	require.Zero(t, blocks.Metrics().Bytes)
}

// Several readers of a new table load it once.
func TestSingleFlight(t *testing.T) {
	x := newFixture(t, 1, 100)
	c, tabs := x.cache(5, nil)
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			if err := x.read(tabs[0], 3); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	m := c.Metrics()
	require.EqualValues(t, 1, m.ReaderLoads)
	require.EqualValues(t, 1, m.Opens)
	require.NoError(t, c.Close())
}

// The memory of readers stays within its bound; what is dropped loads anew.
func TestMaxReaderBytes(t *testing.T) {
	x := newFixture(t, 8, 300)
	probe, tabs := x.cache(10, nil)
	require.NoError(t, x.read(tabs[0], 0))
	one := probe.Metrics().ReaderBytes
	require.NoError(t, probe.Close())

	c := New(Options{FS: x.fs, Dir: "/db", Cmp: base.Bytewise, MaxReaderBytes: 3*one + one/2})
	for i, m := range x.metas {
		tabs[i] = c.Attach(m)
	}
	old, err := tabs[0].Reader()
	require.NoError(t, err)
	for range 3 {
		for _, tab := range tabs {
			require.NoError(t, x.read(tab, 5))
			require.LessOrEqual(t, c.Metrics().ReaderBytes, 3*one+one/2)
		}
	}
	require.NotZero(t, c.Metrics().ReadersDropped)
	it := old.NewIter(sstable.IterOptions{})
	itertest.Walk(t, 1, it, x.want, base.Bytewise)
	require.NoError(t, it.Close(), "a dropped reader still reads")
	require.NoError(t, c.Close())
}

func TestClosed(t *testing.T) {
	x := newFixture(t, 2, 50)
	c, tabs := x.cache(5, nil)
	require.NoError(t, x.read(tabs[0], 0))
	require.NoError(t, c.Close())
	require.NoError(t, c.Close())
	for _, tab := range tabs {
		_, err := tab.Reader()
		require.ErrorIs(t, err, base.ErrClosed)
	}
	tabs[0].Evict()
	require.Zero(t, x.fs.open.Load())
}

func BenchmarkReader(b *testing.B) {
	x := newFixture(b, 1, 50)
	_, tabs := x.cache(5, nil)
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			if _, err := tabs[0].Reader(); err != nil {
				b.Error(err)
			}
		}
	})
}

func BenchmarkAcquire(b *testing.B) {
	x := newFixture(b, 1, 50)
	_, tabs := x.cache(5, nil)
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			h, err := tabs[0].file.acquire()
			if err != nil {
				b.Error(err)
				return
			}
			tabs[0].file.pool.release(h)
		}
	})
}
