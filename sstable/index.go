package sstable

import (
	"bytes"
	"encoding/binary"
	"math"

	"github.com/strata-db/strata/internal/base"
	"github.com/strata-db/strata/sstable/block"
)

// badHandle marks a data block whose handle in the index is no handle.
const badHandle = math.MaxUint32

// index is an index block decoded into flat arrays, for binary search. Entry i is
// data block i. Immutable.
type index struct {
	cmp *base.Comparer

	offsets []uint64
	sizes   []uint32 // badHandle: see handle

	// keys holds the separators one after the other, encoded: that of block i is
	// keys[ends[i]:ends[i+1]].
	keys []byte
	ends []uint32

	// For the bytewise order: all separators but the last begin with the common
	// bytes, and prefixes are the eight bytes behind these, as numbers that order
	// as the keys do. The last is left out because it is cut short by AppendSuccessor
	// and mostly has nothing in common with the others. Otherwise nil.
	common   []byte
	prefixes []uint64
}

// newIndex decodes the content of an index block.
func newIndex(cmp *base.Comparer, b []byte, at block.Where) (*index, error) {
	n, size := 0, 0
	err := block.Walk(b, at, base.TrailerLen, func(key, _ []byte) error {
		n++
		size += len(key)
		// Index blocks share nothing between keys, by the restart interval of 1
		// that every writer uses. A few bytes that expand to many are an attack.
		if size > 128*len(b)+1<<16 || size > maxBlock {
			return base.Corruptf(at.File, at.Offset, "index keys expand beyond %d bytes", size)
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	x := &index{cmp: cmp, offsets: make([]uint64, 0, n), sizes: make([]uint32, 0, n), keys: make([]byte, 0, size), ends: make([]uint32, 1, n+1)}
	err = block.Walk(b, at, base.TrailerLen, func(key, value []byte) error {
		x.add(key, value)
		return nil
	})
	if err == nil && cmp.IsBytewise() {
		x.makePrefixes()
	}
	return x, err
}

func (x *index) add(key, value []byte) {
	h, n := parseHandle(value)
	size := uint32(badHandle)
	if n > 0 && h.Size < maxBlock {
		size = uint32(h.Size)
	}
	x.offsets = append(x.offsets, h.Offset)
	x.sizes = append(x.sizes, size)
	x.keys = append(x.keys, key...)
	x.ends = append(x.ends, uint32(len(x.keys)))
}

func (x *index) makePrefixes() {
	n := x.len() - 1
	if n <= 0 {
		return
	}
	// In a sound index the first and the last have in common what all have. In
	// an unsound one a key may be shorter than that.
	first, last := x.userKey(0), x.userKey(n-1)
	c := 0
	for c < len(first) && c < len(last) && first[c] == last[c] {
		c++
	}
	x.common = first[:c:c]
	x.prefixes = make([]uint64, n)
	for i := range x.prefixes {
		x.prefixes[i] = block.Prefix8(x.userKey(i), c)
	}
}

func (x *index) len() int { return len(x.offsets) }

// handle returns where block i lies, false if the index does not tell.
func (x *index) handle(i int) (Handle, bool) {
	return Handle{Offset: x.offsets[i], Size: uint64(x.sizes[i])}, x.sizes[i] != badHandle
}

// separator returns the key of entry i.
func (x *index) separator(i int) base.InternalKey {
	b := x.keys[x.ends[i]:x.ends[i+1]]
	n := len(b) - base.TrailerLen
	return base.InternalKey{UserKey: b[:n:n], Trailer: base.Trailer(binary.LittleEndian.Uint64(b[n:]))}
}

func (x *index) userKey(i int) []byte {
	return x.keys[x.ends[i] : x.ends[i+1]-base.TrailerLen]
}

// seek returns the first block whose separator is >= target: the only one that
// may hold the first entry >= target, unless its entries end before. It is len
// if target is beyond the table.
func (x *index) seek(target base.InternalKey) int {
	lo, hi := 0, x.len()
	if x.prefixes != nil {
		n := len(x.common)
		switch c := bytes.Compare(target.UserKey[:min(n, len(target.UserKey))], x.common); {
		case c < 0:
			return 0
		case c > 0:
			lo = len(x.prefixes)
		default:
			lo, hi = block.EqualRange(x.prefixes, block.Prefix8(target.UserKey, n))
			if hi == len(x.prefixes) {
				hi++
			}
		}
	}
	for lo < hi {
		mid := int(uint(lo+hi) >> 1)
		if x.cmp.CompareInternal(x.separator(mid), target) < 0 {
			lo = mid + 1
		} else {
			hi = mid
		}
	}
	return lo
}

// memory returns the bytes that x holds.
func (x *index) memory() int64 {
	return int64(cap(x.keys)) + 8*int64(cap(x.offsets)) + 4*int64(cap(x.sizes)) + 4*int64(cap(x.ends)) + 8*int64(cap(x.prefixes))
}
