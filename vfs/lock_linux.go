package vfs

import (
	"errors"
	"io"
	"syscall"

	"golang.org/x/sys/unix"
)

// lockDescriptor locks the file behind fd in both of the ways that programs look
// for, without waiting:
//
//   - an open-file-description lock of the whole file, which excludes the fcntl
//     lock of LevelDB, but does not end when another descriptor of the file is
//     closed;
//   - flock, which goleveldb uses, and which on Linux knows nothing of the other.
//
// A conflict is EWOULDBLOCK or EACCES.
func lockDescriptor(fd int, shared bool) error {
	lk := unix.Flock_t{Type: unix.F_WRLCK, Whence: io.SeekStart}
	how := unix.LOCK_EX
	if shared {
		lk.Type = unix.F_RDLCK
		how = unix.LOCK_SH
	}
	err := retryInterrupted(func() error { return unix.FcntlFlock(uintptr(fd), unix.F_OFD_SETLK, &lk) })
	if errors.Is(err, syscall.EINVAL) { // a kernel before 3.15
		err = retryInterrupted(func() error { return unix.FcntlFlock(uintptr(fd), unix.F_SETLK, &lk) })
	}
	if err != nil {
		return err
	}
	err = retryInterrupted(func() error { return unix.Flock(fd, how|unix.LOCK_NB) })
	if errors.Is(err, errors.ErrUnsupported) || errors.Is(err, syscall.ENOLCK) {
		return nil // the file system has only one kind, and that is held
	}
	return err
}

// unlockDescriptor ends both. A lock that is not held is none to end.
func unlockDescriptor(fd int) {
	lk := unix.Flock_t{Type: unix.F_UNLCK, Whence: io.SeekStart}
	_ = unix.FcntlFlock(uintptr(fd), unix.F_OFD_SETLK, &lk)
	_ = unix.Flock(fd, unix.LOCK_UN)
}

func retryInterrupted(call func() error) error {
	for {
		if err := call(); err != syscall.EINTR {
			return err
		}
	}
}
