package vfs

import (
	"io"
	"sync/atomic"
)

// failingSyncer is a file that can model a Sync that fails in the kernel.
type failingSyncer interface {
	// failSync makes what was written since the last Sync count as clean without
	// being on disk, and returns err.
	failSync(err error) error
}

// syncUnder syncs f, or fails under r.
func syncUnder(r *Rule, name string, f interface{ Sync() error }) error {
	if r == nil || r.Err == nil {
		return f.Sync()
	}
	err := pathError("sync", name, r.Err)
	if s, ok := f.(failingSyncer); ok {
		return s.failSync(err)
	}
	return err
}

// faultFile is a File of a Fault.
type faultFile struct {
	*handle
	f File
}

func (f *faultFile) ReadAt(p []byte, off int64) (int, error) {
	if err := f.fault.try(Op{Kind: OpRead, Name: f.name, Bytes: int64(len(p))}); err != nil {
		return 0, err
	}
	return f.f.ReadAt(p, off)
}

func (f *faultFile) Write(p []byte) (int, error) {
	r := f.fault.call(Op{Kind: OpWrite, Name: f.name, Bytes: int64(len(p))})
	if r == nil || r.Err == nil {
		return f.f.Write(p)
	}
	n := 0
	if r.Short {
		var err error
		if n, err = f.f.Write(p[:len(p)/2]); err != nil {
			return n, err
		}
	}
	return n, pathError("write", f.name, r.Err)
}

func (f *faultFile) Sync() error {
	return syncUnder(f.fault.call(Op{Kind: OpSync, Name: f.name}), f.name, f.f)
}

// failSync passes a failed Sync on when one Fault wraps another.
func (f *faultFile) failSync(err error) error {
	return syncUnder(&Rule{Err: err}, f.name, f.f)
}

func (f *faultFile) Size() (int64, error) {
	if err := f.fault.try(Op{Kind: OpStat, Name: f.name}); err != nil {
		return 0, err
	}
	return f.f.Size()
}

// Close closes the file even if it is to fail, as the systems do.
func (f *faultFile) Close() error {
	return closeUnder(f.handle, f.f)
}

func closeUnder(h *handle, c io.Closer) error {
	ferr := h.fault.try(Op{Kind: OpClose, Name: h.name})
	err := c.Close()
	h.closed()
	if ferr != nil {
		return ferr
	}
	return err
}

// faultAppend is an AppendFile of a Fault.
type faultAppend struct {
	*handle
	f AppendFile

	// short is how many bytes of a failed Append the file has too many.
	short  int64
	broken atomic.Bool
}

func (f *faultAppend) Append(p []byte) error {
	r := f.fault.call(Op{Kind: OpWrite, Name: f.name, Bytes: int64(len(p))})
	switch {
	case f.broken.Load():
		return pathError("append", f.name, ErrBroken)
	case r == nil || r.Err == nil:
		return f.f.Append(p)
	case r.Short:
		if err := f.f.Append(p[:len(p)/2]); err != nil {
			return err
		}
		f.short = int64(len(p) / 2)
		f.broken.Store(true)
	}
	return pathError("append", f.name, r.Err)
}

func (f *faultAppend) Sync() error {
	return syncUnder(f.fault.call(Op{Kind: OpSync, Name: f.name}), f.name, f.f)
}

func (f *faultAppend) failSync(err error) error {
	return syncUnder(&Rule{Err: err}, f.name, f.f)
}

func (f *faultAppend) Size() int64  { return f.f.Size() - f.short }
func (f *faultAppend) Broken() bool { return f.broken.Load() || f.f.Broken() }
func (f *faultAppend) Mapped() bool { return f.f.Mapped() }
func (f *faultAppend) Close() error { return closeUnder(f.handle, f.f) }

// faultLock is a lock of a Fault.
type faultLock struct {
	*handle
	l io.Closer
}

func (l *faultLock) Close() error { return closeUnder(l.handle, l.l) }
