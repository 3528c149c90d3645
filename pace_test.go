package strata

import (
	"context"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/strata-db/strata/vfs"
)

// fillTwice makes two tables with the same keys and returns the bytes of keys and
// values in them.
func fillTwice(t *testing.T, db *DB) (bytes int) {
	t.Helper()
	value := make([]byte, 1000)
	for range 2 {
		for i := range 1000 {
			key := fmt.Appendf(nil, "%06d", i)
			require.NoError(t, db.Put(key, value, nil))
			bytes += len(key) + 8 + len(value)
		}
		require.NoError(t, db.Flush())
	}
	return bytes
}

// Compactions read as many bytes a second as the options say, and writes and
// flushes do not wait for that.
func TestCompactionsKeepToTheirPace(t *testing.T) {
	const rate = 256 << 10
	for _, workers := range []int{1, 2} {
		synctest.Test(t, func(t *testing.T) {
			db, err := Open("db", &Options{FS: vfs.NewMem(), Workers: workers, CompactionBytesPerSecond: rate})
			require.NoError(t, err)
			start := time.Now()
			bytes := fillTwice(t, db)
			require.Zero(t, time.Since(start))
			require.NoError(t, db.CompactRange(context.Background(), nil, nil))
			want := float64(bytes) / rate
			require.InDelta(t, want, time.Since(start).Seconds(), want/20)
			require.NoError(t, db.Close())
		})
	}
}

// Close does not wait for a compaction that is held to its pace, nor does
// CompactRange once its context has ended.
func TestPacedCompactionEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		db, err := Open("db", &Options{FS: vfs.NewMem(), CompactionBytesPerSecond: 64 << 10})
		require.NoError(t, err)
		fillTwice(t, db)
		start := time.Now()
		ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
		defer cancel()
		require.ErrorIs(t, db.CompactRange(ctx, nil, nil), context.DeadlineExceeded)
		require.Equal(t, 5*time.Second, time.Since(start))
		done := make(chan error)
		go func() { done <- db.CompactRange(context.Background(), nil, nil) }()
		synctest.Wait()
		start = time.Now()
		require.NoError(t, db.Close())
		require.ErrorIs(t, <-done, ErrClosed)
		require.Zero(t, time.Since(start))
	})
}

// With a bound, indexes and filters take no more memory than it, and reads see
// everything.
func TestIndexBytesIsABound(t *testing.T) {
	o := Options{FS: vfs.NewMem(), MemtableBytes: 256 << 10, TableBytes: 32 << 10, BlockBytes: 256, CacheBytes: -1, Compression: NoCompression, IndexBytes: 1 << 20}
	db := openMem(t, &o)
	value := make([]byte, 100)
	const n = 100_000
	for i := range n {
		require.NoError(t, db.Put(fmt.Appendf(nil, "%06d", i), value, nil))
	}
	require.NoError(t, db.CompactRange(t.Context(), nil, nil))
	for i := 0; i < n; i += 50 {
		has, err := db.Has(fmt.Appendf(nil, "%06d", i*7919%n))
		require.NoError(t, err)
		require.True(t, has)
		require.LessOrEqual(t, db.Metrics().TableCache.ReaderBytes, o.IndexBytes)
	}
	require.Positive(t, db.Metrics().TableCache.ReadersDropped)
}
