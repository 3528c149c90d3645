package gen

import (
	"bytes"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/golang/snappy"
)

// TestPermIsAPermutation: fills write each key exactly once, so the order must
// visit every number once, and must not look sorted.
func TestPermIsAPermutation(t *testing.T) {
	for _, n := range []uint64{1, 2, 3, 4, 5, 100, 1000, 1023, 1024, 1025, 65_537} {
		for seed := range uint64(3) {
			p := NewPerm(n, seed)
			seen := make([]bool, n)
			ascents := 0
			var last uint64
			for i := range n {
				k := p.At(i)
				if k >= n || seen[k] {
					t.Fatalf("n %d, seed %d: At(%d) = %d is out of range or came twice", n, seed, i, k)
				}
				seen[k] = true
				if i > 0 && k > last {
					ascents++
				}
				last = k
			}
			if share := float64(ascents) / float64(n); n >= 1000 && (share < 0.4 || share > 0.6) {
				t.Errorf("n %d, seed %d: %.2f of the steps ascend, want about a half", n, seed, share)
			}
		}
	}
}

func TestKeysSortLikeNumbers(t *testing.T) {
	m := NewKeyMaker(16, 4)
	if got := string(m.Append(nil, 42)); got != "kkkk0000000000000042" {
		t.Errorf("key of 42 is %q", got)
	}
	for size := 1; size < 40; size++ {
		for i := uint64(1); i < 1<<60; i = i*7 + 3 {
			full := fmt.Sprintf("%040d", i)
			if got, want := string(NewKeyMaker(size, 0).Append(nil, i)), full[40-size:]; got != want {
				t.Fatalf("key of %d in %d bytes is %q, want %q", i, size, got, want)
			}
		}
	}
	var last []byte
	for _, i := range []uint64{0, 1, 9, 10, 99, 100, 12345, 999_999_999} {
		k := m.Append(nil, i)
		if len(k) != m.Len() || bytes.Compare(last, k) >= 0 {
			t.Errorf("key of %d is %q, after %q", i, k, last)
		}
		last = k
	}
}

// TestValuesCompressAsAsked: a block of values must shrink to the ratio, with
// the compressor that the engines use.
func TestValuesCompressAsAsked(t *testing.T) {
	for _, size := range []int{100, 256, 4096, 100_000} {
		for _, ratio := range []float64{0.25, 0.5, 0.75, 1} {
			v := NewValues(size, ratio, 1)
			var raw []byte
			for i := uint64(0); len(raw) < 200_000; i++ {
				if len(v.At(i)) != size {
					t.Fatalf("value of %d bytes, want %d", len(v.At(i)), size)
				}
				raw = append(raw, v.At(i)...)
			}
			got := float64(len(snappy.Encode(nil, raw[:200_000]))) / 200_000
			if math.Abs(got-ratio) > 0.08 {
				t.Errorf("size %d, ratio %.2f: compresses to %.2f", size, ratio, got)
			}
		}
	}
}

func TestValuesAreStable(t *testing.T) {
	a, b := NewValues(100, 0.5, 7), NewValues(100, 0.5, 7)
	for i := range uint64(20_000) {
		if !bytes.Equal(a.At(i), b.At(i)) {
			t.Fatalf("value %d differs between two generators of one seed", i)
		}
	}
	if bytes.Equal(a.At(1), a.At(2)) {
		t.Error("neighbours have the same value")
	}
}

// TestZipfFrequencies compares what is drawn with the distribution's formula.
func TestZipfFrequencies(t *testing.T) {
	const n, draws, theta = 1000, 400_000, 0.99
	z := NewZipf(rand.New(rand.NewPCG(1, 2)), n, theta)
	var count [n]float64
	for range draws {
		count[z.Next()]++
	}
	zeta := 0.0
	for i := 1; i <= n; i++ {
		zeta += math.Pow(float64(i), -theta)
	}
	want := func(k int) float64 { return math.Pow(float64(k+1), -theta) / zeta * draws }
	for k := range 2 {
		if math.Abs(count[k]/want(k)-1) > 0.05 {
			t.Errorf("%d came %.0f times, want about %.0f", k, count[k], want(k))
		}
	}
	for _, r := range [][2]int{{0, 10}, {10, 100}, {100, 1000}} {
		var got, wanted float64
		for k := r[0]; k < r[1]; k++ {
			got += count[k]
			wanted += want(k)
		}
		if math.Abs(got/wanted-1) > 0.15 {
			t.Errorf("%v came %.0f times, want about %.0f", r, got, wanted)
		}
	}
}

