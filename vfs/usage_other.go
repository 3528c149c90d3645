//go:build !linux && !darwin && !freebsd && !dragonfly && !windows

package vfs

import "errors"

func usage(dir string) (DiskUsage, error) {
	return DiskUsage{}, pathError("usage", dir, errors.ErrUnsupported)
}
