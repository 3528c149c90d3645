package vfs

import (
	"os"
)

// plainAppend is an AppendFile with one write call an Append.
type plainAppend struct {
	f      *os.File
	size   int64
	broken bool
	closed bool
}

func newPlainAppend(f *os.File) *plainAppend { return &plainAppend{f: f} }

func (a *plainAppend) Append(p []byte) error {
	if a.broken {
		return pathError("append", a.f.Name(), ErrBroken)
	}
	if len(p) == 0 {
		return nil
	}
	if _, err := a.f.WriteAt(p, a.size); err != nil {
		// Part of p may have arrived.
		a.broken = a.f.Truncate(a.size) != nil
		return err
	}
	a.size += int64(len(p))
	return nil
}

func (a *plainAppend) Size() int64  { return a.size }
func (a *plainAppend) Sync() error  { return syncData(a.f) }
func (a *plainAppend) Broken() bool { return a.broken }
func (a *plainAppend) Mapped() bool { return false }

func (a *plainAppend) Close() error {
	if a.closed {
		return nil
	}
	a.closed = true
	var err error
	if a.broken {
		err = a.f.Truncate(a.size)
	}
	if cerr := a.f.Close(); err == nil {
		err = cerr
	}
	return err
}
