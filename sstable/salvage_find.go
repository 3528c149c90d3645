package sstable

import (
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	mathbits "math/bits"
	"sync"
	"syscall"

	"github.com/strata-db/strata/internal/base"
	"github.com/strata-db/strata/internal/checksum"
)

// A finder finds the blocks of a table without its index, by their trailers: a
// block is any stretch of bytes whose checksum stands behind it. One that begins
// where the last one ended is found by extending a sum byte by byte. After damage
// neither end is known, and there are n² stretches to try among n bytes; the sum
// being linear, all of them are tried in about n steps.
//
// Let S(lo, hi) be the state of the sum over b[lo:hi] and P(i) that over b[:i]
// begun with zero. Over polynomials mod 2, with x^8 for each byte (see zlib's
// crc32_combine),
//
//	S(lo, hi) = P(hi) + x^(8·(hi-lo))·(P(lo) + init)
//
// so the sum that stands behind hi is that of b[lo:hi] exactly if
//
//	x^(-8·hi)·(P(hi) + stored) = x^(-8·lo)·(P(lo) + init)
//
// Each lo gives a key, kept in a hash table; each hi asks for one. What is found by
// chance, once in 2^32 pairs, does not decode as a block: found judges that.
//
// The work is bounded: each byte is visited a constant number of times, but for
// blocks over directBytes, which are looked for as long as budget lasts.
type finder struct {
	src   Source
	end   uint64 // of the region that is searched
	found func(lo uint64, raw []byte) bool

	buf    []byte // bytes of the file from bufOff
	bufOff uint64
	budget int64 // bytes that may yet be summed for large blocks
	slots  []findSlot
	shift  int // takes a hash to a slot
}

const (
	// directBytes is the largest block that is found behind damage, and the
	// largest that is found at no extra cost.
	directBytes = 1 << 20
	// startBytes is how many starts are tried together behind damage.
	startBytes = 1 << 20
	// pieceBytes is read at a time where the disk fails.
	pieceBytes = 4096
)

type findSlot struct{ key, pos uint32 } // pos is an index + 1; 0 is free

func newFinder(src Source, end uint64, found func(lo uint64, raw []byte) bool) *finder {
	return &finder{src: src, end: end, found: found, budget: 4 * int64(end)}
}

// next returns the first block at or behind from, and false if there is none. raw
// is the block with its trailer, valid until the next call.
func (f *finder) next(from uint64) (lo uint64, raw []byte, ok bool, err error) {
	known := true // a block should begin at from
	for from+trailerLen < f.end {
		if known {
			if raw, err = f.direct(from, directBytes); raw != nil || err != nil {
				return from, raw, err == nil, err
			}
		}
		if lo, raw, err = f.search(from); raw != nil || err != nil {
			return lo, raw, err == nil, err
		}
		if known && f.budget > 0 {
			if raw, err = f.direct(from, f.budget); raw != nil || err != nil {
				return from, raw, err == nil, err
			}
		}
		known = false
		from += startBytes
	}
	return 0, nil, false, nil
}

// direct looks for the end of a block that begins at from and has at most limit
// bytes.
func (f *finder) direct(from uint64, limit int64) ([]byte, error) {
	limit = min(limit, int64(f.end-from), maxBlock)
	state := ^uint32(0)
	done := int64(0)
	for size := int64(16 << 10); done+trailerLen <= limit; size *= 4 {
		n := min(size, limit)
		b, err := f.load(from, int(n))
		if err != nil {
			return nil, err
		}
		if n > directBytes {
			f.budget -= n - done
		}
		for ; done+trailerLen <= n; done++ {
			typ := b[done]
			state = castagnoli[byte(state)^typ] ^ state>>8
			if typ <= byte(Zstd) && ^state == checksum.Unmask(le32(b[done+1:])) && f.found(from, b[:done+trailerLen]) {
				return b[:done+trailerLen], nil
			}
		}
		if n == limit {
			return nil, nil
		}
	}
	return nil, nil
}

// search looks for the block that ends first among those that begin in the
// startBytes from from on.
func (f *finder) search(from uint64) (lo uint64, raw []byte, err error) {
	n := int(min(startBytes+directBytes, f.end-from))
	b, err := f.load(from, n)
	if err != nil {
		return 0, nil, err
	}
	f.makeSlots(min(n, startBytes))
	var (
		state uint32                       // P(i)
		sum   uint32                       // x^(-8i)·P(i)
		one   = uint32(1) << 31            // x^(-8i)
		first = ^uint32(0)                 // x^(-8i)·init
		top   = shiftX(uint32(1)<<31, 8*3) // x^(-8i)·x^24
	)
	over := overBytes()
	for i := 0; i+trailerLen <= n; i++ {
		if i < startBytes {
			f.put(sum^first, uint32(i))
		}
		c := b[i]
		sum ^= timesByte(top, c)
		state = castagnoli[byte(state)^c] ^ state>>8
		one, first, top = unshift8(over, one), unshift8(over, first), unshift8(over, top)
		stored := le32(b[i+1:])
		if c > byte(Zstd) || stored == 0 { // zeros are a hole in the file, and all alike
			continue
		}
		key := sum ^ times(one, ^checksum.Unmask(stored))
		if at, ok := f.get(key); ok && int(at) <= i && f.found(from+uint64(at), b[at:i+trailerLen]) {
			return from + uint64(at), b[at : i+trailerLen], nil
		}
	}
	return 0, nil, nil
}

