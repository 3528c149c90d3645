package base

import (
	"errors"
	"fmt"
	"strings"
)

// The sentinels of the engine, grouped by the operation that returns them. The
// root package re-exports those that reach users. Compare with errors.Is.
var (
	// Reads.
	ErrNotFound = errors.New("strata: not found")

	// Any operation.
	ErrClosed     = errors.New("strata: closed")
	ErrCorruption = errors.New("strata: corruption")

	// Writes.
	ErrReadOnly      = errors.New("strata: read-only")
	ErrNoSpace       = errors.New("strata: no space left on device")
	ErrBatchTooLarge = errors.New("strata: batch too large")
	ErrKeyTooLarge   = errors.New("strata: key or value too large")
	ErrNotDurable    = errors.New("strata: applied, not known durable")

	// Open, Repair, Upgrade, Destroy.
	ErrLocked           = errors.New("strata: database is locked by another process or handle")
	ErrNotExist         = errors.New("strata: database does not exist")
	ErrExists           = errors.New("strata: database already exists")
	ErrNotDatabase      = errors.New("strata: not a database directory")
	ErrComparerMismatch = errors.New("strata: comparer mismatch")
	ErrNeedsUpgrade     = errors.New("strata: needs an upgraded directory")
	ErrInvalidOptions   = errors.New("strata: invalid options")
)

// A CorruptionError says which bytes are damaged and how that was noticed.
// errors.Is(err, ErrCorruption) holds for it.
type CorruptionError struct {
	File   string // base name of the file, e.g. "000005.ldb"; empty if not one file's fault
	Offset int64  // of the damage in File, in bytes; -1 if unknown
	What   string // what is damaged, e.g. "block checksum"
	Got    any    // the value found; nil if there is nothing to show
	Want   any    // the value expected; nil if there is nothing to show
}

// Error returns file, offset, what is wrong and both values on one line.
func (e *CorruptionError) Error() string {
	var b strings.Builder
	b.WriteString("strata: corruption")
	if e.File != "" {
		b.WriteString(" in " + e.File)
	}
	if e.Offset >= 0 {
		fmt.Fprintf(&b, " at offset %d", e.Offset)
	}
	b.WriteString(": " + e.What)
	if e.Got != nil {
		fmt.Fprintf(&b, ", got %v", e.Got)
	}
	if e.Want != nil {
		fmt.Fprintf(&b, ", want %v", e.Want)
	}
	return b.String()
}

// Is reports that a CorruptionError is an ErrCorruption.
func (e *CorruptionError) Is(target error) bool { return target == ErrCorruption }

// Corruptf returns a CorruptionError whose What is formatted.
func Corruptf(file string, offset int64, format string, args ...any) error {
	return &CorruptionError{File: file, Offset: offset, What: fmt.Sprintf(format, args...)}
}
