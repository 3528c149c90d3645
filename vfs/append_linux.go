package vfs

import (
	"errors"
	"fmt"
	"os"
	"runtime"
	"runtime/debug"
	"sync/atomic"
	"unsafe"

	"golang.org/x/sys/unix"
)

// newAppendFile takes f, which is empty, over. Whatever stands against a mapping
// (the file system, no room for the first step) leads to write calls, not to an
// error.
func newAppendFile(f *os.File, o AppendOptions) (AppendFile, error) {
	if o.Mode == AppendWrite || o.Mode == AppendAuto && !mapsWell(f) {
		return newPlainAppend(f), nil
	}
	m := newMappedAppend(f, o)
	if err := m.grow(1); err != nil {
		return newPlainAppend(f), nil
	}
	return m, nil
}

// mapsWell reports that f is on a file system where a preallocated file can be
// written through a mapping without surprises: a store into an allocated page
// does not run out of space, and pages are the file's at once. btrfs copies on
// write and can run out; network file systems can revoke pages.
//
// overlayfs, where containers live outside their volumes, is not among them. Mapping
// works there: it is the upper file system's own (on ext4 all tests pass with
// AppendMapped). But nothing tells from inside which one that is: statfs says overlay,
// and the path in the mount table belongs to the host. Under a ZFS fallocate succeeds
// and reserves nothing, under a btrfs what it reserves can be lost to a snapshot, so
// trying it proves nothing, and a write call is what being wrong would save. Volumes
// are mounts of their own and are mapped; who knows the upper one asks for
// AppendMapped.
func mapsWell(f *os.File) bool {
	switch fsType(f) {
	case unix.EXT4_SUPER_MAGIC, unix.XFS_SUPER_MAGIC, unix.TMPFS_MAGIC:
		return true // the first is also ext2's and ext3's
	}
	return false
}

// fsType is the magic number of the file system that f is on, or 0.
func fsType(f *os.File) int64 {
	var st unix.Statfs_t
	if err := unix.Fstatfs(int(f.Fd()), &st); err != nil {
		return 0
	}
	return int64(st.Type)
}

// zeros are what is written ahead of the appends. A larger piece is cheaper a
// page, as the page cache takes it in larger units, and makes the append that
// meets its border wait longer: 256 KiB about 15 microseconds.
//
// Measured on ext4, a page: 1000 ns when its first store faults it in or
// MADV_POPULATE_WRITE does, 490 ns when zeros were written before.
var zeros [256 << 10]byte

// mappedAppend is an AppendFile whose appends are stores into a shared mapping of
// preallocated space.
//
//	0          base        size          ready       alloc
//	+-----------+-----------+-------------+-----------+
//	| appended  | appended  | room        | zeros     |
//	+-----------+-----------+-------------+-----------+
//	            |<-------------- window ------------->|
//
// The bytes are the page cache's as soon as they are stored, so they survive the
// process. Invariant: no byte at or behind size was ever stored, except by an
// append that faulted, and then the handle is broken.
type mappedAppend struct {
	f    *os.File
	page int64

	// room is the part of the window to be filled next. It is all that the usual
	// Append looks at.
	room   []byte
	size   int64
	window []byte
	base   int64 // offset of window[0]; a multiple of page
	ready  int64 // offset of the end of room; a multiple of page
	alloc  int64 // preallocated bytes, the file's size; a multiple of page

	step, maxStep int64 // next preallocation and its bound
	chunk         int64 // how far ready went at the last border; a power of two
	ahead         bool  // zeros are to be written ahead

	broken, closed bool

	// synced is set by each Sync, at any time, and cleared at the next border.
	synced atomic.Bool
}

func newMappedAppend(f *os.File, o AppendOptions) *mappedAppend {
	m := &mappedAppend{f: f, page: int64(os.Getpagesize())}
	m.step = m.roundUp(o.InitialBytes)
	m.maxStep = m.roundUp(o.MaxStepBytes)
	m.chunk = m.page
	switch fsType(f) {
	case unix.EXT4_SUPER_MAGIC, unix.XFS_SUPER_MAGIC:
		m.ahead = true // tmpfs has its pages since fallocate
	}
	return m
}

func (m *mappedAppend) Size() int64  { return m.size }
func (m *mappedAppend) Broken() bool { return m.broken }
func (m *mappedAppend) Mapped() bool { return true }

func (m *mappedAppend) Append(p []byte) error {
	if len(p) > len(m.room) {
		if err := m.makeRoom(int64(len(p))); err != nil {
			return err
		}
	}
	if !copyGuarded(m.room, p) {
		return m.faulted()
	}
	m.room = m.room[len(p):]
	m.size += int64(len(p))
	return nil
}

func (m *mappedAppend) Sync() error {
	m.synced.Store(true)
	return syncData(m.f)
}

// copyGuarded copies src to the mapped dst, which is at least as long. It returns
// false if a store faulted: the file was truncated by someone else, or its device
// failed. An unknown part of src is then in dst.
func copyGuarded(dst, src []byte) (ok bool) {
	old := debug.SetPanicOnFault(true)
	defer func() {
		debug.SetPanicOnFault(old)
		if !ok {
			if r := recover(); !faultIn(dst, r) {
				panic(r)
			}
		}
	}()
	copy(dst, src)
	return true
}

