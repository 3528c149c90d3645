package version

import (
	"sync/atomic"

	"github.com/strata-db/strata/internal/base"
)

// NumLevels is the number of levels of a tree, as in LevelDB.
const NumLevels = 7

// FileMeta describes one table. Everything but the atomic fields is constant
// after construction and shared between versions.
type FileMeta struct {
	Num  base.FileNum
	Type base.FileType // FileTable, FileTableOld or FileTableUpgr: which name it has
	Size uint64        // bytes, as the manifest states them

	// Smallest and Largest are the first and last internal key in the file.
	Smallest, Largest base.InternalKey

	// Table is what the owner of the open tables hangs on the file (see
	// Options.Attach). Package version never looks at it.
	Table any

	// seqs holds the sequence bounds once known: see SeqBounds.
	seqs atomic.Pointer[SeqBounds]

	// stats holds entry counts once known: see Stats.
	stats atomic.Pointer[Stats]

	// refs counts the versions that name the file.
	refs atomic.Int32

	// gone says that the file was handed to Options.Obsolete: it may be deleted, so
	// no version may name it again.
	gone atomic.Bool

	// compacting is guarded by the scheduler's lock: the file is an input of a
	// running compaction.
	compacting bool
}

// SeqBounds are the lowest and highest sequence number in a table.
type SeqBounds struct{ Smallest, Largest base.SeqNum }

// Stats are counts from a table's properties.
type Stats struct {
	Entries    uint64
	Tombstones uint64
	UserKeys   uint64 // distinct; 0 if not counted. Entries beyond it are shadowed
	RawBytes   uint64 // keys and values before compression
}

// SeqBounds returns the sequence bounds of the file, and false while they are
// unknown: a foreign table states none, and one written by an earlier process
// states them in its properties, which nobody may have read yet.
func (f *FileMeta) SeqBounds() (SeqBounds, bool) {
	if p := f.seqs.Load(); p != nil {
		return *p, true
	}
	return SeqBounds{}, false
}

// SetSeqBounds records the bounds, when the file is made or first opened.
func (f *FileMeta) SetSeqBounds(b SeqBounds) { f.seqs.Store(&b) }

// Stats returns the file's counts, and false while they are unknown.
func (f *FileMeta) Stats() (Stats, bool) {
	if p := f.stats.Load(); p != nil {
		return *p, true
	}
	return Stats{}, false
}

// SetStats records the counts, when the file is made or first opened.
func (f *FileMeta) SetStats(s Stats) { f.stats.Store(&s) }

// Compacting reports whether a running compaction has the file as an input.
// The scheduler's lock must be held.
func (f *FileMeta) Compacting() bool { return f.compacting }

// SetCompacting marks the file. The scheduler's lock must be held.
func (f *FileMeta) SetCompacting(on bool) { f.compacting = on }

// Name returns the base name of the file.
func (f *FileMeta) Name() string { return base.FileName(f.Type, f.Num) }

// String returns the file in the form 000007:[a#3,SET-f#9,DEL].
func (f *FileMeta) String() string {
	return f.Num.String() + ":[" + f.Smallest.String() + "-" + f.Largest.String() + "]"
}
