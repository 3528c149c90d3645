package vfs_test

import (
	"bytes"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"runtime/debug"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"github.com/strata-db/strata/vfs"
)

// mapped makes a mapped handle, or skips the test where that is not possible.
func mapped(t *testing.T, name string, o vfs.AppendOptions) vfs.AppendFile {
	t.Helper()
	o.Mode = vfs.AppendMapped
	f, err := vfs.OS.CreateAppend(name, o)
	require.NoError(t, err)
	t.Cleanup(func() { f.Close() })
	if !f.Mapped() {
		t.Skip("no preallocation on this file system")
	}
	return f
}

// A file that someone else truncates makes the append fail: the store faults,
// the program lives, and the handle is broken. Before the end of the touched
// pages it is the store that notices, at their end the look before writing ahead.
func TestMappedSurvivesTruncation(t *testing.T) {
	for _, appended := range []int{0, 100, 4000, 100 << 10} {
		name := filepath.Join(t.TempDir(), "log")
		f := mapped(t, name, vfs.AppendOptions{})
		for range appended / 100 {
			require.NoError(t, f.Append(bytes.Repeat([]byte("x"), 100)))
		}
		size := f.Size()
		require.NoError(t, os.Truncate(name, 0))
		var err error
		for n := 0; err == nil && n < 1<<20; n += 1000 {
			err = f.Append(bytes.Repeat([]byte("y"), 1000))
		}
		require.ErrorIs(t, err, syscall.EIO)
		require.True(t, f.Broken())
		require.Equal(t, size, f.Size())
		require.ErrorIs(t, f.Append([]byte("z")), vfs.ErrBroken)
		require.NoError(t, f.Close())
		fi, err := os.Stat(name)
		require.NoError(t, err)
		require.Zero(t, fi.Size(), "zeros in place of lost bytes")
	}
}

// A handle that is cut behind the bytes it holds loses none of them.
func TestMappedTruncationOfRoom(t *testing.T) {
	name := filepath.Join(t.TempDir(), "log")
	f := mapped(t, name, vfs.AppendOptions{})
	want := bytes.Repeat([]byte("x"), 4096)
	require.NoError(t, f.Append(want))
	require.NoError(t, os.Truncate(name, 4096))
	require.Error(t, f.Append(want))
	require.NoError(t, f.Close())
	got, err := os.ReadFile(name)
	require.NoError(t, err)
	require.Equal(t, want, got)
}

// The goroutine's own setting comes back after each append.
func TestMappedRestoresPanicOnFault(t *testing.T) {
	f := mapped(t, filepath.Join(t.TempDir(), "log"), vfs.AppendOptions{})
	for _, set := range []bool{false, true} {
		old := debug.SetPanicOnFault(set)
		require.NoError(t, f.Append([]byte("x")))
		require.Equal(t, set, debug.SetPanicOnFault(old))
	}
}

// The usual append allocates nothing.
func TestMappedAppendDoesNotAllocate(t *testing.T) {
	f := mapped(t, filepath.Join(t.TempDir(), "log"), vfs.AppendOptions{})
	p := make([]byte, 150)
	require.Zero(t, testing.AllocsPerRun(1000, func() {
		if err := f.Append(p); err != nil {
			t.Fatal(err)
		}
	}))
}

// A file with one short record takes the first step on the disk and no more,
// and its length after Close.
func TestMappedDiskUse(t *testing.T) {
	name := filepath.Join(t.TempDir(), "log")
	f := mapped(t, name, vfs.AppendOptions{})
	require.NoError(t, f.Append([]byte("one key")))
	require.NoError(t, f.Sync())
	require.LessOrEqual(t, blocks(t, name), int64(264<<10))
	require.NoError(t, f.Close())
	require.LessOrEqual(t, blocks(t, name), int64(8<<10))
}

// blocks is the space that a file takes, in bytes.
func blocks(t *testing.T, name string) int64 {
	t.Helper()
	fi, err := os.Stat(name)
	require.NoError(t, err)
	return fi.Sys().(*syscall.Stat_t).Blocks * 512
}

// smallDisk mounts a file system of 1 MiB, or skips.
func smallDisk(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	if err := unix.Mount("vfs-test", dir, "tmpfs", 0, "size=1m"); err != nil {
		t.Skipf("mount: %v", err)
	}
	t.Cleanup(func() {
		if err := unix.Unmount(dir, unix.MNT_DETACH); err != nil {
			t.Error(err)
		}
	})
	return dir
}

