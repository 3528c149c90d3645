package tools

import (
	"encoding/binary"
	"io"

	"github.com/strata-db/strata/wal/record"
)

// A walChunk is a piece of a record, which lies in one block.
type walChunk struct {
	Offset int64  `json:"offset"`
	Type   string `json:"type"`  // "full", "first", "middle" or "last"
	Bytes  int    `json:"bytes"` // of the record
}

// chunkHeader is the size of what stands before a chunk's bytes: checksum, length,
// type.
const chunkHeader = 7

// chunksAt returns the chunks of the record at off, which was read without a
// complaint.
func chunksAt(src io.ReaderAt, off int64) (chunks []walChunk, err error) {
	types := [...]string{1: "full", 2: "first", 3: "middle", 4: "last"}
	for {
		if rest := record.BlockSize - off%record.BlockSize; rest < chunkHeader {
			off += rest // too little for a header: zeros
		}
		var h [chunkHeader]byte
		if n, err := src.ReadAt(h[:], off); n < len(h) {
			if err == io.EOF {
				err = io.ErrUnexpectedEOF // it was cut meanwhile
			}
			return nil, err
		}
		typ, n := int(h[6]), int(binary.LittleEndian.Uint16(h[4:]))
		if typ < 1 || typ >= len(types) {
			return chunks, nil // it was written over meanwhile
		}
		chunks = append(chunks, walChunk{off, types[typ], n})
		if typ == 1 || typ == 4 {
			return chunks, nil
		}
		off += chunkHeader + int64(n)
	}
}
