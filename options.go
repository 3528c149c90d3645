package strata

import (
	"fmt"
	"log/slog"
	"math"
	"runtime"

	"github.com/strata-db/strata/compaction"
	"github.com/strata-db/strata/internal/base"
	"github.com/strata-db/strata/internal/cache"
	"github.com/strata-db/strata/sstable"
	"github.com/strata-db/strata/vfs"
)

// Comparer orders user keys. Its fields:
//
//	Name              kept in the database; another order needs another name
//	Compare           func(a, b []byte) int: negative, zero or positive; a total order
//	Separator         func(dst, a, b []byte) []byte: appends a short k, a <= k < b; optional
//	Successor         func(dst, a []byte) []byte: appends a short k >= a; optional
//	EqualIsIdentical  Compare returns 0 for identical bytes only; without it tables
//	                  have no filters
//
// The functions must be pure, and must not keep or change their arguments. Name and
// Compare are needed. A Compare that panics on malformed keys must do so for such a
// key and itself: writes try that first, and a panic later hangs other writes.
type Comparer = base.Comparer

// BytewiseComparer orders keys as strings of unsigned bytes. It is the default,
// and LevelDB's.
var BytewiseComparer = base.Bytewise

// Cache holds decoded blocks in memory, bounded in bytes. One Cache may serve
// several databases (Options.Cache).
type Cache = cache.Cache

// NewCache returns a cache of at most the given number of bytes.
func NewCache(bytes int64) *Cache { return cache.New(bytes) }

// Compression is how data blocks are stored.
type Compression uint8

const (
	// DefaultCompression is Snappy.
	DefaultCompression Compression = iota
	// NoCompression stores blocks as they are.
	NoCompression
	// Snappy is what LevelDB reads and writes.
	Snappy
	// Zstd is smaller and slower to write than Snappy. LevelDB 1.23 and
	// goleveldb cannot read it, so it needs an upgraded directory: a database
	// created with it is one; on another Open gives ErrNeedsUpgrade.
	Zstd
)

// String returns the name of c.
func (c Compression) String() string {
	switch c {
	case DefaultCompression:
		return "default"
	case NoCompression:
		return "none"
	case Snappy:
		return "snappy"
	case Zstd:
		return "zstd"
	}
	return fmt.Sprintf("Compression(%d)", uint8(c))
}

func (c Compression) block() sstable.Compression {
	switch c {
	case NoCompression:
		return sstable.NoCompression
	case Zstd:
		return sstable.Zstd
	}
	return sstable.Snappy
}

// Policy decides what is compacted when. Values come from Leveled, Tiered and
// FIFO.
type Policy = compaction.Policy

// LeveledOptions, TieredOptions and FIFOOptions configure the policies. Package
// compaction describes their fields.
type (
	LeveledOptions = compaction.LeveledOptions
	TieredOptions  = compaction.TieredOptions
	FIFOOptions    = compaction.FIFOOptions
)

// Leveled keeps one sorted run a level, each ten times the one above: few runs
// to read, more bytes rewritten. The default.
func Leveled(o LeveledOptions) Policy { return compaction.Leveled(o) }

// Tiered merges runs of like size: fewer bytes rewritten, more runs to read and
// more space.
func Tiered(o TieredOptions) Policy { return compaction.Tiered(o) }

// FIFO drops the oldest table when the database passes a size. Old data
// disappears: it is for queues, caches and telemetry.
func FIFO(o FIFOOptions) Policy { return compaction.FIFO(o) }

// WALMode says how the log hands bytes to the operating system.
type WALMode = vfs.AppendMode

const (
	// WALAuto maps the log where that is known to be safe (ext4, xfs, tmpfs on Linux),
	// and writes elsewhere.
	WALAuto = vfs.AppendAuto
	// WALWrite makes one write call a commit.
	WALWrite = vfs.AppendWrite
	// WALMapped maps wherever the file can be preallocated. It is for file systems
	// that do not tell what they are, such as overlayfs on ext4 or xfs.
	WALMapped = vfs.AppendMapped
)

