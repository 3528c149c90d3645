//go:build unix

package vfs

import (
	"errors"
	"os"
	"syscall"
)

func rename(oldname, newname string) error { return os.Rename(oldname, newname) }

// syncDir makes the names in dir durable. Some file systems (FUSE, CIFS) refuse
// the call on a directory because they have nothing to do there; that is not an
// error.
func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	err = d.Sync()
	if errors.Is(err, syscall.EINVAL) || errors.Is(err, errors.ErrUnsupported) {
		err = nil
	}
	if cerr := d.Close(); err == nil {
		err = cerr
	}
	return err
}
