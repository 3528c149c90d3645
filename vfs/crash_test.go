package vfs_test

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"strings"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/strata-db/strata/vfs"
)

// images is how many seeds a test looks at when it wants to see an outcome that
// chance decides.
const images = 300

var (
	worst = vfs.ImageOptions{Bytes: vfs.FateLost, Names: vfs.FateLost}
	best  = vfs.ImageOptions{Bytes: vfs.FateKept, Names: vfs.FateKept}
)

// exists reports whether a name is there.
func exists(t *testing.T, fsys vfs.FS, name string) bool {
	t.Helper()
	_, err := fsys.Stat(name)
	if err != nil {
		require.ErrorIs(t, err, fs.ErrNotExist)
	}
	return err == nil
}

// outcomes returns what look sees on many images, with how often.
func outcomes(c *vfs.Crash, o vfs.ImageOptions, look func(*vfs.Crash) string) map[string]int {
	seen := make(map[string]int)
	for seed := range uint64(images) {
		seen[look(c.Image(seed, o))]++
	}
	return seen
}

// keys says which outcomes there were, for comparison.
func keys(m map[string]int) []string {
	var ks []string
	for k := range m {
		ks = append(ks, k)
	}
	return ks
}

// Bytes count from Sync on and names from SyncDir on, and neither brings the
// other with it.
func TestCrashKeepsWhatIsSynced(t *testing.T) {
	c := vfs.NewCrash(vfs.CrashOptions{})
	f, err := c.Create("f")
	require.NoError(t, err)
	f.Write([]byte("synced"))
	require.NoError(t, f.Sync())
	require.False(t, exists(t, c.Image(1, worst), "f"), "a file sync is no directory sync")

	write(t, c, "g", "not synced")
	require.NoError(t, c.SyncDir("/"))
	f.Write([]byte(" and more"))

	low, high := c.Image(1, worst), c.Image(1, best)
	require.Equal(t, "synced", read(t, low, "f"))
	require.Equal(t, "", read(t, low, "g"))
	require.Equal(t, "synced and more", read(t, high, "f"))
	require.Equal(t, "not synced", read(t, high, "g"))
	require.Equal(t, "synced and more", read(t, c, "f"), "the live file is untouched")
}

// A rename over a file is one change: an image has the old file or the new one.
func TestCrashRenameIsAtomic(t *testing.T) {
	for _, reorder := range []bool{false, true} {
		c := vfs.NewCrash(vfs.CrashOptions{})
		synced(t, c, "CURRENT", "old")
		synced(t, c, "tmp", "new")
		require.NoError(t, c.Rename("tmp", "CURRENT"))
		seen := outcomes(c, vfs.ImageOptions{Reorder: reorder}, func(im *vfs.Crash) string {
			return read(t, im, "CURRENT") + ":" + list(t, im, "/")
		})
		require.ElementsMatch(t, []string{"old:CURRENT tmp", "new:CURRENT"}, keys(seen))
		require.NoError(t, c.SyncDir("/"))
		require.Equal(t, "new", read(t, c.Image(0, worst), "CURRENT"))
		require.Equal(t, "CURRENT", list(t, c.Image(0, worst), "/"))
	}
}

// synced makes a file that a power cut keeps.
func synced(t *testing.T, c *vfs.Crash, name, text string) {
	t.Helper()
	f, err := c.Create(name)
	require.NoError(t, err)
	_, err = f.Write([]byte(text))
	require.NoError(t, err)
	require.NoError(t, f.Sync())
	require.NoError(t, f.Close())
	require.NoError(t, c.SyncDir("/"))
}

// With a journal the changes of names that survive are the oldest ones; without,
// any of them.
func TestCrashOrderOfNames(t *testing.T) {
	c := vfs.NewCrash(vfs.CrashOptions{})
	for _, name := range []string{"a", "b", "c"} {
		write(t, c, name, "")
	}
	look := func(im *vfs.Crash) string { return list(t, im, "/") }
	require.ElementsMatch(t, []string{"", "a", "a b", "a b c"}, keys(outcomes(c, vfs.ImageOptions{}, look)))
	require.ElementsMatch(t, []string{"", "a", "b", "c", "a b", "a c", "b c", "a b c"},
		keys(outcomes(c, vfs.ImageOptions{Reorder: true}, look)))
}