// Options configures a database. The zero value works, and so does a nil
// *Options. Open copies it.
type Options struct {
	// Behaviour.

	// FS is the file system. Default vfs.OS.
	FS vfs.FS

	// Comparer orders the keys. Default BytewiseComparer. It must have the name
	// the database was created with, else ErrComparerMismatch.
	Comparer *Comparer

	// ReadOnly opens without changing anything on disk: no lock file is made, no
	// log is truncated. The log is replayed into memory.
	ReadOnly bool

	// ErrorIfMissing refuses to create a database (ErrNotExist).
	ErrorIfMissing bool

	// ErrorIfExists refuses to open an existing database (ErrExists).
	ErrorIfExists bool

	// Salvage opens a database whose log is damaged with what is readable of
	// it, skipping the rest; Events.Recovered says how much. Without it such
	// damage is a *CorruptionError. Default false.
	Salvage bool

	// Logger receives what a person would want to read later. nil is silent.
	Logger *slog.Logger

	// Events are called as things happen. nil is none.
	Events *Events

	// Debug records where each iterator and snapshot was made, so that Close
	// can name the leaked ones. It costs a stack trace for each. Default false.
	Debug bool

	// Performance.

	// MemtableBytes is the size at which a memtable is sealed and flushed.
	// Default 64 MiB, 32 KiB to 2 GiB (256 MiB on 32-bit systems). Larger ones
	// write less to disk but hold more memory (up to MaxMemtables of them) and make
	// reopening after a crash slower, as that much log is replayed.
	MemtableBytes int64

	// MaxMemtables is how many memtables may exist, the one being filled
	// included, before writers wait for a flush. Default 4, 2 to 64. More ride
	// out longer bursts; each takes MemtableBytes.
	MaxMemtables int

	// TableBytes is the size at which a compaction of the default Policy begins
	// its next table; other policies have it in their own options. Default 16
	// MiB, 32 KiB to 2 GiB. Small tables make small compactions and many files;
	// large ones the reverse.
	TableBytes int64

	// CacheBytes bounds the decoded blocks kept in memory. Default 64 MiB; -1
	// keeps none. Ignored with Cache. The Go heap may grow to twice this.
	CacheBytes int64

	// Cache is a cache shared with other databases.
	Cache *Cache

	// BlockBytes is the size of a data block before compression. Default 4 KiB,
	// 256 B to 4 MiB. Small blocks read less for a point read; large ones
	// compress better and need a smaller index.
	BlockBytes int

	// FilterBitsPerKey is the size of the tables' filters. 0 means 10 (about 1 %
	// of the reads of absent keys look into a table in vain); negative means no
	// filter. At most 64.
	FilterBitsPerKey int

	// LevelDBFilter also writes the filter LevelDB understands, so that LevelDB
	// profits when it opens the directory. Tables grow by that much. Default
	// false.
	LevelDBFilter bool

	// MaxOpenFiles bounds the tables' file descriptors. Default 1000, at least
	// 8.
	MaxOpenFiles int

	// IndexBytes bounds the indexes and filters of tables kept in memory. Default 0:
	// no bound, each stays from the first read of its table on; else at least 1 MiB.
	// They take about 2 MiB for a million entries, more with small values; Metrics
	// says how much. Beyond the bound those used least lately are dropped, with the
	// cached blocks of their tables: a bound below what the reads of a workload
	// touch makes each load an index anew, some hundred KiB; without one a very
	// large database takes that memory. The bound is exceeded by a single table
	// that needs more.
	IndexBytes int64

	// Workers is how many compactions may run at once, beside the flush. Default
	// the number of processors, at most 4.
	Workers int

	// CompactionBytesPerSecond limits what all compactions together read, in bytes
	// of keys and values before compression. Default 0: no limit; else at least 64
	// KiB. It leaves the disk to others; below what comes in times the levels it
	// passes, level 0 fills and writers are slowed. Flushes are not limited: writers
	// would wait for them.
	CompactionBytesPerSecond int64

	// Compression of data blocks. Default Snappy.
	Compression Compression

	// Policy decides what is compacted. Default Leveled(LeveledOptions{}).
	Policy Policy

	// WAL says how the log is appended. Default WALAuto.
	WAL WALMode

	// testing holds what only this package's tests set.
	testing testingOptions
}

// testingOptions are seams for tests of this package.
type testingOptions struct {
	l0Slow, l0Stop     int
	manifestMinRewrite int64
	disableAuto        bool // no automatic compactions
}

