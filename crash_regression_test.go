package strata

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/strata-db/strata/vfs"
)

// What the crash and fault sweeps have found, each as the shortest way to it.

// lost is a power cut that takes everything that was not synced.
var lost = vfs.ImageOptions{Bytes: vfs.FateLost, Names: vfs.FateLost}

// hasKey opens a database and looks for a key.
func hasKey(fs vfs.FS, dir, key string) error {
	db, err := Open(dir, &Options{FS: fs, ErrorIfMissing: true})
	if err != nil {
		return err
	}
	_, err = db.Get([]byte(key))
	return errors.Join(err, db.Close())
}

// A synced write was lost together with a directory above the database that Open
// had made: only the last one's name was synced.
func TestDirectoriesMadeByOpenAreDurable(t *testing.T) {
	fs := vfs.NewCrash(vfs.CrashOptions{})
	db, err := Open("a/b/c", &Options{FS: fs})
	require.NoError(t, err)
	require.NoError(t, db.Put([]byte("k"), nil, Sync))
	require.NoError(t, hasKey(fs.Image(1, lost), "a/b/c", "k"))
	require.NoError(t, db.Checkpoint(context.Background(), "d/e/copy"))
	require.NoError(t, hasKey(fs.Image(1, lost), "d/e/copy", "k"))
	require.NoError(t, db.Close())
}

// A process that dies while it makes directories leaves names that nobody has
// synced; the next one must do so.
func TestDirectoriesOfADeadProcessAreMadeDurable(t *testing.T) {
	for k := 1; ; k++ {
		var killed *vfs.Crash
		var fs *vfs.Crash
		calls := 0
		fs = vfs.NewCrash(vfs.CrashOptions{OnOp: func(vfs.Op) {
			if calls++; calls == k {
				killed = fs.KillImage()
			}
		}})
		db, err := Open("a/b/c", &Options{FS: fs})
		require.NoError(t, err)
		require.NoError(t, db.Close())
		if killed == nil {
			break
		}
		db, err = Open("a/b/c", &Options{FS: killed})
		require.NoError(t, err)
		require.NoError(t, db.Put([]byte("k"), nil, Sync))
		require.NoError(t, hasKey(killed.Image(1, lost), "a/b/c", "k"), "killed at call %d", k)
		require.NoError(t, db.Close())
	}
}

// A recovery removed a segment that a power cut had emptied and the one behind
// it, which it dropped; on a disk that reorders names the next power cut left the
// second one alone, as the beginning of the log.
func TestDroppedSegmentsGoFirst(t *testing.T) {
	disk := vfs.NewCrash(vfs.CrashOptions{})
	f := vfs.NewFault(disk)
	db, err := Open("db", &Options{FS: f})
	require.NoError(t, err)
	mustPut(t, db, "k", "v")
	f.FailAll(vfs.OpCreate, syscall.EIO)
	require.Error(t, db.Flush())
	second := db.path(db.logName(db.mu.segments[1].num))
	require.True(t, eventually(func() bool { return disk.Syncs(second) > 0 }))
	cut := disk.Image(1, vfs.ImageOptions{Bytes: vfs.FateLost, Names: vfs.FateKept})
	require.NoError(t, db.Close())
	var disks []*vfs.Crash
	db, err = Open("db", &Options{FS: hooked(cut, func(vfs.Op) {
		for seed := range uint64(20) {
			disks = append(disks, cut.Image(seed, vfs.ImageOptions{Reorder: true}))
		}
	})})
	require.NoError(t, err)
	require.NoError(t, db.Close())
	for i, disk := range disks {
		require.ErrorIs(t, hasKey(disk, "db", "k"), ErrNotFound, "disk %d of %d", i, len(disks))
	}
}

// Two checkpoints to one directory took each other's files away.
func TestCheckpointsToOneDirectory(t *testing.T) {
	db := openMem(t, nil)
	mustPut(t, db, "k", "v")
	for i := range 20 {
		dir := fmt.Sprint("copy", i)
		var wg sync.WaitGroup
		var made atomic.Int32
		for range 4 {
			wg.Go(func() {
				if err := db.Checkpoint(context.Background(), dir); err == nil {
					made.Add(1)
				} else if !errors.Is(err, ErrExists) {
					t.Error(err)
				}
			})
		}
		wg.Wait()
		require.EqualValues(t, 1, made.Load())
		require.NoError(t, hasKey(db.fs, dir, "k"))
	}
}

// A job that had ended for the scheduler still removed files and called events
// when Close had returned.
func TestCloseWaitsForTheEndOfJobs(t *testing.T) {
	var db *DB
	var ended atomic.Bool
	started := make(chan struct{})
	db, err := Open("db", &Options{FS: vfs.NewMem(), Events: &Events{FlushEnd: func(FlushInfo) {
		close(started)
		<-db.closing
		<-time.After(20 * time.Millisecond)
		ended.Store(true)
	}}})
	require.NoError(t, err)
	mustPut(t, db, "k", "v")
	require.NoError(t, db.Flush())
	<-started
	require.NoError(t, db.Close())
	require.True(t, ended.Load())
}

