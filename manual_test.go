package strata

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// Writers go on while a CompactRange takes its time: level 0 is kept small beside
// it.
func TestWritersBesideCompactRange(t *testing.T) {
	begun, release := make(chan struct{}), make(chan struct{})
	block := false
	o := &Options{Workers: 2, Events: &Events{CompactionBegin: func(i CompactionInfo) {
		if block && i.Reason == "manual" {
			close(begun)
			<-release
		}
	}}}
	o.testing.l0Slow, o.testing.l0Stop = 8, 12
	db := openMem(t, o)
	mustPut(t, db, "a", "1", "z", "1")
	snap := db.NewSnapshot()
	mustPut(t, db, "a", "2", "z", "2")
	require.NoError(t, db.CompactRange(context.Background(), nil, nil))
	require.NoError(t, snap.Close())

	block = true
	compacted := make(chan error, 1)
	go func() { compacted <- db.CompactRange(context.Background(), nil, nil) }()
	<-begun
	written := make(chan error, 1)
	go func() {
		for i := range 20 {
			if err := db.Put([]byte("k"), fmt.Append(nil, i), nil); err != nil {
				written <- err
				return
			}
			if err := db.Flush(); err != nil {
				written <- err
				return
			}
		}
		written <- nil
	}()
	select {
	case err := <-written:
		require.NoError(t, err)
	case <-time.After(10 * time.Second):
		t.Error("writers are stopped by a manual compaction")
	}
	close(release)
	require.NoError(t, <-compacted)
}

// A CompactRange whose context ends does not go on with a long merge.
func TestCompactRangeCancelled(t *testing.T) {
	ctx, cancel := context.WithCancelCause(context.Background())
	ended := make(chan CompactionInfo, 1)
	db := openMem(t, &Options{Events: &Events{
		CompactionBegin: func(CompactionInfo) { cancel(context.DeadlineExceeded) },
		CompactionEnd:   func(i CompactionInfo) { ended <- i },
	}})
	mustPut(t, db, "a", "1")
	require.NoError(t, db.Flush())
	mustPut(t, db, "a", "2")
	require.ErrorIs(t, db.CompactRange(ctx, nil, nil), context.DeadlineExceeded)
	require.ErrorIs(t, (<-ended).Err, context.Canceled)
	require.Zero(t, db.Metrics().BackgroundErrors)
	require.NoError(t, db.WaitIdle(context.Background()))
	require.NoError(t, db.CompactRange(context.Background(), nil, nil))
	require.Empty(t, db.Metrics().Levels[0].Tables)
}

// A damaged table, which is never merged, is dropped when its turn comes: FIFO
// would otherwise drop nothing any more, and grow for ever.
func TestFIFODropsQuarantined(t *testing.T) {
	db := openMem(t, &Options{Policy: FIFO(FIFOOptions{MaxBytes: 16 << 10}), Compression: NoCompression})
	write := func(i int) {
		require.NoError(t, db.Put(fmt.Append(nil, i), make([]byte, 4<<10), nil))
		require.NoError(t, db.Flush())
	}
	write(0)
	db.mu.Lock()
	v := db.set.Current()
	db.mu.background.quarantined[v.Files(0)[0].Num] = ErrCorruption
	db.mu.Unlock()
	v.Unref()
	for i := range 8 {
		write(i)
	}
	require.NoError(t, db.WaitIdle(context.Background()))
	m := db.Metrics()
	require.LessOrEqual(t, m.Levels[0].Bytes, uint64(16<<10))
	require.Zero(t, m.Compaction.Quarantined)
}
