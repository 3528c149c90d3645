package gen

import "math/rand/v2"

// Values hands out values of one size that compress to a given part of it. The
// value of a number never changes, so a reader can tell whether it got the right
// one. It may be used by any number of goroutines.
//
// A value is made of pieces of up to 100 bytes, each of which repeats its random
// beginning, cut from a text that all values share. Source: the
// RandomGenerator of LevelDB's db_bench.
type Values struct {
	text   []byte
	size   int
	stride int // from one value to the next: size in whole pieces
	slots  uint64
}

// textBytes is what LevelDB uses: far more than a compressor's window or a
// block, so that repetition across values cannot be seen.
const textBytes = 1 << 20

// NewValues makes values of size bytes that compress to about ratio times that.
// A ratio of 1 or more is random bytes.
func NewValues(size int, ratio float64, seed uint64) *Values {
	pieces := max(1, (size+99)/100)
	piece := max(1, (size+pieces-1)/pieces)
	v := &Values{size: size, stride: pieces * piece}
	rng := rand.New(rand.NewPCG(seed, 0x76616c756573))
	raw := max(1, min(piece, int(float64(piece)*ratio)))
	random := make([]byte, raw)
	for len(v.text) < textBytes+size {
		for i := range random {
			random[i] = ' ' + byte(rng.UintN(95))
		}
		for have := 0; have < piece; {
			n := min(raw, piece-have)
			v.text = append(v.text, random[:n]...)
			have += n
		}
	}
	v.slots = uint64((len(v.text)-size)/v.stride) + 1
	return v
}

// Size returns the length of every value in bytes.
func (v *Values) Size() int { return v.size }

// At returns the value of number i. It must not be modified.
func (v *Values) At(i uint64) []byte {
	at := int(i%v.slots) * v.stride
	return v.text[at : at+v.size : at+v.size]
}
