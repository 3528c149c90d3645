//go:build !linux

package vfs

import "os"

// syncData makes the bytes and the size of f durable. On darwin that is
// F_FULLFSYNC, which also empties the drive's cache.
func syncData(f *os.File) error { return f.Sync() }
