package record

import (
	"github.com/strata-db/strata/internal/base"
)

// Kind says how a Reader noticed damage.
type Kind uint8

// The kinds of damage. Where a chunk's checksum was right, that is said.
const (
	Zeros       Kind = iota + 1 // a header of zeros: space that was never written, or was lost
	ShortHeader                 // the file ends inside a header
	Truncated                   // the file ends inside a payload
	Overrun                     // the length runs past the end of the block
	Checksum                    // the checksum is wrong
	Unfinished                  // the file ends inside a record whose chunks so far are whole
	NoEnd                       // a record begins before the one under way ended; checksums right
	NoBeginning                 // a middle or last chunk with nothing under way; checksum right
	UnknownType                 // a type that the format does not know; checksum right
)

// String returns the kind in the words of an error message.
func (k Kind) String() string {
	switch k {
	case Zeros:
		return "zeros where a record should be"
	case ShortHeader:
		return "record header cut short"
	case Truncated:
		return "record cut short"
	case Overrun:
		return "record length beyond its block"
	case Checksum:
		return "record checksum"
	case Unfinished:
		return "record without end"
	case NoEnd:
		return "record without end before another"
	case NoBeginning:
		return "record without beginning"
	case UnknownType:
		return "record type"
	}
	return "damage"
}

// Damage is the error of a Reader that cannot go on. errors.Is(err,
// base.ErrCorruption) holds for it and errors.As finds a *base.CorruptionError
// in it, but whether it is corruption or the ordinary end of a torn file is for
// the Reader's user to judge.
type Damage struct {
	File   string // base name of the file
	Kind   Kind
	Offset int64 // of the damaged chunk, in bytes
	Start  int64 // of the record it belongs to: where the file would be cut
	Got    any   // the value found, nil if there is none to show
	Want   any   // the value expected, nil if there is none to show

	// Deliberate says that no crash can leave this: the chunk is whole, its
	// checksum is right, nothing is missing before it, and it still makes no
	// sense.
	Deliberate bool
}

// Corruption returns d as the error that is shown to users.
func (d *Damage) Corruption() *base.CorruptionError {
	return &base.CorruptionError{File: d.File, Offset: d.Offset, What: d.Kind.String(), Got: d.Got, Want: d.Want}
}

// Error returns file, offset, what is wrong and both values on one line.
func (d *Damage) Error() string { return d.Corruption().Error() }

// Unwrap returns d as a *base.CorruptionError.
func (d *Damage) Unwrap() error { return d.Corruption() }
