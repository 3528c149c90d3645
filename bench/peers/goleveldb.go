package main

import (
	"errors"

	"github.com/syndtr/goleveldb/leveldb"
	"github.com/syndtr/goleveldb/leveldb/filter"
	"github.com/syndtr/goleveldb/leveldb/iterator"
	"github.com/syndtr/goleveldb/leveldb/opt"
	"github.com/syndtr/goleveldb/leveldb/util"
)

type goleveldbDB struct{ *leveldb.DB }

// openGoleveldb leaves what the settings do not name as it is by default; block
// checksums are verified by default. Seek compactions are off, as in go-ethereum:
// they rewrite tables because they are read.
func openGoleveldb(dir string) (DB, error) {
	db, err := leveldb.OpenFile(dir, &opt.Options{
		WriteBuffer:            memtableBytes,
		BlockCacheCapacity:     cacheBytes,
		BlockSize:              blockBytes,
		Filter:                 filter.NewBloomFilter(filterBits),
		Compression:            opt.SnappyCompression,
		OpenFilesCacheCapacity: openFiles,
		DisableSeeksCompaction: true,
	})
	if err != nil {
		return nil, err
	}
	return goleveldbDB{db}, nil
}

var (
	goleveldbSync   = &opt.WriteOptions{Sync: true}
	goleveldbNoSync = &opt.WriteOptions{}
)

func goleveldbWrite(sync bool) *opt.WriteOptions {
	if sync {
		return goleveldbSync
	}
	return goleveldbNoSync
}

func (d goleveldbDB) Put(key, value []byte, sync bool) error {
	return d.DB.Put(key, value, goleveldbWrite(sync))
}

func (d goleveldbDB) Delete(key []byte) error { return d.DB.Delete(key, goleveldbNoSync) }

func (d goleveldbDB) Get(dst, key []byte) ([]byte, bool, error) {
	v, err := d.DB.Get(key, nil) // a copy, which the engine makes in any case
	if errors.Is(err, leveldb.ErrNotFound) {
		return dst, false, nil
	}
	if err != nil {
		return dst, false, err
	}
	if len(dst) == 0 {
		return v, true, nil
	}
	return append(dst, v...), true, nil
}

func (d goleveldbDB) Sync() error { return d.Write(new(leveldb.Batch), goleveldbSync) }

func (d goleveldbDB) WaitIdle() (float64, error) { return waitQuiet() }

func (d goleveldbDB) Compact() error { return d.CompactRange(util.Range{}) }

func (d goleveldbDB) NewBatch() Batch { return &goleveldbBatch{db: d.DB} }

func (d goleveldbDB) NewIter(bool) (Iter, error) {
	return goleveldbIter{d.NewIterator(nil, nil)}, nil
}

type goleveldbIter struct{ iterator.Iterator }

func (it goleveldbIter) SeekGE(key []byte) bool { return it.Seek(key) }

func (it goleveldbIter) Close() error {
	it.Release()
	return nil
}

type goleveldbBatch struct {
	db *leveldb.DB
	b  leveldb.Batch
}

func (b *goleveldbBatch) Put(key, value []byte) error {
	b.b.Put(key, value)
	return nil
}

func (b *goleveldbBatch) Delete(key []byte) error {
	b.b.Delete(key)
	return nil
}

func (b *goleveldbBatch) Commit(sync bool) error {
	err := b.db.Write(&b.b, goleveldbWrite(sync))
	b.b.Reset()
	return err
}