// A removed file that was durable may come back until the directory is synced.
func TestCrashUndoesRemove(t *testing.T) {
	c := vfs.NewCrash(vfs.CrashOptions{})
	synced(t, c, "f", "text")
	require.NoError(t, c.Remove("f"))
	require.Equal(t, "text", read(t, c.Image(0, worst), "f"))
	require.NoError(t, c.SyncDir("/"))
	require.False(t, exists(t, c.Image(0, worst), "f"))
}

// A new directory is a name of its parent: a sync of the directory itself does
// not make it durable.
func TestCrashDirectoryIsItsParentsName(t *testing.T) {
	c := vfs.NewCrash(vfs.CrashOptions{})
	require.NoError(t, c.MkdirAll("/data/db"))
	write(t, c, "/data/db/f", "")
	require.NoError(t, c.SyncDir("/data/db"))
	require.False(t, exists(t, c.Image(0, worst), "/data"))
	require.NoError(t, c.SyncDir("/data"))
	require.False(t, exists(t, c.Image(0, worst), "/data"))
	require.NoError(t, c.SyncDir("/"))
	require.Equal(t, "f", list(t, c.Image(0, worst), "/data/db"))
}

// A rename between directories is durable with either of them, whole, and does
// not let an older change of the other one win afterwards.
func TestCrashRenameBetweenDirectories(t *testing.T) {
	for _, sync := range []string{"/x", "/y"} {
		c := vfs.NewCrash(vfs.CrashOptions{})
		require.NoError(t, c.MkdirAll("x"))
		require.NoError(t, c.MkdirAll("y"))
		require.NoError(t, c.SyncDir("/"))
		write(t, c, "x/f", "")
		require.NoError(t, c.Rename("x/f", "y/g"))
		require.NoError(t, c.SyncDir(sync))
		for seed := range uint64(images) {
			im := c.Image(seed, vfs.ImageOptions{Reorder: true})
			require.Equal(t, "", list(t, im, "x"))
			require.Equal(t, "g", list(t, im, "y"))
		}
	}
}

// A hard link shares its bytes with the first name, in images too.
func TestCrashLink(t *testing.T) {
	c := vfs.NewCrash(vfs.CrashOptions{})
	f, err := c.Create("f")
	require.NoError(t, err)
	require.NoError(t, c.Link("f", "g"))
	require.NoError(t, c.SyncDir("/"))
	f.Write(bytes.Repeat([]byte("x"), 10000))
	for seed := range uint64(images) {
		im := c.Image(seed, vfs.ImageOptions{})
		require.Equal(t, read(t, im, "f"), read(t, im, "g"))
	}
	require.NoError(t, f.Sync())
	require.NoError(t, c.Remove("f"))
	require.NoError(t, c.SyncDir("/"))
	require.Len(t, read(t, c.Image(0, worst), "g"), 10000)
}

// Unsynced writes of a file appear in every shape that disks produce: lost, kept,
// torn at a sector's border, followed by zeros, and later pages without earlier
// ones. In no image does a sector hold what the file never held there.
func TestCrashShapesOfUnsyncedBytes(t *testing.T) {
	for _, mapped := range []bool{false, true} {
		t.Run(fmt.Sprint("mapped=", mapped), func(t *testing.T) {
			c := vfs.NewCrash(vfs.CrashOptions{MappedAppends: mapped})
			f, err := c.CreateAppend("log", vfs.AppendOptions{InitialBytes: 64 << 10})
			require.NoError(t, err)
			require.NoError(t, c.SyncDir("/"))
			require.NoError(t, f.Append(bytes.Repeat([]byte("s"), 5000)))
			require.NoError(t, f.Sync())
			want := bytes.Repeat([]byte("s"), 5000)
			for i := range 40 {
				p := bytes.Repeat([]byte{'A' + byte(i)}, 700)
				require.NoError(t, f.Append(p))
				want = append(want, p...)
			}

			seen := make(map[string]int)
			for seed := range uint64(2 * images) {
				got := []byte(read(t, c.Image(seed, vfs.ImageOptions{}), "log"))
				require.True(t, bytes.HasPrefix(got, want[:5000]), "synced bytes were lost")
				seen[shape(t, got, want, 5000)]++
			}
			t.Log(seen)
			for _, s := range []string{"lost", "kept", "prefix", "zeros behind", "hole"} {
				if mapped && s == "prefix" {
					continue // the preallocation was synced, so zeros follow
				}
				require.Positive(t, seen[s], s)
			}
		})
	}
}

