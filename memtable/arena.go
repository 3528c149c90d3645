package memtable

import "unsafe"

// granule is the unit of arena offsets in bytes. Offsets are uint32, so an
// arena may hold up to 16 GiB; the first granule is never handed out, so that
// offset 0 can mean "none".
const granule = 4

// maxArenaBytes keeps every offset, and the end of the arena, within uint32.
const maxArenaBytes = min(int64(1)<<34-1<<20, int64(^uint(0)>>1)/2)

// An arena is one contiguous, fixed piece of memory without Go pointers in it.
// Where the system allows it lies outside the Go heap and becomes resident page
// by page as it is touched. It is not cleared between uses.
type arena struct {
	mem    []byte // len(mem) is a multiple of pageBytes
	mapped bool   // mem is an anonymous map: never unmapped, see pool.go

	// touched bounds the bytes of mem that may be resident although nobody
	// uses them. Guarded by the pool's lock, or owned by the table in use.
	touched int64
}

// from returns the arena's bytes that start at off.
func (a *arena) from(off uint32) []byte { return a.mem[int(off)*granule:] }

// node returns the arena's bytes at off as a node. This and inner are the only
// uses of package unsafe. They are sound because
//
//   - mem never moves and lives as long as the arena;
//   - off was handed out by a tree of this arena for a node of that size, and is
//     a multiple of nodeAlign, while mem begins on a page, so the 64-bit words
//     in it are aligned on every platform;
//   - nodes hold numbers only: offsets, no Go pointers;
//   - a node is filled before its offset is published by an atomic store.
func (a *arena) node(off uint32) *node {
	return (*node)(unsafe.Add(unsafe.Pointer(unsafe.SliceData(a.mem)), uintptr(off)*granule))
}

// inner returns the arena's bytes at off as an inner node.
func (a *arena) inner(off uint32) *inner {
	return (*inner)(unsafe.Add(unsafe.Pointer(unsafe.SliceData(a.mem)), uintptr(off)*granule))
}
