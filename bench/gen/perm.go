package gen

import "math/bits"

// A Perm is a pseudo-random permutation of [0, n), computed and not stored: At
// is a bijection, so a loop over i visits every number once, in an order that
// looks random. It may be used by any number of goroutines.
//
// Numbers are mixed by invertible steps within the smallest power of two that
// holds n, again and again until they are below n ("cycle walking": Black and
// Rogaway, Ciphers with Arbitrary Finite Domains, 2002), less than twice on
// average.
type Perm struct {
	n, mask    uint64
	shift      uint
	add1, add2 uint64
	mul1, mul2 uint64
}

// NewPerm returns the permutation of [0, n) that seed names.
func NewPerm(n, seed uint64) *Perm {
	width := max(2, bits.Len64(max(n, 1)-1))
	p := &Perm{n: n, mask: 1<<width - 1, shift: uint(width+1) / 2}
	p.add1, p.add2 = Mix(seed), Mix(seed+1)
	p.mul1, p.mul2 = Mix(seed+2)|1, Mix(seed+3)|1
	return p
}

// Len returns n.
func (p *Perm) Len() uint64 { return p.n }

// At returns the i-th number of the order. i must be below n.
func (p *Perm) At(i uint64) uint64 {
	for {
		i = (i + p.add1) & p.mask * p.mul1 & p.mask
		i ^= i >> p.shift
		i = (i + p.add2) & p.mask * p.mul2 & p.mask
		i ^= i >> p.shift
		i = i * p.mul1 & p.mask
		i ^= i >> p.shift
		if i < p.n {
			return i
		}
	}
}

// Mix spreads x over all 64 bits; different x give different results.
//
// Source: the finaliser of SplitMix64 (Steele, Lea and Flood, 2014).
func Mix(x uint64) uint64 {
	x += 0x9e3779b97f4a7c15
	x = (x ^ x>>30) * 0xbf58476d1ce4e5b9
	x = (x ^ x>>27) * 0x94d049bb133111eb
	return x ^ x>>31
}
