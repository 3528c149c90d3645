package vfs_test

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math/rand/v2"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/strata-db/strata/vfs"
)

// filesystems are put through the same tests: an FS and a directory in it.
var filesystems = []struct {
	name string
	make func(t *testing.T) (vfs.FS, string)
}{
	{"os", func(t *testing.T) (vfs.FS, string) { return vfs.OS, t.TempDir() }},
	{"mem", func(t *testing.T) (vfs.FS, string) { return vfs.NewMem(), "/" }},
	{"crash", func(t *testing.T) (vfs.FS, string) { return vfs.NewCrash(vfs.CrashOptions{}), "/" }},
	{"crash-mapped", func(t *testing.T) (vfs.FS, string) {
		return vfs.NewCrash(vfs.CrashOptions{MappedAppends: true}), "/"
	}},
	{"image", func(t *testing.T) (vfs.FS, string) {
		return vfs.NewCrash(vfs.CrashOptions{}).Image(1, vfs.ImageOptions{}), "/"
	}},
	{"fault-mem", func(t *testing.T) (vfs.FS, string) {
		f := vfs.NewFault(vfs.NewMem())
		t.Cleanup(func() { require.Empty(t, f.OpenFiles()) })
		return f, "/"
	}},
}

// conform runs f on a fresh directory of every file system.
func conform(t *testing.T, f func(t *testing.T, fs vfs.FS, dir string)) {
	for _, c := range filesystems {
		t.Run(c.name, func(t *testing.T) {
			fs, dir := c.make(t)
			f(t, fs, dir)
		})
	}
}

func write(t *testing.T, fs vfs.FS, name, text string) {
	t.Helper()
	f, err := fs.Create(name)
	require.NoError(t, err)
	n, err := f.Write([]byte(text))
	require.NoError(t, err)
	require.Equal(t, len(text), n)
	require.NoError(t, f.Close())
}

func read(t *testing.T, fs vfs.FS, name string) string {
	t.Helper()
	f, err := fs.Open(name)
	require.NoError(t, err)
	defer f.Close()
	size, err := f.Size()
	require.NoError(t, err)
	b := make([]byte, size)
	n, err := f.ReadAt(b, 0)
	if err != io.EOF {
		require.NoError(t, err)
	}
	require.Equal(t, int(size), n)
	return string(b)
}

func list(t *testing.T, fs vfs.FS, dir string) string {
	t.Helper()
	names, err := fs.List(dir)
	require.NoError(t, err)
	slices.Sort(names)
	return strings.Join(names, " ")
}

// Files hold what was written, ReadAt obeys io.ReaderAt, and Create starts
// again from nothing.
func TestFiles(t *testing.T) {
	conform(t, func(t *testing.T, fsys vfs.FS, dir string) {
		name := filepath.Join(dir, "f")
		f, err := fsys.Create(name)
		require.NoError(t, err)
		for _, s := range []string{"hello", ", ", "world"} {
			_, err := f.Write([]byte(s))
			require.NoError(t, err)
		}
		require.NoError(t, f.Sync())
		size, err := f.Size()
		require.NoError(t, err)
		require.EqualValues(t, 12, size)
		b := make([]byte, 5)
		_, err = f.ReadAt(b, 7) // a file from Create can be read too
		require.NoError(t, err)
		require.Equal(t, "world", string(b))
		require.NoError(t, f.Close())
		require.ErrorIs(t, f.Close(), fs.ErrClosed)

		f, err = fsys.Open(name)
		require.NoError(t, err)
		n, err := f.ReadAt(b, 10)
		require.Equal(t, io.EOF, err)
		require.Equal(t, "ld", string(b[:n]))
		n, err = f.ReadAt(b, 12)
		require.Equal(t, io.EOF, err)
		require.Zero(t, n)
		_, err = f.Write([]byte("x"))
		require.Error(t, err)
		require.NoError(t, f.Close())
		_, err = f.ReadAt(b, 0)
		require.ErrorIs(t, err, fs.ErrClosed)

		fi, err := fsys.Stat(name)
		require.NoError(t, err)
		require.EqualValues(t, 12, fi.Size())
		require.False(t, fi.IsDir())
		require.Equal(t, "f", fi.Name())

		write(t, fsys, name, "new")
		require.Equal(t, "new", read(t, fsys, name))
	})
}

