package tools

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math"

	"github.com/strata-db/strata"
	"github.com/strata-db/strata/internal/base"
	"github.com/strata-db/strata/internal/checksum"
)

// The binary form of export is a stream of frames behind a magic:
//
//	stream:  "STRATA" 00 01 | records frame * n | end frame
//
//	+------+--------+--------+---------+
//	| type | length | crc    | payload |
//	+------+--------+--------+---------+
//	  u8     u32 le   u32 le   length bytes
//
//	type 1, records:  whole records, at least one, in key order
//	type 2, end:      u64 le, the number of records in the stream
//	record:           uvarint key length | key | uvarint value length | value
//
// crc is the masked CRC-32C of type, length and payload, in this order. A frame
// is closed by the record that takes its payload to frameBytes or beyond. The
// last byte of the magic is the version of the form. Nothing follows the end
// frame, so a stream that was cut anywhere is known to be.
const (
	streamMagic    = "STRATA\x00\x01"
	frameHeaderLen = 9
	frameRecords   = 1
	frameEnd       = 2
	frameBytes     = 256 << 10

	// maxFramePayload is what one record of the largest key and value can make of
	// a frame that was not quite full.
	maxFramePayload = int64(frameBytes) + 2*binary.MaxVarintLen32 + strata.MaxKeyBytes + strata.MaxValueBytes
)

// A streamWriter writes the binary form. Memory is one frame.
type streamWriter struct {
	w       io.Writer
	frame   []byte // header and payload of the frame being filled
	records uint64
}

func newStreamWriter(w io.Writer) (*streamWriter, error) {
	_, err := io.WriteString(w, streamMagic)
	return &streamWriter{w: w, frame: make([]byte, frameHeaderLen, frameBytes+frameBytes/4)}, err
}

// add appends a record. key and value are copied.
func (s *streamWriter) add(key, value []byte) error {
	s.frame = binary.AppendUvarint(s.frame, uint64(len(key)))
	s.frame = append(s.frame, key...)
	s.frame = binary.AppendUvarint(s.frame, uint64(len(value)))
	s.frame = append(s.frame, value...)
	if s.records++; len(s.frame)-frameHeaderLen < frameBytes {
		return nil
	}
	return s.flush(frameRecords)
}

// finish writes the end frame. Without it the stream counts as cut.
func (s *streamWriter) finish() error {
	if len(s.frame) > frameHeaderLen {
		if err := s.flush(frameRecords); err != nil {
			return err
		}
	}
	s.frame = binary.LittleEndian.AppendUint64(s.frame, s.records)
	return s.flush(frameEnd)
}

func (s *streamWriter) flush(typ byte) error {
	payload := s.frame[frameHeaderLen:]
	if int64(len(payload)) > math.MaxUint32 {
		return fmt.Errorf("a record of %d bytes fits no frame: %w", len(payload), base.ErrKeyTooLarge)
	}
	s.frame[0] = typ
	binary.LittleEndian.PutUint32(s.frame[1:], uint32(len(payload)))
	binary.LittleEndian.PutUint32(s.frame[5:], frameSum(s.frame[:5], payload))
	_, err := s.w.Write(s.frame)
	s.frame = s.frame[:frameHeaderLen]
	return err
}

// frameSum returns the stored checksum of a frame; head is type and length.
func frameSum(head, payload []byte) uint32 {
	return checksum.Mask(checksum.Extend(checksum.New(head), payload))
}

// isStream reports whether what r holds is the binary form, whole or cut. It
// takes nothing out of r. No JSON begins like it.
func isStream(r *bufio.Reader) (bool, error) {
	b, err := r.Peek(1)
	if err == io.EOF {
		return false, nil
	}
	return err == nil && b[0] == streamMagic[0], err
}

// A streamReader reads the binary form. Every frame is checked before a record
// of it is handed out.
type streamReader struct {
	r       io.Reader
	offset  int64 // of the next frame
	records uint64
	buf     bytes.Buffer
}

