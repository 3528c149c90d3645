package version

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"

	"github.com/strata-db/strata/internal/checksum"
	"github.com/strata-db/strata/wal/record"
)

const (
	// sectorBytes is the unit that a disk writes or does not.
	sectorBytes = 512
	// unwrittenBytes is how many zeros at least look like a sector that was not
	// written. The end of a record is often seven: a small number's high bytes.
	unwrittenBytes = 8
	// maxTearBytes bounds what can be the remains of one edit.
	maxTearBytes = 64 << 20
)

// judge tells whether the error of r, the reader of the manifest f, is the end of a file whose
// writer died, and then what is lost, or damage.
//
// Every record of a manifest is synced before the next is begun. So a tear can only
// be in the last record: no whole one follows, at any offset, and the bytes show that some of them
// never got to the disk. Either the file ends inside the record, or a part of it
// within one sector is zeros. A checksum that is wrong without that is damage, and so
// is a record that looks cut off but whose checksum fits what is there: its length was
// changed.
func judge(f io.ReaderAt, r *record.Reader, err error) (*Tear, error) {
	var d *record.Damage
	if !errors.As(err, &d) {
		return nil, err
	}
	if d.Deliberate || r.Size()-d.Start > maxTearBytes {
		return nil, d.Corruption()
	}
	tail := make([]byte, r.Size()-d.Start)
	if n, err := f.ReadAt(tail, d.Start); n < len(tail) {
		return nil, fmt.Errorf("%s at offset %d: %w", d.File, d.Start, err)
	}
	if allZero(tail) {
		return nil, nil
	}
	damaged := tail[d.Offset-d.Start:]
	if !cutOff(d, damaged) && !unwritten(damaged, d.Offset) {
		return nil, d.Corruption()
	}
	_, _, follows, err := r.FindAfter(d.Start+1, func(rec []byte) bool { return len(rec) > 0 })
	if err != nil {
		return nil, err
	}
	if follows {
		return nil, d.Corruption()
	}
	return &Tear{File: d.File, Offset: d.Start, DroppedBytes: int64(len(tail)), Reason: d.Kind.String()}, nil
}

// cutOff reports whether the file ends inside the chunk b.
func cutOff(d *record.Damage, b []byte) bool {
	switch d.Kind {
	case record.ShortHeader, record.Unfinished:
		return true
	case record.Truncated:
		return checksum.Mask(checksum.New(b[record.HeaderLen-1:])) != binary.LittleEndian.Uint32(b)
	}
	return false
}

// unwritten reports whether some sector's share of b, which begins at offset off of
// its file, is zeros.
func unwritten(b []byte, off int64) bool {
	for len(b) > 0 {
		n := min(len(b), int(sectorBytes-off%sectorBytes))
		if n >= unwrittenBytes && allZero(b[:n]) {
			return true
		}
		b, off = b[n:], off+int64(n)
	}
	return false
}

func allZero(b []byte) bool {
	for _, c := range b {
		if c != 0 {
			return false
		}
	}
	return true
}
