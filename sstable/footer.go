package sstable

import (
	"encoding/binary"

	"github.com/strata-db/strata/internal/base"
	"github.com/strata-db/strata/sstable/block"
)

const (
	footerLen  = 48
	footerBody = footerLen - 8
	magic      = 0xdb4775248b80fb57

	// trailerLen is the type byte and the checksum behind every block.
	trailerLen = 5

	// maxBlock bounds a block, before and after compression: offsets in it are
	// ints even where these have 32 bits.
	maxBlock = 1<<31 - 1
)

// Names in the metaindex.
const (
	bloomName      = "strata.bloom.v1"
	propertiesName = "strata.properties"
)

// footer holds the two handles of a footer.
type footer struct{ meta, index Handle }

func (f footer) append(dst []byte) []byte {
	n := len(dst)
	dst = appendHandle(appendHandle(dst, f.meta), f.index)
	dst = append(dst, make([]byte, footerBody-(len(dst)-n))...)
	return binary.LittleEndian.AppendUint64(dst, magic)
}

// parseFooter decodes the 48 bytes b that lie at offset at.Offset.
func parseFooter(b []byte, at block.Where) (f footer, err error) {
	if got := binary.LittleEndian.Uint64(b[footerBody:]); got != magic {
		return f, &base.CorruptionError{File: at.File, Offset: at.Offset, What: "no table footer here: magic number", Got: got, Want: uint64(magic)}
	}
	meta, n := parseHandle(b[:footerBody])
	if n == 0 {
		return f, base.Corruptf(at.File, at.Offset, "metaindex handle in the footer")
	}
	index, m := parseHandle(b[n:footerBody])
	if m == 0 {
		return f, base.Corruptf(at.File, at.Offset, "index handle in the footer")
	}
	return footer{meta: meta, index: index}, nil
}