// makeSlots empties the hash table and makes it fit for n keys: at most half of it
// gets used.
func (f *finder) makeSlots(n int) {
	if f.slots != nil && n <= len(f.slots)/2 {
		clear(f.slots)
		return
	}
	bits := mathbits.Len(uint(n)) + 1
	f.slots, f.shift = make([]findSlot, 1<<bits), 32-bits
}

func (f *finder) put(key, pos uint32) {
	for h := key * 0x9e3779b1 >> f.shift; ; h = (h + 1) & uint32(len(f.slots)-1) {
		if s := &f.slots[h]; s.pos == 0 {
			*s = findSlot{key, pos + 1}
			return
		} else if s.key == key {
			return
		}
	}
}

func (f *finder) get(key uint32) (pos uint32, ok bool) {
	for h := key * 0x9e3779b1 >> f.shift; ; h = (h + 1) & uint32(len(f.slots)-1) {
		switch s := f.slots[h]; {
		case s.pos == 0:
			return 0, false
		case s.key == key:
			return s.pos - 1, true
		}
	}
}

// load returns n bytes of the region from offset off, from memory where they are
// there. What the disk cannot read is zeros.
func (f *finder) load(off uint64, n int) ([]byte, error) {
	n = int(min(uint64(n), f.end-off))
	if off >= f.bufOff && off+uint64(n) <= f.bufOff+uint64(len(f.buf)) {
		at := off - f.bufOff
		return f.buf[at : at+uint64(n)], nil
	}
	size := int(min(uint64(max(n, 3*directBytes)), f.end-off))
	if cap(f.buf) < size {
		f.buf = make([]byte, size)
	}
	f.buf, f.bufOff = f.buf[:size], off
	if err := readOver(f.src, f.buf, off); err != nil {
		f.buf = nil
		return nil, err
	}
	return f.buf[:n], nil
}

// readOver fills p from the file. Where the disk fails, and behind the end of the
// file, p is zeros.
func readOver(src Source, p []byte, off uint64) error {
	n, err := src.ReadAt(p, int64(off))
	if n == len(p) || err == nil || errors.Is(err, io.EOF) {
		clear(p[n:])
		return nil
	}
	if !unreadable(err) {
		return err
	}
	if len(p) <= pieceBytes {
		clear(p)
		return nil
	}
	for len(p) > 0 {
		piece := p[:min(len(p), pieceBytes)]
		if err := readOver(src, piece, off); err != nil {
			return err
		}
		p, off = p[len(piece):], off+uint64(len(piece))
	}
	return nil
}

// unreadable reports an error that means that the medium has lost the bytes, and
// not that reading them failed for a reason of the moment.
func unreadable(err error) bool { return errors.Is(err, syscall.EIO) }

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// The polynomial of CRC-32C without its highest term; bit 31 is the coefficient
// of x^0.
const polynomial = 0x82f63b78

// timesX returns a·x.
func timesX(a uint32) uint32 { return a>>1 ^ -(a&1)&polynomial }

// overX returns a/x.
func overX(a uint32) uint32 {
	top := a >> 31
	return (a^-top&polynomial)<<1 | top
}

// shiftX returns a·x^n.
func shiftX(a uint32, n int) uint32 {
	for range n {
		a = timesX(a)
	}
	return a
}

// times returns a·b.
func times(a, b uint32) (p uint32) {
	for m := uint32(1) << 31; m != 0; m >>= 1 {
		if a&m != 0 {
			p ^= b
		}
		b = timesX(b)
	}
	return p
}

// timesByte returns a·c, where c is a polynomial of degree 7 whose highest bit is
// the coefficient of x^0.
func timesByte(a uint32, c byte) (p uint32) {
	for ; c != 0; c <<= 1 {
		p ^= a & -uint32(c>>7)
		a = timesX(a)
	}
	return p
}

// overBytes holds h/x^8 for the polynomials h of degree 7.
var overBytes = sync.OnceValue(func() *[256]uint32 {
	var t [256]uint32
	for h := range t {
		a := uint32(h) << 24
		for range 8 {
			a = overX(a)
		}
		t[h] = a
	}
	return &t
})

// unshift8 returns a/x^8.
func unshift8(over *[256]uint32, a uint32) uint32 { return a<<8 ^ over[a>>24] }

// eioAsDamage makes what the medium has lost a damage like others.
type eioAsDamage struct {
	Source
	name string
}

func (s eioAsDamage) ReadAt(p []byte, off int64) (int, error) {
	n, err := s.Source.ReadAt(p, off)
	if err != nil && unreadable(err) {
		err = fmt.Errorf("%w: %w", base.Corruptf(s.name, off, "unreadable"), err)
	}
	return n, err
}

func isDamage(err error) bool { return errors.Is(err, base.ErrCorruption) }
