// Package batch knows the bytes of a write batch: the payload of one log record
// and the unit of atomicity.
//
//	 0                 8        12
//	+-----------------+--------+---------+---------+ ...
//	| sequence number | count  | entry 0 | entry 1 |
//	+-----------------+--------+---------+---------+ ...
//	  u64 le            u32 le
//
//	entry:  01 | key length | key | value length | value     a set
//	        00 | key length | key                            a tombstone
//
// Lengths are base-128 varints of at most five bytes, low group first. Entry i
// has the sequence number of the header plus i. A count of 0 is legal: such a
// record of twelve bytes carries no entry, only a sequence number.
//
// Example: putting key "a" with value "xy" as the first write of a database is
// 01 00 00 00 00 00 00 00  01 00 00 00  01 01 61 02 78 79.
//
// The package holds no state. Nothing in it may be trusted to be well formed
// before Validate said so; Reader checks every bound itself.
//
// Source: LevelDB, db/write_batch.cc. The bytes are interchangeable with it.
package batch

import (
	"encoding/binary"
	"math"

	"github.com/strata-db/strata/internal/base"
)

// HeaderLen is the length of a batch's header in bytes.
const HeaderLen = 12

// SeqNum returns the sequence number of the first entry. b must hold a header.
func SeqNum(b []byte) base.SeqNum { return base.SeqNum(binary.LittleEndian.Uint64(b)) }

// Count returns the number of entries the header claims. b must hold a header.
func Count(b []byte) uint32 { return binary.LittleEndian.Uint32(b[8:HeaderLen]) }

// SetSeqNum stores the sequence number of the first entry. b must hold a header.
func SetSeqNum(b []byte, s base.SeqNum) { binary.LittleEndian.PutUint64(b, uint64(s)) }

// SetCount stores the number of entries. b must hold a header.
func SetCount(b []byte, n uint32) { binary.LittleEndian.PutUint32(b[8:HeaderLen], n) }

// LastSeqNum returns the sequence number of the last entry; for an empty batch
// that is the one before its own. b must hold a header.
func LastSeqNum(b []byte) base.SeqNum { return SeqNum(b) + base.SeqNum(Count(b)) - 1 }

// AppendEmpty appends a batch without entries that carries s.
func AppendEmpty(dst []byte, s base.SeqNum) []byte {
	dst = binary.LittleEndian.AppendUint64(dst, uint64(s))
	return append(dst, 0, 0, 0, 0)
}

// IsEmpty reports whether b is a whole batch without entries.
func IsEmpty(b []byte) bool { return len(b) == HeaderLen && Count(b) == 0 }

// AppendSet appends the entry that sets key to value. The header is neither
// written nor updated. Lengths must fit 32 bits.
func AppendSet(dst, key, value []byte) []byte {
	dst = append(dst, byte(base.KindSet))
	dst = binary.AppendUvarint(dst, uint64(len(key)))
	dst = append(dst, key...)
	dst = binary.AppendUvarint(dst, uint64(len(value)))
	return append(dst, value...)
}

// AppendDelete appends the entry that deletes key. The header is neither
// written nor updated. The length must fit 32 bits.
func AppendDelete(dst, key []byte) []byte {
	dst = append(dst, byte(base.KindDelete))
	dst = binary.AppendUvarint(dst, uint64(len(key)))
	return append(dst, key...)
}

// Validate checks a whole batch: the header is there, every entry is well
// formed, there are as many as the header says, and their sequence numbers fit
// a trailer. The error is a *base.CorruptionError whose Offset lies inside b and
// whose File is empty.
func Validate(b []byte) error {
	if len(b) < HeaderLen {
		return &base.CorruptionError{Offset: 0, What: "batch header", Got: len(b), Want: HeaderLen}
	}
	want := Count(b)
	if s := SeqNum(b); s > base.SeqNumMax || uint64(want) > uint64(base.SeqNumMax-s)+1 {
		return &base.CorruptionError{Offset: 0, What: "batch sequence number", Got: uint64(s), Want: uint64(base.SeqNumMax)}
	}
	off, n := HeaderLen, uint64(0)
	for off < len(b) {
		next, what := skipEntry(b, off)
		if what != "" {
			return &base.CorruptionError{Offset: int64(off), What: what, Got: b[off]}
		}
		off, n = next, n+1
	}
	if n != uint64(want) {
		return &base.CorruptionError{Offset: 8, What: "batch count", Got: want, Want: n}
	}
	return nil
}

// skipEntry returns the offset behind the entry at off, or what is wrong with
// it. off must lie inside b.
func skipEntry(b []byte, off int) (next int, what string) {
	kind := base.Kind(b[off])
	if !kind.Known() {
		return 0, "batch entry kind"
	}
	_, next, ok := field(b, off+1)
	if !ok {
		return 0, "batch key length"
	}
	if kind == base.KindSet {
		if _, next, ok = field(b, next); !ok {
			return 0, "batch value length"
		}
	}
	return next, ""
}

// field returns the length-prefixed bytes at off and the offset behind them.
func field(b []byte, off int) (data []byte, next int, ok bool) {
	n, start, ok := length(b, off)
	if !ok || n > uint64(len(b)-start) {
		return nil, 0, false
	}
	next = start + int(n)
	return b[start:next:next], next, true
}

// length decodes the varint at off and returns the offset behind it.
func length(b []byte, off int) (n uint64, next int, ok bool) {
	if off < len(b) && b[off] < 0x80 {
		return uint64(b[off]), off + 1, true
	}
	if off > len(b) {
		return 0, 0, false
	}
	n, w := binary.Uvarint(b[off:])
	if w <= 0 || w > binary.MaxVarintLen32 || n > math.MaxUint32 {
		return 0, 0, false
	}
	return n, off + w, true
}
