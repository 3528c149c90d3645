// Package vfs is the file system under every byte the engine reads or writes.
//
// Implementations:
//
//	OS     the operating system
//	Mem    in memory, for tests and throw-away databases
//	Crash  keeps live and durable bytes apart and makes power-cut images
//	Fault  wraps another FS and fails or delays chosen calls
//
// The package is public so that an application's own tests can run on the same
// file systems. All methods of an FS may be called concurrently. Names are paths
// in the operating system's form for OS, and cleaned slash paths for the others.
//
// # What is durable when
//
//	bytes of a file        after Sync of a handle of that file
//	a name (create,        after SyncDir of the directory that holds it
//	rename, link, remove)
//
// Errors keep their cause: errors.Is(err, fs.ErrNotExist), fs.ErrExist,
// syscall.ENOSPC and so on hold for every implementation.
package vfs

import (
	"io"
	"io/fs"
)

// FS is a file system.
type FS interface {
	// Create makes a file for writing from the start, truncating one of that
	// name.
	Create(name string) (File, error)

	// Open opens a file for reading.
	Open(name string) (File, error)

	// CreateAppend makes a new file whose bytes are handed to the operating
	// system by the time Append returns. A file of that name is truncated.
	CreateAppend(name string, o AppendOptions) (AppendFile, error)

	// Truncate cuts a file to size bytes and syncs it.
	Truncate(name string, size int64) error

	Remove(name string) error
	Rename(oldname, newname string) error // replaces newname atomically
	Link(oldname, newname string) error   // a second name for one file; error if newname exists
	MkdirAll(dir string) error
	List(dir string) ([]string, error) // base names, in no order
	Stat(name string) (fs.FileInfo, error)

	// SyncDir makes the names in dir durable. A no-op where the operating
	// system has no such call.
	SyncDir(dir string) error

	// Lock locks name, creating it unless shared, until the result is closed.
	// A lock held by this process (through any handle) or by another one gives
	// ErrLocked. A shared lock excludes exclusive ones only; with shared, a
	// missing file is fs.ErrNotExist and nothing is created.
	Lock(name string, shared bool) (io.Closer, error)

	// SameFile-like identity and space, both best effort.
	Usage(dir string) (DiskUsage, error)
}

// DiskUsage is the space of the file system that holds a directory, in bytes.
type DiskUsage struct {
	Free  uint64 // available to this user
	Total uint64
}

// File is an open file. ReadAt may be called concurrently with itself.
type File interface {
	io.ReaderAt
	io.Writer // appends at the end; only on files from Create
	io.Closer
	Sync() error
	Size() (int64, error)
}

// AppendMode says how an AppendFile hands bytes to the operating system.
type AppendMode uint8

const (
	// AppendAuto maps the file where preallocation works and the file system is
	// known to behave (ext4, xfs, tmpfs on Linux), and writes otherwise.
	AppendAuto AppendMode = iota
	// AppendWrite uses one write call an Append.
	AppendWrite
	// AppendMapped maps wherever preallocation works.
	AppendMapped
)

// AppendOptions configures CreateAppend.
type AppendOptions struct {
	Mode AppendMode
	// InitialBytes is the first preallocation of a mapped file. Default 256 KiB.
	InitialBytes int64
	// MaxStepBytes bounds one later preallocation step: steps double from
	// InitialBytes to it. Default 64 MiB.
	MaxStepBytes int64
}

// AppendFile is a file that only grows. Append and Truncate are called by one
// goroutine at a time; Sync may run beside them.
type AppendFile interface {
	// Append puts p behind everything appended before. When it returns nil the
	// bytes are the operating system's: they survive the death of the process.
	// On an error none of p counts: the file was cut back to its length before,
	// or, if even that failed, Broken reports true and no further Append is
	// accepted.
	Append(p []byte) error

	// Size is the number of bytes appended.
	Size() int64

	// Sync returns after everything appended before the call is durable. After
	// an error nothing may be concluded about those bytes, ever.
	Sync() error

	// Broken reports that an Append failed in a way that could not be undone.
	Broken() bool

	// Mapped reports whether appends are stores into a mapping.
	Mapped() bool

	// Close cuts preallocated space off and closes the file. It does not sync.
	Close() error
}
