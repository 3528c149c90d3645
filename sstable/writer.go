package sstable

import (
	"fmt"
	"io"
	"sync"

	"github.com/strata-db/strata/internal/base"
	"github.com/strata-db/strata/sstable/block"
)

// writeBytes is how many bytes are collected for one Write call.
const writeBytes = 256 << 10

// keepBytes is the largest buffer kept for the next block after an unusually
// large one.
const keepBytes = 4 << 20

// WriterOptions configures a Writer. The zero value of a field is its default.
type WriterOptions struct {
	// Cmp is the order of user keys. Default base.Bytewise.
	Cmp *base.Comparer

	// BlockBytes is the size at which a data block is cut, before compression.
	// Default 4096. Small blocks make point reads cheaper and indexes larger.
	BlockBytes int

	// RestartInterval is every how many entries of a data block a key is written
	// whole. Default 16. Small intervals search faster and compress less.
	RestartInterval int

	// Compression is applied to blocks that it makes smaller by an eighth.
	Compression Compression

	// FilterBitsPerKey is the size of the table's filter; 10 gives one wrong
	// "may" in a hundred. 0 or less writes none.
	FilterBitsPerKey int

	// LevelDBFilter also writes the filter that LevelDB reads, of as many bits.
	LevelDBFilter bool
}

func (o WriterOptions) withDefaults() WriterOptions {
	if o.Cmp == nil {
		o.Cmp = base.Bytewise
	}
	if o.BlockBytes <= 0 {
		o.BlockBytes = 4096
	}
	if o.RestartInterval <= 0 {
		o.RestartInterval = 16
	}
	if !o.Cmp.EqualIsIdentical {
		o.FilterBitsPerKey = 0
	}
	o.FilterBitsPerKey = min(o.FilterBitsPerKey, 100)
	return o
}

// Meta describes a finished table.
type Meta struct {
	Size uint64 // of the file, in bytes

	// Smallest and Largest are the first and last key; they own their memory.
	// Both are zero if Entries is 0.
	Smallest, Largest base.InternalKey

	SmallestSeq, LargestSeq    base.SeqNum
	Entries, Tombstones        uint64
	UserKeys                   uint64 // distinct
	RawKeyBytes, RawValueBytes uint64 // before prefix sharing and compression
	DataBlocks, DataBytes      uint64 // data blocks on disk, with trailers
	FilterBytes                uint64 // content of strata.bloom.v1
}

// A Writer makes one table: Add every entry in order, then Finish. One goroutine.
//
// A full block waits until the next key is known, as its separator depends on it;
// then emit sends it on its way: compressed and checksummed in a group of its
// neighbours (encode.go), then appended, indexed and filtered in collect.
type Writer struct {
	w io.Writer
	o WriterOptions

	data  block.Writer // the block being filled
	full  bool         // it is to be emitted before the next Add
	index block.Writer

	out     []byte // bytes not yet given to w
	flushed uint64 // bytes given to w
	scratch []byte // the last separator
	handle  []byte // reused

	filling, encoding *group // encode.go
	groupBytes        int    // at which filling is full
	pending           int    // bytes of blocks in encoding, 0 if it was collected
	elsewhere         bool   // encoding is being encoded on another goroutine
	rawBytes          uint64 // of blocks that have been collected

	last     base.Trailer // of the last key; its user key is in data.LastKey
	hashes   hashList     // of distinct user keys
	ldb      *ldbFilterWriter
	ldbBlock []uint32 // hashes of the block being filled

	maxBlock uint64 // maxBlock but in tests
	meta     Meta
	err      error // the first error, returned for ever
}

// NewWriter returns a Writer that appends the bytes of a table to w, from the
// table's first byte, in large pieces.
func NewWriter(w io.Writer, o WriterOptions) *Writer {
	t := &Writer{w: w, o: o.withDefaults(), out: *outPool.Get().(*[]byte)}
	t.filling, t.encoding = groupPool.Get().(*group), groupPool.Get().(*group)
	t.groupBytes, t.maxBlock = firstGroup, maxBlock
	t.data.Init(t.o.RestartInterval)
	t.index.Init(1)
	if t.o.LevelDBFilter && t.o.FilterBitsPerKey > 0 {
		t.ldb = &ldbFilterWriter{bitsPerKey: t.o.FilterBitsPerKey}
	}
	t.meta.SmallestSeq = base.SeqNumMax
	return t
}

