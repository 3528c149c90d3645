package memtable

import (
	"encoding/binary"
	"math/bits"

	"github.com/strata-db/strata/internal/base"
)

// uvarintLen returns the number of bytes binary.PutUvarint uses for n.
func uvarintLen(n int) int { return (bits.Len64(uint64(n)|1) + 6) / 7 }

// entryBytes returns the size of an entry in the arena, rounded up to granules.
func entryBytes(ukey, value []byte) int64 {
	n := uvarintLen(len(ukey)) + len(ukey) + base.TrailerLen + uvarintLen(len(value)) + len(value)
	return (int64(n) + granule - 1) &^ (granule - 1)
}

// putEntry writes an entry to dst, which has room for it.
func putEntry(dst, ukey []byte, tr base.Trailer, value []byte) {
	n := binary.PutUvarint(dst, uint64(len(ukey)))
	n += copy(dst[n:], ukey)
	binary.LittleEndian.PutUint64(dst[n:], uint64(tr))
	n += base.TrailerLen
	n += binary.PutUvarint(dst[n:], uint64(len(value)))
	copy(dst[n:], value)
}

// splitEntry returns the parts of the entry that b begins with.
func splitEntry(b []byte) (ukey []byte, tr base.Trailer, value []byte) {
	if n := int(b[0]); n < 0x80 {
		end := 1 + n
		at := end + base.TrailerLen
		if v := int(b[at]); v < 0x80 { // ordinary entries, without a call
			at++
			return b[1:end:end], base.Trailer(binary.LittleEndian.Uint64(b[end:])), b[at : at+v : at+v]
		}
	}
	ukey, rest := splitKey(b)
	tr, value = splitTrailer(rest)
	return ukey, tr, value
}

// splitKey returns the user key of the entry that b begins with, and the bytes
// after it: trailer, value length, value.
func splitKey(b []byte) (ukey, rest []byte) {
	n, i := uint64(b[0]), 1
	if n >= 0x80 {
		n, i = binary.Uvarint(b)
	}
	end := uint64(i) + n
	return b[i:end:end], b[end:]
}

// splitTrailer returns the trailer and value that rest, from splitKey, begins
// with.
func splitTrailer(rest []byte) (tr base.Trailer, value []byte) {
	tr = base.Trailer(binary.LittleEndian.Uint64(rest))
	rest = rest[base.TrailerLen:]
	n, i := uint64(rest[0]), 1
	if n >= 0x80 {
		n, i = binary.Uvarint(rest)
	}
	end := uint64(i) + n
	return tr, rest[i:end:end]
}
