package record

import (
	"encoding/binary"
	"errors"

	"github.com/strata-db/strata/internal/checksum"
)

// An Appender takes framed bytes. It appends all of p, or returns an error and
// appends none of it.
type Appender interface {
	Append(p []byte) error
}

const (
	// pieceBytes bounds what is framed before it is handed on. Nearly every
	// record is far below it and is appended at once.
	pieceBytes = 1 << 20
	// keepBytes bounds the buffer kept between records.
	keepBytes = 256 << 10
)

// ErrUnfinished is returned by writes after the one that left half a record
// behind. The file can only be retired.
var ErrUnfinished = errors.New("record: file ends in an unfinished record")

// A Writer appends records to a file. It keeps no copy of them and holds
// nothing back: when Write returns nil the Appender has every byte.
type Writer struct {
	w          Appender
	size       int64  // bytes appended, with what the file held before
	buf        []byte // chunks on their way to w
	unfinished bool
}

// NewWriter returns a Writer that appends to w, whose file is offset bytes long.
func NewWriter(w Appender, offset int64) *Writer { return &Writer{w: w, size: offset} }

// Size returns the length of the file in bytes.
func (w *Writer) Size() int64 { return w.size }

// Unfinished reports that a failed Write left the beginning of its record in
// the file. Only records of more than a mebibyte can do that.
func (w *Writer) Unfinished() bool { return w.unfinished }

// Write appends one record. On an error the file is as it was before, unless
// Unfinished says otherwise.
func (w *Writer) Write(rec []byte) error { return w.WriteParts(rec, nil) }

// WriteParts appends one record that consists of a followed by b.
func (w *Writer) WriteParts(a, b []byte) error {
	if w.unfinished {
		return ErrUnfinished
	}
	if HeaderLen+len(a)+len(b) > BlockSize-int(w.size%BlockSize) {
		return w.writeChunks(a, b)
	}
	buf := append(w.buf[:0], 0, 0, 0, 0, 0, 0, typeFull)
	buf = append(buf, a...)
	buf = append(buf, b...)
	seal(buf)
	w.buf = buf
	return w.flush()
}

// writeChunks appends a record that does not fit the rest of the block.
func (w *Writer) writeChunks(a, b []byte) error {
	before := w.size
	w.buf = w.buf[:0]
	for first := true; first || len(a)+len(b) > 0; first = false {
		left := w.padBlock()
		n := min(left-HeaderLen, len(a)+len(b))
		at := len(w.buf)
		w.buf = append(w.buf, 0, 0, 0, 0, 0, 0, chunkType(first, n == len(a)+len(b)))
		k := min(n, len(a))
		w.buf = append(append(w.buf, a[:k]...), b[:n-k]...)
		a, b = a[k:], b[n-k:]
		seal(w.buf[at:])
		if len(w.buf) >= pieceBytes {
			if err := w.flush(); err != nil {
				w.unfinished = w.size != before
				return err
			}
		}
	}
	err := w.flush()
	w.unfinished = err != nil && w.size != before
	if cap(w.buf) > keepBytes {
		w.buf = nil
	}
	return err
}

// padBlock fills a rest of the block that is too short for a header, and
// returns how many bytes the block has left.
func (w *Writer) padBlock() int {
	left := BlockSize - int((w.size+int64(len(w.buf)))%BlockSize)
	if left >= HeaderLen {
		return left
	}
	w.buf = append(w.buf, make([]byte, left)...)
	return BlockSize
}

// flush hands the buffer on and empties it.
func (w *Writer) flush() error {
	if len(w.buf) == 0 {
		return nil
	}
	err := w.w.Append(w.buf)
	if err == nil {
		w.size += int64(len(w.buf))
	}
	w.buf = w.buf[:0]
	return err
}

// chunkType returns the type of a chunk by its place in the record.
func chunkType(first, last bool) byte {
	switch {
	case first && last:
		return typeFull
	case first:
		return typeFirst
	case last:
		return typeLast
	}
	return typeMiddle
}

// seal writes length and checksum into the header of a chunk whose type and
// payload stand already.
func seal(c []byte) {
	binary.LittleEndian.PutUint16(c[4:], uint16(len(c)-HeaderLen))
	binary.LittleEndian.PutUint32(c, checksum.Mask(checksum.New(c[6:])))
}
