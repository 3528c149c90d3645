package sstable

import (
	"encoding/binary"
	"runtime"
	"sync"

	"github.com/strata-db/strata/internal/checksum"
)

// Compressing is the larger half of writing a table, and needs nothing but the
// block. So a Writer collects full blocks in groups, and each group is compressed
// on another goroutine while the next is filled:
//
//	Add  → filling ────────────────┐ full: wait for the other, then they change places
//	       encoding: go encode() ──┘ → collect: file bytes, index entries, filters
//
// Where a block lies is known when its group is collected. Groups are handed over
// and collected at fixed places in the stream of entries, so that nothing that a
// Writer returns depends on timing: not EstimatedSize either, and so not where
// one table ends and the next begins.
const (
	// firstGroup and maxGroup are the bytes of blocks at which a group is full:
	// each twice as large as the one before. A small table is not worth waking
	// a goroutine for, and its size is better known.
	firstGroup = 16 << 10
	maxGroup   = 64 << 10

	// maxGrouped is the largest block that is copied into a group. A larger one
	// is encoded where it is.
	maxGrouped = 1 << 20
)

// A group is some neighbouring data blocks on their way to the file.
type group struct {
	blocks []groupBlock
	raw    []byte   // their contents, one after the other
	keys   []byte   // their separators
	hashes []uint32 // of their keys, for LevelDB's filter

	compression Compression
	out         []byte        // as in the file, with trailers
	done        chan struct{} // closed when out is made, if that happens elsewhere
}

// groupBlock says where the parts of one block end.
type groupBlock struct{ raw, key, hash, out int }

var groupPool = sync.Pool{New: func() any { return new(group) }}

// add copies a block with what belongs to it.
func (g *group) add(content, separator []byte, hashes []uint32) {
	g.raw = append(g.raw, content...)
	g.keys = append(g.keys, separator...)
	g.hashes = append(g.hashes, hashes...)
	g.blocks = append(g.blocks, groupBlock{raw: len(g.raw), key: len(g.keys), hash: len(g.hashes)})
}

func (g *group) reset() {
	g.blocks, g.raw, g.keys, g.hashes, g.out = g.blocks[:0], g.raw[:0], g.keys[:0], g.hashes[:0], g.out[:0]
}

// encode makes out of raw.
func (g *group) encode() {
	from := 0
	for i := range g.blocks {
		b := &g.blocks[i]
		g.out = appendBlock(g.out, g.raw[from:b.raw], g.compression)
		from, b.out = b.raw, len(g.out)
	}
}

func (g *group) encodeElsewhere() {
	defer close(g.done)
	g.encode()
}

// appendBlock appends a block as it lies in the file: compressed, with its
// trailer.
func appendBlock(dst, content []byte, c Compression) []byte {
	n := len(dst)
	dst, used := appendCompressed(dst, content, c)
	dst = append(dst, byte(used))
	return binary.LittleEndian.AppendUint32(dst, checksum.Mask(checksum.New(dst[n:])))
}

// handOver has the group that was filled encoded, elsewhere or before it returns,
// and begins to fill the other.
func (w *Writer) handOver(elsewhere bool) {
	w.collect()
	w.filling, w.encoding = w.encoding, w.filling
	w.filling.reset()
	w.encoding.compression = w.o.Compression
	w.pending = len(w.encoding.raw)
	w.groupBytes = min(2*w.groupBytes, maxGroup)
	if w.elsewhere = elsewhere && w.o.Compression != NoCompression && runtime.GOMAXPROCS(0) > 1; w.elsewhere {
		w.encoding.done = make(chan struct{})
		go w.encoding.encodeElsewhere()
	} else {
		w.encoding.encode()
	}
}

// collect takes over what has been encoded, waiting for it.
func (w *Writer) collect() {
	if w.pending == 0 {
		return
	}
	g := w.encoding
	if w.elsewhere {
		<-g.done
		w.elsewhere = false
	}
	var from groupBlock
	for _, b := range g.blocks {
		h := Handle{Offset: w.offset() + uint64(from.out), Size: uint64(b.out - from.out - trailerLen)}
		w.indexBlock(g.keys[from.key:b.key], h, g.hashes[from.hash:b.hash])
		from = b
	}
	w.rawBytes += uint64(w.pending)
	w.pending = 0
	w.out = append(w.out, g.out...)
	if len(w.out) >= writeBytes {
		w.flush()
	}
}

// drain has everything encoded and collected that was filled.
func (w *Writer) drain() {
	if len(w.filling.blocks) > 0 {
		w.handOver(false)
	}
	w.collect()
}

// inGroups returns about how many bytes of the file the blocks in groups will
// take, by what those before them took.
func (w *Writer) inGroups() uint64 {
	raw := uint64(w.pending + len(w.filling.raw))
	if w.rawBytes == 0 {
		return raw
	}
	return raw * w.offset() / w.rawBytes
}

// releaseGroups gives the groups to the next Writer. None is being encoded.
func (w *Writer) releaseGroups() {
	for _, g := range []*group{w.filling, w.encoding} {
		if cap(g.raw)+cap(g.out) <= keepBytes {
			g.reset()
			groupPool.Put(g)
		}
	}
	w.filling, w.encoding = nil, nil
}
