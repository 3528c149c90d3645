package testcorpus

import (
	"bytes"
	"cmp"
	"encoding/binary"
	"fmt"
	"math"

	"github.com/strata-db/strata/internal/base"
	"github.com/strata-db/strata/tools/comparers"
)

// The orders of the corpus besides the default one.
var (
	// LenFirst sorts shorter keys first, keys of one length as bytes.
	LenFirst = &base.Comparer{
		Name:             "interop.lenfirst",
		Compare:          compareLenFirst,
		EqualIsIdentical: true,
	}
	// Reverse sorts keys as bytes, largest first.
	Reverse = &base.Comparer{
		Name:             "interop.reverse",
		Compare:          func(a, b []byte) int { return bytes.Compare(b, a) },
		EqualIsIdentical: true,
	}
	// IndexedDB is the order of Chromium's IndexedDB databases.
	IndexedDB = comparers.IndexedDB
)

func compareLenFirst(a, b []byte) int {
	if r := cmp.Compare(len(a), len(b)); r != 0 {
		return r
	}
	return bytes.Compare(a, b)
}

// Comparer returns the order of that name, false if there is none.
func Comparer(name string) (*base.Comparer, bool) {
	for _, c := range []*base.Comparer{base.Bytewise, LenFirst, Reverse, IndexedDB} {
		if c.Name == name {
			return c, true
		}
	}
	return nil, false
}

// NewKey returns the i-th of a series of keys that occur in no case and are
// legal under the order.
func NewKey(order *base.Comparer, i int) []byte {
	if order != IndexedDB {
		return fmt.Appendf(nil, "strata-new-%06d", i)
	}
	// A record of object store 9 of database 9, under the number i.
	const number = 3
	key := []byte{0, 9, 9, 1, number}
	return binary.LittleEndian.AppendUint64(key, math.Float64bits(float64(i)))
}
