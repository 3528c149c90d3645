package gen

import (
	"math"
	"math/rand/v2"
)

// A Zipf draws from [0, n) so that number k comes up about in proportion to
// 1/(k+1)^theta. Source: Gray et al., Quickly Generating Billion-Record
// Synthetic Databases, SIGMOD 1994, as used by YCSB, whose theta is 0.99.
//
// math/rand/v2 has a Zipf too, but for theta above 1 only. A Zipf belongs to one
// goroutine.
type Zipf struct {
	rng         *rand.Rand
	n           uint64
	theta       float64
	zeta, zeta2 float64
	alpha, eta  float64
	half        float64 // 0.5^theta
}

// NewZipf draws from rng. It takes time proportional to n, about 30 ms for a
// million.
func NewZipf(rng *rand.Rand, n uint64, theta float64) *Zipf {
	z := &Zipf{rng: rng, theta: theta, alpha: 1 / (1 - theta), half: math.Pow(0.5, theta)}
	z.zeta2 = 1 + z.half
	z.Grow(max(n, 1))
	return z
}

// Grow raises n, in time proportional to the difference.
func (z *Zipf) Grow(n uint64) {
	if n <= z.n {
		return
	}
	for i := z.n + 1; i <= n; i++ {
		z.zeta += math.Pow(1/float64(i), z.theta)
	}
	z.n = n
	z.eta = (1 - math.Pow(2/float64(n), 1-z.theta)) / (1 - z.zeta2/z.zeta)
}

// Next draws a number; 0 is the most frequent.
func (z *Zipf) Next() uint64 {
	u := z.rng.Float64()
	uz := u * z.zeta
	switch {
	case uz < 1 || z.n == 1:
		return 0
	case uz < 1+z.half || z.n == 2:
		return 1
	}
	return min(z.n-1, uint64(float64(z.n)*math.Pow(z.eta*u-z.eta+1, z.alpha)))
}

// NextScrambled draws with the same frequencies, but the frequent numbers lie
// scattered over [0, n), as popular keys do.
func (z *Zipf) NextScrambled() uint64 { return Mix(z.Next()) % z.n }

// NextLatest draws from [0, n) with the highest numbers the most frequent.
func (z *Zipf) NextLatest() uint64 { return z.n - 1 - z.Next() }
