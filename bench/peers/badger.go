package main

import (
	"errors"

	"github.com/dgraph-io/badger/v4"
	"github.com/dgraph-io/badger/v4/options"
)

type badgerDB struct{ *badger.DB }

func openBadger(dir string) (DB, error) { return badgerWith(dir, false) }

// openBadgerSynced opens it so that every transaction syncs its log. Calls of
// Sync would each sync the value log, too, which holds nothing here.
func openBadgerSynced(dir string) (DB, error) { return badgerWith(dir, true) }

func badgerWith(dir string, syncWrites bool) (DB, error) {
	o := badger.DefaultOptions(dir).
		WithLogger(nil).
		WithMetricsEnabled(false).
		WithMemTableSize(memtableBytes).
		WithBlockCacheSize(cacheBytes).
		WithBlockSize(blockBytes).
		WithBloomFalsePositive(0.01). // what 10 bits a key give
		WithCompression(options.Snappy).
		WithChecksumVerificationMode(options.OnBlockRead).
		WithNumCompactors(max(2, compactors)).
		WithDetectConflicts(false).
		WithSyncWrites(syncWrites)
	db, err := badger.Open(o)
	if err != nil {
		return nil, err
	}
	return badgerDB{db}, nil
}

func (d badgerDB) Put(key, value []byte, sync bool) error {
	err := d.Update(func(tx *badger.Txn) error { return tx.Set(clone(key), clone(value)) })
	if err == nil && sync && !d.Opts().SyncWrites {
		err = d.Sync()
	}
	return err
}

func clone(b []byte) []byte { return append([]byte(nil), b...) }

func (d badgerDB) Delete(key []byte) error {
	return d.Update(func(tx *badger.Txn) error { return tx.Delete(clone(key)) })
}

func (d badgerDB) Get(dst, key []byte) (out []byte, found bool, err error) {
	err = d.View(func(tx *badger.Txn) error {
		item, err := tx.Get(key)
		if err != nil {
			return err
		}
		return item.Value(func(v []byte) error {
			dst, found = append(dst, v...), true
			return nil
		})
	})
	if errors.Is(err, badger.ErrKeyNotFound) {
		err = nil
	}
	return dst, found, err
}

func (d badgerDB) WaitIdle() (float64, error) { return waitQuiet() }

func (d badgerDB) Compact() error { return d.Flatten(compactors) }

func (d badgerDB) NewBatch() Batch { return &badgerBatch{db: d} }

type badgerBatch struct {
	db badgerDB
	b  *badger.WriteBatch
}

func (b *badgerBatch) batch() *badger.WriteBatch {
	if b.b == nil {
		b.b = b.db.NewWriteBatch()
	}
	return b.b
}

func (b *badgerBatch) Put(key, value []byte) error { return b.batch().Set(clone(key), clone(value)) }

func (b *badgerBatch) Delete(key []byte) error { return b.batch().Delete(clone(key)) }

func (b *badgerBatch) Commit(sync bool) error {
	err := b.batch().Flush()
	b.b = nil
	if err == nil && sync && !b.db.Opts().SyncWrites {
		err = b.db.Sync()
	}
	return err
}

// A badgerIter does not prefetch: values lie beside the keys.
type badgerIter struct {
	tx    *badger.Txn
	it    *badger.Iterator
	value []byte
	err   error
}

func (d badgerDB) NewIter(reverse bool) (Iter, error) {
	tx := d.NewTransaction(false)
	return &badgerIter{tx: tx, it: tx.NewIterator(badger.IteratorOptions{Reverse: reverse})}, nil
}

func (it *badgerIter) SeekGE(key []byte) bool {
	it.it.Seek(key)
	return it.it.Valid()
}

func (it *badgerIter) First() bool {
	it.it.Rewind()
	return it.it.Valid()
}

func (it *badgerIter) Next() bool {
	it.it.Next()
	return it.it.Valid()
}

func (it *badgerIter) Last() bool  { return it.First() }
func (it *badgerIter) Prev() bool  { return it.Next() }
func (it *badgerIter) Key() []byte { return it.it.Item().Key() }

func (it *badgerIter) Value() []byte {
	if err := it.it.Item().Value(it.keep); err != nil {
		it.err = err
	}
	return it.value
}

func (it *badgerIter) keep(v []byte) error {
	it.value = v
	return nil
}

func (it *badgerIter) Error() error { return it.err }

func (it *badgerIter) Close() error {
	it.it.Close()
	it.tx.Discard()
	return nil
}
