//go:build (amd64 || arm64) && !race

package memtable

import "golang.org/x/sys/unix"

func adviseHuge([]byte) {}

// forget lets the system take the pages of a mapped arena when it wants them.
// The range stays mapped and reads as old bytes or zeros.
func forget(mem []byte) { _ = unix.Madvise(mem, unix.MADV_FREE) }

func populate([]byte) {}
