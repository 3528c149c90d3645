//go:build unix

package vfs

import (
	"os/exec"
	"path/filepath"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"
)

// A lock ends when it is closed, also while other goroutines start processes:
// between fork and exec a child holds copies of all descriptors.
func TestLockEndsBesideForks(t *testing.T) {
	name := filepath.Join(t.TempDir(), "LOCK")
	stop := make(chan struct{})
	var wg sync.WaitGroup
	for range 2 {
		wg.Go(func() {
			for {
				select {
				case <-stop:
					return
				default:
					_ = exec.Command("true").Run()
				}
			}
		})
	}
	for range 2000 {
		l, err := OS.Lock(name, false)
		require.NoError(t, err)
		require.NoError(t, l.Close())
	}
	close(stop)
	wg.Wait()
}
