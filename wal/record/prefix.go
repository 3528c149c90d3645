package record

import (
	"sync"

	"github.com/strata-db/strata/internal/checksum"
)

// A CRC is linear. Reading bytes p in state s leaves the state
//
//	S(s, p) = S(0, p) ^ s·x^(8·len(p))  mod P
//
// over polynomials with coefficients mod 2. So the state after b[lo:hi] follows
// from those after b[:lo] and b[:hi] by one multiplication. A state is the
// complement of the sum that package checksum returns; bit 31 is the coefficient
// of x^0.
//
// Source: zlib, crc32_combine.

// polynomial is CRC-32C's without its highest term, in that bit order.
const polynomial = 0x82f63b78

// powers returns x^(8·n) mod P for every n up to a block's length.
var powers = sync.OnceValue(func() []uint32 {
	p := make([]uint32, BlockSize+1)
	v := uint32(1) << 31
	for n := range p {
		p[n] = v
		for range 8 {
			v = timesX(v)
		}
	}
	return p
})

// timesX returns a·x mod P.
func timesX(a uint32) uint32 {
	if a&1 != 0 {
		return a>>1 ^ polynomial
	}
	return a >> 1
}

// times returns a·b mod P.
func times(a, b uint32) (p uint32) {
	for m := uint32(1) << 31; m != 0; m >>= 1 {
		if a&m != 0 {
			p ^= b
		}
		b = timesX(b)
	}
	return p
}

// prefixSums returns the checksums of b[:0], b[:1], … b.
func prefixSums(b []byte) []uint32 {
	sums := make([]uint32, len(b)+1)
	for i := range b {
		sums[i+1] = checksum.Extend(sums[i], b[i:i+1])
	}
	return sums
}

// sumBetween returns the checksum of b[lo:hi], given the prefix sums of b.
func sumBetween(sums []uint32, lo, hi int) uint32 {
	const first = ^uint32(0)
	state := ^sums[hi] ^ times(powers()[hi-lo], ^sums[lo]^first)
	return ^state
}
