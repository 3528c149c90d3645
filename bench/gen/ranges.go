package gen

import (
	"math"
	"math/rand/v2"
)

// A RangeShape says how popular the parts of a key space are. The space is cut
// into Ranges equal parts; part i, counted from the most popular, draws in
// proportion to A·e^(B·i) + C·e^(D·i), and the parts lie scattered. Within a part
// a key of popularity u (even over (0, 1)) is the one with rank (u/KeyA)^(1/KeyB),
// scattered, too; 0 for either draws evenly.
//
// Source: Cao, Dong, Vemuri, Du, Characterizing, Modeling, and Benchmarking
// RocksDB Key-Value Workloads at Facebook, FAST 2020, section 7.
type RangeShape struct {
	Ranges     int
	A, B, C, D float64
	KeyA, KeyB float64
}

// Ranges draws keys of [0, n) in a RangeShape. It belongs to one goroutine.
type Ranges struct {
	rng   *rand.Rand
	shape RangeShape
	n     uint64
	size  uint64    // of a part
	upTo  []float64 // of part i in order of popularity: the share of it and those before
	place []int     // where part i lies
}

// NewRanges draws from rng. Where the parts lie depends on seed alone, so that
// several Ranges prefer the same keys.
func NewRanges(rng *rand.Rand, n uint64, s RangeShape, seed uint64) *Ranges {
	s.Ranges = max(1, int(min(uint64(max(s.Ranges, 1)), max(n, 1))))
	r := &Ranges{rng: rng, shape: s, n: max(n, 1)}
	r.size = (r.n + uint64(s.Ranges) - 1) / uint64(s.Ranges)
	sum := 0.0
	for i := range s.Ranges {
		w := s.A*math.Exp(s.B*float64(i)) + s.C*math.Exp(s.D*float64(i))
		if !(w > 0) || math.IsInf(w, 0) {
			w = 0
		}
		sum += w
		r.upTo = append(r.upTo, sum)
	}
	for i := range r.upTo {
		if sum > 0 {
			r.upTo[i] /= sum
		} else {
			r.upTo[i] = float64(i+1) / float64(s.Ranges) // no shape: all alike
		}
	}
	r.place = rand.New(rand.NewPCG(seed, 0x72616e676573)).Perm(s.Ranges)
	return r
}

// Next draws a number.
func (r *Ranges) Next() uint64 {
	u, part := r.rng.Float64(), 0
	for part < len(r.upTo)-1 && u >= r.upTo[part] {
		part++
	}
	at := r.rng.Uint64N(r.size)
	if r.shape.KeyA != 0 && r.shape.KeyB != 0 {
		rank := math.Ceil(math.Pow((1-r.rng.Float64())/r.shape.KeyA, 1/r.shape.KeyB))
		if rank < 0 || rank > 1<<62 || math.IsNaN(rank) {
			rank = 0
		}
		at = Mix(uint64(rank)) % r.size
	}
	return (uint64(r.place[part])*r.size + at) % r.n
}

// Pareto draws whole numbers of the generalized Pareto distribution with location
// theta, scale sigma and shape k, from 1 to most.
func Pareto(rng *rand.Rand, theta, k, sigma float64, most int) int {
	u := 1 - rng.Float64() // (0, 1]
	x := theta - sigma*math.Log(u)
	if k != 0 {
		x = theta + sigma*(math.Pow(u, -k)-1)/k
	}
	if !(x < float64(most)) {
		return most
	}
	return max(1, int(math.Ceil(x)))
}
