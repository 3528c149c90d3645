package block

import (
	"math/rand/v2"
	"slices"
	"testing"
)

// EqualRange must agree with the library's search on runs of equal values, at
// both ends of the numbers.
func TestEqualRange(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 1))
	for n := range 40 {
		for range 50 {
			a := make([]uint64, n)
			for i := range a {
				a[i] = []uint64{0, 1, 2, 3, 1 << 40, 1<<64 - 2, 1<<64 - 1}[rng.IntN(7)]
			}
			slices.Sort(a)
			for _, v := range []uint64{0, 1, 2, 5, 1 << 40, 1<<64 - 2, 1<<64 - 1} {
				lo, hi := EqualRange(a, v)
				wantLo, _ := slices.BinarySearch(a, v)
				wantHi := wantLo
				for wantHi < n && a[wantHi] == v {
					wantHi++
				}
				if lo != wantLo || hi != wantHi {
					t.Fatalf("%v in %v: %d, %d, want %d, %d", v, a, lo, hi, wantLo, wantHi)
				}
			}
		}
	}
}

// Prefix8 must be the eight bytes behind skip, padded with zeros, for every
// length and skip.
func TestPrefix8(t *testing.T) {
	b := []byte("abcdefghijklmnopqrst")
	for n := range b {
		for skip := range n + 1 {
			var want uint64
			for i := range 8 {
				want <<= 8
				if skip+i < n {
					want |= uint64(b[skip+i])
				}
			}
			if got := Prefix8(b[:n:n], skip); got != want {
				t.Fatalf("Prefix8(%q, %d) = %x, want %x", b[:n], skip, got, want)
			}
		}
	}
}