// Add appends an entry, which must sort after the one before. key and value are
// copied. An error is final: the table cannot be finished.
func (w *Writer) Add(k base.InternalKey, value []byte) error {
	if w.err != nil {
		return w.err
	}
	if uint64(len(k.UserKey))+uint64(len(value)) > maxBlock-1024 {
		return w.fail(fmt.Errorf("sstable: entry of %d + %d bytes: %w", len(k.UserKey), len(value), base.ErrKeyTooLarge))
	}
	fresh := true // the user key differs from the last one
	if w.meta.Entries > 0 {
		last := w.lastKey()
		c := w.o.Cmp.Compare(last.UserKey, k.UserKey)
		if c > 0 || c == 0 && last.Trailer <= k.Trailer {
			return w.fail(fmt.Errorf("sstable: key %v added after %v", k, last))
		}
		fresh = c < 0
		if w.full || w.data.Size()+len(k.UserKey)+len(value) > 1<<30 {
			w.emit(w.o.Cmp.AppendSeparator(w.scratch[:0], last, k))
		}
	} else {
		w.meta.Smallest = k.Clone()
	}
	w.count(k, value, fresh)
	w.data.Add(k, value)
	w.last = k.Trailer
	w.full = w.data.Size() >= w.o.BlockBytes
	return w.err
}

func (w *Writer) lastKey() base.InternalKey {
	b := w.data.LastKey()
	return base.InternalKey{UserKey: b[:len(b)-base.TrailerLen], Trailer: w.last}
}

// count adds an entry to the statistics and the filters.
func (w *Writer) count(k base.InternalKey, value []byte, fresh bool) {
	m := &w.meta
	m.Entries++
	m.RawKeyBytes += uint64(k.Size())
	m.RawValueBytes += uint64(len(value))
	if k.Kind() == base.KindDelete {
		m.Tombstones++
	}
	m.SmallestSeq = min(m.SmallestSeq, k.SeqNum())
	m.LargestSeq = max(m.LargestSeq, k.SeqNum())
	if fresh {
		m.UserKeys++
		if w.o.FilterBitsPerKey > 0 {
			w.hashes.add(HashKey(k.UserKey))
		}
	}
	if w.ldb != nil && (fresh || w.data.Len() == 0) {
		w.ldbBlock = append(w.ldbBlock, ldbHash(k.UserKey))
	}
}

// emit sends the data block to the file, and begins the next block.
func (w *Writer) emit(separator []byte) {
	w.scratch = separator
	content := w.data.Finish()
	if len(content) > maxGrouped {
		w.drain()
		w.indexBlock(separator, w.writeBlock(content, w.o.Compression), w.ldbBlock)
		w.rawBytes += uint64(len(content))
	} else {
		w.filling.add(content, separator, w.ldbBlock)
		if len(w.filling.raw) >= w.groupBytes {
			w.handOver(true)
		}
	}
	w.ldbBlock = w.ldbBlock[:0]
	w.meta.DataBlocks++
	w.data.Reset()
	w.full = false
}

// indexBlock enters a data block into the index and LevelDB's filter. hashes are
// those of its keys. Blocks come in order.
func (w *Writer) indexBlock(separator []byte, h Handle, hashes []uint32) {
	if w.ldb != nil {
		w.ldb.addBlock(h.Offset, hashes)
	}
	w.handle = appendHandle(w.handle[:0], h)
	w.index.AddPlain(separator, w.handle)
}

// writeBlock appends a block with its trailer to the file. One that no reader would
// take, as the index of an enormous table may become, is an error while what it was
// made from still exists.
func (w *Writer) writeBlock(content []byte, c Compression) Handle {
	if uint64(len(content)) > w.maxBlock {
		w.fail(fmt.Errorf("sstable: block of %d bytes where a table may have %d: make smaller tables or larger data blocks", len(content), w.maxBlock))
		return Handle{}
	}
	h := Handle{Offset: w.offset()}
	n := len(w.out)
	w.out = appendBlock(w.out, content, c)
	h.Size = uint64(len(w.out) - n - trailerLen)
	if len(w.out) >= writeBytes {
		w.flush()
	}
	return h
}

