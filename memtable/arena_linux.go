//go:build (amd64 || arm64 || loong64 || ppc64 || ppc64le || riscv64 || s390x) && !race

package memtable

import "golang.org/x/sys/unix"

// adviseHuge asks for huge pages in all but the ends of a large arena. A table
// that fills up touches memory at random, and TLB misses are a good part of its
// cost. Advice only: failure changes nothing.
func adviseHuge(mem []byte) {
	if len(mem) >= 4<<20 {
		_ = unix.Madvise(mem[smallEnd:len(mem)-smallEnd], unix.MADV_HUGEPAGE)
	}
}

// forget gives the pages of a mapped arena back to the system. The range stays
// mapped and reads as zeros.
func forget(mem []byte) { _ = unix.Madvise(mem, unix.MADV_DONTNEED) }

// populate makes mem resident, without changing what is in it. Only advice:
// systems before Linux 5.14 do not know it.
func populate(mem []byte) { _ = unix.Madvise(mem, unix.MADV_POPULATE_WRITE) }
