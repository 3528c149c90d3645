package sstable

import (
	"encoding/binary"
	"fmt"
	"math"
	"math/bits"
	"sync"

	"github.com/bits-and-blooms/bloom/v3"
)

// filterHeader is the length of m, n and k before the words of a filter block.
const filterHeader = 8 + 8 + 4

// maxFilterBits bounds a filter: 256 MiB, room for two hundred million keys.
const maxFilterBits = 1 << 31

// bloomHashes returns the number of probes for that many bits a key: the
// optimum is bits * ln 2.
func bloomHashes(bitsPerKey int) int {
	return min(max(int(math.Round(float64(bitsPerKey)*math.Ln2)), 1), 30)
}

// hashChunk is how many hashes a piece of a hashList holds: 64 KiB of them.
const hashChunk = 2048

// hashList collects the hashes of a table's keys, in pieces that are used again:
// one slice would be copied each time it grows.
type hashList struct {
	full []*[hashChunk]KeyHash
	last *[hashChunk]KeyHash
	n    int // in last
}

var hashChunks = sync.Pool{New: func() any { return new([hashChunk]KeyHash) }}

func (l *hashList) add(h KeyHash) {
	if l.last == nil || l.n == hashChunk {
		l.grow()
	}
	l.last[l.n] = h
	l.n++
}

func (l *hashList) grow() {
	if l.last != nil {
		l.full = append(l.full, l.last)
	}
	l.last, l.n = hashChunks.Get().(*[hashChunk]KeyHash), 0
}

func (l *hashList) len() int { return len(l.full)*hashChunk + l.n }

// each calls fn with all hashes, a piece at a time.
func (l *hashList) each(fn func([]KeyHash)) {
	for _, c := range l.full {
		fn(c[:])
	}
	if l.last != nil {
		fn(l.last[:l.n])
	}
}

// release empties l and gives its memory to other lists.
func (l *hashList) release() {
	for _, c := range l.full {
		hashChunks.Put(c)
	}
	if l.last != nil {
		hashChunks.Put(l.last)
	}
	*l = hashList{}
}

// makeFilter returns the content of a filter block over the keys with the given
// hashes.
func makeFilter(hashes *hashList, bitsPerKey int) []byte {
	m := uint64(hashes.len()) * uint64(bitsPerKey)
	m = min(max((m+63)&^63, 64), maxFilterBits)
	k := bloomHashes(bitsPerKey)
	f := bloom.New(uint(m), uint(k))
	words := f.BitSet().Words()
	mod := newModulus(m)
	hashes.each(func(piece []KeyHash) {
		for i := range piece {
			for j := range uint64(k) {
				bit := mod.of(piece[i].location(j))
				words[bit>>6] |= 1 << (bit & 63)
			}
		}
	})
	dst := make([]byte, 0, filterHeader+8*len(words))
	dst = binary.LittleEndian.AppendUint64(dst, m)
	dst = binary.LittleEndian.AppendUint64(dst, uint64(hashes.len()))
	dst = binary.LittleEndian.AppendUint32(dst, uint32(k))
	for _, w := range words {
		dst = binary.LittleEndian.AppendUint64(dst, w)
	}
	return dst
}

// tableFilter is a filter block as it lies in memory. The zero value is no
// filter: every key may be there. Little-endian words make the bits plain bytes:
// bit i is bit i%8 of byte i/8.
type tableFilter struct {
	bits []byte
	k    uint64
	n    uint64 // keys
	mod  modulus
}

// parseFilter judges the content of a filter block. The result aliases b.
func parseFilter(b []byte) (tableFilter, error) {
	if len(b) < filterHeader {
		return tableFilter{}, fmt.Errorf("filter of %d bytes", len(b))
	}
	m := binary.LittleEndian.Uint64(b)
	n := binary.LittleEndian.Uint64(b[8:])
	k := binary.LittleEndian.Uint32(b[16:])
	words := b[filterHeader:]
	if m < 2 || m > maxFilterBits || k < 1 || k > 30 || (m+63)/64*8 != uint64(len(words)) {
		return tableFilter{}, fmt.Errorf("filter of %d bits, %d probes and %d bytes", m, k, len(words))
	}
	return tableFilter{bits: words, k: uint64(k), n: n, mod: newModulus(m)}, nil
}

func (f *tableFilter) present() bool { return f.k != 0 }

