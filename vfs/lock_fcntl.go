//go:build unix && !linux && !darwin && !freebsd && !netbsd && !openbsd && !dragonfly

package vfs

import (
	"io"
	"syscall"
)

// lockDescriptor locks the whole file behind fd with a POSIX lock, without
// waiting. A conflict is EAGAIN, which is EWOULDBLOCK, or EACCES.
func lockDescriptor(fd int, shared bool) error {
	lk := syscall.Flock_t{Type: syscall.F_WRLCK, Whence: io.SeekStart}
	if shared {
		lk.Type = syscall.F_RDLCK
	}
	return syscall.FcntlFlock(uintptr(fd), syscall.F_SETLK, &lk)
}

// unlockDescriptor has nothing to do: children do not inherit POSIX locks, and
// closing ends them.
func unlockDescriptor(int) {}
