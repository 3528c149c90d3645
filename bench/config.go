package bench

import (
	"flag"
	"fmt"
	"strings"
	"time"

	"github.com/strata-db/strata"
	"github.com/strata-db/strata/vfs"
)

// LevelDBList is what db_bench runs when it is told nothing.
const LevelDBList = "fillseq,fillsync,fillrandom,overwrite,readrandom,readrandom,readseq,readreverse,compact," +
	"readrandom,readseq,readreverse,fill100K,crc32c,snappycomp,snappyuncomp"

// A Config says what to run, and how. DefaultConfig returns the defaults; Flags
// makes the fields flags.
type Config struct {
	// Benchmarks is a list of names, separated by commas, each with an optional
	// [X5-W1]: five runs after one that does not count.
	Benchmarks string

	// Dir is the database. "" is a temporary directory that is removed at the
	// end.
	Dir string

	Num              int // entries of the database
	Reads            int // operations of each reading thread; below 0 is Num
	Threads          int // running each benchmark at once
	KeySize          int // digits of a key
	KeyPrefix        int // bytes before them
	ValueSize        int // bytes
	CompressionRatio float64
	BatchSize        int     // entries of fillbatch and of a multiread
	Duration         float64 // seconds; above 0 each benchmark runs that long, however many operations
	Seed             uint64
	UseExisting      bool // do not begin with an empty database; fresh benchmarks are skipped
	Sync             bool // sync every write
	SeekNexts        int  // steps after a seek
	ReadPercent      int  // of readrandomwriterandom
	WriteRateLimit   int64
	Mix              Mix // of mixgraph

	Histogram   bool // time every operation, print the distribution
	Comparisons bool // count and print key comparisons
	StatsEvery  int  // seconds between progress reports on the log; 0 is none

	// ReportEvery is after how many seconds a line with the operations a second of
	// that time goes to ReportFile, as CSV; 0 is never.
	ReportEvery int
	ReportFile  string

	CacheSize       int64 // bytes; below 0 is the engine's default
	BloomBits       int   // below 0 is the engine's default
	WriteBufferSize int64 // bytes; 0 is the default, as with the following
	MaxFileSize     int64
	BlockSize       int
	OpenFiles       int
	Jobs            int
	Compression     string // snappy, zstd, none; 1 and 0 are snappy and none
	Policy          string // leveled, tiered
	MemFS           bool   // in memory

	// FS replaces the file system, for tests.
	FS vfs.FS
	// Progress says that the log is a terminal, on which a line may be
	// rewritten.
	Progress bool
	// limit, unlike Duration, only shortens a benchmark.
	limit time.Duration
	// quiet prints no header and no lines.
	quiet bool
}

// DefaultConfig returns db_bench's defaults.
func DefaultConfig() Config {
	return Config{
		Benchmarks: LevelDBList,
		Num:        1_000_000, Reads: -1, Threads: 1,
		KeySize: 16, ValueSize: 100, CompressionRatio: 0.5, BatchSize: 1000,
		Seed: 301, SeekNexts: 0, ReadPercent: 90,
		CacheSize: -1, BloomBits: -1, Compression: "snappy", Policy: "leveled",
		ReportFile: "report.csv", Mix: defaultMix(),
	}
}

// Flags defines c's fields as flags of fs, under the names LevelDB and RocksDB
// have given them. They may be written -name=v or --name=v, booleans as 0, 1,
// true or false.
func (c *Config) Flags(fs *flag.FlagSet) {
	fs.StringVar(&c.Benchmarks, "benchmarks", c.Benchmarks, "`names` to run in order, separated by commas, each with an optional [X5-W1]: five runs after one warm-up")
	fs.StringVar(&c.Dir, "db", c.Dir, "`directory` of the database; by default a temporary one, removed at the end")
	fs.IntVar(&c.Num, "num", c.Num, "entries of the database")
	fs.IntVar(&c.Reads, "reads", c.Reads, "operations of a reading thread; -1 is num")
	fs.IntVar(&c.Threads, "threads", c.Threads, "threads that run each benchmark")
	fs.IntVar(&c.KeySize, "key_size", c.KeySize, "digits of a key, in bytes")
	fs.IntVar(&c.KeyPrefix, "key_prefix", c.KeyPrefix, "bytes before the digits of a key")
	fs.IntVar(&c.ValueSize, "value_size", c.ValueSize, "bytes of a value")
	fs.Float64Var(&c.CompressionRatio, "compression_ratio", c.CompressionRatio, "what part of a value is left after compression")
	fs.IntVar(&c.BatchSize, "batch_size", c.BatchSize, "entries of a batch (fillbatch, multireadrandom)")
	fs.Float64Var(&c.Duration, "duration", c.Duration, "`seconds` that each benchmark lasts; 0 counts operations instead")
	fs.Uint64Var(&c.Seed, "seed", c.Seed, "seed of keys and choices")
	fs.BoolVar(&c.UseExisting, "use_existing_db", c.UseExisting, "keep the database that is there; benchmarks that need a fresh one are skipped")
	fs.BoolVar(&c.Sync, "sync", c.Sync, "sync every write")
	fs.IntVar(&c.SeekNexts, "seek_nexts", c.SeekNexts, "steps after each seek of seekrandom")
	fs.IntVar(&c.ReadPercent, "readwritepercent", c.ReadPercent, "reads in a hundred operations of readrandomwriterandom")
	fs.Int64Var(&c.WriteRateLimit, "benchmark_write_rate_limit", c.WriteRateLimit, "`bytes` a second that a writing thread may write; 0 is no limit")
	fs.BoolVar(&c.Histogram, "histogram", c.Histogram, "time every operation and print the distribution")
	fs.BoolVar(&c.Comparisons, "comparisons", c.Comparisons, "count and print key comparisons (slower)")
	fs.IntVar(&c.StatsEvery, "stats_interval_seconds", c.StatsEvery, "`seconds` between lines of progress; 0 is none")
	fs.IntVar(&c.ReportEvery, "report_interval_seconds", c.ReportEvery, "`seconds` between lines of report_file; 0 is none")
	fs.StringVar(&c.ReportFile, "report_file", c.ReportFile, "`file` that gets the operations a second of each interval, as CSV")
	fs.Int64Var(&c.CacheSize, "cache_size", c.CacheSize, "`bytes` of the block cache; -1 is the default")
	fs.IntVar(&c.BloomBits, "bloom_bits", c.BloomBits, "filter bits a key; -1 is the default, 0 is no filter")
	fs.Int64Var(&c.WriteBufferSize, "write_buffer_size", c.WriteBufferSize, "`bytes` of a memtable; 0 is the default")
	fs.Int64Var(&c.MaxFileSize, "max_file_size", c.MaxFileSize, "`bytes` of a table; 0 is the default")
	fs.IntVar(&c.BlockSize, "block_size", c.BlockSize, "`bytes` of a block; 0 is the default")
	fs.IntVar(&c.OpenFiles, "open_files", c.OpenFiles, "tables open at once; 0 is the default")
	fs.IntVar(&c.Jobs, "max_background_jobs", c.Jobs, "compactions at once; 0 is the default")
	fs.StringVar(&c.Compression, "compression", c.Compression, "snappy (or 1), none (or 0), zstd")
	fs.StringVar(&c.Compression, "compression_type", c.Compression, "the same, RocksDB's name")
	fs.Int64Var(&c.MaxFileSize, "target_file_size_base", c.MaxFileSize, "max_file_size, RocksDB's name")
	fs.StringVar(&c.Policy, "compaction_style", c.Policy, "leveled or tiered")
	fs.BoolVar(&c.MemFS, "mem", c.MemFS, "keep the database in memory")
	c.Mix.flags(fs)
	fs.Bool("reuse_logs", false, "accepted for LevelDB's scripts; logs are never reused")
}

