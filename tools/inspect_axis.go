package tools

import (
	"bytes"
	"math"
	"slices"
	"sort"

	"github.com/strata-db/strata/internal/base"
)

// A keyAxis lays user keys out from 0 to 1, in their order.
//
// By value, a step to the right is a step in the key: what keys have in common is
// left out, and of each byte behind it only the values that occur count, so that
// decimal and hex numbers are spread evenly. By rank, a step is a key that some
// table begins or ends with. Orders other than the bytewise one have a rank only.
type keyAxis struct {
	cmp     *base.Comparer
	keys    [][]byte // ascending, distinct, at least one
	byValue bool

	prefix   int // length of what all keys have in common
	digits   [axisDigits]axisDigit
	low, top float64 // where the first and the last key are before scaling
}

const (
	axisDigits  = 10    // bytes behind the common prefix that are looked at
	maxAxisKeys = 50000 // keys that an axis remembers
)

// An axisDigit is what occurs at one place of the keys.
type axisDigit struct {
	values []byte // ascending
	ends   bool   // some key ends here
}

// newKeyAxis returns the axis of keys, by value if the order allows. It keeps
// them; nil if there are none.
func newKeyAxis(cmp *base.Comparer, keys [][]byte) *keyAxis {
	if len(keys) == 0 {
		return nil
	}
	slices.SortFunc(keys, cmp.Compare)
	keys = slices.CompactFunc(keys, func(a, b []byte) bool { return cmp.Compare(a, b) == 0 })
	if every := (len(keys) + maxAxisKeys - 1) / maxAxisKeys; every > 1 {
		last := keys[len(keys)-1]
		few := keys[:0]
		for i := 0; i < len(keys); i += every {
			few = append(few, keys[i])
		}
		keys = append(few, last)
	}
	a := &keyAxis{cmp: cmp, keys: keys}
	if cmp.IsBytewise() && len(keys) > 1 {
		a.measure()
	}
	return a
}

// measure prepares positions by value.
func (a *keyAxis) measure() {
	first, last := a.keys[0], a.keys[len(a.keys)-1]
	for a.prefix < len(first) && a.prefix < len(last) && first[a.prefix] == last[a.prefix] {
		a.prefix++
	}
	for d := range a.digits {
		var seen [256]bool
		for _, k := range a.keys {
			if a.prefix+d < len(k) {
				seen[k[a.prefix+d]] = true
			} else if a.prefix+d == len(k) {
				a.digits[d].ends = true
			}
		}
		for b, ok := range seen {
			if ok {
				a.digits[d].values = append(a.digits[d].values, byte(b))
			}
		}
	}
	a.low, a.top = a.value(first), a.value(last)
	a.byValue = a.top > a.low
}

// value reads a key between the first and the last one as a fraction whose digits
// are the values that occur.
func (a *keyAxis) value(key []byte) float64 {
	x, scale := 0.0, 1.0
	rest := key[min(a.prefix, len(key)):]
	for d := range a.digits {
		g := &a.digits[d]
		radix := len(g.values)
		if g.ends {
			radix++
		}
		if d >= len(rest) || radix == 0 {
			return x
		}
		i, found := slices.BinarySearch(g.values, rest[d])
		if g.ends {
			i++
		}
		scale /= float64(radix)
		x += float64(i) * scale
		if !found {
			return x
		}
	}
	return x
}

// rank returns the position of a key by rank.
func (a *keyAxis) rank(key []byte) float64 {
	if len(a.keys) == 1 {
		return 0
	}
	i := sort.Search(len(a.keys), func(i int) bool { return a.cmp.Compare(a.keys[i], key) >= 0 })
	return min(1, float64(i)/float64(len(a.keys)-1))
}

// at returns the position of a key, from 0 to 1.
func (a *keyAxis) at(key []byte) float64 {
	if !a.byValue {
		return a.rank(key)
	}
	if bytes.Compare(key, a.keys[0]) <= 0 {
		return 0
	}
	if bytes.Compare(key, a.keys[len(a.keys)-1]) >= 0 {
		return 1
	}
	return min(1, max(0, (a.value(key)-a.low)/(a.top-a.low)))
}

// near returns a known key close to a position, and where it is.
func (a *keyAxis) near(x float64) ([]byte, float64) {
	i := sort.Search(len(a.keys), func(i int) bool { return a.at(a.keys[i]) >= x })
	i = min(i, len(a.keys)-1)
	if i > 0 && math.Abs(a.at(a.keys[i-1])-x) < math.Abs(a.at(a.keys[i])-x) {
		i--
	}
	return a.keys[i], a.at(a.keys[i])
}

// ranked returns the same axis by rank.
func (a *keyAxis) ranked() *keyAxis {
	b := *a
	b.byValue = false
	return &b
}

// A tick is a mark at an axis.
type tick struct {
	X   float64 `json:"x"`
	Key string  `json:"k"`
}

// ticks returns a few marks, from the left to the right.
func (a *keyAxis) ticks(label func([]byte) string) (ticks []tick) {
	const parts = 4
	for i := range parts + 1 {
		k, x := a.near(float64(i) / parts)
		if n := len(ticks); n > 0 && x-ticks[n-1].X < 0.5/parts {
			continue
		}
		ticks = append(ticks, tick{round(x), label(k)})
	}
	return ticks
}

// round cuts the digits that no screen shows.
func round(x float64) float64 { return math.Round(x*1e4) / 1e4 }
