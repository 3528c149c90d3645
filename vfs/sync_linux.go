package vfs

import (
	"os"

	"golang.org/x/sys/unix"
)

// syncData makes the bytes and the size of f durable, but not its times. It
// takes no lock: appends and remaps go on beside it, and f stays open until it
// returns even if another goroutine closes it.
func syncData(f *os.File) error {
	c, err := f.SyscallConn()
	if err != nil {
		return err
	}
	var serr error
	err = c.Control(func(fd uintptr) {
		for {
			if serr = unix.Fdatasync(int(fd)); serr != unix.EINTR {
				return
			}
		}
	})
	if err != nil {
		return err
	}
	return pathError("sync", f.Name(), serr)
}
