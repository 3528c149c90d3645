package main

import "bytes"

// The queue's depth and how many entries go through it at most: each First steps
// over what was deleted and not compacted yet, so the time grows with the square.
const (
	queueDepth = 1000
	queueOps   = 5000
)

// queue appends at the tail, finds the head with a new iterator's First, and
// deletes it. An operation is all three. What it measures is how an engine steps
// over tombstones in its memtable.
func (e *env) queue() error {
	depth, ops := uint64(min(queueDepth, e.Num)), uint64(min(queueOps, e.Num))
	var key []byte
	push := func(i uint64) error {
		key = e.keys.Append(key[:0], i)
		return e.db.Put(key, e.values.At(i), false)
	}
	for i := range depth {
		if err := push(i); err != nil {
			return err
		}
	}
	err := e.timed(int(ops), func() error {
		for i := range ops {
			if err := push(i + depth); err != nil {
				return err
			}
			key = e.keys.Append(key[:0], i)
			right, err := e.firstIs(key, e.values.At(i))
			if err != nil {
				return err
			}
			if right {
				e.res.Hits++
			}
			if err := e.db.Delete(key); err != nil {
				return err
			}
		}
		return nil
	})
	e.res.Want = int(ops)
	return err
}

// firstIs reports whether a new iterator begins with this entry.
func (e *env) firstIs(key, value []byte) (bool, error) {
	it, err := e.db.NewIter(false)
	if err != nil {
		return false, err
	}
	right := it.First() && bytes.Equal(it.Key(), key) && bytes.Equal(it.Value(), value)
	if err := it.Error(); err != nil {
		it.Close()
		return false, err
	}
	return right, it.Close()
}
