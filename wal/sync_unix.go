//go:build !windows

package wal

// openToSync opens a segment of an earlier process to be synced.
func (l *Log) openToSync(path string) (syncer, error) { return l.o.FS.Open(path) }
