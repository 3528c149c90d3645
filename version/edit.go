package version

import (
	"encoding/binary"
	"errors"
	"fmt"

	"github.com/strata-db/strata/internal/base"
)

// ErrNewerRelease says that an upgraded directory holds something that only a
// later release understands.
var ErrNewerRelease = errors.New("strata: written by a newer release")

// The tags of an edit's fields. Values are on disk and never renumbered.
const (
	tagComparer   = 1
	tagLogNum     = 2
	tagNextFile   = 3
	tagLastSeq    = 4
	tagPointer    = 5
	tagDeleted    = 6
	tagAdded      = 7
	tagPrevLog    = 9
	tagLaterFirst = 64 // kept for later releases, in upgraded directories
	tagLaterLast  = 127
)

// maxFileNum bounds the file numbers that are believed, so that counting on from
// one can neither wrap nor give a name that does not parse. No counter gets there;
// Apply refuses to go beyond what Load would believe.
const maxFileNum = base.FileNum(1) << 62

// lastFileNum bounds the numbers of files that are written. A file in a directory with
// a number beyond it does not move the counter.
const lastFileNum = maxFileNum / 2

// An Edit is the difference between two versions, and one record of a manifest.
// Fields that are nil or empty are absent from the record.
type Edit struct {
	Comparer    string // name of the order of user keys
	LogNum      *base.FileNum
	PrevLogNum  *base.FileNum
	NextFileNum *base.FileNum
	LastSeq     *base.SeqNum
	// LastSeqLog, if not 0, is the log number that LastSeq belongs to. It is not
	// written: if another edit has changed the log number meanwhile, Apply takes
	// the last sequence of that one.
	LastSeqLog base.FileNum
	Pointers   []Pointer
	Deleted    []DeletedFile
	Added      []AddedFile
}

// A Pointer says where the next compaction of a level begins: behind Key, an
// encoded internal key.
type Pointer struct {
	Level int
	Key   []byte
}

// A DeletedFile leaves a level.
type DeletedFile struct {
	Level int
	Num   base.FileNum
}

// An AddedFile enters a level.
type AddedFile struct {
	Level int
	Meta  *FileMeta
}

// Add notes that f enters level.
func (e *Edit) Add(level int, f *FileMeta) { e.Added = append(e.Added, AddedFile{level, f}) }

// Delete notes that the file with number num leaves level.
func (e *Edit) Delete(level int, num base.FileNum) {
	e.Deleted = append(e.Deleted, DeletedFile{level, num})
}

// SetLogNum notes that logs below num are no longer needed.
func (e *Edit) SetLogNum(num base.FileNum) { e.LogNum = &num }

// SetLastSeq notes the last sequence. See the package comment for which that is.
func (e *Edit) SetLastSeq(seq base.SeqNum) { e.LastSeq = &seq }

// SetPointer notes where the next compaction of level begins. It keeps a copy of k.
func (e *Edit) SetPointer(level int, k base.InternalKey) {
	e.Pointers = append(e.Pointers, Pointer{level, base.AppendInternalKey(nil, k)})
}

// Encode appends the record of e to dst and returns the result.
func (e *Edit) Encode(dst []byte) []byte {
	num := func(tag uint64, n uint64) { dst = binary.AppendUvarint(binary.AppendUvarint(dst, tag), n) }
	if e.Comparer != "" {
		num(tagComparer, uint64(len(e.Comparer)))
		dst = append(dst, e.Comparer...)
	}
	if e.LogNum != nil {
		num(tagLogNum, uint64(*e.LogNum))
	}
	if e.PrevLogNum != nil {
		num(tagPrevLog, uint64(*e.PrevLogNum))
	}
	if e.NextFileNum != nil {
		num(tagNextFile, uint64(*e.NextFileNum))
	}
	if e.LastSeq != nil {
		num(tagLastSeq, uint64(*e.LastSeq))
	}
	for _, p := range e.Pointers {
		num(tagPointer, uint64(p.Level))
		dst = append(binary.AppendUvarint(dst, uint64(len(p.Key))), p.Key...)
	}
	for _, d := range e.Deleted {
		num(tagDeleted, uint64(d.Level))
		dst = binary.AppendUvarint(dst, uint64(d.Num))
	}
	for _, a := range e.Added {
		num(tagAdded, uint64(a.Level))
		dst = binary.AppendUvarint(dst, uint64(a.Meta.Num))
		dst = binary.AppendUvarint(dst, a.Meta.Size)
		dst = appendKey(dst, a.Meta.Smallest)
		dst = appendKey(dst, a.Meta.Largest)
	}
	return dst
}

func appendKey(dst []byte, k base.InternalKey) []byte {
	return base.AppendInternalKey(binary.AppendUvarint(dst, uint64(k.Size())), k)
}

