// Package vfs is the file system under every byte the engine reads or writes.
//
//	OS          the operating system
//	NewMem      in memory, for tests and throw-away databases
//	NewCrash    in memory, keeps live and durable bytes apart and makes
//	            power-cut images
//	NewFault    wraps another FS and fails or delays chosen calls
//
// The package is public so that an application's own tests can run on the same
// file systems: what the application does after a power cut or on a full disk
// can be tried without either. All methods of an FS may be called concurrently.
// Names are paths in the operating system's form for OS; the others take slash
// paths, and a relative one starts at their root.
//
// # What survives what
//
//	                         death of the process   power cut
//	bytes                    after Write or Append  after Sync of a handle of the file
//	a name (create, rename,  after the call         after SyncDir of the directory
//	link, remove, mkdir)                            that holds it
//
// Sync of a file does not make its name durable, and SyncDir of a directory makes
// neither its own name durable nor the bytes of its files. A failed Sync leaves
// its bytes unknown for ever: the system counts them as written, and the next
// Sync succeeds without writing them. They have to be written again, elsewhere.
//
// # Append handles
//
// CreateAppend is made for logs: each Append ends with the bytes in the hands of
// the operating system. On Linux, on file systems known to be good, it is a store
// into a mapping of preallocated space, for the price of a copy (33 ns for 150
// bytes where a write call takes 780). While such a handle is open, and after
// the death of its process, the file is longer than what was appended, and zero
// there. Power cuts can leave any page of what was not synced as it was at any
// earlier moment, so the reader of such a file needs checksums.
//
// # Errors
//
// Errors keep their cause: errors.Is(err, fs.ErrNotExist), fs.ErrExist,
// syscall.ENOSPC, syscall.EMFILE and so on hold for every implementation.
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

	// Remove removes a file or an empty directory.
	Remove(name string) error

	// Rename replaces newname atomically. On Windows it waits up to half a
	// second for others to let go of either file.
	Rename(oldname, newname string) error

	// Link gives a file a second name. newname must not exist.
	Link(oldname, newname string) error

	// MkdirAll makes a directory and those above it. One that exists is no error.
	MkdirAll(dir string) error

	// List returns the base names in a directory, in no order.
	List(dir string) ([]string, error)

	Stat(name string) (fs.FileInfo, error)

	// SyncDir makes the names in dir durable. A no-op where the operating
	// system has no such call.
	SyncDir(dir string) error

	// Lock locks name, creating it unless shared, until the result is closed.
	// A lock held by this process (through any handle) or by another one gives
	// ErrLocked. A shared lock excludes exclusive ones only; with shared, a
	// missing file is fs.ErrNotExist and nothing is created.
	Lock(name string, shared bool) (io.Closer, error)

	// Usage returns the space of the file system that holds dir, or an error
	// that is errors.ErrUnsupported where the system does not tell.
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
	// A small file takes that much of the disk until Close; small steps make
	// more of the calls that remap it.
	InitialBytes int64
	// MaxStepBytes bounds one later preallocation step: steps double from
	// InitialBytes to it. Default 64 MiB. Where a step does not fit on the disk,
	// smaller ones are taken.
	MaxStepBytes int64
}

// AppendFile is a file that only grows. Append, Size, Broken and Close are called
// by one goroutine at a time; Sync may run beside them.
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

	// Close cuts preallocated space off and closes the file. It does not sync. A
	// second Close does nothing.
	Close() error
}
