package version

import (
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"strings"

	"github.com/strata-db/strata/internal/base"
	"github.com/strata-db/strata/vfs"
)

// OtherEngine returns an error, which is base.ErrNotDatabase, if a file of dir says
// that the directory is of an engine whose tables, logs and manifests have names like
// ours and another content. A repair would take all of it for damage. It is for
// directories that cannot be opened: such a file may also lie beside a database.
func OtherEngine(fsys vfs.FS, dir string, l *Listing) error {
	for _, name := range l.Foreign {
		if engine := engineOf(fsys, dir, name, l); engine != "" {
			return fmt.Errorf("%w: %s says that it is %s's, which has another format; read it with %s and write its keys to a new directory",
				base.ErrNotDatabase, name, engine, engine)
		}
	}
	return nil
}

// engineOf names the engine that makes files like name, empty if none is known to.
func engineOf(fsys vfs.FS, dir, name string, l *Listing) string {
	switch {
	case strings.HasPrefix(name, "marker.format-version.") || strings.HasPrefix(name, "marker.manifest."):
		return "Pebble"
	case strings.HasPrefix(name, "OPTIONS-"):
		head := headOf(fsys, filepath.Join(dir, name))
		if strings.Contains(head, "pebble_version=") {
			return "Pebble"
		}
		if strings.Contains(head, "rocksdb_version=") {
			return "RocksDB"
		}
	case name == "KEYREGISTRY" || strings.HasSuffix(name, ".vlog"):
		// Its manifest has no number, and nothing points to it.
		if !l.Has(base.FileManifest) && !l.Has(base.FileCurrent) && !l.Has(base.FileMarker) {
			return "Badger"
		}
	}
	return ""
}

// headOf returns the beginning of a file as far as it can be read: where it cannot,
// it says nothing of an engine.
func headOf(fsys vfs.FS, path string) string {
	f, err := fsys.Open(path)
	if err != nil {
		return ""
	}
	defer f.Close()
	b := make([]byte, 512)
	n, err := f.ReadAt(b, 0)
	if err != nil && !errors.Is(err, io.EOF) {
		return ""
	}
	return string(b[:n])
}