// Names can be made, listed, renamed over others, linked and removed, and what
// cannot be done is refused with the error an application would test for.
func TestNames(t *testing.T) {
	conform(t, func(t *testing.T, fsys vfs.FS, dir string) {
		at := func(parts ...string) string { return filepath.Join(append([]string{dir}, parts...)...) }
		require.NoError(t, fsys.MkdirAll(at("d", "e")))
		require.NoError(t, fsys.MkdirAll(at("d", "e")))
		write(t, fsys, at("d", "a"), "A")
		write(t, fsys, at("d", "b"), "B")
		require.Equal(t, "a b e", list(t, fsys, at("d")))

		require.NoError(t, fsys.Rename(at("d", "a"), at("d", "b")))
		require.Equal(t, "b e", list(t, fsys, at("d")))
		require.Equal(t, "A", read(t, fsys, at("d", "b")))

		require.NoError(t, fsys.Link(at("d", "b"), at("d", "e", "l")))
		require.ErrorIs(t, fsys.Link(at("d", "b"), at("d", "e", "l")), fs.ErrExist)
		require.ErrorIs(t, fsys.Link(at("d", "none"), at("d", "m")), fs.ErrNotExist)
		require.NoError(t, fsys.Remove(at("d", "b")))
		require.Equal(t, "A", read(t, fsys, at("d", "e", "l")))

		require.Error(t, fsys.Remove(at("d"))) // not empty
		require.NoError(t, fsys.Rename(at("d", "e"), at("d", "g")))
		require.Equal(t, "A", read(t, fsys, at("d", "g", "l")))
		require.NoError(t, fsys.SyncDir(at("d")))

		for what, err := range map[string]error{
			"open":     second(fsys.Open(at("none"))),
			"create":   second(fsys.Create(at("none", "f"))),
			"append":   second(fsys.CreateAppend(at("none", "f"), vfs.AppendOptions{})),
			"stat":     second(fsys.Stat(at("none"))),
			"list":     second(fsys.List(at("none"))),
			"remove":   fsys.Remove(at("none")),
			"rename":   fsys.Rename(at("none"), at("other")),
			"truncate": fsys.Truncate(at("none"), 0),
			"syncdir":  fsys.SyncDir(at("none")),
			"shared":   second(fsys.Lock(at("none"), true)),
		} {
			require.ErrorIs(t, err, fs.ErrNotExist, what)
			var pe *fs.PathError
			if what != "rename" { // os.LinkError
				require.ErrorAs(t, err, &pe, what)
			}
		}
		require.Equal(t, "d", list(t, fsys, dir))
	})
}

func second[T any](_ T, err error) error { return err }

// A removed file can be read to the end by those who have it open, and a file
// that took its name does not show through.
func TestRemovedFileStaysReadable(t *testing.T) {
	conform(t, func(t *testing.T, fsys vfs.FS, dir string) {
		name := filepath.Join(dir, "f")
		write(t, fsys, name, "old")
		f, err := fsys.Open(name)
		require.NoError(t, err)
		defer f.Close()
		if err := fsys.Remove(name); err != nil {
			t.Skip("this system does not remove open files")
		}
		write(t, fsys, name, "new")
		b := make([]byte, 3)
		_, err = f.ReadAt(b, 0)
		require.NoError(t, err)
		require.Equal(t, "old", string(b))
	})
}

// Truncate cuts, and extends with zeros.
func TestTruncate(t *testing.T) {
	conform(t, func(t *testing.T, fsys vfs.FS, dir string) {
		name := filepath.Join(dir, "f")
		write(t, fsys, name, "0123456789")
		require.NoError(t, fsys.Truncate(name, 4))
		require.Equal(t, "0123", read(t, fsys, name))
		require.NoError(t, fsys.Truncate(name, 6))
		require.Equal(t, "0123\x00\x00", read(t, fsys, name))
	})
}

// Every append mode keeps what was appended, in sizes around pages and
// preallocation steps, and Close leaves no preallocated zeros behind.
func TestAppend(t *testing.T) {
	for _, mode := range []vfs.AppendMode{vfs.AppendAuto, vfs.AppendWrite, vfs.AppendMapped} {
		t.Run(mode.String(), func(t *testing.T) {
			conform(t, func(t *testing.T, fsys vfs.FS, dir string) {
				name := filepath.Join(dir, "log")
				write(t, fsys, name, "something longer that was here before")
				o := vfs.AppendOptions{Mode: mode, InitialBytes: 8 << 10, MaxStepBytes: 64 << 10}
				f, err := fsys.CreateAppend(name, o)
				require.NoError(t, err)
				require.Zero(t, f.Size())
				rnd := rand.New(rand.NewPCG(1, 2))
				var want []byte
				sizes := []int{0, 1, 4095, 1, 4096, 4097, 100, 200 << 10, 3}
				for range 300 {
					sizes = append(sizes, rnd.IntN(3000))
				}
				for i, n := range sizes {
					p := bytes.Repeat([]byte{byte(i + 1)}, n)
					require.NoError(t, f.Append(p))
					want = append(want, p...)
					require.EqualValues(t, len(want), f.Size())
					if i%50 == 0 {
						require.NoError(t, f.Sync())
						got := read(t, fsys, name) // visible to others at once
						require.GreaterOrEqual(t, len(got), len(want))
						require.True(t, bytes.Equal(want, []byte(got[:len(want)])))
						require.Empty(t, strings.Trim(got[len(want):], "\x00"))
					}
				}
				require.False(t, f.Broken())
				require.NoError(t, f.Close())
				require.NoError(t, f.Close())
				require.Error(t, f.Append([]byte("x")))
				require.True(t, bytes.Equal(want, []byte(read(t, fsys, name))))
			})
		})
	}
}

