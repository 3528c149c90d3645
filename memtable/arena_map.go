//go:build (linux || darwin) && (amd64 || arm64 || loong64 || ppc64 || ppc64le || riscv64 || s390x) && !race

package memtable

import "golang.org/x/sys/unix"

// mapArena returns n bytes outside the Go heap, or nil if the system has none
// to give. They cost no memory until they are touched.
func mapArena(n int64) []byte {
	mem, err := unix.Mmap(-1, 0, int(n), unix.PROT_READ|unix.PROT_WRITE, unix.MAP_ANON|unix.MAP_PRIVATE|unix.MAP_NORESERVE)
	if err != nil {
		return nil
	}
	adviseHuge(mem)
	return mem
}
