package sstable

import (
	"encoding/binary"
	"fmt"
	"slices"
	"sync"

	"github.com/golang/snappy"
	"github.com/klauspost/compress/zstd"
)

// Compression is the type byte of a block on disk. Values are LevelDB's.
type Compression uint8

// The compressions. LevelDB reads zstd since a commit after 1.23, goleveldb not
// at all.
const (
	NoCompression Compression = 0
	Snappy        Compression = 1
	Zstd          Compression = 2
)

// String returns the name of c.
func (c Compression) String() string {
	switch c {
	case NoCompression:
		return "none"
	case Snappy:
		return "snappy"
	case Zstd:
		return "zstd"
	}
	return fmt.Sprintf("type %d", byte(c))
}

// The zstd coders are made on first use: they hold tables of a megabyte or more.
// Both are used through calls that are safe for concurrent use.
var (
	zstdEncoder = sync.OnceValue(func() *zstd.Encoder {
		e, err := zstd.NewWriter(nil, zstd.WithEncoderLevel(zstd.SpeedFastest),
			zstd.WithEncoderCRC(false), zstd.WithSingleSegment(true)) // the block has a checksum; readers need the size
		if err != nil {
			panic(err) // constant options
		}
		return e
	})
	zstdDecoder = sync.OnceValue(func() *zstd.Decoder {
		d, err := zstd.NewReader(nil, zstd.WithDecoderConcurrency(0), zstd.WithDecodeAllCapLimit(true),
			zstd.WithDecoderMaxWindow(1<<31)) // a block is one window
		if err != nil {
			panic(err) // constant options
		}
		return d
	})
)

// appendCompressed appends raw to dst, compressed with c if that saves more than
// an eighth (LevelDB's rule: less does not pay for decoding), and says which it
// was.
func appendCompressed(dst, raw []byte, c Compression) ([]byte, Compression) {
	n := len(dst)
	switch c {
	case Snappy:
		if room := snappy.MaxEncodedLen(len(raw)); room >= 0 {
			dst = slices.Grow(dst, room)
			enc := snappy.Encode(dst[n:n+room], raw)
			dst = dst[:n+len(enc)]
		}
	case Zstd:
		dst = zstdEncoder().EncodeAll(raw, dst)
	}
	if size := len(dst) - n; size > 0 && size < len(raw)-len(raw)/8 {
		return dst, c
	}
	return append(dst[:n], raw...), NoCompression
}

// decompress returns what payload holds, in dst's memory if it fits there, else
// in new memory of exactly that size. Uncompressed payloads are copied. What is
// allocated is bounded by what len(payload) bytes can expand to.
func decompress(dst, payload []byte, c Compression) ([]byte, error) {
	switch c {
	case NoCompression:
		dst = room(dst, len(payload))
		copy(dst, payload)
		return dst, nil
	case Snappy:
		n, err := snappy.DecodedLen(payload)
		if err != nil {
			return nil, err
		}
		// The densest element is a copy: 64 bytes for 3.
		if uint64(n) > uint64(len(payload))*64/3 {
			return nil, fmt.Errorf("snappy: %d bytes cannot hold %d", len(payload), n)
		}
		return snappy.Decode(room(dst, n), payload)
	case Zstd:
		return decompressZstd(dst, payload)
	}
	return nil, fmt.Errorf("unknown compression type %d", byte(c))
}

func decompressZstd(dst, payload []byte) ([]byte, error) {
	var h zstd.Header
	if err := h.Decode(payload); err != nil {
		return nil, err
	}
	if !h.HasFCS || h.Skippable {
		return nil, fmt.Errorf("zstd: frame without a content size")
	}
	// The densest block repeats one byte 128 KiB long in 4 bytes.
	n := h.FrameContentSize
	if n > (uint64(len(payload))/4+1)<<17 || n > maxBlock {
		return nil, fmt.Errorf("zstd: %d bytes cannot hold %d", len(payload), n)
	}
	dst = room(dst, int(n))
	out, err := zstdDecoder().DecodeAll(payload, dst[:0:n])
	if err == nil && uint64(len(out)) != n {
		err = fmt.Errorf("zstd: %d bytes instead of %d", len(out), n)
	}
	return out, err
}

// room returns n bytes, in dst's memory if they fit there.
func room(dst []byte, n int) []byte {
	if cap(dst) >= n {
		return dst[:n]
	}
	return make([]byte, n)
}

// A Handle is where a block lies in its file. Size leaves out the block's
// trailer.
type Handle struct{ Offset, Size uint64 }

// appendHandle appends the encoding of h: two varints.
func appendHandle(dst []byte, h Handle) []byte {
	return binary.AppendUvarint(binary.AppendUvarint(dst, h.Offset), h.Size)
}

// parseHandle decodes a handle and returns its length, 0 if b does not begin
// with one.
func parseHandle(b []byte) (Handle, int) {
	off, n := binary.Uvarint(b)
	if n <= 0 {
		return Handle{}, 0
	}
	size, m := binary.Uvarint(b[n:])
	if m <= 0 {
		return Handle{}, 0
	}
	return Handle{Offset: off, Size: size}, n + m
}
