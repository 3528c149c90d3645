package comparers

import (
	"bytes"
	"cmp"
	"encoding/binary"
	"math"

	"github.com/strata-db/strata/internal/base"
)

// IndexedDB is the order of Chromium's IndexedDB databases.
//
// A key starts with a prefix that names a database, an object store and an
// index; what follows depends on the prefix:
//
//	+--------+-------------+-----------------+----------+------------------
//	| widths | database id | object store id | index id | rest
//	+--------+-------------+-----------------+----------+------------------
//	  u8       1-8 bytes     1-8 bytes         1-4 bytes   integers little-endian
//
//	widths: bits 7-5 database id bytes - 1, 4-2 store id bytes - 1, 1-0 index id bytes - 1
//
//	prefix     rest
//	0,_,_      type, fields      about all databases
//	d,0,_      type, fields      about one database
//	d,s,1      key               a record        d,s,2 its version, d,s,3 its blobs
//	d,s,i>=30  key, sequence number (optional), primary key (optional)
//
//	key        type u8, then:  1 string: varint n, n UTF-16 BE units   2 date, 3 number: float64 le
//	                           4 array: varint n, n keys               6 binary: varint n, n bytes
//	                           0 null, 5 least: nothing
//
// Example: 00 01 01 01 03 000000000000f03f is the record under the number 1 in
// the first store of the first database.
//
// Keys sort field by field; among keys of different type the least key comes
// first, then numbers, dates, strings, binaries, arrays, null. Chromium calls
// keys that it cannot decode equal to every other. That is no order, so here a
// field that cannot be decoded sorts after all that can, and two such fields as
// bytes.
//
// Source: Chromium, content/browser/indexed_db/indexed_db_leveldb_coding.cc and
// docs/leveldb_coding_scheme.md.
var IndexedDB = &base.Comparer{Name: "idb_cmp1", Compare: compareIndexedDB}

// Type bytes of encoded keys.
const (
	idbNull   = 0
	idbString = 1
	idbDate   = 2
	idbNumber = 3
	idbArray  = 4
	idbLeast  = 5
	idbBinary = 6
)

// idbRank gives the place of each key type in the order.
var idbRank = [...]int{idbLeast: 0, idbNumber: 1, idbDate: 2, idbString: 3, idbBinary: 4, idbArray: 5, idbNull: 6}

// idbMaxDepth bounds the nesting of array keys that is followed; Chromium
// writes at most 2000.
const idbMaxDepth = 2000

// Index ids that mean something else than an index.
const (
	idbRecords  = 1
	idbVersions = 2
	idbBlobs    = 3
	idbMinIndex = 30
)

func compareIndexedDB(a, b []byte) int {
	w := idbWalk{a: a, b: b}
	prefix := w.prefix()
	if w.decided {
		return w.result
	}
	switch {
	case prefix.database == 0:
		w.metadata(idbGlobalFields)
	case prefix.store == 0:
		w.metadata(idbDatabaseFields)
	case prefix.index == idbRecords, prefix.index == idbVersions, prefix.index == idbBlobs:
		w.optionalKey()
	case prefix.index >= idbMinIndex:
		w.indexEntry()
	}
	if !w.decided {
		// What no rule above looks at: as bytes, so that the order is total.
		w.decide(bytes.Compare(w.a, w.b))
	}
	return w.result
}

// idbWalk compares two keys field by field. Once decided, all its methods do
// nothing.
type idbWalk struct {
	a, b    []byte // what is left of each
	decided bool
	result  int
}

func (w *idbWalk) decide(r int) {
	if !w.decided {
		w.decided, w.result = true, r
	}
}

// compare decides if r is not zero.
func (w *idbWalk) compare(r int) {
	if r != 0 {
		w.decide(r)
	}
}

// bothOK decides if one of the sides could not be decoded: it sorts last.
func (w *idbWalk) bothOK(okA, okB bool) bool {
	switch {
	case w.decided:
		return false
	case okA && okB:
		return true
	case okA:
		w.decide(-1)
	case okB:
		w.decide(1)
	default:
		w.decide(bytes.Compare(w.a, w.b))
	}
	return false
}

type idbPrefix struct{ database, store, index uint64 }

// takePrefix splits the prefix off p.
func takePrefix(p []byte) (x idbPrefix, rest []byte, ok bool) {
	if len(p) == 0 {
		return x, p, false
	}
	widths, rest := p[0], p[1:]
	n1, n2, n3 := int(widths>>5)+1, int(widths>>2&7)+1, int(widths&3)+1
	if len(rest) < n1+n2+n3 {
		return x, p, false
	}
	x.database = littleEndian(rest[:n1])
	x.store = littleEndian(rest[n1 : n1+n2])
	x.index = littleEndian(rest[n1+n2 : n1+n2+n3])
	return x, rest[n1+n2+n3:], true
}

// littleEndian decodes an integer of at most eight bytes.
func littleEndian(p []byte) (v uint64) {
	for i, c := range p {
		v |= uint64(c) << (8 * i)
	}
	return v
}

