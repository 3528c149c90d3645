// Package checksum is the CRC-32C of every byte sequence the engine stores.
//
// The polynomial is Castagnoli's (0x1EDC6F41), the initial value and the final
// xor are all ones. Files hold masked sums, because a sum over bytes that
// themselves contain sums is a poor check:
//
//	masked = (crc rotated right by 15 bits) + 0xa282ead8   mod 2^32
//
// Source: LevelDB, util/crc32c.h. All functions are pure.
package checksum

import "hash/crc32"

const maskDelta = 0xa282ead8

var table = crc32.MakeTable(crc32.Castagnoli)

// New returns the CRC-32C of b.
func New(b []byte) uint32 { return crc32.Update(0, table, b) }

// Extend returns the CRC-32C of the bytes that crc was computed over followed
// by b.
func Extend(crc uint32, b []byte) uint32 { return crc32.Update(crc, table, b) }

// Mask returns the form of crc that is stored.
func Mask(crc uint32) uint32 { return (crc>>15 | crc<<17) + maskDelta }

// Unmask is the inverse of Mask.
func Unmask(m uint32) uint32 {
	r := m - maskDelta
	return r>>17 | r<<15
}