// TestZipfGrow: raising n step by step must end where starting with it does.
func TestZipfGrow(t *testing.T) {
	a := NewZipf(rand.New(rand.NewPCG(1, 2)), 10, 0.99)
	a.Grow(5000)
	b := NewZipf(rand.New(rand.NewPCG(1, 2)), 5000, 0.99)
	for range 1000 {
		if x, y := a.NextLatest(), b.NextLatest(); x != y || x >= 5000 {
			t.Fatalf("grown %d, made %d", x, y)
		}
		if x, y := a.NextScrambled(), b.NextScrambled(); x != y || x >= 5000 {
			t.Fatalf("grown %d, made %d", x, y)
		}
	}
}

func BenchmarkPerm(b *testing.B) {
	p := NewPerm(1_000_000, 1)
	var i, sum uint64
	for b.Loop() {
		sum += p.At(i % 1_000_000)
		i++
	}
	_ = sum
}

func BenchmarkKey(b *testing.B) {
	m := NewKeyMaker(16, 0)
	var key []byte
	var i uint64
	for b.Loop() {
		key = m.Append(key[:0], i)
		i += 977
	}
}

func BenchmarkZipf(b *testing.B) {
	z := NewZipf(rand.New(rand.NewPCG(1, 2)), 1_000_000, 0.99)
	for b.Loop() {
		z.NextScrambled()
	}
}

// TestCost: a cost of nothing, or of a microsecond, would say that it is not
// measured or that generators got in the way of what they serve.
func TestCost(t *testing.T) {
	if c := Cost(NewKeyMaker(16, 0), NewValues(100, 0.5, 1)); c <= 0 || c > 5000 {
		t.Errorf("a key and its value cost %.1f ns", c)
	}
	if c := Cost(NewKeyMaker(16, 0), NewValues(0, 0.5, 1)); c <= 0 {
		t.Errorf("a key without a value costs %.1f ns", c)
	}
}

// Popular parts of the key space are drawn as often as the shape says, wherever
// they lie, and every draw is in range.
func TestRangesFollowTheirShape(t *testing.T) {
	const n, draws = 3000, 200_000
	s := RangeShape{Ranges: 30, A: 14.18, B: -2.917, C: 0.0164, D: -0.08082}
	for _, s.KeyB = range []float64{0, -0.2} {
		s.KeyA = -s.KeyB
		r := NewRanges(rand.New(rand.NewPCG(1, 2)), n, s, 7)
		var parts [30]int
		for range draws {
			k := r.Next()
			if k >= n {
				t.Fatalf("drew %d of %d", k, n)
			}
			parts[k/100]++
		}
		sum := 0.0
		for i := range 30 {
			sum += s.A*math.Exp(s.B*float64(i)) + s.C*math.Exp(s.D*float64(i))
		}
		want := (s.A + s.C) / sum
		if got := float64(slices.Max(parts[:])) / draws; math.Abs(got-want) > 0.01 {
			t.Errorf("the most popular part has %.3f of the draws, want %.3f", got, want)
		}
	}
	for _, s := range []RangeShape{{}, {Ranges: 5}, {Ranges: 50, A: math.Inf(1)}, {Ranges: 3, KeyA: 1e-300, KeyB: 1e-9}} {
		r := NewRanges(rand.New(rand.NewPCG(1, 2)), 7, s, 7)
		for range 1000 {
			if k := r.Next(); k >= 7 {
				t.Fatalf("%+v: drew %d of 7", s, k)
			}
		}
	}
}

// The median of a generalized Pareto distribution is theta + sigma·(2^k-1)/k.
func TestPareto(t *testing.T) {
	rng := rand.New(rand.NewPCG(3, 4))
	for _, p := range []struct{ theta, k, sigma, median float64 }{
		{0, 0.2615, 25.45, 25.45 * (math.Pow(2, 0.2615) - 1) / 0.2615},
		{10, 0, 20, 10 + 20*math.Ln2},
	} {
		below := 0
		for range 100_000 {
			x := Pareto(rng, p.theta, p.k, p.sigma, 1024)
			if x < 1 || x > 1024 {
				t.Fatalf("drew %d", x)
			}
			if float64(x) <= math.Ceil(p.median) {
				below++
			}
		}
		if share := float64(below) / 100_000; share < 0.49 || share > 0.53 {
			t.Errorf("%+v: %.3f are at most the median", p, share)
		}
	}
}
