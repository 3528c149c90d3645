package tablecache

import (
	"errors"
	"fmt"
	"io/fs"
	"sync/atomic"

	"github.com/strata-db/strata/internal/base"
	"github.com/strata-db/strata/vfs"
)

// A handle is one open descriptor.
type handle struct {
	raw vfs.File
	f   *file

	// refs is the number of users, plus one while the pool may lend the handle
	// out. It is never raised from 0: the descriptor is being closed.
	refs atomic.Int32

	// used says that the handle was lent since the pool's hand last passed.
	used atomic.Bool

	pos int // in pool.ring, -1 when it left; guarded by pool.mu
}

// ref takes a reference, unless the handle is on its way out.
func (h *handle) ref() bool {
	for {
		n := h.refs.Load()
		if n == 0 {
			return false
		}
		if h.refs.CompareAndSwap(n, n+1) {
			if !h.used.Load() {
				h.used.Store(true)
			}
			return true
		}
	}
}

// A file is a table's file, open or not. It is the sstable.Source of the table's
// Reader. Methods may be called concurrently.
type file struct {
	pool       *pool
	name, path string

	// cur is the handle to be lent; nil while the file is not open. Changed
	// under pool.mu only.
	cur atomic.Pointer[handle]

	opening bool // guarded by pool.mu: somebody opens it right now
	gone    bool // guarded by pool.mu: evicted, never to be opened again
}

// acquire lends a handle, opening the file if need be. It may wait until another
// table's handle is idle. The caller must release it.
func (f *file) acquire() (*handle, error) {
	if h := f.cur.Load(); h != nil && h.ref() {
		return h, nil
	}
	return f.pool.handle(f)
}

// ReadAt reads len(b) bytes from the file at offset off, as io.ReaderAt.
func (f *file) ReadAt(b []byte, off int64) (int, error) {
	h, err := f.acquire()
	if err != nil {
		return 0, err
	}
	n, err := h.raw.ReadAt(b, off)
	f.pool.release(h)
	return n, err
}

// openError says which table could not be opened. A missing one is corruption:
// every table that a version names must exist.
func (f *file) openError(err error) error {
	if errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("%w: %w", &base.CorruptionError{File: f.name, Offset: -1, What: "the table is missing"}, err)
	}
	return fmt.Errorf("open table %s: %w", f.name, err)
}

// errGone is returned by reads of an evicted table or a closed cache.
func (f *file) errGone() error { return fmt.Errorf("table %s: %w", f.name, base.ErrClosed) }
