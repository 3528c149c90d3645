package wal

import "github.com/strata-db/strata/vfs"

// openToSync opens a segment of an earlier process to be synced.
func (l *Log) openToSync(path string) (syncer, error) {
	fi, err := l.o.FS.Stat(path)
	if err != nil {
		return nil, err
	}
	return &truncateSyncer{l.o.FS, path, fi.Size()}, nil
}

// truncateSyncer syncs by cutting a file to the length that it has: Windows
// flushes through handles for writing only, and Truncate has one.
type truncateSyncer struct {
	fs   vfs.FS
	path string
	size int64
}

func (t *truncateSyncer) Sync() error  { return t.fs.Truncate(t.path, t.size) }
func (t *truncateSyncer) Close() error { return nil }
