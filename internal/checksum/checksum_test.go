package checksum

import (
	"bytes"
	"testing"
)

// The vectors of RFC 3720, appendix B.4, pin polynomial, bit order, initial
// value and final xor.
func TestStandardVectors(t *testing.T) {
	up := make([]byte, 32)
	down := make([]byte, 32)
	for i := range up {
		up[i], down[i] = byte(i), byte(31-i)
	}
	for _, c := range []struct {
		name string
		in   []byte
		want uint32
	}{
		{"zeros", make([]byte, 32), 0x8a9136aa},
		{"ones", bytes.Repeat([]byte{0xff}, 32), 0x62a8ab43},
		{"ascending", up, 0x46dd794e},
		{"descending", down, 0x113fdb5c},
		{"empty", nil, 0},
	} {
		if got := New(c.in); got != c.want {
			t.Errorf("%s: New(%x) = %#x, want %#x", c.name, c.in, got, c.want)
		}
	}
}

// Extend over any cut must equal New over the whole, and a mask must differ
// from what it hides and come off again.
func TestExtendAndMask(t *testing.T) {
	b := []byte("hello world")
	for i := range b {
		if got, want := Extend(New(b[:i]), b[i:]), New(b); got != want {
			t.Errorf("cut at %d: %#x, want %#x", i, got, want)
		}
	}
	for _, crc := range []uint32{0, 1, 0xffffffff, New(b)} {
		m := Mask(crc)
		if m == crc || Mask(m) == crc || Unmask(m) != crc {
			t.Errorf("crc %#x: mask %#x, unmasked %#x", crc, m, Unmask(m))
		}
	}
}