// newStreamReader reads the magic.
func newStreamReader(r io.Reader) (*streamReader, error) {
	magic := make([]byte, len(streamMagic))
	switch n, err := io.ReadFull(r, magic); {
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
		return nil, base.Corruptf("", int64(n), "the stream ends in its magic")
	case err != nil:
		return nil, err
	case string(magic[:7]) != streamMagic[:7]:
		return nil, base.Corruptf("", 0, "no stream of export --binary: it begins with %q", magic)
	case magic[7] != streamMagic[7]:
		return nil, fmt.Errorf("version %d of the binary form is not known, only %d", magic[7], streamMagic[7])
	}
	return &streamReader{r: r, offset: int64(len(streamMagic))}, nil
}

// next reads the records of one frame and calls fn with each. key and value are
// valid during the call. It returns io.EOF at the end frame, a CorruptionError for
// bytes that are cut or damaged, and what fn returns.
func (s *streamReader) next(fn func(key, value []byte) error) error {
	typ, payload, err := s.read()
	if err != nil {
		return err
	}
	start := s.offset
	s.offset += frameHeaderLen + int64(len(payload))
	switch typ {
	case frameRecords:
		return s.split(payload, start+frameHeaderLen, fn)
	case frameEnd:
		return s.end(payload, start)
	}
	return base.Corruptf("", start, "frame of unknown type %d", typ)
}

// read reads a frame and checks its checksum. Memory is asked for as bytes come,
// so that a damaged length costs none.
func (s *streamReader) read() (typ byte, payload []byte, err error) {
	var head [frameHeaderLen]byte
	if _, err := io.ReadFull(s.r, head[:]); err != nil {
		return 0, nil, s.cut(err)
	}
	n := int64(binary.LittleEndian.Uint32(head[1:]))
	if n > maxFramePayload {
		return 0, nil, base.Corruptf("", s.offset, "frame of %d bytes, at most %d", n, maxFramePayload)
	}
	s.buf.Reset()
	if _, err := io.CopyN(&s.buf, s.r, n); err != nil {
		return 0, nil, s.cut(err)
	}
	got, want := frameSum(head[:5], s.buf.Bytes()), binary.LittleEndian.Uint32(head[5:])
	if got != want {
		return 0, nil, &base.CorruptionError{Offset: s.offset, What: "frame checksum", Got: got, Want: want}
	}
	return head[0], s.buf.Bytes(), nil
}

// cut makes damage of an end in the wrong place.
func (s *streamReader) cut(err error) error {
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		return base.Corruptf("", s.offset, "the stream ends before the end frame")
	}
	return err
}

// split calls fn with the records of a payload, whose first byte is at offset.
func (s *streamReader) split(payload []byte, offset int64, fn func(key, value []byte) error) error {
	for rest := payload; len(rest) > 0; {
		at := offset + int64(len(payload)-len(rest))
		key, next, ok := lengthPrefixed(rest)
		value, next, ok2 := lengthPrefixed(next)
		if !ok || !ok2 {
			return base.Corruptf("", at, "record does not end in its frame")
		}
		if err := fn(key, value); err != nil {
			return err
		}
		s.records++
		rest = next
	}
	return nil
}

// lengthPrefixed cuts a length and that many bytes off b.
func lengthPrefixed(b []byte) (field, rest []byte, ok bool) {
	n, w := binary.Uvarint(b)
	if w <= 0 || n > uint64(len(b)-w) {
		return nil, nil, false
	}
	end := w + int(n)
	return b[w:end:end], b[end:], true
}

func (s *streamReader) end(payload []byte, start int64) error {
	if len(payload) != 8 {
		return base.Corruptf("", start, "end frame of %d bytes, want 8", len(payload))
	}
	if n := binary.LittleEndian.Uint64(payload); n != s.records {
		return &base.CorruptionError{Offset: start, What: "number of records", Got: s.records, Want: n}
	}
	switch _, err := io.ReadFull(s.r, make([]byte, 1)); {
	case err == nil:
		return base.Corruptf("", s.offset, "bytes behind the end frame")
	case err != io.EOF:
		return err
	}
	return io.EOF
}