// Sync may run beside Append and beside the steps that move the mapping.
func TestSyncBesideAppend(t *testing.T) {
	conform(t, func(t *testing.T, fsys vfs.FS, dir string) {
		f, err := fsys.CreateAppend(filepath.Join(dir, "log"), vfs.AppendOptions{InitialBytes: 4 << 10, MaxStepBytes: 8 << 10})
		require.NoError(t, err)
		done := make(chan error)
		stop := make(chan struct{})
		go func() {
			var err error
			for err == nil {
				select {
				case <-stop:
					done <- nil
					return
				default:
					err = f.Sync()
				}
			}
			done <- err
		}()
		p := bytes.Repeat([]byte("x"), 700)
		for range 1000 {
			require.NoError(t, f.Append(p))
		}
		close(stop)
		require.NoError(t, <-done)
		require.NoError(t, f.Close())
		fi, err := fsys.Stat(filepath.Join(dir, "log"))
		require.NoError(t, err)
		require.EqualValues(t, 700*1000, fi.Size())
	})
}

// Locks exclude as promised, also within one process, and a refused attempt
// does not free the lock that refused it.
func TestLock(t *testing.T) {
	conform(t, func(t *testing.T, fsys vfs.FS, dir string) {
		name := filepath.Join(dir, "LOCK")
		ex, err := fsys.Lock(name, false)
		require.NoError(t, err)
		for range 2 {
			for _, shared := range []bool{false, true} {
				_, err = fsys.Lock(name, shared)
				require.ErrorIs(t, err, vfs.ErrLocked)
			}
		}
		require.NoError(t, ex.Close())
		require.NoError(t, ex.Close())

		s1, err := fsys.Lock(name, true)
		require.NoError(t, err)
		s2, err := fsys.Lock(name, true)
		require.NoError(t, err)
		require.NoError(t, s1.Close())
		_, err = fsys.Lock(name, false)
		require.ErrorIs(t, err, vfs.ErrLocked)
		require.NoError(t, s2.Close())
		ex, err = fsys.Lock(name, false)
		require.NoError(t, err)
		require.NoError(t, ex.Close())
		require.Equal(t, "LOCK", list(t, fsys, dir)) // closing removes nothing
	})
}

func TestUsage(t *testing.T) {
	conform(t, func(t *testing.T, fsys vfs.FS, dir string) {
		u, err := fsys.Usage(dir)
		if errors.Is(err, errors.ErrUnsupported) {
			t.Skip(err)
		}
		require.NoError(t, err)
		require.Positive(t, u.Total)
		require.LessOrEqual(t, u.Free, u.Total)
	})
}

// A full Mem says ENOSPC, keeps the part of a Write that fitted, none of an
// Append, and has room again when a file is gone and closed.
func TestMemLimit(t *testing.T) {
	m := vfs.NewMem()
	m.SetLimit(100)
	write(t, m, "keep", strings.Repeat("k", 60))
	f, err := m.Create("f")
	require.NoError(t, err)
	n, err := f.Write(make([]byte, 50))
	require.ErrorIs(t, err, syscall.ENOSPC)
	require.Equal(t, 40, n)
	u, err := m.Usage("/")
	require.NoError(t, err)
	require.Equal(t, vfs.DiskUsage{Free: 0, Total: 100}, u)

	for _, mode := range []vfs.AppendMode{vfs.AppendWrite, vfs.AppendMapped} {
		a, err := m.CreateAppend(fmt.Sprint("a", mode), vfs.AppendOptions{Mode: mode})
		require.NoError(t, err)
		require.ErrorIs(t, a.Append([]byte("x")), syscall.ENOSPC)
		require.False(t, a.Broken())
		require.Zero(t, a.Size())
		require.NoError(t, a.Close())
	}

	require.NoError(t, m.Remove("f"))
	u, _ = m.Usage("/")
	require.Zero(t, u.Free) // still open
	require.NoError(t, f.Close())
	u, _ = m.Usage("/")
	require.EqualValues(t, 40, u.Free)
	require.NoError(t, m.Rename("keep", "kept"))
	u, _ = m.Usage("/")
	require.EqualValues(t, 40, u.Free)
	a, err := m.CreateAppend("b", vfs.AppendOptions{Mode: vfs.AppendMapped})
	require.NoError(t, err)
	require.NoError(t, a.Append(make([]byte, 40))) // a smaller step fits
	require.ErrorIs(t, a.Append([]byte("x")), syscall.ENOSPC)
	require.NoError(t, a.Close())
	require.Len(t, read(t, m, "b"), 40)
}
