package strata

import (
	"context"
	"sync/atomic"

	"github.com/strata-db/strata/vfs"
)

// interruptFS ends the work that is done through it: once ctx is done, calls that
// open, make, read or write files fail with the cause. A repair is then over within
// one of these, wherever it is. Calls that take files away still work, so that it can
// clean up.
type interruptFS struct {
	vfs.FS
	ctx context.Context

	// settled is set where stopping would leave more behind than going on: from
	// there on ctx does not count.
	settled atomic.Bool
}

func (i *interruptFS) err() error {
	if i.settled.Load() {
		return nil
	}
	return context.Cause(i.ctx)
}

// settle returns the cause if ctx is done, and else makes it count no more.
func (i *interruptFS) settle() error {
	if err := i.err(); err != nil {
		return err
	}
	i.settled.Store(true)
	return nil
}

// Open implements vfs.FS.
func (i *interruptFS) Open(name string) (vfs.File, error) { return i.file(name, i.FS.Open) }

// Create implements vfs.FS.
func (i *interruptFS) Create(name string) (vfs.File, error) { return i.file(name, i.FS.Create) }

// CreateAppend implements vfs.FS.
func (i *interruptFS) CreateAppend(name string, o vfs.AppendOptions) (vfs.AppendFile, error) {
	if err := i.err(); err != nil {
		return nil, err
	}
	return i.FS.CreateAppend(name, o)
}

func (i *interruptFS) file(name string, open func(string) (vfs.File, error)) (vfs.File, error) {
	if err := i.err(); err != nil {
		return nil, err
	}
	f, err := open(name)
	if err != nil {
		return nil, err
	}
	return &interruptFile{f, i}, nil
}

// interruptFile is a file of an interruptFS.
type interruptFile struct {
	vfs.File
	fs *interruptFS
}

// ReadAt implements vfs.File.
func (f *interruptFile) ReadAt(p []byte, off int64) (int, error) {
	if err := f.fs.err(); err != nil {
		return 0, err
	}
	return f.File.ReadAt(p, off)
}

// Write implements vfs.File.
func (f *interruptFile) Write(p []byte) (int, error) {
	if err := f.fs.err(); err != nil {
		return 0, err
	}
	return f.File.Write(p)
}
