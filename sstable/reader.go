package sstable

import (
	"errors"
	"fmt"
	"io"

	"github.com/strata-db/strata/internal/base"
	"github.com/strata-db/strata/internal/cache"
	"github.com/strata-db/strata/internal/checksum"
	"github.com/strata-db/strata/sstable/block"
)

// A Source is where a table's bytes are: a file, or whatever opens one when
// needed. ReadAt is that of io.ReaderAt, called concurrently.
type Source interface {
	ReadAt(p []byte, off int64) (int, error)
}

// ReaderOptions configures a Reader.
type ReaderOptions struct {
	// Cmp is the order of user keys. Default base.Bytewise.
	Cmp *base.Comparer

	// Cache keeps decoded data blocks. nil keeps none.
	Cache *cache.Cache

	// Name is the base name of the file, for errors.
	Name string
}

// A Reader reads one table. It holds index and filter in memory, data blocks in
// the cache. All methods may be called concurrently.
type Reader struct {
	src   Source
	size  int64
	name  string
	cmp   *base.Comparer
	cache *cache.Cache // nil if there is none
	slots *cache.Table

	index  *index
	filter tableFilter // zero if there is none, or it is damaged
	ldb    ldbFilter   // the same; used only if filter is absent
	props  *Properties // nil if there are none

	footer  footer
	metaEnd uint64  // data blocks end here at the latest
	damage  []error // of what reads do without: metaindex, filters, properties
}

// NewReader opens the table in the first size bytes of s. It reads footer, index,
// metaindex, filter and properties. Damage in the first two is an error; without
// the others the table is readable, and Verify reports them.
func NewReader(s Source, size int64, o ReaderOptions) (*Reader, error) {
	r := &Reader{src: s, size: size, name: o.Name, cmp: o.Cmp, cache: o.Cache}
	if r.cmp == nil {
		r.cmp = base.Bytewise
	}
	if size < footerLen {
		return nil, &base.CorruptionError{File: o.Name, Offset: 0, What: "table is shorter than a footer", Got: size, Want: footerLen}
	}
	b := make([]byte, footerLen)
	if err := r.readAt(b, uint64(size)-footerLen); err != nil {
		return nil, err
	}
	var err error
	if r.footer, err = parseFooter(b, r.where(uint64(size)-footerLen)); err != nil {
		return nil, err
	}
	data, err := r.readBlock(nil, r.footer.index)
	if err != nil {
		return nil, err
	}
	if r.index, err = newIndex(r.cmp, data, r.where(r.footer.index.Offset)); err != nil {
		return nil, err
	}
	if err := r.readMeta(); err != nil {
		return nil, err
	}
	r.slots = o.Cache.NewTable(r.index.len())
	return r, nil
}

// readMeta reads the blocks that the metaindex names. Damage is noted, a failure
// to read is returned.
func (r *Reader) readMeta() error {
	r.metaEnd = r.footer.meta.Offset
	content, err := r.readBlock(nil, r.footer.meta)
	if err != nil {
		return r.note(err)
	}
	at := r.where(r.footer.meta.Offset)
	var failed error
	err = block.Walk(content, at, 0, func(key, value []byte) error {
		use := r.metaUser(string(key))
		if use == nil {
			return nil
		}
		h, n := parseHandle(value)
		if n == 0 {
			return base.Corruptf(at.File, at.Offset, "metaindex: handle of %s", key)
		}
		b, err := r.readBlock(nil, h)
		if err == nil {
			err = use(b, r.where(h.Offset))
		}
		failed = errors.Join(failed, r.note(err))
		return nil
	})
	return errors.Join(failed, r.note(err))
}

// metaUser returns what to do with the meta block of that name, nil if nothing.
func (r *Reader) metaUser(name string) func([]byte, block.Where) error {
	filters := r.cmp.EqualIsIdentical
	switch {
	case name == bloomName && filters:
		return func(b []byte, at block.Where) (err error) {
			if r.filter, err = parseFilter(b); err != nil {
				err = base.Corruptf(at.File, at.Offset, "%s: %v", name, err)
			}
			return err
		}
	case name == ldbFilterName && filters:
		return func(b []byte, at block.Where) (err error) {
			if r.ldb, err = parseLDBFilter(b); err != nil {
				err = base.Corruptf(at.File, at.Offset, "%s: %v", name, err)
			}
			return err
		}
	case name == propertiesName:
		return func(b []byte, at block.Where) error {
			var p Properties
			if err := p.decode(b, at); err != nil {
				return err
			}
			r.props = &p
			return nil
		}
	}
	return nil
}

// note keeps damage for Verify and returns every other error.
func (r *Reader) note(err error) error {
	if errors.Is(err, base.ErrCorruption) {
		r.damage = append(r.damage, err)
		return nil
	}
	return err
}

func (r *Reader) where(offset uint64) block.Where {
	return block.Where{File: r.name, Offset: int64(offset)}
}

// readAt fills p from the file. A file that ends early is damaged; any other
// failure is the source's own error.
func (r *Reader) readAt(p []byte, off uint64) error {
	n, err := r.src.ReadAt(p, int64(off))
	if n == len(p) {
		return nil
	}
	if err == nil || errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		return &base.CorruptionError{File: r.name, Offset: int64(off), What: "file ends early: bytes", Got: n, Want: len(p)}
	}
	return fmt.Errorf("read table %s at offset %d: %w", r.name, off, err)
}

// inBounds reports whether a block and its trailer lie before the footer.
func (r *Reader) inBounds(h Handle) error {
	end := uint64(r.size) - footerLen
	if h.Size < maxBlock && h.Offset <= end && h.Size+trailerLen <= end-h.Offset {
		return nil
	}
	return base.Corruptf(r.name, int64(min(h.Offset, uint64(r.size))), "block of %d bytes at offset %d lies outside the table", h.Size, h.Offset)
}

