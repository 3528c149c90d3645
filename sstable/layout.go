package sstable

import (
	"errors"

	"github.com/strata-db/strata/internal/base"
	"github.com/strata-db/strata/sstable/block"
)

// A BlockInfo says where one block of a table lies and what it is.
type BlockInfo struct {
	Handle
	// Kind is "data", "index", "metaindex", "filter", "properties", or "meta" for a
	// block that the metaindex names and this release does not know.
	Kind string
	// Name is the block's name in the metaindex, if it has one.
	Name string
	// Separator is a data block's key in the index. It owns its memory.
	Separator base.InternalKey
}

// A Layout says where the parts of a table lie. Making it needs no order of keys.
type Layout struct {
	Blocks []BlockInfo // data blocks in key order, then those of the metaindex, then the two indexes
	Footer uint64      // offset of the footer
	// Damage is what is wrong with the metaindex, which reading can do without.
	Damage error

	r *Reader
}

// FooterLen is the length of a table's footer in bytes, TrailerLen that of what
// follows each block.
const (
	FooterLen  = footerLen
	TrailerLen = trailerLen
)

// ReadLayout reads footer, index and metaindex of the table in the first size
// bytes of s. name is the base name of the file, for errors. Damage in footer or
// index is an error.
func ReadLayout(s Source, size int64, name string) (*Layout, error) {
	r := &Reader{src: s, size: size, name: name, cmp: base.Bytewise}
	if size < footerLen {
		return nil, &base.CorruptionError{File: name, Offset: 0, What: "table is shorter than a footer", Got: size, Want: footerLen}
	}
	l := &Layout{Footer: uint64(size) - footerLen, r: r}
	b := make([]byte, footerLen)
	err := r.readAt(b, l.Footer)
	if err == nil {
		r.footer, err = parseFooter(b, r.where(l.Footer))
	}
	if err == nil {
		err = l.readIndex()
	}
	if err != nil {
		return nil, err
	}
	if l.Damage = l.readMetaindex(); l.Damage != nil && !errors.Is(l.Damage, base.ErrCorruption) {
		return nil, l.Damage
	}
	l.Blocks = append(l.Blocks, BlockInfo{Handle: r.footer.meta, Kind: "metaindex"}, BlockInfo{Handle: r.footer.index, Kind: "index"})
	return l, nil
}

func (l *Layout) readIndex() error {
	data, err := l.r.readBlock(nil, l.r.footer.index)
	if err != nil {
		return err
	}
	at := l.r.where(l.r.footer.index.Offset)
	x, err := newIndex(l.r.cmp, data, at)
	if err != nil {
		return err
	}
	for i := range x.len() {
		h, _ := x.handle(i) // one that is no handle lies outside the table, and reading it says so
		l.Blocks = append(l.Blocks, BlockInfo{Handle: h, Kind: "data", Separator: x.separator(i).Clone()})
	}
	return nil
}

func (l *Layout) readMetaindex() error {
	data, err := l.r.readBlock(nil, l.r.footer.meta)
	if err != nil {
		return err
	}
	at := l.r.where(l.r.footer.meta.Offset)
	return block.Walk(data, at, 0, func(key, value []byte) error {
		h, n := parseHandle(value)
		if n == 0 {
			return base.Corruptf(at.File, at.Offset, "metaindex: handle of %s", key)
		}
		l.Blocks = append(l.Blocks, BlockInfo{Handle: h, Kind: metaKind(string(key)), Name: string(key)})
		return nil
	})
}

func metaKind(name string) string {
	const filterPrefix = "filter."
	switch {
	case name == propertiesName:
		return "properties"
	case name == bloomName || len(name) > len(filterPrefix) && name[:len(filterPrefix)] == filterPrefix:
		return "filter"
	}
	return "meta"
}

// Read returns the content of a block, decompressed, and how it is stored. The
// memory is the caller's. A wrong checksum is an error.
func (l *Layout) Read(h Handle) ([]byte, Compression, error) {
	if err := l.r.inBounds(h); err != nil {
		return nil, 0, err
	}
	raw := make([]byte, int(h.Size)+trailerLen)
	if err := l.r.readAt(raw, h.Offset); err != nil {
		return nil, 0, err
	}
	c := Compression(raw[h.Size])
	content, err := l.r.decodeBlock(nil, raw, h)
	return content, c, err
}

// Entries reads a data block and calls fn for every entry, in the order they are
// stored. key is an encoded internal key, valid during the call; value aliases
// memory that is not used again.
func (l *Layout) Entries(h Handle, fn func(key, value []byte) error) error {
	content, _, err := l.Read(h)
	if err != nil {
		return err
	}
	return block.Walk(content, l.r.where(h.Offset), 0, fn)
}

// Properties decodes the properties block, and returns nil if the table has none.
func (l *Layout) Properties() (*Properties, error) {
	for _, b := range l.Blocks {
		if b.Kind != "properties" {
			continue
		}
		content, _, err := l.Read(b.Handle)
		if err != nil {
			return nil, err
		}
		p := new(Properties)
		return p, p.decode(content, l.r.where(b.Offset))
	}
	return nil, nil
}
