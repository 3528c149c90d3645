package record

import (
	"errors"
	"io"

	"github.com/strata-db/strata/internal/checksum"
)

// windowBytes is how much of a file is read at once: a multiple of BlockSize,
// small enough that the bytes are still in a core's cache when they are parsed.
const windowBytes = 8 * BlockSize

// A Reader returns the records of a file in order. It reads the file in windows
// and holds no more of it than one window and one record.
type Reader struct {
	src  io.ReaderAt // nil: win is the whole file
	name string
	size int64

	win    []byte // bytes of the file from winOff, a block border
	winOff int64
	buf    []byte // memory of win

	pos     int64  // of the next chunk
	start   int64  // of the record under way
	pending []byte // its payload so far
	under   bool   // a record is under way
	// gap is the offset of seven zeros that were taken for a block's trailer,
	// until the next chunk proves it; -1 otherwise.
	gap int64

	err error // sticky until Reset
}

// NewReader returns a Reader of the first size bytes of src. name is the base
// name of the file for errors.
func NewReader(src io.ReaderAt, size int64, name string) *Reader {
	return &Reader{src: src, size: size, name: name, gap: -1}
}

// NewBytesReader returns a Reader of data, which is the whole file and must not
// change meanwhile. Records alias it where they are not cut into chunks.
func NewBytesReader(data []byte, name string) *Reader {
	return &Reader{win: data, size: int64(len(data)), name: name, gap: -1}
}

// Size returns the length of the file in bytes as far as it is known.
func (r *Reader) Size() int64 { return r.size }

// Offset returns the offset behind the last record that Next or FindAfter
// returned: where the next one begins, possibly behind a block's trailer.
func (r *Reader) Offset() int64 { return r.pos }

// Reset puts the Reader at offset off, forgets any error, and reads from the
// file again instead of from memory. size is the length of the file by now.
func (r *Reader) Reset(off, size int64) {
	if r.src != nil {
		r.win, r.winOff = nil, 0
		r.size = size
	}
	r.moveTo(off)
}

// moveTo continues at off with nothing under way.
func (r *Reader) moveTo(off int64) {
	r.pos, r.start, r.under, r.pending, r.gap, r.err = off, off, false, r.pending[:0], -1, nil
}

// Next returns the next record and the offset of its first chunk. The record is
// valid until the next call and must not be modified.
//
// The error is io.EOF at the end of a file that ends with a whole record, a
// *Damage where the file cannot be followed any further, or that of the file
// system. All of them repeat.
func (r *Reader) Next() (rec []byte, off int64, err error) {
	if r.err != nil {
		return nil, 0, r.err
	}
	for {
		typ, data, off, err := r.chunk()
		if err != nil {
			r.err = err
			return nil, 0, err
		}
		if typ == typeFull && !r.under {
			r.gap = -1
			return data, off, nil
		}
		done, err := r.assemble(typ, data, off)
		if err != nil {
			r.err = err
			return nil, 0, err
		}
		if done {
			if typ == typeFull {
				return data, off, nil
			}
			return r.pending, r.start, nil
		}
	}
}

// assemble adds a chunk to the record under way and reports whether it is whole.
func (r *Reader) assemble(typ byte, data []byte, off int64) (done bool, err error) {
	switch typ {
	case typeFull, typeFirst:
		// A pending first chunk without payload is a writer's bug of 2011.
		if r.under && len(r.pending) > 0 {
			return false, r.damage(NoEnd, off, nil, nil)
		}
		r.gap = -1
		r.under, r.start = typ == typeFirst, off
		r.pending = append(r.pending[:0], data...)
		return typ == typeFull, nil
	case typeMiddle, typeLast:
		if !r.under {
			return false, r.orphan(off)
		}
		r.pending = append(r.pending, data...)
		r.under = typ == typeMiddle
		return typ == typeLast, nil
	}
	d := r.damage(UnknownType, off, int(typ), nil)
	d.Deliberate = true
	return false, d
}

// orphan is the damage of a chunk that continues nothing. If seven zeros before
// it were taken for a trailer, they are where its beginning was lost.
func (r *Reader) orphan(off int64) *Damage {
	if r.gap >= 0 {
		d := r.damage(Zeros, r.gap, nil, nil)
		d.Start = r.gap
		return d
	}
	d := r.damage(NoBeginning, off, nil, nil)
	d.Deliberate = true
	return d
}

