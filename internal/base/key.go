package base

import (
	"encoding/binary"
	"fmt"
	"strconv"
)

// SeqNum is the place of an entry in the global order of writes. The first
// write of a database is 1; 0 means "nothing was written". Never reused.
type SeqNum uint64

// SeqNumMax is the largest sequence number that fits a trailer. As the "at" of
// a read it means "the newest".
const SeqNumMax SeqNum = 1<<56 - 1

// Kind says what an entry does. Values are on disk and never renumbered.
type Kind uint8

// The kinds. LevelDB's format knows the first two. The others are reserved for
// directories past the upgrade gate: no release writes them yet, and a reader
// that meets one reports it by name instead of guessing.
const (
	KindDelete      Kind = 0  // a tombstone: the key has no value as of this entry
	KindSet         Kind = 1  // the key has the value of this entry
	KindMerge       Kind = 2  // reserved: operand to be merged with the older value
	KindRangeDelete Kind = 15 // reserved: every key of [key, value) is deleted

	// KindSeek is greater than every kind and never stored. See SeekKey.
	KindSeek Kind = 0xff
)

// Known reports whether entries of kind k can be read by this release.
func (k Kind) Known() bool { return k <= KindSet }

// String returns the kind as tools, logs and tests print it.
func (k Kind) String() string {
	switch k {
	case KindDelete:
		return "DEL"
	case KindSet:
		return "SET"
	case KindMerge:
		return "MERGE"
	case KindRangeDelete:
		return "RANGEDEL"
	case KindSeek:
		return "SEEK"
	}
	return "KIND" + strconv.Itoa(int(k))
}

// TrailerLen is the encoded length of a Trailer in bytes.
const TrailerLen = 8

// Trailer is a sequence number (high 56 bits) and a kind (low 8 bits).
type Trailer uint64

// MakeTrailer packs seq and kind. seq must be at most SeqNumMax.
func MakeTrailer(seq SeqNum, kind Kind) Trailer { return Trailer(seq)<<8 | Trailer(kind) }

// SeqNum returns the sequence number of t.
func (t Trailer) SeqNum() SeqNum { return SeqNum(t >> 8) }

// Kind returns the kind of t.
func (t Trailer) Kind() Kind { return Kind(t) }

// InternalKey is a user key and the trailer of one of its entries. UserKey
// aliases whatever it was parsed from; who may keep it is said where it is
// handed out.
type InternalKey struct {
	UserKey []byte
	Trailer Trailer
}

// MakeKey returns the internal key of one entry. It aliases ukey.
func MakeKey(ukey []byte, seq SeqNum, kind Kind) InternalKey {
	return InternalKey{UserKey: ukey, Trailer: MakeTrailer(seq, kind)}
}

// SeekKey returns the internal key that sorts directly before every entry of
// ukey visible at sequence number at, and after every newer one.
func SeekKey(ukey []byte, at SeqNum) InternalKey {
	return InternalKey{UserKey: ukey, Trailer: MakeTrailer(at, KindSeek)}
}

// ParseInternalKey splits an encoded internal key without copying. It reports
// false if b is too short to hold a trailer. It does not judge the kind.
func ParseInternalKey(b []byte) (InternalKey, bool) {
	n := len(b) - TrailerLen
	if n < 0 {
		return InternalKey{}, false
	}
	return InternalKey{UserKey: b[:n:n], Trailer: Trailer(binary.LittleEndian.Uint64(b[n:]))}, true
}

// AppendInternalKey appends the encoding of k to dst and returns the result.
func AppendInternalKey(dst []byte, k InternalKey) []byte {
	dst = append(dst, k.UserKey...)
	return binary.LittleEndian.AppendUint64(dst, uint64(k.Trailer))
}

// Size returns the encoded length of k in bytes.
func (k InternalKey) Size() int { return len(k.UserKey) + TrailerLen }

// SeqNum returns the sequence number of k.
func (k InternalKey) SeqNum() SeqNum { return k.Trailer.SeqNum() }

// Kind returns the kind of k.
func (k InternalKey) Kind() Kind { return k.Trailer.Kind() }

// Clone returns a copy of k that shares no memory with it.
func (k InternalKey) Clone() InternalKey {
	return InternalKey{UserKey: append([]byte(nil), k.UserKey...), Trailer: k.Trailer}
}

// String returns k in the form key#seq,KIND. Bytes outside printable ASCII,
// and the bytes # and \, are escaped as \xNN.
func (k InternalKey) String() string {
	return fmt.Sprintf("%s#%d,%s", FormatKey(k.UserKey), k.SeqNum(), k.Kind())
}

// FormatKey returns b as people read it: printable ASCII as it is, everything
// else, and the bytes # and \, as \xNN.
func FormatKey(b []byte) string {
	const hex = "0123456789abcdef"
	dst := make([]byte, 0, len(b))
	for _, c := range b {
		if c < 0x20 || c > 0x7e || c == '#' || c == '\\' {
			dst = append(dst, '\\', 'x', hex[c>>4], hex[c&15])
		} else {
			dst = append(dst, c)
		}
	}
	return string(dst)
}