func (w *idbWalk) prefix() idbPrefix {
	x, restA, okA := takePrefix(w.a)
	y, restB, okB := takePrefix(w.b)
	if !w.bothOK(okA, okB) {
		return x
	}
	w.a, w.b = restA, restB
	w.compare(cmp.Compare(x.database, y.database))
	w.compare(cmp.Compare(x.store, y.store))
	w.compare(cmp.Compare(x.index, y.index))
	return x
}

// A field of a metadata key.
type idbField uint8

const (
	fieldVarint idbField = iota
	fieldByte
	fieldString
)

// Fields of metadata keys by type byte. Types that are not listed have none.
var (
	idbGlobalFields = map[byte][]idbField{
		100: {fieldVarint},              // free database id
		201: {fieldString, fieldString}, // origin, database name
	}
	idbDatabaseFields = map[byte][]idbField{
		50:  {fieldVarint, fieldByte},              // store, property
		100: {fieldVarint, fieldVarint, fieldByte}, // store, index, property
		150: {fieldVarint},                         // free store
		151: {fieldVarint, fieldVarint},            // store, free index
		200: {fieldString},                         // store name
		201: {fieldVarint, fieldString},            // store, index name
	}
)

func (w *idbWalk) metadata(fields map[byte][]idbField) {
	kind := w.byteField()
	for _, f := range fields[kind] {
		switch f {
		case fieldVarint:
			w.varint()
		case fieldByte:
			w.byteField()
		case fieldString:
			w.counted(2)
		}
	}
}

// byteField compares one byte and returns a's.
func (w *idbWalk) byteField() byte {
	if !w.bothOK(len(w.a) > 0, len(w.b) > 0) {
		return 0
	}
	x, y := w.a[0], w.b[0]
	w.a, w.b = w.a[1:], w.b[1:]
	w.compare(cmp.Compare(x, y))
	return x
}

// takeVarint splits a varint off p.
func takeVarint(p []byte) (v uint64, rest []byte, ok bool) {
	v, n := binary.Uvarint(p)
	if n <= 0 || v > math.MaxInt64 {
		return 0, p, false
	}
	return v, p[n:], true
}

// varints takes a varint off both sides without comparing them.
func (w *idbWalk) varints() (x, y uint64, ok bool) {
	x, restA, okA := takeVarint(w.a)
	y, restB, okB := takeVarint(w.b)
	if !w.bothOK(okA, okB) {
		return 0, 0, false
	}
	w.a, w.b = restA, restB
	return x, y, true
}

func (w *idbWalk) varint() {
	if x, y, ok := w.varints(); ok {
		w.compare(cmp.Compare(x, y))
	}
}

// counted compares strings of unit-byte units, each preceded by the number of
// units. UTF-16 is stored big-endian, so it sorts as bytes.
func (w *idbWalk) counted(unit uint64) {
	n, m, ok := w.varints()
	if !ok || !w.bothOK(n <= uint64(len(w.a))/unit, m <= uint64(len(w.b))/unit) {
		return
	}
	x, y := w.a[:n*unit], w.b[:m*unit]
	w.a, w.b = w.a[n*unit:], w.b[m*unit:]
	w.compare(bytes.Compare(x, y))
}

// optionalKey compares encoded keys; a missing one sorts first.
func (w *idbWalk) optionalKey() {
	if len(w.a) == 0 || len(w.b) == 0 {
		w.decide(cmp.Compare(len(w.a), len(w.b)))
		return
	}
	w.key(0)
}

// indexEntry compares index key, primary key, and only then the sequence number
// that is stored between them.
func (w *idbWalk) indexEntry() {
	if w.optionalKey(); w.decided {
		return
	}
	x, y := uint64(0), uint64(0)
	if len(w.a) > 0 && len(w.b) > 0 {
		if x, y, _ = w.varints(); w.decided {
			return
		}
	}
	if w.optionalKey(); w.decided {
		return
	}
	w.compare(cmp.Compare(x, y))
}

// key compares encoded keys, nested depth deep in arrays.
func (w *idbWalk) key(depth int) {
	okA := len(w.a) > 0 && int(w.a[0]) < len(idbRank) && depth <= idbMaxDepth
	okB := len(w.b) > 0 && int(w.b[0]) < len(idbRank) && depth <= idbMaxDepth
	if !w.bothOK(okA, okB) {
		return
	}
	kind, other := w.a[0], w.b[0]
	w.a, w.b = w.a[1:], w.b[1:]
	if w.compare(cmp.Compare(idbRank[kind], idbRank[other])); w.decided {
		return
	}
	switch kind {
	case idbString:
		w.counted(2)
	case idbBinary:
		w.counted(1)
	case idbDate, idbNumber:
		w.float()
	case idbArray:
		w.array(depth)
	}
}

func (w *idbWalk) float() {
	if !w.bothOK(len(w.a) >= 8, len(w.b) >= 8) {
		return
	}
	x := math.Float64frombits(binary.LittleEndian.Uint64(w.a))
	y := math.Float64frombits(binary.LittleEndian.Uint64(w.b))
	w.a, w.b = w.a[8:], w.b[8:]
	w.compare(cmp.Compare(x, y))
}

// array compares element by element, then by length.
func (w *idbWalk) array(depth int) {
	n, m, ok := w.varints()
	if !ok {
		return
	}
	for range min(n, m) {
		if w.key(depth + 1); w.decided {
			return
		}
	}
	w.compare(cmp.Compare(n, m))
}
