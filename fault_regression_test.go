package strata

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/strata-db/strata/vfs"
)

// What the fault sweep has found, each as the shortest way to it.

// onFiles matches calls on files with that in their names.
func onFiles(part string) func(vfs.Op) bool {
	return func(op vfs.Op) bool { return strings.Contains(op.Name, part) }
}

// openFaulty opens a database on a disk that can fail.
func openFaulty(t *testing.T, o Options) (*DB, *vfs.Fault, *vfs.Crash) {
	t.Helper()
	t.Cleanup(watchdog(t.Name(), time.Minute))
	disk := vfs.NewCrash(vfs.CrashOptions{})
	f := vfs.NewFault(disk)
	o.FS = f
	db, err := Open("db", &o)
	require.NoError(t, err)
	t.Cleanup(func() { _ = db.Close() })
	return db, f, disk
}

// A write that was not applied, because an earlier sync had failed, was reported
// as applied and not durable.
func TestWriteBehindAFailedSyncSaysThatItIsNotApplied(t *testing.T) {
	db, f, _ := openFaulty(t, Options{})
	f.FailAll(vfs.OpSync, syscall.EIO)
	require.ErrorIs(t, db.Put([]byte("a"), nil, Sync), ErrNotDurable)
	for i := range 100 {
		key := fmt.Append(nil, "b", i)
		err := db.Put(key, nil, Sync)
		require.ErrorIs(t, err, syscall.EIO)
		has, herr := db.Has(key)
		require.NoError(t, herr)
		require.Equal(t, has, errors.Is(err, ErrNotDurable), "%v", err)
	}
	f.Clear()
	require.True(t, eventually(func() bool { return db.Put([]byte("b"), nil, Sync) == nil }))
}

// When the first sync of a new log segment failed, the memtable before it could
// not be flushed, as the manifest may not name such a segment, and neither could
// anything else, for ever.
func TestFailedSyncOfANewSegmentHeals(t *testing.T) {
	db, f, disk := openFaulty(t, Options{})
	mustPut(t, db, "a", "1")
	newest := db.mu.segments[0].num
	f.Add(&vfs.Rule{Kind: vfs.OpSync, Times: 1, Match: func(op vfs.Op) bool {
		return strings.HasSuffix(op.Name, ".log") && !strings.HasSuffix(op.Name, db.logName(newest))
	}})
	require.NoError(t, db.Flush())
	mustPut(t, db, "b", "2")
	require.NoError(t, db.Put([]byte("c"), nil, Sync))
	for _, key := range []string{"a", "b", "c"} {
		require.NoError(t, hasKey(disk.Image(1, lost), "db", key))
	}
	require.NoError(t, db.Close())
	require.NoError(t, hasKey(disk, "db", "b"))
}

// A sync of a replayed segment that held nothing failed; as there was nothing to
// flush, the next synced write waited for ever.
func TestFailedSyncOfAnEmptySegmentHeals(t *testing.T) {
	db, f, disk := openFaulty(t, Options{})
	mustPut(t, db, "a", "1")
	require.NoError(t, db.Flush())
	require.NoError(t, db.Close())
	db, err := Open("db", &Options{FS: f})
	require.NoError(t, err)
	require.Len(t, db.mu.segments, 2)
	f.Add(&vfs.Rule{Kind: vfs.OpSync, Times: 1, Match: onFiles(db.logName(db.mu.segments[0].num))})
	require.ErrorIs(t, db.Put([]byte("b"), nil, Sync), ErrNotDurable)
	require.NoError(t, db.Put([]byte("c"), nil, Sync))
	require.NoError(t, hasKey(disk.Image(1, lost), "db", "b"))
	require.NoError(t, db.Close())
}

// A sync failed, the process died before it had healed, and the next one replayed
// the log from the kernel's cache. Its synced write synced that log again, which
// succeeded and wrote nothing; a power cut then took the log, and with it what
// came before the synced write.
func TestFailedSyncOfADeadProcessHeals(t *testing.T) {
	db, f, disk := openFaulty(t, Options{})
	mustPut(t, db, "a", "1")
	f.FailAll(vfs.OpSync, syscall.EIO)
	require.ErrorIs(t, db.Put([]byte("b"), nil, Sync), ErrNotDurable)
	disk = disk.KillImage()
	db, err := Open("db", &Options{FS: disk})
	require.NoError(t, err)
	require.NoError(t, db.Put([]byte("c"), nil, Sync))
	for _, key := range []string{"a", "b", "c"} {
		require.NoError(t, hasKey(disk.Image(1, lost), "db", key))
	}
	require.NoError(t, db.Close())
}

// The removal of a table whose flush had failed failed too and was tried again
// later, when the next try of the flush had made a table of the same name.
func TestRetriedFlushKeepsItsTable(t *testing.T) {
	db, f, _ := openFaulty(t, Options{})
	mustPut(t, db, "a", "1")
	f.FailNth(vfs.OpSyncDir, 1, syscall.EIO)
	f.FailAll(vfs.OpRemove, syscall.EIO)
	require.ErrorIs(t, db.Flush(), syscall.EIO)
	require.NoError(t, db.Flush())
	f.Clear()
	db.deleter.drain(db)
	report, err := db.Verify(context.Background())
	require.NoError(t, err)
	require.NoError(t, report.Err())
}

// Flush returned the error of an earlier try while the disk was well again.
func TestFlushTriesAgainAtOnce(t *testing.T) {
	db, f, _ := openFaulty(t, Options{MaxMemtables: 2})
	for i := range 20 {
		mustPut(t, db, "a", fmt.Sprint(i))
		f.FailAll(vfs.OpCreate, syscall.ENOSPC)
		require.ErrorIs(t, db.Flush(), ErrNoSpace)
		betweenFlushes(t, db, f.Clear)
		require.NoError(t, db.Flush())
	}
}

