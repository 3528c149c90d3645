package strata

import (
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/strata-db/strata/vfs"
)

// Metrics waits for no I/O, and holds up nobody while a manifest is being synced.
func TestMetricsBesideManifestSync(t *testing.T) {
	fs := vfs.NewFault(vfs.NewMem())
	db := openMem(t, &Options{FS: fs})
	begun, release := make(chan struct{}), make(chan struct{})
	rule := fs.Add(&vfs.Rule{
		Match: func(op vfs.Op) bool { return op.Kind == vfs.OpSync && strings.Contains(op.Name, "MANIFEST") },
		Times: 1,
		Delay: func(vfs.Op) { close(begun); <-release },
	})
	defer rule.Remove()
	mustPut(t, db, "a", "1")
	flushed := make(chan error, 1)
	go func() { flushed <- db.Flush() }()
	<-begun
	got := make(chan *Metrics, 1)
	go func() { got <- db.Metrics() }()
	select {
	case m := <-got:
		require.NotEmpty(t, m.Manifest.Name)
	case <-time.After(10 * time.Second):
		t.Error("Metrics waits for the sync")
	}
	close(release)
	require.NoError(t, <-flushed)
}
