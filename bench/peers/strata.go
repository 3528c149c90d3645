package main

import (
	"context"
	"errors"

	"github.com/strata-db/strata"
)

type strataDB struct{ *strata.DB }

func openStrata(dir string) (DB, error) {
	db, err := strata.Open(dir, &strata.Options{
		MemtableBytes:    memtableBytes,
		CacheBytes:       cacheBytes,
		BlockBytes:       blockBytes,
		FilterBitsPerKey: filterBits,
		MaxOpenFiles:     openFiles,
		Workers:          compactors,
		Compression:      strata.Snappy,
	})
	if err != nil {
		return nil, err
	}
	return strataDB{db}, nil
}

func strataSync(sync bool) *strata.WriteOptions {
	if sync {
		return strata.Sync
	}
	return strata.NoSync
}

func (d strataDB) Put(key, value []byte, sync bool) error {
	return d.DB.Put(key, value, strataSync(sync))
}

func (d strataDB) Delete(key []byte) error { return d.DB.Delete(key, strata.NoSync) }

func (d strataDB) Get(dst, key []byte) ([]byte, bool, error) {
	v, err := d.DB.Append(dst, key)
	if err == nil {
		return v, true, nil
	}
	if errors.Is(err, strata.ErrNotFound) {
		return dst, false, nil
	}
	return dst, false, err
}

func (d strataDB) WaitIdle() (float64, error) { return 0, d.DB.WaitIdle(context.Background()) }

func (d strataDB) Compact() error { return d.CompactRange(context.Background(), nil, nil) }

func (d strataDB) NewBatch() Batch { return &strataBatch{db: d.DB} }

func (d strataDB) NewIter(bool) (Iter, error) { return strataIter{d.NewIterator(nil)}, nil }

type strataIter struct{ *strata.Iterator }

func (it strataIter) Error() error { return it.Err() }

type strataBatch struct {
	db *strata.DB
	b  strata.Batch
}

func (b *strataBatch) Put(key, value []byte) error {
	b.b.Put(key, value)
	return nil
}

func (b *strataBatch) Delete(key []byte) error {
	b.b.Delete(key)
	return nil
}

func (b *strataBatch) Commit(sync bool) error {
	err := b.db.Write(&b.b, strataSync(sync))
	b.b.Reset()
	return err
}
