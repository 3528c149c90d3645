//go:build unix

package vfs_test

import (
	"bufio"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/strata-db/strata/vfs"
)

// peerSource is a program that takes a lock as LevelDB (fcntl) or goleveldb
// (flock) does, says whether it got it, and holds it until its input ends.
const peerSource = `
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <unistd.h>

int main(int argc, char **argv) {
	int fd = open(argv[2], O_RDWR | O_CREAT, 0644);
	int got = -1;
	if (fd >= 0 && !strcmp(argv[1], "fcntl")) {
		struct flock l;
		memset(&l, 0, sizeof l);
		l.l_type = F_WRLCK;
		l.l_whence = SEEK_SET;
		got = fcntl(fd, F_SETLK, &l);
	} else if (fd >= 0) {
		got = flock(fd, (strcmp(argv[1], "flock-shared") ? LOCK_EX : LOCK_SH) | LOCK_NB);
	}
	puts(got == 0 ? "locked" : "refused");
	fflush(stdout);
	while (getchar() != EOF)
		;
	return 0;
}
`

// buildPeer compiles the peer. Without a C compiler the test is skipped, or fails
// if STRATA_REQUIRE is 1.
func buildPeer(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	src, bin := filepath.Join(dir, "peer.c"), filepath.Join(dir, "peer")
	require.NoError(t, os.WriteFile(src, []byte(peerSource), 0o600))
	out, err := exec.Command("cc", "-o", bin, src).CombinedOutput()
	if err != nil && os.Getenv("STRATA_REQUIRE") != "1" {
		t.Skipf("cc: %v: %s", err, out)
	}
	require.NoError(t, err, "%s", out)
	return bin
}

// peer starts the program bin, which tries to lock name in a way, and returns
// what it says and a function that ends it.
func peer(t *testing.T, bin, way, name string) (says string, end func()) {
	t.Helper()
	cmd := exec.Command(bin, way, name)
	in, err := cmd.StdinPipe()
	require.NoError(t, err)
	out, err := cmd.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, cmd.Start())
	end = sync.OnceFunc(func() {
		in.Close()
		io.Copy(io.Discard, out)
		cmd.Wait()
	})
	t.Cleanup(end)
	line, err := bufio.NewReader(out).ReadString('\n')
	require.NoError(t, err)
	return line[:len(line)-1], end
}

// LevelDB's and goleveldb's locks keep us out, whatever we ask for, and ours
// keeps them out, also after another attempt of this process was refused.
func TestLockAgainstPeers(t *testing.T) {
	bin := buildPeer(t)
	for _, way := range []string{"fcntl", "flock"} {
		t.Run(way, func(t *testing.T) {
			name := filepath.Join(t.TempDir(), "LOCK")
			says, end := peer(t, bin, way, name)
			require.Equal(t, "locked", says)
			for _, shared := range []bool{false, true} {
				_, err := vfs.OS.Lock(name, shared)
				require.ErrorIs(t, err, vfs.ErrLocked)
			}
			end()

			for _, shared := range []bool{false, true} {
				l, err := vfs.OS.Lock(name, shared)
				require.NoError(t, err)
				_, err = vfs.OS.Lock(name, false)
				require.ErrorIs(t, err, vfs.ErrLocked)
				f, err := os.Open(name) // someone reads it and closes it
				require.NoError(t, err)
				require.NoError(t, f.Close())
				says, end := peer(t, bin, way, name)
				require.Equal(t, "refused", says)
				end()
				require.NoError(t, l.Close())
				says, end = peer(t, bin, way, name)
				require.Equal(t, "locked", says)
				end()
			}
		})
	}
}

// A shared lock gets along with a shared one of another process.
func TestLockSharedWithPeer(t *testing.T) {
	name := filepath.Join(t.TempDir(), "LOCK")
	says, _ := peer(t, buildPeer(t), "flock-shared", name)
	require.Equal(t, "locked", says)
	_, err := vfs.OS.Lock(name, false)
	require.ErrorIs(t, err, vfs.ErrLocked)
	l, err := vfs.OS.Lock(name, true)
	require.NoError(t, err)
	require.NoError(t, l.Close())
}

// Another path to a locked file is locked too, and a new file under the name of
// a removed one is not.
func TestLockFollowsTheFile(t *testing.T) {
	dir := t.TempDir()
	name, link, sym := filepath.Join(dir, "LOCK"), filepath.Join(dir, "link"), filepath.Join(dir, "sym")
	l, err := vfs.OS.Lock(name, false)
	require.NoError(t, err)
	require.NoError(t, os.Link(name, link))
	require.NoError(t, os.Symlink(name, sym))
	t.Chdir(dir)
	for _, other := range []string{link, sym, "LOCK", "./link"} {
		_, err = vfs.OS.Lock(other, false)
		require.ErrorIs(t, err, vfs.ErrLocked, other)
	}
	require.NoError(t, os.Remove(name))
	again, err := vfs.OS.Lock(name, false)
	require.NoError(t, err)
	require.NoError(t, l.Close())
	_, err = vfs.OS.Lock(name, true)
	require.ErrorIs(t, err, vfs.ErrLocked)
	require.NoError(t, again.Close())
}

// Of many goroutines one gets the lock.
func TestLockRace(t *testing.T) {
	name := filepath.Join(t.TempDir(), "LOCK")
	var wg sync.WaitGroup
	got := make(chan io.Closer, 16)
	for range cap(got) {
		wg.Go(func() {
			if l, err := vfs.OS.Lock(name, false); err == nil {
				got <- l
			}
		})
	}
	wg.Wait()
	require.Len(t, got, 1)
	require.NoError(t, (<-got).Close())
}
