package strata

import (
	"context"
	"encoding/json"
	"fmt"
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

// What an application saves as JSON is all there when it is read again.
func TestMetricsAsJSON(t *testing.T) {
	db := openMem(t, nil)
	defer db.NewSnapshot().Close()
	for i := range 100 {
		mustPut(t, db, fmt.Sprint("key", i), "value")
	}
	require.NoError(t, db.Flush())
	m := db.Metrics()
	m.Stalls["level0"] = StallMetrics{Count: 3, Duration: time.Second}
	b, err := json.Marshal(m)
	require.NoError(t, err)
	var read Metrics
	require.NoError(t, json.Unmarshal(b, &read))
	require.Equal(t, *m, read)
}

// What compactions keep for a snapshot is told, and is gone when the snapshot is.
func TestMetricsOfSnapshots(t *testing.T) {
	db := openMem(t, nil)
	fill := func() {
		for i := range 100 {
			mustPut(t, db, fmt.Sprintf("key%02d", i), strings.Repeat("v", 500))
		}
	}
	fill()
	snap := db.NewSnapshot()
	require.Zero(t, db.Metrics().Snapshots.PinnedBytes)
	fill()
	require.NoError(t, db.CompactRange(context.Background(), nil, nil))
	require.NoError(t, db.WaitIdle(context.Background())) // a flushed log may go a moment later
	m := db.Metrics()
	require.InDelta(t, float64(m.DiskBytes())/2, float64(m.Snapshots.PinnedBytes), float64(m.DiskBytes())/10)
	require.NoError(t, snap.Close())
	require.NoError(t, db.CompactRange(context.Background(), nil, nil))
	defer db.NewSnapshot().Close()
	require.Zero(t, db.Metrics().Snapshots.PinnedBytes)
}
