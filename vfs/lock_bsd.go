//go:build darwin || freebsd || netbsd || openbsd || dragonfly

package vfs

import "golang.org/x/sys/unix"

// lockDescriptor locks the file behind fd with flock, without waiting. On these
// systems flock and fcntl locks exclude each other, so LevelDB's is respected
// too; taking both kinds would exclude ourselves. A conflict is EWOULDBLOCK.
func lockDescriptor(fd int, shared bool) error {
	how := unix.LOCK_EX
	if shared {
		how = unix.LOCK_SH
	}
	for {
		if err := unix.Flock(fd, how|unix.LOCK_NB); err != unix.EINTR {
			return err
		}
	}
}

func unlockDescriptor(fd int) { _ = unix.Flock(fd, unix.LOCK_UN) }
