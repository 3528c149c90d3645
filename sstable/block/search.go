package block

import (
	"bytes"
	"encoding/binary"
	"math/bits"

	"github.com/strata-db/strata/internal/base"
)

// An Index is what makes a search in a block of the bytewise order fast, to be
// kept beside the block. Words holds, of n restarts, n prefixes and then n
// offsets, two to a word, so that a search touches neither the block's restart
// array nor any key it can do without:
//
//	| prefix 0 | prefix 1 | prefix 2 | offset 1, offset 0 | 0, offset 2 |
//
// A prefix is eight bytes of the user key as a number that orders as the bytes do
// (see Prefix8). Keys of one block often begin alike, so they are those behind the
// first Skip bytes, which the first and the last restart have in common. The zero
// Index is none.
type Index struct {
	Words []uint64
	Skip  int
}

// NewIndex returns the Index of a block that passed Check, the zero one if it
// has no entries.
func NewIndex(data []byte) Index {
	limit, n, ok := layout(data)
	if !ok || limit == 0 || n == 0 {
		return Index{}
	}
	x := Index{Words: make([]uint64, n+(n+1)/2)}
	x.Skip = commonPrefix(restartKey(data, limit, 0), restartKey(data, limit, restartAt(data, limit, n-1)))
	for j := range n {
		off := restartAt(data, limit, j)
		x.Words[j] = Prefix8(restartKey(data, limit, off), x.Skip)
		x.Words[n+j/2] |= uint64(uint32(off)) << (32 * (j & 1))
	}
	return x
}

// len returns the number of restarts.
func (x Index) len() int { return len(x.Words) * 2 / 3 }

// prefixes returns the prefix of each restart.
func (x Index) prefixes() []uint64 { return x.Words[:x.len()] }

// layout is the layout of the block that x is of.
func (x Index) layout(data []byte) (limit, restarts int) {
	n := x.len()
	return len(data) - 4 - 4*n, n
}

// offset returns the offset of restart j.
func (x Index) offset(j int) int { return int(uint32(x.Words[x.len()+j/2] >> (32 * (j & 1)))) }

// restartKey returns the user key of the restart at off in a block that passed
// Check.
func restartKey(data []byte, limit, off int) []byte {
	e, ok := decode(data[:limit], off)
	if !ok || e.keyEnd-e.key < base.TrailerLen {
		return nil
	}
	return data[e.key : e.keyEnd-base.TrailerLen]
}

// Prefix8 returns bytes skip .. skip+8 of b as a number that orders as they do,
// zeros beyond b's end.
func Prefix8(b []byte, skip int) uint64 {
	if skip+8 <= len(b) {
		return binary.BigEndian.Uint64(b[skip:])
	}
	if rest := len(b) - skip; len(b) >= 8 && rest > 0 {
		return binary.BigEndian.Uint64(b[len(b)-8:]) << (64 - 8*rest)
	}
	var v uint64
	for i := skip; i < len(b); i++ {
		v |= uint64(b[i]) << (56 - 8*(i-skip))
	}
	return v
}

// seekRestart returns the last restart whose key is below target, or 0: the
// place from where a walk finds the first entry >= target.
func seekRestart(cmp *base.Comparer, data []byte, limit, n int, x Index, target base.InternalKey) int {
	if x.len() != n || n == 0 {
		return narrow(cmp, data, limit, 0, n, target)
	}
	lo, hi := EqualRange(x.prefixes(), Prefix8(target.UserKey, x.Skip))
	j := narrow(cmp, data, limit, lo, hi, target)
	// Prefixes count only if the target begins as all keys do. Any key tells, so
	// it is the one the walk will begin with.
	key := restartKey(data, limit, x.offset(j))
	common := key[:min(x.Skip, len(key))]
	switch c := bytes.Compare(target.UserKey[:min(len(common), len(target.UserKey))], common); {
	case c < 0:
		return 0
	case c > 0:
		return n - 1
	}
	return j
}

// narrow returns the last restart of lo .. hi-1 that is below target, or the one
// before lo, or 0.
func narrow(cmp *base.Comparer, data []byte, limit, lo, hi int, target base.InternalKey) int {
	for lo < hi {
		mid := int(uint(lo+hi) >> 1)
		if restartBelow(cmp, data, limit, mid, target) {
			lo = mid + 1
		} else {
			hi = mid
		}
	}
	return max(lo-1, 0)
}

// EqualRange returns the bounds of the values equal to v in ascending a: lo is
// the first >= v, hi the first > v.
func EqualRange(a []uint64, v uint64) (lo, hi int) {
	lo = lowerBound(a, v)
	if lo == len(a) || a[lo] != v {
		return lo, lo
	}
	if v == 1<<64-1 {
		return lo, len(a)
	}
	return lo, lo + lowerBound(a[lo:], v+1)
}

// lowerBound returns the index of the first value >= v. Which half to go on with
// cannot be predicted, so it is chosen without a branch.
func lowerBound(a []uint64, v uint64) int {
	lo, n := 0, len(a)
	for n > 1 {
		half := n >> 1
		_, below := bits.Sub64(a[lo+half-1], v, 0) // 1 if it is
		lo += half & -int(below)
		n -= half
	}
	if n == 1 && a[lo] < v {
		lo++
	}
	return lo
}

func restartBelow(cmp *base.Comparer, data []byte, limit, j int, target base.InternalKey) bool {
	e, ok := decode(data[:limit], restartAt(data, limit, j))
	if !ok {
		return false
	}
	k, ok := base.ParseInternalKey(data[e.key:e.keyEnd])
	return ok && cmp.CompareInternal(k, target) < 0
}

// outcome is how a walk ended.
type outcome uint8

const (
	found outcome = iota // at the first entry >= target
	ended                // every entry is below target
	odd                  // ask the walk that copies keys: damage, or bytes shared past a user key
)

// scan walks the entries of a bytewise block from off, which is a restart, to the
// first entry >= target, without putting keys together. equal says that its user
// key is the target's.
//
// It remembers how many bytes of the target the last key began with. An entry
// that shares more than that with the last key compares to the target as the last
// key did; of any other only its own bytes need comparing, as what it shares is
// the target's beginning. So the key found is always a beginning of the target
// followed by the entry's own bytes.
func scan(data []byte, off int, target base.InternalKey) (e entry, at int, equal bool, out outcome) {
	t := target.UserKey
	match := 0    // bytes of t that the last key, trailer included, begins with
	inKey := true // they end inside the last user key, so the next byte decided
	last := 0     // length of the last key
	for off < len(data) {
		e, ok := decode(data, off)
		size := e.shared + e.keyEnd - e.key
		if !ok || e.shared > last || size < base.TrailerLen {
			return e, off, false, odd
		}
		last = size
		if e.shared > match {
			if !inKey {
				return e, off, false, odd
			}
			off = e.end
			continue
		}
		own := data[e.key:e.keyEnd]
		rest := t[e.shared:]
		n := 0
		for n < len(own) && n < len(rest) && own[n] == rest[n] {
			n++
		}
		match = e.shared + n
		ulen := size - base.TrailerLen
		inKey = match < ulen
		switch {
		case inKey && (n == len(rest) || own[n] > rest[n]):
			return e, off, false, found
		case !inKey && ulen == len(t):
			tr := base.Trailer(binary.LittleEndian.Uint64(data[e.keyEnd-base.TrailerLen:]))
			if tr <= target.Trailer {
				return e, off, true, found
			}
		}
		off = e.end
	}
	return entry{}, off, false, ended
}