// The tables of a compaction whose edit came to nothing were let go like ones
// that had been read, which panicked.
func TestTablesOfAnUnsettledCompactionAreRemoved(t *testing.T) {
	o := Options{}
	o.testing.disableAuto = true
	db, f, _ := openFaulty(t, o)
	for i := range 4 {
		mustPut(t, db, "a", fmt.Sprint(i))
		require.NoError(t, db.Flush())
	}
	f.Add(&vfs.Rule{Kind: vfs.OpSync, Match: onFiles("MANIFEST")})
	require.Error(t, db.CompactRange(context.Background(), nil, nil))
	f.Clear()
	mustPut(t, db, "a", "last")
	require.NoError(t, db.Flush())
	require.NoError(t, db.CompactRange(context.Background(), nil, nil))
	names, err := orphans(db)
	require.NoError(t, err)
	require.Empty(t, names)
}

// An edit that named the current log could not be synced, and Close removed that
// log, which was empty. The edit was on disk all the same.
func TestCloseKeepsALogThatTheManifestMayName(t *testing.T) {
	db, f, disk := openFaulty(t, Options{})
	require.NoError(t, db.Put([]byte("a"), nil, Sync))
	f.Add(&vfs.Rule{Kind: vfs.OpSync, Match: onFiles("MANIFEST")})
	require.Error(t, db.Flush())
	require.NoError(t, db.Close())
	require.NoError(t, hasKey(disk.KillImage(), "db", "a"))
	require.NoError(t, hasKey(disk.Image(1, lost), "db", "a"))
}

// A process was killed, and the next one flushed a part of the segment that it
// had left unsynced. A power cut took the rest of the segment: the log ended
// before the tree, whose newest entries became invisible, and whose sequence
// numbers were given out again.
func TestTreeIsNeverAheadOfTheLog(t *testing.T) {
	for _, memtables := range []int{2, 60} {
		t.Run(fmt.Sprintf("memtables=%d", memtables), func(t *testing.T) {
			disk := vfs.NewCrash(vfs.CrashOptions{})
			db, err := Open(crashDir, &Options{FS: disk})
			require.NoError(t, err)
			s, w := newStory(), &storyteller{rnd: rand.New(rand.NewPCG(1, 1)), name: "w"}
			for range 200 {
				require.NoError(t, s.write(db, w.next(), false))
			}
			disk = disk.KillImage()
			require.NoError(t, db.Close())
			cutWhileOpening(t, disk, s, Options{MemtableBytes: 32 << 10, MaxMemtables: memtables})
		})
	}
}

// cutWhileOpening opens the database and cuts the power at every call until it
// is idle, with the bytes that were not synced lost.
func cutWhileOpening(t *testing.T, disk *vfs.Crash, s *story, o Options) {
	t.Helper()
	var disks []*vfs.Crash
	o.FS = hooked(disk, func(op vfs.Op) {
		if op.Kind != vfs.OpWrite {
			disks = append(disks, disk.Image(1, vfs.ImageOptions{Bytes: vfs.FateLost, Names: vfs.FateKept}))
		}
	})
	db, err := Open(crashDir, &o)
	require.NoError(t, err)
	require.NoError(t, db.WaitIdle(context.Background()))
	require.NoError(t, db.Close())
	for i, disk := range disks {
		o.FS = disk
		db, err := Open(crashDir, &o)
		require.NoError(t, err, "disk %d of %d", i, len(disks))
		_, err = s.check(db, nil)
		require.NoError(t, errors.Join(err, db.Close()), "disk %d of %d", i, len(disks))
	}
}

// A recovery with smaller memtables flushed what it could not keep in memory, and
// removed the log segments that this came from; the manifest still began with
// them, so a crash before the next flush left a log with a hole.
func TestSegmentsOfASpillStay(t *testing.T) {
	disk := vfs.NewCrash(vfs.CrashOptions{})
	f := vfs.NewFault(disk)
	db, err := Open(crashDir, &Options{FS: f, MemtableBytes: 128 << 10, MaxMemtables: 20})
	require.NoError(t, err)
	f.FailAll(vfs.OpCreate, syscall.EIO) // no flush comes to its end
	s, w := newStory(), &storyteller{rnd: rand.New(rand.NewPCG(1, 1)), name: "w"}
	for len(db.mu.segments) < 6 {
		require.NoError(t, s.write(db, w.next(), false))
	}
	require.NoError(t, s.write(db, w.next(), true))
	disk = disk.KillImage()
	require.NoError(t, db.Close())
	cutWhileOpening(t, disk, s, Options{MemtableBytes: 32 << 10, MaxMemtables: 2})
}

// Writes on a full disk, each of which failed to begin a log, kept a spare file
// number each, and so pushed out the ones that level 0 needs for merges.
func TestFailedRotationsKeepNoNumbers(t *testing.T) {
	db, f, _ := openFaulty(t, Options{MemtableBytes: 32 << 10})
	f.Add(&vfs.Rule{Kind: vfs.OpCreateAppend, Match: onFiles(".log"), Err: syscall.ENOSPC})
	failed := 0
	for i := 0; failed < 100 && i < 1000; i++ {
		if err := db.Put(fmt.Append(nil, i), make([]byte, 1000), nil); err != nil {
			require.ErrorIs(t, err, ErrNoSpace)
			failed++
		}
	}
	has, err := db.Has([]byte("0"))
	require.NoError(t, err)
	require.True(t, has)
	require.LessOrEqual(t, db.set.Metrics().Spares, 2)
	f.Clear()
	require.NoError(t, db.Put([]byte("a"), make([]byte, 1000), Sync))
}