// mayContain reports false only if no key with the hash is in the table.
func (f *tableFilter) mayContain(h *KeyHash) bool {
	for i := range f.k {
		bit := f.mod.of(h.location(i))
		if f.bits[bit>>3]>>(bit&7)&1 == 0 {
			return false
		}
	}
	return true
}

// KeyHash is what filters know of a user key: computed once for a read, probed in
// every table.
type KeyHash struct{ h [4]uint64 }

// location returns the bit of probe i, before it is reduced to the filter's size.
// It is the sequence of bits-and-blooms/bloom v3: see its function location.
func (h *KeyHash) location(i uint64) uint64 {
	odd := i & 1
	return h.h[odd] + i*h.h[2+((i+odd)&3)>>1]
}

// modulus reduces numbers modulo m without dividing: the quotient is the high
// half of x times inv = floor(2^64 / m). It is short by at most one, because
// x/m - x*inv/2^64 = x * (2^64/m - inv) / 2^64 < 1.
type modulus struct{ m, inv uint64 }

// newModulus returns the modulus m, which must be at least 2.
func newModulus(m uint64) modulus {
	inv, _ := bits.Div64(1, 0, m)
	return modulus{m: m, inv: inv}
}

func (d *modulus) of(x uint64) uint64 {
	q, _ := bits.Mul64(x, d.inv)
	r := x - q*d.m
	if r >= d.m {
		r -= d.m
	}
	return r
}

// HashKey returns the hash of a user key: MurmurHash3 x64-128 with seed 0 of the
// key, and of the key followed by a byte 1. These are the base hashes of
// bits-and-blooms/bloom v3. Source: Appleby, MurmurHash3.cpp, public domain.
func HashKey(ukey []byte) KeyHash {
	var m murmur
	b := ukey
	for ; len(b) >= 16; b = b[16:] {
		m = m.mix(binary.LittleEndian.Uint64(b), binary.LittleEndian.Uint64(b[8:]))
	}
	var k1, k2 uint64
	if len(b) >= 8 {
		k1, k2 = binary.LittleEndian.Uint64(b), loadPartial(b[8:])
	} else {
		k1 = loadPartial(b)
	}
	n := uint64(len(ukey))
	var h KeyHash
	h.h[0], h.h[1] = m.finish(k1, k2, n)
	if len(b) < 8 {
		k1 |= 1 << (8 * len(b))
	} else {
		k2 |= 1 << (8 * (len(b) - 8))
	}
	if len(b) == 15 {
		m, k1, k2 = m.mix(k1, k2), 0, 0
	}
	h.h[2], h.h[3] = m.finish(k1, k2, n+1)
	return h
}

// loadPartial returns the bytes of b, at most 8, as a little-endian number.
func loadPartial(b []byte) (v uint64) {
	for i, c := range b {
		v |= uint64(c) << (8 * i)
	}
	return v
}

type murmur struct{ h1, h2 uint64 }

const (
	murmurC1 = 0x87c37b91114253d5
	murmurC2 = 0x4cf5ad432745937f
)

// mix takes a block of 16 bytes.
func (m murmur) mix(k1, k2 uint64) murmur {
	m.h1 ^= bits.RotateLeft64(k1*murmurC1, 31) * murmurC2
	m.h1 = (bits.RotateLeft64(m.h1, 27)+m.h2)*5 + 0x52dce729
	m.h2 ^= bits.RotateLeft64(k2*murmurC2, 33) * murmurC1
	m.h2 = (bits.RotateLeft64(m.h2, 31)+m.h1)*5 + 0x38495ab5
	return m
}

// finish takes the last, shorter block, padded with zeros, and the length of all.
func (m murmur) finish(k1, k2, n uint64) (uint64, uint64) {
	h1 := m.h1 ^ bits.RotateLeft64(k1*murmurC1, 31)*murmurC2 ^ n
	h2 := m.h2 ^ bits.RotateLeft64(k2*murmurC2, 33)*murmurC1 ^ n
	h1 += h2
	h2 += h1
	h1, h2 = murmurFinal(h1), murmurFinal(h2)
	h1 += h2
	return h1, h2 + h1
}

func murmurFinal(k uint64) uint64 {
	k ^= k >> 33
	k *= 0xff51afd7ed558ccd
	k ^= k >> 33
	k *= 0xc4ceb9fe1a85ec53
	return k ^ k>>33
}