// shape names what became of want, which was synced up to a length, and checks
// that each byte is the written one or zero.
func shape(t *testing.T, got, want []byte, synced int) string {
	t.Helper()
	good, hole := 0, false
	for i, b := range got {
		if b == 0 {
			continue
		}
		if i >= len(want) || b != want[i] {
			t.Fatalf("offset %d holds %q", i, b)
		}
		hole = hole || good != i
		good = i + 1
	}
	switch {
	case hole:
		return "hole"
	case good == synced:
		return "lost"
	case good == len(want):
		return "kept"
	case good < len(got):
		return "zeros behind"
	default:
		return "prefix"
	}
}

// A page that was written several times since the sync may be on disk as it was
// between the writes.
func TestCrashPageOfThePast(t *testing.T) {
	c := vfs.NewCrash(vfs.CrashOptions{MappedAppends: true})
	f, err := c.CreateAppend("log", vfs.AppendOptions{})
	require.NoError(t, err)
	require.NoError(t, c.SyncDir("/"))
	for range 8 {
		require.NoError(t, f.Append(bytes.Repeat([]byte("x"), 512)))
	}
	require.NoError(t, f.Append(bytes.Repeat([]byte("y"), 4096)))
	middle := 0
	for seed := range uint64(images) {
		got := read(t, c.Image(seed, vfs.ImageOptions{}), "log")
		if len(got) < 8192 || got[4096] != 'y' {
			continue
		}
		if n := strings.Count(got[:4096], "x"); n > 0 && n < 4096 {
			middle++
		}
	}
	require.Positive(t, middle)
}

// Truncating by Create takes effect with what follows, or not at all: bytes of
// the old content do not show up behind a cut that happened.
func TestCrashTruncation(t *testing.T) {
	c := vfs.NewCrash(vfs.CrashOptions{})
	synced(t, c, "f", strings.Repeat("o", 10000))
	f, err := c.Create("f")
	require.NoError(t, err)
	f.Write(bytes.Repeat([]byte("n"), 9000))
	old := 0
	for seed := range uint64(images) {
		got := read(t, c.Image(seed, vfs.ImageOptions{}), "f")
		if strings.Contains(got, "o") {
			require.Equal(t, strings.Repeat("o", 10000), got)
			old++
		}
	}
	require.Positive(t, old)
	require.Less(t, old, images)
	require.NoError(t, f.Close())
	require.NoError(t, c.Truncate("f", 100)) // syncs
	require.Equal(t, strings.Repeat("n", 100), read(t, c.Image(0, worst), "f"))
}

// After a failed sync the bytes are gone although the next sync succeeds, unless
// their page is written to again.
func TestCrashFailedSyncLosesBytes(t *testing.T) {
	fail := false
	c := vfs.NewCrash(vfs.CrashOptions{FailSync: func(name string) error {
		if fail {
			return fmt.Errorf("no %s today: %w", name, syscall.EIO)
		}
		return nil
	}})
	f, err := c.Create("f")
	require.NoError(t, err)
	require.NoError(t, c.SyncDir("/"))
	page := func(b string) []byte { return bytes.Repeat([]byte(b), 4096) }
	f.Write(page("a"))
	require.NoError(t, f.Sync())
	f.Write(page("b"))
	f.Write([]byte("ccc"))
	fail = true
	require.ErrorIs(t, f.Sync(), syscall.EIO)
	fail = false
	require.NoError(t, f.Sync())
	want := string(page("a")) + string(page("\x00")) + "\x00\x00\x00"
	require.Equal(t, want, read(t, c.Image(0, best), "f"))

	f.Write([]byte("ddd")) // the page is dirty again, whole
	require.NoError(t, f.Sync())
	want = string(page("a")) + string(page("\x00")) + "cccddd"
	for seed := range uint64(20) {
		require.Equal(t, want, read(t, c.Image(seed, vfs.ImageOptions{}), "f"))
	}
	require.Equal(t, string(page("a"))+string(page("b"))+"cccddd", read(t, c, "f"), "the cache still shows it")
}

