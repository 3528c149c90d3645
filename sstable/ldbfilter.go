package sstable

import (
	"encoding/binary"
	"fmt"
	"math/bits"
)

// ldbFilterName is the metaindex key of LevelDB's own filter. The older name
// without the 2 is not read: LevelDB up to 1.17 hashed signed bytes under it,
// goleveldb hashes unsigned ones.
const ldbFilterName = "filter.leveldb.BuiltinBloomFilter2"

// ldbBaseLg is the base-2 logarithm of the range of block offsets that one
// filter covers.
const ldbBaseLg = 11

// ldbHash is the hash of LevelDB's filters. Source: LevelDB, util/hash.cc.
func ldbHash(b []byte) uint32 {
	const m = 0xc6a4a793
	h := 0xbc9f1d34 ^ uint32(len(b))*m
	for ; len(b) >= 4; b = b[4:] {
		h += binary.LittleEndian.Uint32(b)
		h *= m
		h ^= h >> 16
	}
	if len(b) > 0 {
		h += uint32(loadPartial(b))
		h *= m
		h ^= h >> 24
	}
	return h
}

// ldbFilterWriter makes LevelDB's filter block: one small filter for each 2 KiB
// of data block offsets.
type ldbFilterWriter struct {
	bitsPerKey int
	hashes     []uint32 // of the keys of the filter being made
	starts     []uint32
	buf        []byte
}

// addBlock takes the keys of the data block at offset; blocks come in order.
func (w *ldbFilterWriter) addBlock(offset uint64, hashes []uint32) {
	for offset>>ldbBaseLg > uint64(len(w.starts)) {
		w.cut()
	}
	w.hashes = append(w.hashes, hashes...)
}

// cut ends one filter; without keys it is empty.
func (w *ldbFilterWriter) cut() {
	w.starts = append(w.starts, uint32(len(w.buf)))
	if len(w.hashes) == 0 {
		return
	}
	k := min(max(w.bitsPerKey*69/100, 1), 30)
	size := (max(len(w.hashes)*w.bitsPerKey, 64) + 7) / 8
	at := len(w.buf)
	w.buf = append(w.buf, make([]byte, size)...)
	filter := w.buf[at:]
	for _, h := range w.hashes {
		delta := bits.RotateLeft32(h, -17)
		for range k {
			bit := h % uint32(8*size)
			filter[bit>>3] |= 1 << (bit & 7)
			h += delta
		}
	}
	w.buf = append(w.buf, byte(k))
	w.hashes = w.hashes[:0]
}

// finish returns the block's content.
func (w *ldbFilterWriter) finish() []byte {
	if len(w.hashes) > 0 {
		w.cut()
	}
	end := uint32(len(w.buf))
	for _, s := range w.starts {
		w.buf = binary.LittleEndian.AppendUint32(w.buf, s)
	}
	w.buf = binary.LittleEndian.AppendUint32(w.buf, end)
	return append(w.buf, ldbBaseLg)
}

// ldbFilter is LevelDB's filter block as it lies in memory. The zero value is no
// filter.
type ldbFilter struct {
	data   []byte // the filters
	starts []byte // their offsets and the end of the last, u32 le each
	baseLg uint8
}

// parseLDBFilter judges the frame of a filter block. The result aliases b.
func parseLDBFilter(b []byte) (ldbFilter, error) {
	n := len(b) - 5
	if n < 0 {
		return ldbFilter{}, fmt.Errorf("filter of %d bytes", len(b))
	}
	at := binary.LittleEndian.Uint32(b[n:])
	if uint64(at) > uint64(n) {
		return ldbFilter{}, fmt.Errorf("filter offsets at %d of %d bytes", at, n)
	}
	return ldbFilter{data: b[:at], starts: b[at : n+4], baseLg: b[n+4]}, nil
}

func (f *ldbFilter) present() bool { return f.starts != nil }

// mayContain reports false only if the data block at offset does not hold the
// key. Offsets that make no sense mean "may".
func (f *ldbFilter) mayContain(offset uint64, ukey []byte) bool {
	i := offset >> min(f.baseLg, 63)
	if i >= uint64(len(f.starts)/4-1) {
		return true
	}
	start := binary.LittleEndian.Uint32(f.starts[4*i:])
	end := binary.LittleEndian.Uint32(f.starts[4*i+4:])
	if start > end || uint64(end) > uint64(len(f.data)) {
		return true
	}
	filter := f.data[start:end]
	if len(filter) < 2 {
		return false
	}
	k := filter[len(filter)-1]
	filter = filter[:len(filter)-1]
	if k > 30 {
		return true // reserved for other encodings
	}
	h := ldbHash(ukey)
	delta := bits.RotateLeft32(h, -17)
	for range k {
		bit := h % uint32(8*len(filter))
		if filter[bit>>3]>>(bit&7)&1 == 0 {
			return false
		}
		h += delta
	}
	return true
}
