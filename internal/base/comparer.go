package base

import "bytes"

// A Comparer orders user keys. Its Name is written into every database and
// checked when one is opened, so a changed order needs a changed name.
//
// All functions must be pure, safe for concurrent use, and must not keep or
// modify their arguments.
type Comparer struct {
	// Name identifies the order on disk, e.g. "leveldb.BytewiseComparator".
	Name string

	// Compare returns a negative number, zero or a positive number as a sorts
	// before, equal to or after b. It must be a total order. If it panics on some
	// keys, it must do so when both a and b are such a key: writes try each key
	// with itself before they begin, and a panic later makes other writes and
	// Close wait for ever.
	Compare func(a, b []byte) int

	// Separator appends to dst a key k with a <= k < b, as short as it can make
	// it, and returns the result. It is called with a < b. Optional: without it
	// a itself is used and index blocks are larger.
	Separator func(dst, a, b []byte) []byte

	// Successor appends to dst a key k >= a, as short as it can make it, and
	// returns the result. Optional.
	Successor func(dst, a []byte) []byte

	// EqualIsIdentical says that Compare returns 0 for identical bytes only.
	// Filters hash bytes, so they are written and read for such orders alone.
	// Leave it false when in doubt: reads are then slower, never wrong.
	EqualIsIdentical bool
}

// BytewiseName is the name LevelDB gives to the order of unsigned bytes.
const BytewiseName = "leveldb.BytewiseComparator"

// Bytewise orders keys as strings of unsigned bytes, shorter first. It is the
// default of this engine and of LevelDB.
var Bytewise = &Comparer{
	Name:             BytewiseName,
	Compare:          bytes.Compare,
	Separator:        bytewiseSeparator,
	Successor:        bytewiseSuccessor,
	EqualIsIdentical: true,
}

// IsBytewise reports whether c orders keys as bytes.Compare does, so that key
// prefixes may be compared as numbers and bytes.Compare called directly.
func (c *Comparer) IsBytewise() bool { return c.Name == BytewiseName }

// CompareInternal orders internal keys: user key ascending, then trailer
// descending.
func (c *Comparer) CompareInternal(a, b InternalKey) int {
	if r := c.Compare(a.UserKey, b.UserKey); r != 0 {
		return r
	}
	switch {
	case a.Trailer > b.Trailer:
		return -1
	case a.Trailer < b.Trailer:
		return 1
	}
	return 0
}

// AppendSeparator appends an encoded internal key k with a <= k < b, shortened
// if the Comparer can. a < b must hold. The shortened user key is used only if
// it is shorter than a's and sorts after it, with the highest trailer a LevelDB
// reader understands.
func (c *Comparer) AppendSeparator(dst []byte, a, b InternalKey) []byte {
	if c.Separator != nil && c.Compare(a.UserKey, b.UserKey) < 0 {
		return c.appendShortened(dst, a, func(p []byte) []byte { return c.Separator(p, a.UserKey, b.UserKey) })
	}
	return AppendInternalKey(dst, a)
}

// AppendSuccessor appends an encoded internal key k >= a, shortened if the
// Comparer can.
func (c *Comparer) AppendSuccessor(dst []byte, a InternalKey) []byte {
	if c.Successor != nil {
		return c.appendShortened(dst, a, func(p []byte) []byte { return c.Successor(p, a.UserKey) })
	}
	return AppendInternalKey(dst, a)
}

func (c *Comparer) appendShortened(dst []byte, a InternalKey, shorten func([]byte) []byte) []byte {
	n := len(dst)
	dst = shorten(dst)
	short := dst[n:]
	if len(short) < len(a.UserKey) && c.Compare(a.UserKey, short) < 0 {
		t := uint64(MakeTrailer(SeqNumMax, KindSet))
		return append(dst, byte(t), byte(t>>8), byte(t>>16), byte(t>>24), byte(t>>32), byte(t>>40), byte(t>>48), byte(t>>56))
	}
	return AppendInternalKey(dst[:n], a)
}

func bytewiseSeparator(dst, a, b []byte) []byte {
	n := min(len(a), len(b))
	i := 0
	for i < n && a[i] == b[i] {
		i++
	}
	// A key that is a prefix of the other has nothing to shorten.
	if i < n && a[i] < 0xff && a[i]+1 < b[i] {
		return append(append(dst, a[:i]...), a[i]+1)
	}
	return append(dst, a...)
}

func bytewiseSuccessor(dst, a []byte) []byte {
	for i, c := range a {
		if c != 0xff {
			return append(append(dst, a[:i]...), c+1)
		}
	}
	return append(dst, a...)
}
