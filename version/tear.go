package version

import (
	"encoding/binary"
	"errors"
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

// judge tells whether the error of a manifest's reader is the end of a file whose
// writer died, and then what is lost, or damage.
//
// Every record of a manifest is synced before the next is begun. So a tear can only
// be in the last record: no whole edit follows, and the bytes show that some of them
// never got to the disk. Either the file ends inside the record, or a part of it
// within one sector is zeros. A checksum that is wrong without that is damage, and so
// is a record that looks cut off but whose checksum fits what is there: its length was
// changed.
func judge(f io.ReaderAt, size int64, err error) (*Tear, error) {
	var d *record.Damage
	if !errors.As(err, &d) {
		return nil, err
	}
	if d.Deliberate || size-d.Start > maxTearBytes {
		return nil, d.Corruption()
	}
	tail := make([]byte, size-d.Start)
	if n, err := f.ReadAt(tail, d.Start); n < len(tail) {
		return nil, err
	}
	if allZero(tail) {
		return nil, nil
	}
	damaged := tail[d.Offset-d.Start:]
	if !cutOff(d, damaged) && !unwritten(damaged, d.Offset) {
		return nil, d.Corruption()
	}
	if editFollows(tail) {
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

// editFollows reports whether a later record begins in b, behind its first byte: a
// full or first chunk with content and the right checksum, at any offset. After
// damage neither lengths nor block borders can be relied on.
func editFollows(b []byte) bool {
	for i := 1; i+record.HeaderLen < len(b); i++ {
		h := b[i:]
		n := int(binary.LittleEndian.Uint16(h[4:]))
		if typ := h[6]; typ != 1 && typ != 2 || n == 0 || record.HeaderLen+n > len(h) {
			continue
		}
		if checksum.Mask(checksum.New(h[6:record.HeaderLen+n])) == binary.LittleEndian.Uint32(h) {
			return true
		}
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
