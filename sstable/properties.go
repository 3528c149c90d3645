package sstable

import (
	"encoding/binary"

	"github.com/strata-db/strata/internal/base"
	"github.com/strata-db/strata/sstable/block"
)

// creator is written into every table, for people who look at one.
const creator = "strata 1"

// Properties is what a table says of itself. Only tables of this engine have
// them.
type Properties struct {
	Comparer         string // name of the order
	Creator          string // engine and version of its table writer
	Compression      string // asked for; single blocks may be stored as they are
	Entries          uint64
	Tombstones       uint64 // entries of kind DEL
	UserKeys         uint64 // distinct user keys
	RawKeyBytes      uint64 // internal keys, before prefix sharing and compression
	RawValueBytes    uint64
	DataBlocks       uint64
	DataBytes        uint64 // data blocks on disk with their trailers
	FilterBitsPerKey uint64 // 0: no filter
	SmallestSeq      base.SeqNum
	LargestSeq       base.SeqNum
}

// fields lists the properties in key order: exactly one of num and text is set.
func (p *Properties) fields() []propertyField {
	return []propertyField{
		{key: "comparer", text: &p.Comparer},
		{key: "compression", text: &p.Compression},
		{key: "creator", text: &p.Creator},
		{key: "data.blocks", num: &p.DataBlocks},
		{key: "data.bytes", num: &p.DataBytes},
		{key: "entries", num: &p.Entries},
		{key: "filter.bits-per-key", num: &p.FilterBitsPerKey},
		{key: "raw.key.bytes", num: &p.RawKeyBytes},
		{key: "raw.value.bytes", num: &p.RawValueBytes},
		{key: "seq.largest", num: (*uint64)(&p.LargestSeq)},
		{key: "seq.smallest", num: (*uint64)(&p.SmallestSeq)},
		{key: "tombstones", num: &p.Tombstones},
		{key: "user.keys", num: &p.UserKeys},
	}
}

type propertyField struct {
	key  string
	num  *uint64
	text *string
}

// encode returns the content of the properties block: a block of plain keys,
// numbers as varints, texts as they are.
func (p *Properties) encode() []byte {
	var w block.Writer
	w.Init(1)
	for _, f := range p.fields() {
		if f.num != nil {
			w.AddPlain([]byte(f.key), binary.AppendUvarint(nil, *f.num))
		} else {
			w.AddPlain([]byte(f.key), []byte(*f.text))
		}
	}
	return w.Finish()
}

// decode reads the content of a properties block. Unknown keys are left to later
// releases; each known one must be there.
func (p *Properties) decode(b []byte, at block.Where) error {
	fields := p.fields()
	seen := 0
	err := block.Walk(b, at, 0, func(key, value []byte) error {
		for _, f := range fields {
			if f.key != string(key) {
				continue
			}
			seen++
			if f.text != nil {
				*f.text = string(value)
				return nil
			}
			v, n := binary.Uvarint(value)
			if n <= 0 || n != len(value) {
				return base.Corruptf(at.File, at.Offset, "property %s is no number", f.key)
			}
			*f.num = v
		}
		return nil
	})
	if err == nil && seen != len(fields) {
		err = base.Corruptf(at.File, at.Offset, "%d properties of %d", seen, len(fields))
	}
	return err
}