// The limits of what can be written, in bytes. On 32-bit systems, whose address
// space could not hold more, they are an eighth of this.
const (
	MaxKeyBytes   = 1<<(30-narrow) - 1
	MaxValueBytes = 1<<(30-narrow) - 1
	MaxBatchBytes = 1<<(31-narrow) - 1
)

// narrow is 3 where int has 32 bits, else 0.
const narrow = 3 * (1 - ^uint(0)>>63)

func (o *Options) withDefaults() Options {
	var c Options
	if o != nil {
		c = *o
	}
	if c.FS == nil {
		c.FS = vfs.OS
	}
	if c.Comparer == nil {
		c.Comparer = BytewiseComparer
	}
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	if c.Events == nil {
		c.Events = &Events{}
	}
	setDefault(&c.MemtableBytes, 64<<20)
	setDefault(&c.MaxMemtables, 4)
	setDefault(&c.TableBytes, 16<<20)
	setDefault(&c.CacheBytes, 64<<20)
	setDefault(&c.BlockBytes, 4<<10)
	setDefault(&c.FilterBitsPerKey, 10)
	setDefault(&c.MaxOpenFiles, 1000)
	setDefault(&c.Workers, min(4, runtime.GOMAXPROCS(0)))
	setDefault(&c.testing.l0Slow, 12)
	setDefault(&c.testing.l0Stop, 24)
	if c.Compression == DefaultCompression {
		c.Compression = Snappy
	}
	if c.Policy == nil {
		c.Policy = Leveled(LeveledOptions{TableBytes: uint64(c.TableBytes), BaseBytes: 4 * uint64(c.MemtableBytes)})
	}
	return c
}

func setDefault[T int | int64](v *T, d T) {
	if *v == 0 {
		*v = d
	}
}

func (o *Options) validate() error {
	if o.Comparer.Name == "" || o.Comparer.Compare == nil {
		return fmt.Errorf("%w: Comparer needs Name and Compare", ErrInvalidOptions)
	}
	for _, r := range []struct {
		field     string
		v, lo, hi int64
	}{
		{"MemtableBytes", o.MemtableBytes, 32 << 10, 2 << (30 - narrow)},
		{"MaxMemtables", int64(o.MaxMemtables), 2, 64},
		{"TableBytes", o.TableBytes, 32 << 10, 2 << 30},
		{"CacheBytes", o.CacheBytes, -1, math.MaxInt64},
		{"BlockBytes", int64(o.BlockBytes), 256, 4 << 20},
		{"FilterBitsPerKey", int64(o.FilterBitsPerKey), math.MinInt64, 64},
		{"MaxOpenFiles", int64(o.MaxOpenFiles), 8, math.MaxInt32},
		{"Workers", int64(o.Workers), 1, 1024},
		{"Compression", int64(o.Compression), 0, int64(Zstd)},
		{"WAL", int64(o.WAL), 0, int64(WALMapped)},
	} {
		if r.v < r.lo || r.v > r.hi {
			return fmt.Errorf("%w: %s is %d, want %d to %d", ErrInvalidOptions, r.field, r.v, r.lo, r.hi)
		}
	}
	for _, r := range []struct {
		field string
		v, lo int64
	}{
		{"IndexBytes", o.IndexBytes, 1 << 20},
		{"CompactionBytesPerSecond", o.CompactionBytesPerSecond, 64 << 10},
	} {
		if r.v != 0 && r.v < r.lo {
			return fmt.Errorf("%w: %s is %d, want 0 or at least %d", ErrInvalidOptions, r.field, r.v, r.lo)
		}
	}
	if o.ReadOnly && o.ErrorIfExists {
		return fmt.Errorf("%w: ReadOnly and ErrorIfExists exclude each other", ErrInvalidOptions)
	}
	return nil
}

// WriteOptions configures one write. nil means NoSync.
type WriteOptions struct {
	// Sync returns after the write, and all committed before it, is on disk.
	Sync bool
}

// Sync and NoSync are the two ways to write; see the table in the package
// comment.
var (
	Sync   = &WriteOptions{Sync: true}
	NoSync = &WriteOptions{}
)

// wantSync recognises the two package values by pointer first, so that the
// common calls do not read memory that a caller could have changed.
func (wo *WriteOptions) wantSync() bool {
	switch wo {
	case nil, NoSync:
		return false
	case Sync:
		return true
	}
	return wo.Sync
}
