package strata

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/strata-db/strata/vfs"
)

// The target of a checkpoint may be written with a slash at its end.
func TestCheckpointTrailingSlash(t *testing.T) {
	dir := t.TempDir()
	db, err := Open(filepath.Join(dir, "db"), nil)
	require.NoError(t, err)
	mustPut(t, db, "a", "1")
	target := filepath.Join(dir, "copy")
	require.NoError(t, db.Checkpoint(context.Background(), target+string(filepath.Separator)))
	require.NoError(t, db.Close())
	cp, err := Open(target, &Options{ErrorIfMissing: true})
	require.NoError(t, err)
	require.NoError(t, hasAll(cp, "a"))
	require.NoError(t, cp.Close())
	require.NoDirExists(t, target+".unfinished")
}

func hasAll(db *DB, keys ...string) error {
	for _, k := range keys {
		if ok, err := db.Has([]byte(k)); err != nil || !ok {
			return fmt.Errorf("%s: %v, %v", k, ok, err)
		}
	}
	return nil
}

// A file system without hard links, as FAT is, gets copies.
func TestCheckpointWithoutLinks(t *testing.T) {
	fs := vfs.NewFault(vfs.NewMem())
	db := openMem(t, &Options{FS: fs})
	mustPut(t, db, "a", "1")
	fs.FailAll(vfs.OpLink, &os.LinkError{Op: "link", Err: syscall.EPERM})
	require.NoError(t, db.Checkpoint(context.Background(), "copy"))
	cp, err := Open("copy", &Options{FS: fs, ErrorIfMissing: true})
	require.NoError(t, err)
	require.NoError(t, hasAll(cp, "a"))
	require.NoError(t, cp.Close())
}

// The target of a salvage may be written with a slash at its end.
func TestSalvageTrailingSlash(t *testing.T) {
	fs := vfs.NewMem()
	db, err := Open("db", &Options{FS: fs})
	require.NoError(t, err)
	mustPut(t, db, "a", "1")
	require.NoError(t, db.Close())
	o := &Options{FS: fs, ErrorIfMissing: true}
	_, err = Salvage("db", "out/", &RepairOptions{Options: o})
	require.NoError(t, err)
	db, err = Open("out", o)
	require.NoError(t, err)
	require.NoError(t, hasAll(db, "a"))
	require.NoError(t, db.Close())
}
