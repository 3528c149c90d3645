//go:build linux || darwin || freebsd || dragonfly

package vfs

import "golang.org/x/sys/unix"

func usage(dir string) (DiskUsage, error) {
	var st unix.Statfs_t
	if err := unix.Statfs(dir, &st); err != nil {
		return DiskUsage{}, pathError("usage", dir, err)
	}
	unit := uint64(st.Bsize)
	// FreeBSD counts below zero when the blocks kept for root are in use.
	return DiskUsage{Free: uint64(max(int64(st.Bavail), 0)) * unit, Total: uint64(st.Blocks) * unit}, nil
}
