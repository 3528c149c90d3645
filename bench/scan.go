package bench

import (
	"bytes"

	"github.com/strata-db/strata"
)

// scan walks over up to n entries, in either direction, and again from the start
// if the benchmark has a duration. A whole scan must see every key that is
// there.
func (t *thread) scan(n int, reverse bool) error {
	for i := 0; t.more(i, n); {
		it := t.db.NewIterator(nil)
		seen := int64(0)
		whole := true
		start, next := it.First, it.Next
		if reverse {
			start, next = it.Last, it.Prev
		}
		for ok := start(); ok; ok = next() {
			if !t.more(i, n) {
				whole = false
				break
			}
			i++
			seen++
			t.did(len(it.Key()) + len(it.Value()))
		}
		if err := closeIter(it); err != nil {
			return err
		}
		t.found += seen
		t.wanted += seen
		if live := t.r.content.live.Load(); whole && t.r.content.known.Load() {
			t.wanted += live - seen
			t.wrong += max(live-seen, seen-live)
		}
		if seen == 0 || !t.timed {
			return nil
		}
	}
	return nil
}

// closeIter closes it and returns what ended its walk.
func closeIter(it *strata.Iterator) error {
	err := it.Err()
	if e := it.Close(); err == nil {
		err = e
	}
	return err
}

func readSeq(t *thread) error     { return t.scan(t.cfg.reads(), false) }
func readReverse(t *thread) error { return t.scan(t.cfg.reads(), true) }

// seek moves it to number k, takes the steps asked for and checks the answer:
// found means that the key itself is there.
func (t *thread) seek(it *strata.Iterator, k uint64) {
	ok := it.SeekGE(t.keyOf(k))
	found := ok && bytes.Equal(it.Key(), t.key)
	var value []byte
	if found {
		value = it.Value()
	}
	right := t.r.content.right(k, value, found)
	n := 0
	for ; ok && n < t.cfg.SeekNexts; n++ {
		ok = it.Next()
	}
	t.read(right, found)
}

// seekRandom makes an iterator for each seek, as a program does for a range
// query.
func seekRandom(t *thread) error {
	for i := 0; t.more(i, t.cfg.reads()); i++ {
		it := t.db.NewIterator(nil)
		t.seek(it, t.anyKey())
		if err := closeIter(it); err != nil {
			return err
		}
		t.did(0)
	}
	return nil
}

// seekOrdered seeks forward on one iterator.
func seekOrdered(t *thread) error {
	it := t.db.NewIterator(nil)
	defer it.Close()
	k := uint64(0)
	for i := 0; t.more(i, t.cfg.reads()); i++ {
		k = (k + t.rng.Uint64N(100)) % uint64(t.cfg.Num)
		t.seek(it, k)
		if err := it.Err(); err != nil {
			return err
		}
		t.did(0)
	}
	return nil
}

// fillSeekSeq writes in order and seeks to each key just written.
func fillSeekSeq(t *thread) error {
	for i := 0; t.more(i, t.cfg.Num); i++ {
		k := uint64(i % t.cfg.Num)
		value := t.r.content.write(k)
		if err := t.db.Put(t.keyOf(k), value, t.wo); err != nil {
			return err
		}
		it := t.db.NewIterator(nil)
		t.seek(it, k)
		if err := closeIter(it); err != nil {
			return err
		}
		t.did(len(t.key) + len(value))
	}
	return nil
}

// scanFrom reads up to n entries from number k on.
func (t *thread) scanFrom(k uint64, n int) error {
	it := t.db.NewIterator(&strata.IterOptions{})
	found, bytes := 0, 0
	for ok := it.SeekGE(t.keyOf(k)); ok; ok = it.Next() {
		bytes += len(it.Key()) + len(it.Value())
		if found++; found == n {
			break
		}
	}
	if err := closeIter(it); err != nil {
		return err
	}
	t.read(found > 0 || !t.r.content.known.Load() || !t.r.content.has(k), found > 0)
	t.did(bytes)
	return nil
}
