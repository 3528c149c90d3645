package strata

import (
	"errors"
	"fmt"
	"io/fs"
	"syscall"

	"github.com/strata-db/strata/internal/base"
	"github.com/strata-db/strata/vfs"
)

// Errors by the operation that returns them. Compare with errors.Is: most are
// wrapped with what was being done.
var (
	// ErrNotFound: the key has no value. From Get, Append and View.
	ErrNotFound = base.ErrNotFound

	// ErrClosed: the DB, Iterator or Snapshot was closed.
	ErrClosed = base.ErrClosed

	// ErrCorruption: bytes on disk are not what was written. The error is a
	// *CorruptionError.
	ErrCorruption = base.ErrCorruption

	// ErrReadOnly: a write on a DB opened with Options.ReadOnly, or on a
	// read-only file system.
	ErrReadOnly = base.ErrReadOnly

	// ErrNoSpace: the file system is full. Reads go on; writes work again by
	// themselves when there is space.
	ErrNoSpace = base.ErrNoSpace

	// ErrBatchTooLarge and ErrKeyTooLarge: over the limits of MaxKeyBytes,
	// MaxValueBytes and MaxBatchBytes. Nothing was written.
	ErrBatchTooLarge = base.ErrBatchTooLarge
	ErrKeyTooLarge   = base.ErrKeyTooLarge

	// ErrNotDurable: the write is applied and visible, but its sync failed. It
	// survives a process kill; whether it survives a power loss is unknown.
	ErrNotDurable = base.ErrNotDurable

	// ErrLocked: another process, or another handle of this one, has the
	// database open.
	ErrLocked = base.ErrLocked

	// ErrNotExist: no database there, and it was not to be created.
	ErrNotExist = base.ErrNotExist

	// ErrExists: a database is there, and Options.ErrorIfExists was set.
	ErrExists = base.ErrExists

	// ErrNotDatabase: the directory holds files that are no database's, or those
	// of another engine, or it is a file; it is left alone.
	ErrNotDatabase = base.ErrNotDatabase

	// ErrComparerMismatch: the database was written with another Comparer.
	ErrComparerMismatch = base.ErrComparerMismatch

	// ErrNeedsUpgrade: what was asked for cannot be represented in LevelDB's
	// format. See Upgrade.
	ErrNeedsUpgrade = base.ErrNeedsUpgrade

	// ErrInvalidOptions: a field of Options is outside its range.
	ErrInvalidOptions = base.ErrInvalidOptions
)

// CorruptionError says which bytes are damaged: File (base name), Offset (-1 if
// unknown), What, and the values Got and Want where there are any.
type CorruptionError = base.CorruptionError

// publicError gives an error from below the sentinel a user can test for, with
// the cause kept.
func publicError(err error) error {
	switch {
	case err == nil:
		return nil
	case errors.Is(err, syscall.ENOSPC) && !errors.Is(err, ErrNoSpace):
		return fmt.Errorf("%w: %w", ErrNoSpace, err)
	case (errors.Is(err, syscall.EROFS)) && !errors.Is(err, ErrReadOnly):
		return fmt.Errorf("%w: %w", ErrReadOnly, err)
	case errors.Is(err, vfs.ErrLocked) && !errors.Is(err, ErrLocked):
		return fmt.Errorf("%w: %w", ErrLocked, err)
	}
	return err
}

// refused returns the error of a write that was not applied. The cause may be
// that an earlier one is not durable, so it hides ErrNotDurable, which would say
// that this one is applied.
func refused(err error) error {
	if errors.Is(err, ErrNotDurable) {
		return refusedError{err}
	}
	return err
}

type refusedError struct{ cause error }

func (e refusedError) Error() string { return "not applied: " + e.cause.Error() }

func (e refusedError) Is(target error) bool {
	return target != ErrNotDurable && errors.Is(e.cause, target)
}

func (e refusedError) As(target any) bool { return errors.As(e.cause, target) }

// isNotExist reports that a file is not there.
func isNotExist(err error) bool { return errors.Is(err, fs.ErrNotExist) }