// Decode sets e to the edit in b, the record at offset of the manifest file. e
// shares no memory with b. Damage is a *base.CorruptionError; the tags that an
// upgraded directory keeps for later releases give ErrNewerRelease. Whether keys
// are in order is not judged here.
func (e *Edit) Decode(b []byte, file string, offset int64) error {
	*e = Edit{}
	d := editDecoder{b: b, size: len(b), file: file, offset: offset}
	for len(d.b) > 0 && d.err == nil {
		d.field(e)
	}
	return d.err
}

// An editDecoder takes an edit apart. Its first error stays.
type editDecoder struct {
	b      []byte // what is left
	size   int    // of the whole record
	file   string
	offset int64
	err    error
}

func (d *editDecoder) field(e *Edit) {
	tag := d.uvarint("tag")
	switch tag {
	case tagComparer:
		if e.Comparer = string(d.bytes("comparer name")); e.Comparer == "" {
			d.fail("empty comparer name")
		}
	case tagLogNum:
		e.LogNum = new(d.fileNum("log number"))
	case tagPrevLog:
		e.PrevLogNum = new(d.fileNum("previous log number"))
	case tagNextFile:
		e.NextFileNum = new(d.fileNum("next file number"))
	case tagLastSeq:
		e.LastSeq = new(d.seqNum())
	case tagPointer:
		e.Pointers = append(e.Pointers, Pointer{d.level(), d.keyBytes("compact pointer")})
	case tagDeleted:
		e.Deleted = append(e.Deleted, DeletedFile{d.level(), d.fileNum("deleted file number")})
	case tagAdded:
		e.Added = append(e.Added, d.added())
	default:
		d.unknownTag(tag)
	}
}

func (d *editDecoder) unknownTag(tag uint64) {
	if d.err != nil {
		return
	}
	if t, _ := base.ParseFileName(d.file); t == base.FileManifestUpgr && tag >= tagLaterFirst && tag <= tagLaterLast {
		d.err = fmt.Errorf("%s at offset %d: edit has tag %d: %w", d.file, d.offset, tag, ErrNewerRelease)
		return
	}
	d.fail(fmt.Sprintf("unknown tag %d", tag))
}

func (d *editDecoder) added() AddedFile {
	a := AddedFile{Level: d.level(), Meta: &FileMeta{Type: base.FileTable}}
	a.Meta.Num = d.fileNum("added file number")
	a.Meta.Size = d.uvarint("added file size")
	a.Meta.Smallest, _ = base.ParseInternalKey(d.keyBytes("smallest key"))
	a.Meta.Largest, _ = base.ParseInternalKey(d.keyBytes("largest key"))
	return a
}

// fail records damage at the current position.
func (d *editDecoder) fail(what string) {
	if d.err == nil {
		d.err = base.Corruptf(d.file, d.offset, "manifest edit, byte %d of %d: %s", d.size-len(d.b), d.size, what)
	}
	d.b = nil
}

func (d *editDecoder) uvarint(what string) uint64 {
	n, w := binary.Uvarint(d.b)
	if w <= 0 {
		d.fail(what + " is cut off or too long")
		return 0
	}
	d.b = d.b[w:]
	return n
}

// bytes returns a length-prefixed string, aliasing the record.
func (d *editDecoder) bytes(what string) []byte {
	n := d.uvarint("length of " + what)
	if n > uint64(len(d.b)) {
		d.fail(fmt.Sprintf("%s of %d bytes in the %d that are left", what, n, len(d.b)))
		return nil
	}
	b := d.b[:n]
	d.b = d.b[n:]
	return b
}

// keyBytes returns a copy of an encoded internal key.
func (d *editDecoder) keyBytes(what string) []byte {
	b := d.bytes(what)
	if _, ok := base.ParseInternalKey(b); !ok {
		d.fail(fmt.Sprintf("%s of %d bytes is no internal key", what, len(b)))
		return nil
	}
	return append([]byte(nil), b...)
}

func (d *editDecoder) level() int {
	n := d.uvarint("level")
	if n >= NumLevels {
		d.fail(fmt.Sprintf("level %d, highest is %d", n, NumLevels-1))
		return 0
	}
	return int(n)
}

func (d *editDecoder) fileNum(what string) base.FileNum {
	n := base.FileNum(d.uvarint(what))
	if n > maxFileNum {
		d.fail(fmt.Sprintf("%s %d is out of range", what, uint64(n)))
		return 0
	}
	return n
}

func (d *editDecoder) seqNum() base.SeqNum {
	n := base.SeqNum(d.uvarint("last sequence"))
	if n > base.SeqNumMax {
		d.fail(fmt.Sprintf("last sequence %d is out of range", uint64(n)))
		return 0
	}
	return n
}