// validate names the first field that cannot be used.
func (c *Config) validate() error {
	for _, f := range []struct {
		flag  string
		v, lo int
	}{
		{"num", c.Num, 1}, {"threads", c.Threads, 1}, {"key_size", c.KeySize, 1}, {"key_prefix", c.KeyPrefix, 0},
		{"value_size", c.ValueSize, 0}, {"batch_size", c.BatchSize, 1}, {"seek_nexts", c.SeekNexts, 0},
		{"readwritepercent", c.ReadPercent, 0}, {"stats_interval_seconds", c.StatsEvery, 0},
		{"report_interval_seconds", c.ReportEvery, 0}, {"keyrange_num", c.Mix.Keys.Ranges, 1},
		{"mix_max_value_size", c.Mix.MaxValue, 1}, {"mix_max_scan_len", c.Mix.MaxScan, 1},
	} {
		if f.v < f.lo {
			return fmt.Errorf("%s is %d, want at least %d", f.flag, f.v, f.lo)
		}
	}
	if !(c.CompressionRatio > 0 && c.CompressionRatio <= 1) {
		return fmt.Errorf("compression_ratio is %g, want more than 0 and at most 1", c.CompressionRatio)
	}
	if m := c.Mix; !(m.Get >= 0 && m.Put >= 0 && m.Seek >= 0 && m.Get+m.Put+m.Seek > 0) {
		return fmt.Errorf("mix_get_ratio, mix_put_ratio and mix_seek_ratio are %g, %g and %g, want shares that are not all 0", m.Get, m.Put, m.Seek)
	}
	if !(c.Duration >= 0) {
		return fmt.Errorf("duration is %g, want at least 0", c.Duration)
	}
	if digits := len(fmt.Sprint(c.Num)); digits > c.KeySize {
		return fmt.Errorf("key_size is %d, but the keys up to %d need %d digits", c.KeySize, c.Num, digits)
	}
	_, err := c.options()
	return err
}

// reads returns how many operations a reading thread does.
func (c *Config) reads() int {
	if c.Reads < 0 {
		return c.Num
	}
	return c.Reads
}

// options returns the engine's options.
func (c *Config) options() (*strata.Options, error) {
	o := &strata.Options{
		FS: c.FS, MemtableBytes: c.WriteBufferSize, TableBytes: c.MaxFileSize, BlockBytes: c.BlockSize, MaxOpenFiles: c.OpenFiles, Workers: c.Jobs,
	}
	switch {
	case c.CacheSize == 0:
		o.CacheBytes = -1
	case c.CacheSize > 0:
		o.CacheBytes = c.CacheSize
	}
	switch {
	case c.BloomBits == 0:
		o.FilterBitsPerKey = -1
	case c.BloomBits > 0:
		o.FilterBitsPerKey = c.BloomBits
	}
	switch strings.ToLower(c.Compression) {
	case "snappy", "1", "true", "":
		o.Compression = strata.Snappy
	case "none", "0", "false":
		o.Compression = strata.NoCompression
	case "zstd":
		o.Compression = strata.Zstd
	default:
		return nil, fmt.Errorf("compression is %q, want snappy, none or zstd", c.Compression)
	}
	switch c.Policy {
	case "leveled", "":
	case "tiered":
		o.Policy = strata.Tiered(strata.TieredOptions{})
	default:
		return nil, fmt.Errorf("compaction_style is %q, want leveled or tiered", c.Policy)
	}
	return o, nil
}
