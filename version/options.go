package version

import (
	"log/slog"
	"path/filepath"

	"github.com/strata-db/strata/internal/base"
	"github.com/strata-db/strata/vfs"
)

// Options configures Load, Create and Upgrade.
type Options struct {
	FS  vfs.FS
	Dir string

	// Cmp is the order of user keys. Its name must be the one in the manifest.
	// Default base.Bytewise.
	Cmp *base.Comparer

	// Logger gets what is worth knowing but no error: a torn manifest record, a file
	// that could not be removed. Default: nothing is logged.
	Logger *slog.Logger

	// Attach is called once for each table when it first enters a version; its
	// result is kept in FileMeta.Table. It must not open the file. Optional.
	Attach func(*FileMeta) any

	// Obsolete gets tables that no version names any more. Called without locks,
	// from the goroutine whose Unref or Apply was the last. Optional.
	Obsolete func([]*FileMeta)

	// RewriteFactor and MinRewriteBytes bound the manifest: it is begun anew, as a
	// snapshot, when the next record would make it larger than both
	// MinRewriteBytes and RewriteFactor times its own snapshot. Defaults 4 and 1
	// MiB. Smaller values write snapshots more often; larger ones make opening
	// slower. The limit is relative, so that a large tree is not written out at
	// every commit.
	RewriteFactor   int
	MinRewriteBytes int64

	// ReadOnly makes Apply fail with base.ErrReadOnly.
	ReadOnly bool
}

func (o Options) withDefaults() Options {
	if o.Cmp == nil {
		o.Cmp = base.Bytewise
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	if o.RewriteFactor <= 1 {
		o.RewriteFactor = 4
	}
	if o.MinRewriteBytes <= 0 {
		o.MinRewriteBytes = 1 << 20
	}
	return o
}

func (o *Options) path(name string) string { return filepath.Join(o.Dir, name) }

func (o *Options) attach(f *FileMeta) {
	if o.Attach != nil && f.Table == nil {
		f.Table = o.Attach(f)
	}
}