// A process died behind writing an edit to the manifest and before syncing it.
// The next one saw the edit and removed the tables that it replaces; then a power
// cut took the edit, and the database named tables that were gone.
func TestGarbageGoesOnlyAfterTheManifestIsDurable(t *testing.T) {
	var fs, killed *vfs.Crash
	fs = vfs.NewCrash(vfs.CrashOptions{OnOp: func(op vfs.Op) {
		if op.Kind == vfs.OpSync && strings.Contains(op.Name, "MANIFEST") {
			killed = fs.KillImage()
		}
	}})
	o := Options{FS: fs}
	o.testing.disableAuto = true
	db, err := Open("db", &o)
	require.NoError(t, err)
	for i := range 3 {
		mustPut(t, db, "k", fmt.Sprint(i))
		require.NoError(t, db.Flush())
	}
	require.NoError(t, db.CompactRange(context.Background(), nil, nil)) // killed before its last sync
	require.NoError(t, db.Close())
	o.FS = killed
	db, err = Open("db", &o)
	require.NoError(t, err)
	require.NoError(t, hasKey(killed.Image(1, vfs.ImageOptions{Bytes: vfs.FateLost, Names: vfs.FateKept}), "db", "k"))
	require.NoError(t, db.Close())
}

// A process died after a sync of a log segment had failed. The next one synced that
// segment, which the kernel had nothing to write of any more, and let the manifest
// begin with it: a power cut took the beginning of the log, and the database was
// refused as damaged.
func TestReplayedLogIsNoBeginning(t *testing.T) {
	var bad atomic.Value // path of the segment that cannot be synced
	bad.Store("")
	gate := make(chan struct{})
	disk := vfs.NewCrash(vfs.CrashOptions{FailSync: func(name string) error {
		if name == bad.Load() {
			<-gate
			return syscall.EIO
		}
		return nil
	}})
	f := vfs.NewFault(disk)
	o := Options{FS: f, MemtableBytes: 32 << 10}
	db, err := Open("db", &o)
	require.NoError(t, err)
	value := strings.Repeat("v", 40<<10) // no two fit into a memtable
	mustPut(t, db, "a", value)
	f.FailAll(vfs.OpCreate, syscall.EIO)
	bad.Store(db.path(db.logName(db.set.NextFileNum() + 2)))
	require.Error(t, db.Flush())
	require.Equal(t, bad.Load(), db.path(db.logName(db.mu.segments[1].num)))
	mustPut(t, db, "b", value)
	close(gate)
	require.True(t, eventually(func() bool { _, failed := db.log.Unsynced(); return failed }))
	mustPut(t, db, "c", "v")
	third := db.path(db.logName(db.mu.segments[2].num))
	require.True(t, eventually(func() bool { return disk.Syncs(third) > 0 }))
	killed := disk.KillImage()
	require.NoError(t, db.Close())

	var disks []*vfs.Crash
	o.FS = hooked(killed, func(vfs.Op) {
		disks = append(disks, killed.Image(1, vfs.ImageOptions{Bytes: vfs.FateLost, Names: vfs.FateKept}))
	})
	db, err = Open("db", &o)
	require.NoError(t, err)
	require.NoError(t, db.WaitIdle(context.Background()))
	require.NoError(t, db.Close())
	for i, disk := range disks {
		if err := hasKey(disk, "db", "a"); err != nil {
			require.ErrorIs(t, err, ErrNotFound, "disk %d of %d", i, len(disks))
		}
	}
}

// A log larger than the memtables is flushed in part while it is replayed. It was
// synced before, which proves nothing where a sync of it had failed in the process
// that wrote it: a power cut took it, the log ended before the tree, and sequence
// numbers were given out again.
func TestSpilledLogIsWrittenAnew(t *testing.T) {
	fails := false
	disk := vfs.NewCrash(vfs.CrashOptions{FailSync: func(name string) error {
		if fails && strings.HasSuffix(name, ".log") {
			return syscall.EIO
		}
		return nil
	}})
	db, err := Open("db", &Options{FS: disk, MemtableBytes: 1 << 20})
	require.NoError(t, err)
	value := strings.Repeat("v", 40<<10)
	for _, k := range []string{"a", "b", "c", "d"} {
		mustPut(t, db, k, value)
	}
	fails = true
	require.ErrorIs(t, db.log.Sync(), ErrNotDurable)
	killed := disk.KillImage()
	require.NoError(t, db.Close())

	var disks []*vfs.Crash
	db, err = Open("db", &Options{FS: hooked(killed, func(vfs.Op) {
		disks = append(disks, killed.Image(1, vfs.ImageOptions{Bytes: vfs.FateLost, Names: vfs.FateKept}))
	}), MemtableBytes: 32 << 10, MaxMemtables: 2})
	require.NoError(t, err)
	require.NoError(t, db.Close())
	for i, disk := range disks {
		db, err := Open("db", &Options{FS: disk})
		require.NoError(t, err, "disk %d of %d", i, len(disks))
		before, err := db.Has([]byte("a"))
		require.NoError(t, err)
		mustPut(t, db, "x", "v")
		after, err := db.Has([]byte("a"))
		require.NoError(t, err)
		require.Equal(t, before, after, "disk %d of %d", i, len(disks))
		require.NoError(t, db.Close())
	}
}
