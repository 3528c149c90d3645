package strata

import (
	"context"
	"strings"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/strata-db/strata/version"
	"github.com/strata-db/strata/vfs"
)

// copiers are the ways to make a database beside its final name.
var copiers = map[string]func(fs vfs.FS, dir string) error{
	"checkpoint": func(fs vfs.FS, dir string) error {
		db, err := Open("db", &Options{FS: fs})
		if err != nil {
			return err
		}
		defer db.Close()
		return db.Checkpoint(context.Background(), dir)
	},
	"salvage": func(fs vfs.FS, dir string) error {
		_, err := Salvage("db", dir, &RepairOptions{Options: &Options{FS: fs}})
		return err
	},
}

// makeWith makes a database that holds key.
func makeWith(t *testing.T, fs vfs.FS, dir, key string) {
	t.Helper()
	db, err := Open(dir, &Options{FS: fs})
	require.NoError(t, err)
	mustPut(t, db, key, "1")
	require.NoError(t, db.Close())
}

// A database whose name is that of another with .unfinished behind it was taken for
// the remains of a checkpoint and removed.
func TestDatabaseCalledUnfinishedIsKept(t *testing.T) {
	for name, copyTo := range copiers {
		fs := vfs.NewMem()
		makeWith(t, fs, "db", "a")
		makeWith(t, fs, "copy.unfinished", "b")
		require.ErrorContains(t, copyTo(fs, "copy"), "move it away", name)
		require.NoError(t, hasKey(fs, "copy.unfinished", "b"), name)
		_, err := fs.Stat("copy")
		require.True(t, isNotExist(err), name)
	}
}

// The remains of a copy that was cut short opened as a database that lacks most of
// what was to be in it.
func TestUnfinishedCopyDoesNotOpen(t *testing.T) {
	for name, copyTo := range copiers {
		fs := vfs.NewFault(vfs.NewMem())
		makeWith(t, fs, "db", "a")
		begun := false // CURRENT is there
		fs.Add(&vfs.Rule{Err: syscall.EIO, Match: func(op vfs.Op) bool {
			fails := begun && strings.HasPrefix(op.Name, "copy")
			begun = begun || op.Kind == vfs.OpRename && strings.HasPrefix(op.Name, "copy")
			return fails
		}})
		require.Error(t, copyTo(fs, "copy"), name)
		fs.Clear()
		state, _, err := version.Exists(fs, "copy.unfinished")
		require.NoError(t, err, name)
		require.Equal(t, version.StateLevelDB, state, name)
		for _, o := range []Options{{FS: fs}, {FS: fs, ReadOnly: true}} {
			_, err := Open("copy.unfinished", &o)
			require.ErrorIs(t, err, ErrNotDatabase, name)
			require.ErrorContains(t, err, "remove it", name)
		}
	}
}

// What a copy that was cut short has left is replaced; after a failure at any call
// nothing is left, and a finished copy holds nothing but a database.
func TestUnfinishedCopiesAreReplaced(t *testing.T) {
	for name, copyTo := range copiers {
		for _, upgraded := range []bool{false, true} {
			calls := int64(0)
			for failAt(t, copyTo, upgraded, calls) {
				calls++
			}
			require.Greater(t, calls, int64(10), name)
		}
	}
}

// failAt lets so many calls about a copy through and fails all later ones, so that
// nothing can be cleaned up, and then tries again. It reports false if none failed.
func failAt(t *testing.T, copyTo func(vfs.FS, string) error, upgraded bool, after int64) bool {
	fs := vfs.NewFault(vfs.NewMem())
	makeWith(t, fs, "db", "a")
	if upgraded {
		require.NoError(t, Upgrade("db", &Options{FS: fs}))
	}
	rule := fs.Add(&vfs.Rule{After: after, Err: syscall.EIO, Match: func(op vfs.Op) bool {
		return strings.HasPrefix(op.Name, "copy")
	}})
	err := copyTo(fs, "copy")
	fs.Clear()
	if rule.Hits() == 0 {
		require.NoError(t, err)
	}
	if _, serr := fs.Stat("copy"); err != nil && serr != nil {
		require.NoError(t, copyTo(fs, "copy"), "call %d: %v", after, err)
	}
	require.NoError(t, hasKey(fs, "copy", "a"), "call %d", after)
	names, err := fs.List("copy")
	require.NoError(t, err)
	require.NotContains(t, names, unfinishedMark, "call %d", after)
	names, err = fs.List(".")
	require.NoError(t, err)
	require.NotContains(t, names, "copy.unfinished", "call %d", after)
	return rule.Hits() > 0
}

// A copy whose name could not be made durable is, after a power cut, there whole or
// not at all. What was removed from it after the failure was missing when the disk
// had kept the name.
func TestCopyWithoutDurableNameIsWhole(t *testing.T) {
	for name, copyTo := range copiers {
		for fails := int64(1); fails <= 2; fails++ {
			disk := vfs.NewCrash(vfs.CrashOptions{})
			fs := vfs.NewFault(disk)
			makeWith(t, fs, "db", "a")
			require.NoError(t, fs.SyncDir("."), name)
			named := false
			fs.Add(&vfs.Rule{Err: syscall.EIO, Times: fails, Match: func(op vfs.Op) bool {
				named = named || op.Kind == vfs.OpRename && op.Name == "copy.unfinished"
				return named && op.Kind == vfs.OpSyncDir && op.Name == "."
			}})
			require.Error(t, copyTo(fs, "copy"), name)
			seen := map[bool]int{}
			for seed := range uint64(100) {
				image := disk.Image(seed, vfs.ImageOptions{Reorder: seed%2 == 0})
				_, err := image.Stat("copy")
				seen[err == nil]++
				if err == nil {
					require.NoError(t, hasKey(image, "copy", "a"), "%s, %d failures, seed %d", name, fails, seed)
				}
			}
			require.NotZero(t, seen[false], "%s, %d failures", name, fails)
			if fails == 2 {
				require.NotZero(t, seen[true], "%s: no disk has kept the name", name)
			}
		}
	}
}
