//go:build !unix && !windows

package vfs

import "os"

func rename(oldname, newname string) error { return os.Rename(oldname, newname) }

func syncDir(dir string) error {
	_, err := os.Stat(dir)
	return err
}