// A Fault on a Crash fails syncs in the same way, whether one or two deep.
func TestCrashUnderFault(t *testing.T) {
	for _, deep := range []bool{false, true} {
		c := vfs.NewCrash(vfs.CrashOptions{})
		inner := vfs.FS(c)
		if deep {
			inner = vfs.NewFault(c)
		}
		fs := vfs.NewFault(inner)
		f, err := fs.CreateAppend("log", vfs.AppendOptions{})
		require.NoError(t, err)
		require.NoError(t, c.SyncDir("/"))
		require.NoError(t, f.Append([]byte("lost")))
		fs.FailNth(vfs.OpSync, 1, syscall.EIO)
		require.ErrorIs(t, f.Sync(), syscall.EIO)
		require.NoError(t, f.Sync())
		require.Equal(t, "\x00\x00\x00\x00", read(t, c.Image(0, best), "log"))
	}
}

// Writing to an image or to the live file does not show in the other, although
// they share bytes.
func TestCrashImageStandsAlone(t *testing.T) {
	c := vfs.NewCrash(vfs.CrashOptions{})
	a, err := c.CreateAppend("log", vfs.AppendOptions{})
	require.NoError(t, err)
	require.NoError(t, a.Append([]byte("both")))
	im, killed := c.Image(0, best), c.KillImage()
	require.NoError(t, a.Append([]byte(" live")))
	for _, x := range []*vfs.Crash{im, killed} {
		require.Equal(t, "both", read(t, x, "log"))
		require.NoError(t, x.Truncate("log", 2))
		require.NoError(t, x.Rename("log", "old"))
		b, err := x.CreateAppend("log", vfs.AppendOptions{})
		require.NoError(t, err)
		require.NoError(t, b.Append([]byte("image")))
		require.Equal(t, "log old", list(t, x, "/"))
	}
	require.Equal(t, "both live", read(t, c, "log"))
	require.Equal(t, "log", list(t, c, "/"))
}

// A process kill keeps all, shows the preallocated zeros of open append handles
// and frees the locks; what was not synced can be lost later.
func TestCrashKill(t *testing.T) {
	c := vfs.NewCrash(vfs.CrashOptions{MappedAppends: true})
	_, err := c.Lock("LOCK", false)
	require.NoError(t, err)
	f, err := c.CreateAppend("log", vfs.AppendOptions{InitialBytes: 8192})
	require.NoError(t, err)
	require.True(t, f.Mapped())
	require.NoError(t, c.SyncDir("/"))
	require.NoError(t, f.Append([]byte("one")))
	require.NoError(t, f.Sync())
	require.NoError(t, f.Append([]byte("two")))
	write(t, c, "new", "")

	k := c.KillImage()
	require.Equal(t, "onetwo"+strings.Repeat("\x00", 8186), read(t, k, "log"))
	require.Equal(t, "LOCK log new", list(t, k, "/"))
	l, err := k.Lock("LOCK", false)
	require.NoError(t, err)
	require.NoError(t, l.Close())
	cut := k.Image(0, worst)
	require.Equal(t, "one", strings.TrimRight(read(t, cut, "log"), "\x00"))
	require.Equal(t, "LOCK log", list(t, cut, "/"))

	require.NoError(t, f.Close())
	require.Equal(t, "onetwo", read(t, c, "log"))
}

// OnOp sees every change before it happens and can take images there; Halt ends
// the run.
func TestCrashOnOp(t *testing.T) {
	var c *vfs.Crash
	var ops []string
	var before []bool
	c = vfs.NewCrash(vfs.CrashOptions{OnOp: func(op vfs.Op) {
		ops = append(ops, op.String())
		before = append(before, exists(t, c.Image(1, best), "f"))
		if op.Kind == vfs.OpRename {
			c.Halt()
		}
	}})
	synced(t, c, "f", "text")
	require.ErrorIs(t, c.Rename("f", "g"), vfs.ErrHalted)
	_, err := c.Create("h")
	require.ErrorIs(t, err, vfs.ErrHalted)
	require.Equal(t, []string{"1 create f", "2 write f (4 bytes)", "3 sync f", "4 sync-dir /", "5 rename f -> g", "6 create h"}, ops)
	require.Equal(t, []bool{false, true, true, true, true, true}, before)
	require.Equal(t, "f", list(t, c, "/"))
	require.EqualValues(t, 6, c.Ops())
	require.EqualValues(t, 1, c.Syncs("/f"))
	require.EqualValues(t, 1, c.Syncs("/"))
	require.EqualValues(t, 2, c.Count(vfs.OpCreate))
}