// offset is where the next byte goes in the file.
func (w *Writer) offset() uint64 { return w.flushed + uint64(len(w.out)) }

func (w *Writer) flush() {
	if w.err != nil || len(w.out) == 0 {
		return
	}
	if _, err := w.w.Write(w.out); err != nil {
		w.fail(err)
		return
	}
	w.flushed += uint64(len(w.out))
	if cap(w.out) > keepBytes {
		w.out = nil
	}
	w.out = w.out[:0]
}

func (w *Writer) fail(err error) error {
	if w.err == nil {
		w.err = err
	}
	return w.err
}

// EstimatedSize returns about how many bytes the file would have if Finish were
// called now, before the compression of the block being filled.
func (w *Writer) EstimatedSize() uint64 {
	filter := uint64(w.hashes.len()) * uint64(w.o.FilterBitsPerKey) / 8
	if w.ldb != nil {
		filter *= 2
	}
	return w.offset() + w.inGroups() + uint64(w.data.Size()) + uint64(w.index.Size()) + filter + footerLen
}

// Len returns the number of entries added.
func (w *Writer) Len() int { return int(w.meta.Entries) }

// Finish writes what is left, down to the footer, and describes the table. It
// neither syncs nor closes. Nothing may be called after it.
func (w *Writer) Finish() (Meta, error) {
	if w.err != nil {
		return Meta{}, w.err
	}
	if w.meta.Entries == 0 {
		w.meta.SmallestSeq = 0
	} else {
		w.meta.Largest = w.lastKey().Clone()
		w.emit(w.o.Cmp.AppendSuccessor(w.scratch[:0], w.meta.Largest))
		w.drain()
	}
	w.meta.DataBytes = w.offset()
	var f footer
	f.meta = w.writeMeta()
	f.index = w.writeBlock(w.index.Finish(), w.o.Compression)
	w.out = f.append(w.out)
	w.meta.Size = w.offset()
	w.flush()
	w.release()
	if w.err == nil {
		w.err = fmt.Errorf("sstable: table is finished")
		return w.meta, nil
	}
	return Meta{}, w.err
}

// release gives large buffers to the next Writer.
func (w *Writer) release() {
	w.hashes.release()
	w.releaseGroups()
	if cap(w.out) <= keepBytes {
		out := w.out[:0]
		outPool.Put(&out)
	}
	w.out = nil
}

// outPool holds buffers for Writer.out.
var outPool = sync.Pool{New: func() any { b := make([]byte, 0, writeBytes+64<<10); return &b }}

// writeMeta writes filters, properties and the metaindex that names them, and
// returns its handle.
func (w *Writer) writeMeta() Handle {
	var index block.Writer
	index.Init(1)
	add := func(name string, content []byte, c Compression) {
		index.AddPlain([]byte(name), appendHandle(nil, w.writeBlock(content, c)))
	}
	if w.ldb != nil {
		add(ldbFilterName, w.ldb.finish(), NoCompression)
	}
	if w.hashes.len() > 0 {
		content := makeFilter(&w.hashes, w.o.FilterBitsPerKey)
		w.meta.FilterBytes = uint64(len(content))
		add(bloomName, content, NoCompression)
	}
	add(propertiesName, w.properties().encode(), NoCompression)
	return w.writeBlock(index.Finish(), NoCompression)
}

func (w *Writer) properties() *Properties {
	m := &w.meta
	p := &Properties{
		Comparer:      w.o.Cmp.Name,
		Creator:       creator,
		Compression:   w.o.Compression.String(),
		Entries:       m.Entries,
		Tombstones:    m.Tombstones,
		UserKeys:      m.UserKeys,
		RawKeyBytes:   m.RawKeyBytes,
		RawValueBytes: m.RawValueBytes,
		DataBlocks:    m.DataBlocks,
		DataBytes:     m.DataBytes,
		SmallestSeq:   m.SmallestSeq,
		LargestSeq:    m.LargestSeq,
	}
	if w.hashes.len() > 0 {
		p.FilterBitsPerKey = uint64(w.o.FilterBitsPerKey)
	}
	return p
}
