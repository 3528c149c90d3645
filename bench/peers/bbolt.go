package main

import (
	"os"
	"path/filepath"
	"sync/atomic"
	"time"

	bolt "go.etcd.io/bbolt"
)

type bboltDB struct {
	*bolt.DB
	writers *atomic.Int32 // in Put with sync
}

var bboltBucket = []byte("b")

func openBbolt(dir string) (DB, error) {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return nil, err
	}
	db, err := bolt.Open(filepath.Join(dir, "data"), 0o644, &bolt.Options{
		NoSync:          true,
		NoFreelistSync:  true,
		FreelistType:    bolt.FreelistMapType,
		InitialMmapSize: 2 << 30,
	})
	if err != nil {
		return nil, err
	}
	err = db.Update(func(tx *bolt.Tx) error {
		_, err := tx.CreateBucketIfNotExists(bboltBucket)
		return err
	})
	db.MaxBatchSize, db.MaxBatchDelay = 16, time.Millisecond
	return bboltDB{db, new(atomic.Int32)}, err
}

// Put shares a transaction with the other writers that wait for the disk, if
// there are any: what Batch is for.
func (d bboltDB) Put(key, value []byte, sync bool) error {
	update := d.Update
	if sync {
		if d.writers.Add(1) > 1 {
			update = d.Batch
		}
		defer d.writers.Add(-1)
	}
	return update(func(tx *bolt.Tx) error {
		d.NoSync = !sync // read by the commit, under the writer's lock
		return tx.Bucket(bboltBucket).Put(key, value)
	})
}

func (d bboltDB) Delete(key []byte) error {
	return d.Update(func(tx *bolt.Tx) error { return tx.Bucket(bboltBucket).Delete(key) })
}

func (d bboltDB) Get(dst, key []byte) (out []byte, found bool, err error) {
	err = d.View(func(tx *bolt.Tx) error {
		if v := tx.Bucket(bboltBucket).Get(key); v != nil {
			dst, found = append(dst, v...), true
		}
		return nil
	})
	return dst, found, err
}

func (d bboltDB) WaitIdle() (float64, error) { return 0, nil }

func (d bboltDB) Compact() error { return nil }

func (d bboltDB) NewBatch() Batch { return &bboltBatch{db: d} }

// A bboltBatch writes into an open transaction.
type bboltBatch struct {
	db bboltDB
	tx *bolt.Tx
}

func (b *bboltBatch) bucket() (*bolt.Bucket, error) {
	if b.tx == nil {
		tx, err := b.db.Begin(true)
		if err != nil {
			return nil, err
		}
		b.tx = tx
	}
	return b.tx.Bucket(bboltBucket), nil
}

func (b *bboltBatch) Put(key, value []byte) error {
	bucket, err := b.bucket()
	if err != nil {
		return err
	}
	return bucket.Put(clone(key), value)
}

func (b *bboltBatch) Delete(key []byte) error {
	bucket, err := b.bucket()
	if err != nil {
		return err
	}
	return bucket.Delete(key)
}

func (b *bboltBatch) Commit(sync bool) error {
	if b.tx == nil {
		return nil
	}
	b.db.NoSync = !sync
	err := b.tx.Commit()
	b.tx = nil
	return err
}

type bboltIter struct {
	tx         *bolt.Tx
	c          *bolt.Cursor
	key, value []byte
}

func (d bboltDB) NewIter(bool) (Iter, error) {
	tx, err := d.Begin(false)
	if err != nil {
		return nil, err
	}
	return &bboltIter{tx: tx, c: tx.Bucket(bboltBucket).Cursor()}, nil
}

func (it *bboltIter) at(key, value []byte) bool {
	it.key, it.value = key, value
	return key != nil
}

func (it *bboltIter) SeekGE(key []byte) bool { return it.at(it.c.Seek(key)) }
func (it *bboltIter) First() bool            { return it.at(it.c.First()) }
func (it *bboltIter) Last() bool             { return it.at(it.c.Last()) }
func (it *bboltIter) Next() bool             { return it.at(it.c.Next()) }
func (it *bboltIter) Prev() bool             { return it.at(it.c.Prev()) }
func (it *bboltIter) Key() []byte            { return it.key }
func (it *bboltIter) Value() []byte          { return it.value }
func (it *bboltIter) Error() error           { return nil }
func (it *bboltIter) Close() error           { return it.tx.Rollback() }
