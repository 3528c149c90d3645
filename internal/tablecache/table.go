package tablecache

import (
	"fmt"
	"sync"
	"sync/atomic"

	"github.com/strata-db/strata/internal/base"
	"github.com/strata-db/strata/sstable"
	"github.com/strata-db/strata/version"
)

// A Table is one file of the database, open or not. All methods may be called
// concurrently.
type Table struct {
	c    *Cache
	meta *version.FileMeta
	file file

	reader atomic.Pointer[sstable.Reader]
	used   atomic.Bool // asked for since the cache's hand last passed

	// opening serialises loading the reader. It is held across I/O.
	opening sync.Mutex

	// Guarded by c.mu.
	pos   int   // in c.mu.ring, -1 outside
	bytes int64 // of the reader
	gone  bool  // evicted
}

// Reader returns the table's Reader. The first call opens the file, reads index,
// filter and properties, and fills in the sequence bounds and counts of the
// FileMeta, if the table states them; later calls cost one atomic load.
//
// A file that is missing or shorter than the manifest says gives a
// *base.CorruptionError. Errors are not remembered: the next call tries again,
// which helps when descriptors had run out (errors.Is syscall.EMFILE or ENFILE).
func (t *Table) Reader() (*sstable.Reader, error) {
	if r := t.reader.Load(); r != nil {
		if !t.used.Load() {
			t.used.Store(true)
		}
		return r, nil
	}
	return t.load()
}

// load makes the reader, unless another goroutine has done so meanwhile.
func (t *Table) load() (*sstable.Reader, error) {
	t.opening.Lock()
	defer t.opening.Unlock()
	if r := t.reader.Load(); r != nil {
		return r, nil
	}
	if err := t.checkSize(); err != nil {
		return nil, err
	}
	r, err := sstable.NewReader(&t.file, int64(t.meta.Size), sstable.ReaderOptions{
		Cmp:   t.c.o.Cmp,
		Cache: t.c.o.Blocks,
		Name:  t.file.name,
	})
	if err != nil {
		return nil, err
	}
	t.describe(r)
	if !t.c.remember(t, r) {
		r.Close()
		return nil, t.file.errGone()
	}
	return r, nil
}

// checkSize compares the file's length with the manifest's. Bytes behind the
// table do no harm.
func (t *Table) checkSize() error {
	h, err := t.file.acquire()
	if err != nil {
		return err
	}
	defer t.file.pool.release(h)
	size, err := h.raw.Size()
	if err != nil {
		return fmt.Errorf("open table %s: %w", t.file.name, err)
	}
	if size < 0 || uint64(size) < t.meta.Size {
		return &base.CorruptionError{File: t.file.name, Offset: size, What: "the table is cut short, bytes", Got: size, Want: t.meta.Size}
	}
	return nil
}

// describe tells the FileMeta what the table says of itself.
func (t *Table) describe(r *sstable.Reader) {
	if lo, hi, ok := r.SeqBounds(); ok {
		t.meta.SetSeqBounds(version.SeqBounds{Smallest: lo, Largest: hi})
	}
	if p, ok := r.Properties(); ok {
		t.meta.SetStats(version.Stats{Entries: p.Entries, Tombstones: p.Tombstones, UserKeys: p.UserKeys, RawBytes: p.RawKeyBytes + p.RawValueBytes})
	}
}

// Evict says that the file is obsolete: its descriptor is closed, as soon as no
// read uses it, and its cached blocks are dropped. From then on Reader gives
// base.ErrClosed, and so does a Reader that is still about, when it needs the
// file.
func (t *Table) Evict() {
	t.c.mu.Lock()
	t.gone = true
	if t.pos >= 0 {
		t.c.forget(t)
	}
	t.c.mu.Unlock()
	t.c.pool.evict(&t.file)
}
