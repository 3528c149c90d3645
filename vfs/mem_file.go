package vfs

import (
	"io/fs"
	"sync"
	"sync/atomic"
	"syscall"
)

// memFile is a File of a tree.
type memFile struct {
	t        *tree
	n        *node
	name     string
	writable bool
	closed   atomic.Bool
}

func (f *memFile) ReadAt(p []byte, off int64) (int, error) {
	if f.closed.Load() {
		return 0, pathError("read", f.name, fs.ErrClosed)
	}
	return f.n.view().readAt(p, off)
}

func (f *memFile) Write(p []byte) (int, error) {
	switch {
	case f.closed.Load():
		return 0, pathError("write", f.name, fs.ErrClosed)
	case !f.writable:
		return 0, pathError("write", f.name, syscall.EBADF)
	}
	if err := f.t.begin(Op{Kind: OpWrite, Name: f.name, Bytes: int64(len(p))}); err != nil {
		return 0, pathError("write", f.name, err)
	}
	n, err := f.t.appendBytes(f.n, p)
	return n, pathError("write", f.name, err)
}

func (f *memFile) Sync() error {
	if f.closed.Load() {
		return pathError("sync", f.name, fs.ErrClosed)
	}
	return f.t.syncFile(f.n, f.name)
}

func (f *memFile) Size() (int64, error) {
	if f.closed.Load() {
		return 0, pathError("size", f.name, fs.ErrClosed)
	}
	return f.n.length(), nil
}

func (f *memFile) Close() error {
	if f.closed.Swap(true) {
		return pathError("close", f.name, fs.ErrClosed)
	}
	f.t.closeNode(f.n)
	return nil
}

// syncFile is Sync of a handle.
func (t *tree) syncFile(n *node, name string) error {
	if err := t.begin(Op{Kind: OpSync, Name: name}); err != nil {
		return pathError("sync", name, err)
	}
	fail := t.failing(name)
	t.world.RLock()
	defer t.world.RUnlock()
	return pathError("sync", name, n.sync(fail))
}

// failSync is a Sync that fails with err: see failingSyncer.
func (t *tree) failSync(n *node, name string, err error) error {
	if berr := t.begin(Op{Kind: OpSync, Name: name}); berr != nil {
		return pathError("sync", name, berr)
	}
	t.world.RLock()
	defer t.world.RUnlock()
	return n.sync(err)
}

func (f *memFile) failSync(err error) error   { return f.t.failSync(f.n, f.name, err) }
func (a *memAppend) failSync(err error) error { return a.t.failSync(a.n, a.name, err) }

// closeNode ends one opening of n.
func (t *tree) closeNode(n *node) {
	t.world.Lock()
	defer t.world.Unlock()
	n.opens--
	t.release(n)
}

// memLock is the result of Lock on a tree.
type memLock struct {
	t      *tree
	n      *node
	shared bool
	once   sync.Once
}

func (l *memLock) Close() error {
	l.once.Do(func() {
		l.t.world.Lock()
		defer l.t.world.Unlock()
		if l.shared {
			l.n.shared--
		} else {
			l.n.exclusive = false
		}
		l.n.opens--
		l.t.release(l.n)
	})
	return nil
}

// memAppend is an AppendFile of a tree. A mapped one preallocates as a mapped
// file of OS does, so that its zeros can be seen by Stat and in images.
type memAppend struct {
	t       *tree
	n       *node
	name    string
	mapped  bool
	size    int64
	step    int64 // next preallocation, if mapped
	maxStep int64
	broken  bool
	closed  bool
}

func newMemAppend(t *tree, n *node, name string, o AppendOptions) *memAppend {
	return &memAppend{
		t: t, n: n, name: name,
		mapped: o.Mode == AppendMapped || o.Mode == AppendAuto && t.mapped,
		step:   o.InitialBytes, maxStep: o.MaxStepBytes,
	}
}

func (a *memAppend) Size() int64  { return a.size }
func (a *memAppend) Broken() bool { return a.broken }
func (a *memAppend) Mapped() bool { return a.mapped }

func (a *memAppend) Append(p []byte) error {
	switch {
	case a.closed:
		return pathError("append", a.name, fs.ErrClosed)
	case a.broken:
		return pathError("append", a.name, ErrBroken)
	}
	if err := a.t.begin(Op{Kind: OpWrite, Name: a.name, Bytes: int64(len(p))}); err != nil {
		return pathError("append", a.name, err)
	}
	a.t.world.RLock()
	defer a.t.world.RUnlock()
	if err := a.reserve(int64(len(p))); err != nil {
		return pathError("append", a.name, err)
	}
	a.n.mu.Lock()
	defer a.n.mu.Unlock()
	if int64(len(a.n.mu.data)) != a.size { // someone else cut or wrote the file
		a.broken = true
		return pathError("append", a.name, syscall.EIO)
	}
	a.n.store(p)
	a.size += int64(len(p))
	return nil
}

// reserve makes the file long enough for n more bytes. Called with world held.
func (a *memAppend) reserve(n int64) error {
	size := a.n.length()
	least := a.size + n
	if least <= size {
		return nil
	}
	if !a.mapped {
		return a.reserveExactly(least - size)
	}
	if err := a.t.setSize(a.n, max(least, size+a.step)); err != nil {
		return a.t.setSize(a.n, least)
	}
	a.step = min(2*a.step, a.maxStep)
	return nil
}

// reserveExactly takes space that store will fill: a plain append has no zeros.
func (a *memAppend) reserveExactly(n int64) error {
	if !a.t.take(n) {
		return syscall.ENOSPC
	}
	return nil
}

func (a *memAppend) Sync() error { return a.t.syncFile(a.n, a.name) }

// Close cuts the zeros off, unless the file system was halted.
func (a *memAppend) Close() error {
	if a.closed {
		return nil
	}
	a.closed = true
	err := a.t.begin(Op{Kind: OpClose, Name: a.name})
	a.t.world.Lock()
	defer a.t.world.Unlock()
	if err == nil && a.n.length() > a.size {
		err = a.t.setSize(a.n, a.size)
	}
	a.n.opens--
	a.t.release(a.n)
	return pathError("close", a.name, err)
}