// On a full disk both kinds of handle give ENOSPC, leave no part of the failed
// append, hold no space beyond what they need, and go on when there is room.
func TestAppendDiskFull(t *testing.T) {
	for _, mode := range []vfs.AppendMode{vfs.AppendAuto, vfs.AppendWrite} {
		t.Run(mode.String(), func(t *testing.T) {
			dir := smallDisk(t)
			ballast := filepath.Join(dir, "ballast")
			require.NoError(t, os.WriteFile(ballast, make([]byte, 200<<10), 0o600))
			name := filepath.Join(dir, "log")
			f, err := vfs.OS.CreateAppend(name, vfs.AppendOptions{Mode: mode})
			require.NoError(t, err)
			t.Cleanup(func() { f.Close() })
			require.Equal(t, mode == vfs.AppendAuto, f.Mapped())
			p := bytes.Repeat([]byte("x"), 5000)
			for err == nil {
				err = f.Append(p)
			}
			require.ErrorIs(t, err, syscall.ENOSPC)
			require.False(t, f.Broken())
			require.Greater(t, f.Size(), int64(700<<10), "smaller steps fill the disk")
			require.Zero(t, f.Size()%int64(len(p)))

			require.NoError(t, os.Remove(ballast))
			require.NoError(t, f.Append(p))
			size := f.Size()
			require.NoError(t, f.Close())
			got, err := os.ReadFile(name)
			require.NoError(t, err)
			require.Equal(t, bytes.Repeat([]byte("x"), int(size)), got)
		})
	}
}

// On a disk without a free page a handle can still be made, uses write calls,
// and says ENOSPC when it is used.
func TestAppendNoSpaceAtAll(t *testing.T) {
	dir := smallDisk(t)
	ballast := filepath.Join(dir, "ballast")
	require.ErrorIs(t, os.WriteFile(ballast, make([]byte, 2<<20), 0o600), syscall.ENOSPC)
	f, err := vfs.OS.CreateAppend(filepath.Join(dir, "log"), vfs.AppendOptions{})
	require.NoError(t, err)
	t.Cleanup(func() { f.Close() })
	require.False(t, f.Mapped())
	require.ErrorIs(t, f.Append([]byte("x")), syscall.ENOSPC)
	require.False(t, f.Broken())
	require.NoError(t, os.Remove(ballast))
	require.NoError(t, f.Append([]byte("x")))
	require.NoError(t, f.Close())
}

// A read-only file system gives a shared lock on a LOCK that exists, and an
// error that is not ErrLocked on anything that would write.
func TestReadOnlyDisk(t *testing.T) {
	dir := smallDisk(t)
	name := filepath.Join(dir, "LOCK")
	require.NoError(t, os.WriteFile(name, nil, 0o600))
	require.NoError(t, unix.Mount("", dir, "", unix.MS_REMOUNT|unix.MS_RDONLY, ""))
	l, err := vfs.OS.Lock(name, true)
	require.NoError(t, err)
	require.NoError(t, l.Close())
	_, err = vfs.OS.Lock(name, false)
	require.ErrorIs(t, err, syscall.EROFS)
	_, err = vfs.OS.Lock(filepath.Join(dir, "none"), true)
	require.ErrorIs(t, err, fs.ErrNotExist)
}

// What was appended is there after kill -9, in every mode, up to the last byte.
func TestAppendSurvivesKill(t *testing.T) {
	const records = 2000
	if name := os.Getenv("VFS_TEST_KILL"); name != "" { // the child
		mode := vfs.AppendWrite
		if filepath.Base(name) == "mapped" {
			mode = vfs.AppendMapped
		}
		f, err := vfs.OS.CreateAppend(name, vfs.AppendOptions{Mode: mode})
		require.NoError(t, err)
		for i := range records {
			require.NoError(t, f.Append(bytes.Repeat([]byte{byte(i) | 1}, 333)))
		}
		require.NoError(t, syscall.Kill(os.Getpid(), syscall.SIGKILL))
		select {}
	}
	for _, mode := range []vfs.AppendMode{vfs.AppendMapped, vfs.AppendWrite} {
		name := filepath.Join(t.TempDir(), mode.String())
		cmd := exec.Command(os.Args[0], "-test.run=^TestAppendSurvivesKill$")
		cmd.Env = append(os.Environ(), "VFS_TEST_KILL="+name)
		out, err := cmd.CombinedOutput()
		require.ErrorContains(t, err, "killed", "%s", out)
		got, err := os.ReadFile(name)
		require.NoError(t, err)
		for i := range records {
			require.Equal(t, bytes.Repeat([]byte{byte(i) | 1}, 333), got[:333])
			got = got[333:]
		}
		require.Empty(t, bytes.Trim(got, "\x00"))
	}
}