// faultIn reports that r was panicked for a memory fault at an address in b.
func faultIn(b []byte, r any) bool {
	e, ok := r.(interface {
		runtime.Error
		Addr() uintptr
	})
	if !ok {
		return false
	}
	start := uintptr(unsafe.Pointer(unsafe.SliceData(b)))
	return e.Addr() >= start && e.Addr()-start < uintptr(len(b))
}

// faulted gives the handle up after a store that did not arrive, and cuts off
// what the store may have left.
func (m *mappedAppend) faulted() error {
	m.broken = true
	_ = m.unmap()
	_ = m.cut()
	return pathError("append", m.f.Name(), fmt.Errorf("store into mapping: %w", unix.EIO))
}

// makeRoom makes room at least n bytes long: by going on in the window, and at
// its end by preallocating more. On an error everything is as before.
func (m *mappedAppend) makeRoom(n int64) error {
	if m.broken || m.closed {
		return pathError("append", m.f.Name(), ErrBroken)
	}
	if m.size+n > m.alloc {
		if err := m.grow(n); err != nil {
			return pathError("append", m.f.Name(), err)
		}
	}
	return m.advance(n)
}

// advance moves ready so that room has n bytes, and further while nobody syncs:
// see zeros. After a Sync it goes by single pages again, because a page that was
// written ahead is dirty, and the next Sync would write it without holding
// anything yet.
func (m *mappedAppend) advance(n int64) error {
	if m.synced.Swap(false) {
		m.chunk = m.page
	} else {
		m.chunk = min(2*m.chunk, max(int64(len(zeros)), m.page))
	}
	ready := max((m.ready+m.chunk)&^(m.chunk-1), m.roundUp(m.size+n))
	ready = min(ready, m.alloc)
	if err := m.writeAhead(m.ready, ready); err != nil {
		return err
	}
	m.ready = ready
	m.room = m.window[m.size-m.base : ready-m.base]
	return nil
}

// writeAhead writes zeros over the zeros in [lo, hi), where nothing was appended
// yet, if that is worth it. It notices a file that someone else has cut, which
// writing would make long again.
func (m *mappedAppend) writeAhead(lo, hi int64) error {
	if !m.ahead || hi-lo < 4*m.page {
		return nil
	}
	var st unix.Stat_t
	if err := unix.Fstat(int(m.f.Fd()), &st); err != nil || st.Size < m.alloc {
		return m.faulted()
	}
	for lo < hi {
		n, err := unix.Pwrite(int(m.f.Fd()), zeros[:min(hi-lo, int64(len(zeros)))], lo)
		if err != nil || n == 0 {
			return nil // the stores will do, or meet the cause again
		}
		lo += int64(n)
	}
	return nil
}

// grow preallocates the next step, which holds at least n more bytes than size,
// and moves the window to it. When the step does not fit on the disk, smaller
// ones are tried. On an error everything is as before.
func (m *mappedAppend) grow(n int64) error {
	least := m.roundUp(m.size + n - m.alloc)
	step := max(m.step, least)
	for {
		err := m.allocate(step)
		if err == nil {
			break
		}
		if step == least || !noSpace(err) {
			return err
		}
		step = max(m.roundUp(step/2), least)
	}
	if err := m.remap(m.alloc + step); err != nil {
		_ = m.f.Truncate(m.alloc)
		return err
	}
	m.step = min(2*m.step, m.maxStep)
	return nil
}

// allocate extends the file by step bytes of reserved zeros. On an error it
// gives back what the call may have got: another file may need it.
func (m *mappedAppend) allocate(step int64) error {
	for {
		err := unix.Fallocate(int(m.f.Fd()), 0, m.alloc, step)
		if err == unix.EINTR {
			continue
		}
		if err != nil {
			_ = m.f.Truncate(m.alloc) // cuts no mapped page
		}
		return err
	}
}

func noSpace(err error) bool {
	return errors.Is(err, unix.ENOSPC) || errors.Is(err, unix.EDQUOT) || errors.Is(err, unix.EFBIG)
}

// remap moves the window to reach from the page that size is in to alloc, which
// becomes the file's preallocated size.
func (m *mappedAppend) remap(alloc int64) error {
	base := m.size &^ (m.page - 1)
	length := alloc - base
	if int64(int(length)) != length {
		return unix.ENOMEM
	}
	w, err := unix.Mmap(int(m.f.Fd()), base, int(length), unix.PROT_READ|unix.PROT_WRITE, unix.MAP_SHARED)
	if err != nil {
		return err
	}
	if err := m.unmap(); err != nil {
		_ = unix.Munmap(w)
		return err
	}
	m.window, m.base, m.alloc = w, base, alloc
	m.ready = max(m.ready, base)
	return nil
}

func (m *mappedAppend) unmap() error {
	if m.window == nil {
		return nil
	}
	err := unix.Munmap(m.window)
	m.window, m.room = nil, nil
	return err
}

// cut cuts the file to the bytes appended. It does not make it longer: if
// someone else cut more, zeros must not stand for what is lost.
func (m *mappedAppend) cut() error {
	fi, err := m.f.Stat()
	if err != nil || fi.Size() <= m.size {
		return err
	}
	return m.f.Truncate(m.size)
}

func (m *mappedAppend) Close() error {
	if m.closed {
		return nil
	}
	m.closed = true
	err := m.unmap() // before the cut: a store behind the end would fault
	if cerr := m.cut(); err == nil {
		err = cerr
	}
	if cerr := m.f.Close(); err == nil {
		err = cerr
	}
	return err
}

func (m *mappedAppend) roundUp(n int64) int64 { return (n + m.page - 1) &^ (m.page - 1) }
