package block

import (
	"encoding/binary"
	"math/bits"

	"github.com/strata-db/strata/internal/base"
)

// keepBytes is the largest buffer kept from one block to the next.
const keepBytes = 4 << 20

// A Writer packs entries into one block after another. The zero value is not
// ready: call Init. One goroutine.
type Writer struct {
	interval int // entries from one restart to the next
	left     int // entries until the next restart
	entries  int
	buf      []byte
	restarts []uint32
	last     []byte // the last key added, kept over Reset
}

// Init empties w and sets the restart interval: every how many entries a key is
// written whole. Less than 1 counts as 1.
func (w *Writer) Init(interval int) {
	w.interval = max(interval, 1)
	w.last = w.last[:0]
	w.Reset()
}

// Reset begins a new block. What Finish returned before is invalid from here on.
// LastKey stays.
func (w *Writer) Reset() {
	if cap(w.buf) > keepBytes {
		w.buf = nil
	}
	w.buf = w.buf[:0]
	w.restarts = w.restarts[:0]
	w.left = 0
	w.entries = 0
}

// Add appends an entry. The caller keeps keys ascending; key and value are
// copied.
func (w *Writer) Add(k base.InternalKey, value []byte) {
	shared := 0
	whole := w.left == 0
	if whole {
		w.restart()
	} else {
		shared = commonPrefix(w.last, k.UserKey)
	}
	w.left--
	w.entries++
	// Locals, so that the fields are stored once.
	buf, last := w.buf, w.last
	if whole || shared < len(k.UserKey) {
		own := k.UserKey[shared:]
		buf = appendHeader(buf, shared, len(own)+base.TrailerLen, len(value))
		at := len(buf)
		buf = append(buf, own...)
		buf = binary.LittleEndian.AppendUint64(buf, uint64(k.Trailer))
		last = append(last[:shared], buf[at:]...)
	} else {
		// The last key begins with the whole user key: the trailer may share too.
		var t [base.TrailerLen]byte
		binary.LittleEndian.PutUint64(t[:], uint64(k.Trailer))
		s := commonPrefix(last[shared:], t[:])
		buf = appendHeader(buf, shared+s, base.TrailerLen-s, len(value))
		buf = append(buf, t[s:]...)
		last = append(last[:shared+s], t[s:]...)
	}
	w.buf, w.last = append(buf, value...), last
}

// AddPlain appends an entry whose key is key as it stands, without a trailer, as
// in a metaindex. Keys must ascend bytewise. The two kinds are not mixed.
func (w *Writer) AddPlain(key, value []byte) {
	shared := 0
	if w.left == 0 {
		w.restart()
	} else {
		shared = commonPrefix(w.last, key)
	}
	w.left--
	w.entries++
	w.buf = appendHeader(w.buf, shared, len(key)-shared, len(value))
	w.buf = append(w.buf, key[shared:]...)
	w.last = append(w.last[:shared], key[shared:]...)
	w.buf = append(w.buf, value...)
}

func (w *Writer) restart() {
	w.restarts = append(w.restarts, uint32(len(w.buf)))
	w.left = w.interval
}

func appendHeader(dst []byte, shared, unshared, value int) []byte {
	if shared|unshared|value < 0x80 {
		return append(dst, byte(shared), byte(unshared), byte(value))
	}
	dst = binary.AppendUvarint(dst, uint64(shared))
	dst = binary.AppendUvarint(dst, uint64(unshared))
	return binary.AppendUvarint(dst, uint64(value))
}

// Finish appends the restart array and returns the block. The bytes are w's:
// valid until Reset. Nothing may be added before that.
func (w *Writer) Finish() []byte {
	if len(w.restarts) == 0 {
		w.restarts = append(w.restarts, 0)
	}
	for _, r := range w.restarts {
		w.buf = binary.LittleEndian.AppendUint32(w.buf, r)
	}
	w.buf = binary.LittleEndian.AppendUint32(w.buf, uint32(len(w.restarts)))
	return w.buf
}

// Size returns how many bytes Finish would return now.
func (w *Writer) Size() int { return len(w.buf) + 4*max(len(w.restarts), 1) + 4 }

// Len returns the number of entries in the current block.
func (w *Writer) Len() int { return w.entries }

// LastKey returns the encoded key that was added last, in this block or an
// earlier one; empty after Init. The bytes are w's, valid until the next Add.
func (w *Writer) LastKey() []byte { return w.last }

// commonPrefix returns the length of the longest common prefix of a and b.
func commonPrefix(a, b []byte) int {
	n := min(len(a), len(b))
	i := 0
	for ; i+8 <= n; i += 8 {
		if x := binary.LittleEndian.Uint64(a[i:]) ^ binary.LittleEndian.Uint64(b[i:]); x != 0 {
			return i + bits.TrailingZeros64(x)>>3
		}
	}
	for i < n && a[i] == b[i] {
		i++
	}
	return i
}