// chunk returns the next whole chunk and its offset.
func (r *Reader) chunk() (typ byte, data []byte, off int64, err error) {
	for {
		rest, err := r.rest()
		if err != nil {
			return 0, nil, 0, err
		}
		if len(rest) < HeaderLen {
			if err := r.shortRest(rest); err != nil {
				return 0, nil, 0, err
			}
			continue
		}
		masked, n, typ := header(rest)
		if typ == 0 && n == 0 {
			if err := r.zeroHeader(rest); err != nil {
				return 0, nil, 0, err
			}
			continue
		}
		if HeaderLen+n > len(rest) {
			return 0, nil, 0, r.tooLong(rest, n)
		}
		if got := checksum.Mask(checksum.New(rest[6 : HeaderLen+n])); got != masked {
			return 0, nil, 0, r.damage(Checksum, r.pos, got, masked)
		}
		off = r.pos
		r.pos += int64(HeaderLen + n)
		return typ, rest[HeaderLen : HeaderLen+n : HeaderLen+n], off, nil
	}
}

// atBorder reports whether rest, read from pos, ends with its block.
func (r *Reader) atBorder(rest []byte) bool { return (r.pos+int64(len(rest)))%BlockSize == 0 }

// shortRest skips what is left of a block without room for a header, or says
// how the file ends.
func (r *Reader) shortRest(rest []byte) error {
	switch {
	case len(rest) > 0 && r.atBorder(rest):
		r.pos += int64(len(rest))
		return nil
	case len(rest) > 0 && allZero(rest):
		return r.damage(Zeros, r.pos, nil, nil)
	case len(rest) > 0:
		return r.damage(ShortHeader, r.pos, len(rest), HeaderLen)
	case r.under:
		return r.damage(Unfinished, r.pos, nil, nil)
	}
	return io.EOF
}

// zeroHeader skips the trailer of seven zeros that the first release wrote.
// Anywhere else zeros are damage. So they are inside a record: all chunks but
// the last fill their block.
func (r *Reader) zeroHeader(rest []byte) error {
	inside := r.under && len(r.pending) > 0
	if len(rest) != HeaderLen || !r.atBorder(rest) || !allZero(rest) || inside {
		return r.damage(Zeros, r.pos, nil, nil)
	}
	r.gap = r.pos
	r.pos += HeaderLen
	return nil
}

func (r *Reader) tooLong(rest []byte, n int) *Damage {
	kind := Truncated
	if r.atBorder(rest) {
		kind = Overrun
	}
	return r.damage(kind, r.pos, n, len(rest)-HeaderLen)
}

func (r *Reader) damage(k Kind, off int64, got, want any) *Damage {
	d := &Damage{File: r.name, Kind: k, Offset: off, Start: off, Got: got, Want: want}
	if r.under {
		d.Start = r.start
	}
	return d
}

// rest returns the bytes from pos to the end of its block, fewer at the end of
// the file, none behind it.
func (r *Reader) rest() ([]byte, error) {
	if r.pos >= r.size {
		return nil, nil
	}
	end := min(r.pos-r.pos%BlockSize+BlockSize, r.size)
	if r.pos < r.winOff || end > r.winOff+int64(len(r.win)) {
		if err := r.load(r.pos - r.pos%BlockSize); err != nil {
			return nil, err
		}
		if end = min(end, r.size); r.pos >= end {
			return nil, nil
		}
	}
	return r.win[r.pos-r.winOff : end-r.winOff], nil
}

// load reads the window at off, a block border. A file that turns out shorter
// than it was said to be ends there.
func (r *Reader) load(off int64) error {
	if r.src == nil {
		return io.ErrUnexpectedEOF
	}
	if r.buf == nil {
		r.buf = make([]byte, min(windowBytes, max(r.size, BlockSize)))
	}
	want := min(int64(len(r.buf)), r.size-off)
	n, err := r.src.ReadAt(r.buf[:want], off)
	r.win, r.winOff = r.buf[:n], off
	if int64(n) == want {
		return nil
	}
	if err == nil || errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		r.size = off + int64(n)
		return nil
	}
	r.win = nil
	return err
}
