package main

import (
	"context"
	"errors"
	"time"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/bloom"
	"github.com/cockroachdb/pebble/v2/sstable"
)

type pebbleDB struct{ *pebble.DB }

// openPebble uses the thresholds and index blocks of CockroachDB (its
// DefaultPebbleOptions) where the common settings leave them open.
//
// Pebble takes the memory of its memtables out of the cache (Cache.Reserve): after
// an opening there are two, the replayed and the new one, which together are as
// large as the cache: it would hold nothing. They come on top of it here.
func openPebble(dir string) (DB, error) {
	cache := pebble.NewCache(cacheBytes + 2*memtableBytes)
	defer cache.Unref()
	o := &pebble.Options{
		Cache:                       cache,
		FormatMajorVersion:          pebble.FormatNewest,
		MemTableSize:                memtableBytes,
		MemTableStopWritesThreshold: 4,
		L0CompactionThreshold:       2,
		L0StopWritesThreshold:       1000,
		LBaseMaxBytes:               64 << 20,
		FlushSplitBytes:             10 << 20,
		MaxOpenFiles:                openFiles,
		CompactionConcurrencyRange:  func() (int, int) { return 1, compactors },
		Logger:                      silent{},
	}
	for i := range o.Levels {
		l := &o.Levels[i]
		l.BlockSize = blockBytes
		l.IndexBlockSize = 256 << 10 // small ones make two levels of index
		l.FilterPolicy = bloom.FilterPolicy(filterBits)
		l.Compression = func() *sstable.CompressionProfile { return sstable.SnappyCompression }
	}
	db, err := pebble.Open(dir, o)
	if err != nil {
		return nil, err
	}
	return pebbleDB{db}, nil
}

type silent struct{}

func (silent) Infof(string, ...any)           {}
func (silent) Errorf(string, ...any)          {}
func (silent) Fatalf(format string, _ ...any) { panic(format) }
func (silent) Warningf(string, ...any)        {}
func (silent) Debugf(string, ...any)          {}

func pebbleSync(sync bool) *pebble.WriteOptions {
	if sync {
		return pebble.Sync
	}
	return pebble.NoSync
}

func (d pebbleDB) Put(key, value []byte, sync bool) error {
	return d.Set(key, value, pebbleSync(sync))
}

func (d pebbleDB) Delete(key []byte) error { return d.DB.Delete(key, pebble.NoSync) }

func (d pebbleDB) Get(dst, key []byte) ([]byte, bool, error) {
	v, closer, err := d.DB.Get(key)
	if errors.Is(err, pebble.ErrNotFound) {
		return dst, false, nil
	}
	if err != nil {
		return dst, false, err
	}
	dst = append(dst, v...)
	return dst, true, closer.Close()
}

func (d pebbleDB) Sync() error { return d.LogData(nil, pebble.Sync) }

// WaitIdle looks at the engine's own counts; idle means so several times in a
// row, as one compaction leads to the next.
func (d pebbleDB) WaitIdle() (float64, error) {
	const every, want = 5 * time.Millisecond, 10
	for calm := 0; calm < want; {
		time.Sleep(every)
		m := d.Metrics()
		if m.Flush.NumInProgress == 0 && m.Compact.NumInProgress == 0 {
			calm++
		} else {
			calm = 0
		}
	}
	return (every * want).Seconds(), nil
}

func (d pebbleDB) Compact() error {
	if err := d.Flush(); err != nil {
		return err
	}
	return d.DB.Compact(context.Background(), []byte{0}, []byte{0xff}, true)
}

func (d pebbleDB) NewBatch() Batch { return &pebbleBatch{b: d.DB.NewBatch()} }

func (d pebbleDB) NewIter(bool) (Iter, error) { return d.DB.NewIter(nil) }

type pebbleBatch struct{ b *pebble.Batch }

func (b *pebbleBatch) Put(key, value []byte) error { return b.b.Set(key, value, nil) }

func (b *pebbleBatch) Delete(key []byte) error { return b.b.Delete(key, nil) }

func (b *pebbleBatch) Commit(sync bool) error {
	err := b.b.Commit(pebbleSync(sync))
	b.b.Reset()
	return err
}
