package record

import (
	"bytes"
	"encoding/binary"

	"github.com/strata-db/strata/internal/checksum"
)

// FindRecordAfter looks for the first whole record at or behind offset from of
// data, which is a whole file, and returns its offset. valid judges the payload
// of each candidate, whose checksums are right already; it must not keep it.
func FindRecordAfter(data []byte, from int64, valid func(rec []byte) bool) (off int64, ok bool) {
	_, off, ok, _ = NewBytesReader(data, "").FindAfter(from, valid)
	return off, ok
}

// FindAfter looks for the first whole record at or behind offset from, at every
// byte, and returns it with its offset. The Reader then stands behind it, and
// Next goes on there. If there is none, the Reader stands at the end of the file.
// valid judges the payload of each candidate, whose checksums are right already;
// it must not keep it. An error is that of the file system.
//
// The cost is linear in the length of the file, whatever it holds.
func (r *Reader) FindAfter(from int64, valid func(rec []byte) bool) (rec []byte, off int64, ok bool, err error) {
	r.moveTo(max(from, 0))
	for {
		rest, err := r.rest()
		if err != nil || len(rest) == 0 {
			return nil, 0, false, err
		}
		base := r.pos
		s := scanner{b: rest}
		for {
			i, found := s.next()
			if !found {
				r.moveTo(base + int64(len(rest)))
				break
			}
			at := base + int64(i)
			r.moveTo(at)
			if rec, off, err := r.Next(); err == nil && off == at && valid(rec) {
				return rec, off, true, nil
			}
			// A record of several blocks may have moved the window.
			r.moveTo(base)
			if s.b, err = r.rest(); err != nil || len(s.b) != len(rest) {
				return nil, 0, false, err
			}
		}
	}
}

// LastNonZero returns the offset behind the last byte at or behind offset from
// that is not zero, or from if all are. It moves the Reader.
func (r *Reader) LastNonZero(from int64) (int64, error) {
	last := from
	r.moveTo(from)
	for {
		rest, err := r.rest()
		if err != nil || len(rest) == 0 {
			return last, err
		}
		if !allZero(rest) {
			last = r.pos + int64(len(bytes.TrimRight(rest, "\x00")))
		}
		r.moveTo(r.pos + int64(len(rest)))
	}
}

// zeroRun is compared with to step over preallocated space quickly.
var zeroRun [4096]byte

// A scanner finds the places of one block where a record could begin: a header
// of the right type whose length stays in the block and whose checksum is right.
type scanner struct {
	b    []byte // to the end of the block or of the file
	i    int    // the next place to look at
	work int    // bytes that checksums were computed over
	sums []uint32
}

// next returns the next such place.
func (s *scanner) next() (i int, ok bool) {
	for s.i+HeaderLen <= len(s.b) {
		t := s.b[s.i+6]
		if t == 0 {
			s.skipZeros()
			continue
		}
		i := s.i
		s.i++
		if t == typeFull || t == typeFirst {
			masked, n, _ := header(s.b[i:])
			if HeaderLen+n <= len(s.b)-i && checksum.Mask(s.sum(i+6, i+HeaderLen+n)) == masked {
				return i, true
			}
		}
	}
	return 0, false
}

// skipZeros moves i on, given that the type byte of a header there is zero.
func (s *scanner) skipZeros() {
	types := s.b[s.i+6:] // the type byte of a header at i, at i+1, …
	switch {
	case len(types) < 8 || binary.LittleEndian.Uint64(types) != 0:
		s.i++
	case len(types) >= len(zeroRun) && bytes.Equal(types[:len(zeroRun)], zeroRun[:]):
		s.i += len(zeroRun)
	default:
		s.i += 8
	}
}

// sum returns the checksum of b[lo:hi]. Bytes made to look like long records at
// every offset would cost a block's length for each of them; from some work on
// the sums of all prefixes are computed once and combined instead.
func (s *scanner) sum(lo, hi int) uint32 {
	if s.sums == nil {
		if s.work += hi - lo; s.work < 32*BlockSize {
			return checksum.New(s.b[lo:hi])
		}
		s.sums = prefixSums(s.b)
	}
	return sumBetween(s.sums, lo, hi)
}