// readBlock reads and decodes the block at h, into dst's memory if it fits there.
func (r *Reader) readBlock(dst []byte, h Handle) ([]byte, error) {
	if err := r.inBounds(h); err != nil {
		return nil, err
	}
	raw := getRaw(int(h.Size) + trailerLen)
	defer putRaw(raw)
	if err := r.readAt(*raw, h.Offset); err != nil {
		return nil, err
	}
	return r.decodeBlock(dst, *raw, h)
}

// decodeBlock checks raw, which is the block at h with its trailer, and returns
// its decompressed content, never in raw's memory.
func (r *Reader) decodeBlock(dst, raw []byte, h Handle) ([]byte, error) {
	n := len(raw) - trailerLen
	if got, want := checksum.Mask(checksum.New(raw[:n+1])), le32(raw[n+1:]); got != want {
		return nil, &base.CorruptionError{File: r.name, Offset: int64(h.Offset), What: "block checksum", Got: checksum.Unmask(got), Want: checksum.Unmask(want)}
	}
	content, err := decompress(dst, raw[:n], Compression(raw[n]))
	if err != nil {
		return nil, base.Corruptf(r.name, int64(h.Offset), "block of %d bytes: %v", n, err)
	}
	return content, nil
}

// dataHandle returns the checked handle of data block i.
func (r *Reader) dataHandle(i int) (Handle, error) {
	h, ok := r.index.handle(i)
	if !ok {
		return h, base.Corruptf(r.name, int64(r.footer.index.Offset), "index: handle of data block %d", i)
	}
	return h, r.inBounds(h)
}

// data returns data block i, from the cache or read and put there.
func (r *Reader) data(i int) (*cache.Block, error) {
	if b := r.slots.Get(i); b != nil {
		return b, nil
	}
	h, err := r.dataHandle(i)
	if err != nil {
		return nil, err
	}
	content, err := r.readBlock(nil, h)
	if err != nil {
		return nil, err
	}
	b, err := r.newBlock(content, h)
	if err != nil {
		return nil, err
	}
	return r.slots.Put(i, b, false), nil
}

// newBlock makes a cacheable block of decoded content, which it keeps.
func (r *Reader) newBlock(content []byte, h Handle) (*cache.Block, error) {
	if err := block.Check(content, r.where(h.Offset)); err != nil {
		return nil, err
	}
	b := &cache.Block{Data: content}
	if r.cmp.IsBytewise() {
		x := block.NewIndex(content)
		b.Index, b.IndexSkip = x.Words, x.Skip
	}
	return b, nil
}

// indexOf returns the search index of a cached block.
func indexOf(b *cache.Block) block.Index {
	return block.Index{Words: b.Index, Skip: b.IndexSkip}
}

// MayContain reports false only if no entry of the key with that hash is in the
// table.
func (r *Reader) MayContain(h KeyHash) bool {
	return !r.filter.present() || r.filter.mayContain(&h)
}

// Get returns the newest entry of ukey that is visible at sequence number at, and
// false if the table has none. h must be HashKey(ukey). A tombstone is an entry.
// value is in ordinary memory that nobody reuses: it may be kept, not modified.
func (r *Reader) Get(ukey []byte, at base.SeqNum, h KeyHash) (value []byte, tr base.Trailer, found bool, err error) {
	if r.filter.present() && !r.filter.mayContain(&h) {
		return nil, 0, false, nil
	}
	target := base.SeekKey(ukey, at)
	first := r.index.seek(target)
	for i := first; i < r.index.len(); i++ {
		if i == first && r.ldbDenies(i, ukey) {
			return nil, 0, false, nil
		}
		b, err := r.data(i)
		if err != nil {
			return nil, 0, false, err
		}
		v, tr, ok, more, err := block.Get(r.cmp, b.Data, indexOf(b), r.where(r.index.offsets[i]), target)
		if !more {
			return v, tr, ok, err
		}
	}
	return nil, 0, false, nil
}

// ldbDenies reports whether LevelDB's filter, where it is the only one, says that
// data block i does not hold the key. It is asked by the block's offset, so a
// handle that is damaged gets no answer from it.
func (r *Reader) ldbDenies(i int, ukey []byte) bool {
	if !r.ldb.present() || r.filter.present() {
		return false
	}
	h, err := r.dataHandle(i)
	return err == nil && !r.ldb.mayContain(h.Offset, ukey)
}

// Properties returns what the table says of itself, false if it says nothing or
// that is damaged.
func (r *Reader) Properties() (*Properties, bool) { return r.props, r.props != nil }

// SeqBounds returns the lowest and highest sequence number in the table, false if
// they are not known.
func (r *Reader) SeqBounds() (lo, hi base.SeqNum, ok bool) {
	if r.props == nil || r.props.Entries == 0 {
		return 0, 0, false
	}
	return r.props.SmallestSeq, r.props.LargestSeq, true
}

// EstimateOffset returns about at which offset of the file the entries from k on
// begin.
func (r *Reader) EstimateOffset(k base.InternalKey) uint64 {
	if i := r.index.seek(k); i < r.index.len() {
		if h, err := r.dataHandle(i); err == nil {
			return h.Offset
		}
	}
	return min(r.metaEnd, uint64(r.size))
}

// MemoryBytes returns how many bytes the Reader holds outside the cache.
func (r *Reader) MemoryBytes() int64 {
	return r.index.memory() + int64(len(r.filter.bits)) + int64(len(r.ldb.data)+len(r.ldb.starts)) + 8*int64(r.index.len())
}

// Close gives up the cache slots. It does not close the source. Calls under way
// may go on.
func (r *Reader) Close() { r.slots.Drop() }
