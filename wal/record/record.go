// Package record frames byte records in a log file. The write-ahead log and the
// manifest use it; it knows nothing of what the records mean.
//
// A Writer appends records, a Reader returns them in order and stops at the
// first damage, which it describes and leaves to its user to judge. Neither may
// be used by two goroutines at once.
//
// The file is a sequence of 32 KiB blocks. A record is cut into chunks so that
// no chunk crosses a block border:
//
//	 0        4        6      7
//	+--------+--------+------+-----------------+
//	| crc    | length | type | payload         |
//	+--------+--------+------+-----------------+
//	  u32 le   u16 le   u8     length bytes
//
//	type   1 full     the whole record
//	       2 first    its beginning
//	       3 middle   a part that fills its block
//	       4 last     its end
//	       0          never written: preallocated space
//
// crc is the CRC-32C of type and payload, stored masked. When one to six bytes
// remain in a block they are filled with zeros. When exactly seven remain, a
// first chunk without payload goes there (a full one if the record is empty).
//
// Example: the record "hello" alone in a block takes 12 bytes: four of crc,
// length 05 00, type 01, and the text.
//
// # What old writers left
//
// LevelDB's first release (March 2011) filled a remainder of seven bytes with
// zeros too, and its next ones began the record again in the following block
// after a first chunk without payload. Both read without a complaint here.
// Versions up to 1.13 mapped and preallocated their files, so that these end in
// zeros after a crash, as this engine's own do.
//
// # Damage
//
// What counts as damage is wider than what counts as lost data: zeros behind the
// last record are reported as well. Which of it is the ordinary end of a file
// whose writer died, and which is corruption, depends on what follows. FindAfter
// looks for that, byte by byte: after damage no length can be trusted, and the
// next block border may be beyond records that are whole.
//
// Source: LevelDB's log format (doc/log_format.md, db/log_reader.cc). Files are
// interchangeable with it.
package record

import "encoding/binary"

const (
	// BlockSize is the length of a block in bytes. No chunk crosses a block border.
	BlockSize = 32 << 10
	// HeaderLen is the length of a chunk's header in bytes.
	HeaderLen = 7
)

// The chunk types.
const (
	typeFull   = 1
	typeFirst  = 2
	typeMiddle = 3
	typeLast   = 4
)

// header splits the header of a chunk. b must hold HeaderLen bytes.
func header(b []byte) (masked uint32, length int, typ byte) {
	_ = b[HeaderLen-1]
	return binary.LittleEndian.Uint32(b), int(binary.LittleEndian.Uint16(b[4:])), b[6]
}

// allZero reports whether every byte of b is zero.
func allZero(b []byte) bool {
	for ; len(b) >= 8; b = b[8:] {
		if binary.LittleEndian.Uint64(b) != 0 {
			return false
		}
	}
	for _, c := range b {
		if c != 0 {
			return false
		}
	}
	return true
}