// Random changes against a model: the best image is the live state, the worst
// one what was synced, and the same seed gives the same image.
func TestCrashAgainstModel(t *testing.T) {
	for seed := range uint64(30) {
		c := vfs.NewCrash(vfs.CrashOptions{MappedAppends: seed%2 == 0})
		rnd := rand.New(rand.NewPCG(seed, 7))
		live, disk := map[string]string{}, map[string]string{}
		syncedBytes := map[string]string{} // by live name
		for range 200 {
			name := fmt.Sprint("f", rnd.IntN(4))
			switch rnd.IntN(6) {
			case 0, 1, 2:
				if _, ok := live[name]; ok {
					require.NoError(t, c.Remove(name)) // each file is new, so that names and bytes go apart
				}
				text := strings.Repeat(name, rnd.IntN(5000))
				f, err := c.Create(name)
				require.NoError(t, err)
				f.Write([]byte(text))
				live[name], syncedBytes[name] = text, ""
				if rnd.IntN(2) == 0 {
					require.NoError(t, f.Sync())
					syncedBytes[name] = text
				}
				require.NoError(t, f.Close())
			case 3:
				if _, ok := live[name]; ok {
					require.NoError(t, c.Remove(name))
					delete(live, name)
				}
			case 4:
				to := fmt.Sprint("f", rnd.IntN(4))
				if _, ok := live[name]; ok && to != name {
					require.NoError(t, c.Rename(name, to))
					live[to], syncedBytes[to] = live[name], syncedBytes[name]
					delete(live, name)
				}
			case 5:
				require.NoError(t, c.SyncDir("/"))
				disk = map[string]string{}
				for name := range live {
					disk[name] = syncedBytes[name]
				}
			}
			require.Equal(t, live, all(t, c))
			require.Equal(t, live, all(t, c.KillImage()))
			require.Equal(t, live, all(t, c.Image(seed, best)))
			require.Equal(t, disk, all(t, c.Image(seed, worst)))
			require.Equal(t, all(t, c.Image(seed, vfs.ImageOptions{})), all(t, c.Image(seed, vfs.ImageOptions{})))
		}
	}
}

func all(t *testing.T, c *vfs.Crash) map[string]string {
	t.Helper()
	m := make(map[string]string)
	names, err := c.List("/")
	require.NoError(t, err)
	for _, name := range names {
		m[name] = read(t, c, name)
	}
	return m
}

// An image may be taken while others write, and shows one instant: a file that
// was written only after another was synced proves that sync.
func TestCrashImageIsOneInstant(t *testing.T) {
	c := vfs.NewCrash(vfs.CrashOptions{})
	a, err := c.CreateAppend("a", vfs.AppendOptions{})
	require.NoError(t, err)
	b, err := c.CreateAppend("b", vfs.AppendOptions{})
	require.NoError(t, err)
	require.NoError(t, c.SyncDir("/"))
	done := make(chan error)
	go func() {
		var errs []error
		for range 2000 {
			errs = append(errs, a.Append([]byte("x")), a.Sync(), b.Append([]byte("x")))
		}
		done <- errors.Join(errs...)
	}()
	for running := true; running; {
		select {
		case err := <-done:
			require.NoError(t, err)
			running = false
		default:
			im := c.Image(0, vfs.ImageOptions{})
			require.GreaterOrEqual(t, len(read(t, im, "a")), len(read(t, im, "b")))
		}
	}
}

// BenchmarkCrashImage is an image of a 64 MiB log of which the last 1 MiB is not
// synced.
func BenchmarkCrashImage(b *testing.B) {
	c := vfs.NewCrash(vfs.CrashOptions{})
	f, _ := c.CreateAppend("log", vfs.AppendOptions{})
	p := make([]byte, 1<<10)
	for range 63 << 10 {
		f.Append(p)
	}
	f.Sync()
	for range 1 << 10 {
		f.Append(p)
	}
	c.SyncDir("/")
	for seed := uint64(0); b.Loop(); seed++ {
		c.Image(seed, vfs.ImageOptions{})
	}
}
