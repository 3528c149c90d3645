package tools

import (
	"cmp"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"slices"

	"github.com/strata-db/strata/internal/base"
	"github.com/strata-db/strata/internal/checksum"
	"github.com/strata-db/strata/version"
	"github.com/strata-db/strata/wal/record"
)

// A resyncReader reads the records of a log as LevelDB's reader does: what is
// damaged is reported, the rest of its block is left out, and reading goes on with
// the next block. So it shows what is left of a file, where the engine's own
// readers stop; nothing it shows may be taken for the content of a database.
//
// Source: LevelDB, doc/log_format.md and the behaviour of db/log_reader.cc, whose
// words the reports use.
type resyncReader struct {
	src    io.ReaderAt
	report func(bytes int, what string)

	block []byte // what is left of the current block
	buf   []byte
	off   int64 // of the first byte behind block
	eof   bool

	pending []byte // the record under way
	under   bool
	start   int64 // where it begins
}

// The types of fragments, and what else nextFragment may find.
const (
	fragFull   = 1
	fragFirst  = 2
	fragMiddle = 3
	fragLast   = 4
	fragEOF    = 256
	fragBad    = 257
)

// next returns the next record and its offset, false at the end. The record is
// valid until the next call.
func (r *resyncReader) next() (rec []byte, off int64, ok bool, err error) {
	r.pending, r.under = r.pending[:0], false
	for {
		typ, data, at, err := r.fragment()
		if err != nil || typ == fragEOF {
			return nil, 0, false, err // a record under way is a torn end
		}
		switch typ {
		case fragFull:
			r.interrupted(1)
			return data, at, true, nil
		case fragFirst:
			r.interrupted(2)
			r.start, r.under = at, true
			r.pending = append(r.pending[:0], data...)
		case fragMiddle, fragLast:
			if !r.under {
				r.report(len(data), fmt.Sprintf("missing start of fragmented record(%d)", typ-fragMiddle+1))
				continue
			}
			if r.pending = append(r.pending, data...); typ == fragLast {
				return r.pending, r.start, true, nil
			}
		case fragBad:
			if r.under {
				r.report(len(r.pending), "error in middle of record")
				r.pending, r.under = r.pending[:0], false
			}
		default:
			r.report(len(data)+len(r.pending), fmt.Sprintf("unknown record type %d", typ))
			r.pending, r.under = r.pending[:0], false
		}
	}
}

// interrupted reports a record that another one's beginning cuts off. An empty
// one is the work of a writer of 2011, and complete elsewhere.
func (r *resyncReader) interrupted(n int) {
	if r.under && len(r.pending) > 0 {
		r.report(len(r.pending), fmt.Sprintf("partial record without end(%d)", n))
	}
	r.pending, r.under = r.pending[:0], false
}

// fragment returns the next fragment and its offset.
func (r *resyncReader) fragment() (typ int, data []byte, off int64, err error) {
	for len(r.block) < record.HeaderLen {
		if r.eof {
			return fragEOF, nil, 0, nil // a header cut off is a torn end
		}
		if err := r.load(); err != nil {
			return 0, nil, 0, err
		}
	}
	b := r.block
	n := int(binary.LittleEndian.Uint16(b[4:]))
	typ = int(b[6])
	off = r.off - int64(len(b))
	switch {
	case record.HeaderLen+n > len(b):
		r.block = nil
		if r.eof {
			return fragEOF, nil, 0, nil
		}
		r.report(len(b), "bad record length")
		return fragBad, nil, 0, nil
	case typ == 0 && n == 0:
		r.block = nil // preallocated space
		return fragBad, nil, 0, nil
	}
	data = b[record.HeaderLen : record.HeaderLen+n]
	if checksum.Mask(checksum.New(b[6:record.HeaderLen+n])) != binary.LittleEndian.Uint32(b) {
		r.block = nil
		r.report(len(b), "checksum mismatch")
		return fragBad, nil, 0, nil
	}
	r.block = b[record.HeaderLen+n:]
	return typ, data, off, nil
}

// load reads the next block.
func (r *resyncReader) load() error {
	if r.buf == nil {
		r.buf = make([]byte, record.BlockSize)
	}
	n, err := r.src.ReadAt(r.buf, r.off)
	if err != nil && !errors.Is(err, io.EOF) && !errors.Is(err, io.ErrUnexpectedEOF) {
		r.eof = true
		return err
	}
	r.block, r.off, r.eof = r.buf[:n], r.off+int64(n), n < record.BlockSize
	return nil
}

func le64(b []byte) uint64 { return binary.LittleEndian.Uint64(b) }

// walkBatch calls fn for the entries of a record of a log, as LevelDB would apply
// them, and returns what is wrong with it in LevelDB's words, empty if nothing is.
func walkBatch(rec []byte, fn func(kind base.Kind, key, value []byte)) (what string) {
	count := binary.LittleEndian.Uint32(rec[8:])
	b := rec[12:]
	var key, value []byte
	n := uint32(0)
	for ; len(b) > 0; n++ {
		kind, ok := base.Kind(b[0]), false
		switch b = b[1:]; kind {
		case base.KindSet:
			if key, b, ok = cutField(b); ok {
				value, b, ok = cutField(b)
			}
			if !ok {
				return "bad WriteBatch Put"
			}
		case base.KindDelete:
			if key, b, ok = cutField(b); !ok {
				return "bad WriteBatch Delete"
			}
			value = nil
		default:
			return "unknown WriteBatch tag"
		}
		fn(kind, key, value)
	}
	if n != count {
		return "WriteBatch has wrong count"
	}
	return ""
}

// cutField splits a length and as many bytes off b.
func cutField(b []byte) (field, rest []byte, ok bool) {
	n, w := binary.Uvarint(b)
	if w <= 0 || w > binary.MaxVarintLen32 || n > uint64(len(b)-w) {
		return nil, b, false
	}
	return b[w : w+int(n)], b[w+int(n):], true
}

func sortDeleted(d []version.DeletedFile) []version.DeletedFile {
	d = slices.Clone(d)
	slices.SortFunc(d, func(a, b version.DeletedFile) int {
		if r := cmp.Compare(a.Level, b.Level); r != 0 {
			return r
		}
		return cmp.Compare(a.Num, b.Num)
	})
	return slices.Compact(d)
}
