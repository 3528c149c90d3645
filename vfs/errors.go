package vfs

import (
	"errors"
	"io/fs"
)

// Locking.
var (
	// ErrLocked is returned by Lock when the file is locked by this process or
	// another one.
	ErrLocked = errors.New("vfs: locked")
)

// Appending.
var (
	// ErrBroken is returned by Append of a handle whose Broken reports true.
	ErrBroken = errors.New("vfs: append handle is broken")
)

// Testing.
var (
	// ErrHalted is returned by every changing call on a Crash after Halt.
	ErrHalted = errors.New("vfs: halted")
)

// pathError is an *fs.PathError, or nil for a nil err.
func pathError(op, name string, err error) error {
	if err == nil {
		return nil
	}
	return &fs.PathError{Op: op, Path: name, Err: err}
}
