package metamorphic

import (
	"github.com/strata-db/strata"
	"github.com/strata-db/strata/vfs"
)

// End is how a process ends that is to be followed by another one.
type End uint8

// The ways a process ends.
const (
	// EndClose closes the database.
	EndClose End = iota
	// EndKill kills the process: what was written is kept, synced or not. The
	// file system must be a vfs.Crash.
	EndKill
	// EndPowerCut syncs the database and cuts the power. The file system must be
	// a vfs.Crash.
	EndPowerCut
)

// A Set is a set of options under which the list of operations runs.
type Set struct {
	Name    string
	Options func() strata.Options
	End     End
	// OnDisk runs it in a real directory.
	OnDisk bool
	// Wants are the reasons of compactions that must have run.
	Wants []string
}

// smallest is the least that MemtableBytes and TableBytes may be.
const smallest = 32 << 10

// small returns options under which a few megabytes make a deep tree.
func small(change func(*strata.Options)) func() strata.Options {
	return func() strata.Options {
		o := strata.Options{
			MemtableBytes: smallest, TableBytes: smallest, BlockBytes: 1 << 10, CacheBytes: 1 << 20, Debug: true,
			Policy: strata.Leveled(strata.LeveledOptions{TableBytes: smallest, BaseBytes: 4 * smallest}),
		}
		if change != nil {
			change(&o)
		}
		return o
	}
}

func leveled(l strata.LeveledOptions, workers int) func() strata.Options {
	return small(func(o *strata.Options) {
		l.TableBytes = smallest
		o.Policy, o.Workers = strata.Leveled(l), workers
	})
}

func tiered(t strata.TieredOptions, workers int) func() strata.Options {
	return small(func(o *strata.Options) {
		t.TableBytes = smallest
		o.Policy, o.Workers = strata.Tiered(t), workers
	})
}

// Sets returns every set. The first is what the others are compared with.
func Sets() []Set {
	onDisk := func(s Set) Set {
		s.OnDisk = true
		plain := s.Options
		s.Options = func() strata.Options { o := plain(); o.FS = vfs.OS; return o }
		return s
	}
	onCrash := func(s Set, c vfs.CrashOptions) Set {
		plain := s.Options
		s.Options = func() strata.Options { o := plain(); o.FS = vfs.NewCrash(c); return o }
		return s
	}
	return []Set{
		{Name: "small", Options: small(nil), Wants: []string{"l0", "level-size"}},
		{Name: "large-memtables", Options: small(func(o *strata.Options) {
			o.MemtableBytes, o.BlockBytes, o.CacheBytes = 1<<20, 64<<10, 64<<20
		})},
		{Name: "defaults", Options: func() strata.Options { return strata.Options{} }},
		{Name: "tiny-blocks", Options: small(func(o *strata.Options) { o.BlockBytes, o.Compression, o.Workers = 256, strata.NoCompression, 2 })},
		{Name: "zstd", Options: small(func(o *strata.Options) { o.Compression, o.BlockBytes, o.Workers = strata.Zstd, 16<<10, 1 })},
		{Name: "no-cache-no-filter", Options: small(func(o *strata.Options) { o.CacheBytes, o.FilterBitsPerKey = -1, -1 })},
		{Name: "leveldb-filter", Options: small(func(o *strata.Options) {
			o.CacheBytes, o.LevelDBFilter, o.FilterBitsPerKey, o.MaxOpenFiles, o.MaxMemtables = 8<<10, true, 4, 8, 2
		})},
		{Name: "leveled-deep", Options: leveled(strata.LeveledOptions{BaseBytes: 2 * smallest, FanOut: 2, L0Files: 2}, 4), Wants: []string{"l0", "level-size"}},
		{Name: "leveled-move", Options: leveled(strata.LeveledOptions{BaseBytes: 2 * smallest, FanOut: 3, L0Files: 1}, 2), Wants: []string{"move"}},
		{Name: "leveled-wide", Options: leveled(strata.LeveledOptions{BaseBytes: 256 << 20}, 2), Wants: []string{"intra-l0"}},
		{Name: "leveled-tombstones", Options: leveled(strata.LeveledOptions{BaseBytes: 16 * smallest, TombstonePercent: 3}, 3), Wants: []string{"tombstones"}},
		{Name: "tiered-ratio", Options: tiered(strata.TieredOptions{Runs: 3, MaxSpaceAmpPercent: 1e6}, 4), Wants: []string{"tiered-size-ratio"}},
		{Name: "tiered-space", Options: tiered(strata.TieredOptions{Runs: 4, MaxSpaceAmpPercent: 50}, 1), Wants: []string{"tiered-space-amp"}},
		{Name: "tiered-count", Options: tiered(strata.TieredOptions{Runs: 5, MaxSpaceAmpPercent: 1e6, SizeRatioPercent: -99}, 2), Wants: []string{"tiered-run-count"}},
		onDisk(Set{Name: "disk-mapped", Options: small(func(o *strata.Options) { o.WAL, o.MaxOpenFiles = strata.WALMapped, 8 }), Wants: []string{"l0"}}),
		onDisk(Set{Name: "disk-plain", Options: small(func(o *strata.Options) {
			o.WAL, o.Compression, o.CacheBytes = strata.WALWrite, strata.NoCompression, -1
		}), Wants: []string{"l0"}}),
		onCrash(Set{Name: "killed", End: EndKill, Options: small(nil), Wants: []string{"l0"}}, vfs.CrashOptions{MappedAppends: true}),
		onCrash(Set{Name: "power-cut", End: EndPowerCut, Options: tiered(strata.TieredOptions{Runs: 3}, 2), Wants: []string{"tiered-size-ratio"}}, vfs.CrashOptions{}),
	}
}
