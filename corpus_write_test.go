package strata_test

import (
	"bytes"
	"context"
	"fmt"
	"slices"
	"testing"

	"github.com/strata-db/strata"
	"github.com/strata-db/strata/internal/testcorpus"
)

// TestCorpusReadWrite goes on in every readable database of the corpus: it
// writes, deletes, reopens and compacts a copy, and holds each step against a
// model. It guards the promise that a directory of another engine is taken over
// in place.
func TestCorpusReadWrite(t *testing.T) {
	readable := func(c *testcorpus.Case) bool { return c.Outcome() == testcorpus.Exact }
	runCorpus(t, "read-write", readable, func(t *testing.T, c *testcorpus.Case) {
		dir := c.Copy(t)
		// Small memtables, so that flushes and compactions happen.
		o := &strata.Options{Comparer: c.Comparer(t), MemtableBytes: 32 << 10, TableBytes: 32 << 10}
		m := &model{order: o.Comparer, entries: c.Content(t)}
		session(t, dir, o, func(db *strata.DB) {
			checkContent(t, db, m.order, m.entries)
			m.extend(t, db, 300)
			checkContent(t, db, m.order, m.entries)
		})
		session(t, dir, o, func(db *strata.DB) {
			checkContent(t, db, m.order, m.entries)
			m.shrink(t, db)
			if err := db.CompactRange(context.Background(), nil, nil); err != nil {
				t.Fatalf("compact: %v", err)
			}
			checkContent(t, db, m.order, m.entries)
			checkVerifyFindsNothing(t, db)
		})
		o.ReadOnly = true
		session(t, dir, o, func(db *strata.DB) { checkContent(t, db, m.order, m.entries) })
	})
}

// session opens the database, runs fn and closes it.
func session(t *testing.T, dir string, o *strata.Options, fn func(db *strata.DB)) {
	t.Helper()
	db, err := strata.Open(dir, o)
	if err != nil {
		t.Fatalf("open: %v", err)
	}
	defer func() {
		if err := db.Close(); err != nil {
			t.Errorf("close: %v", err)
		}
	}()
	fn(db)
}

// A model is what a database should hold, in key order.
type model struct {
	order   *strata.Comparer
	entries []testcorpus.Entry
}

func (m *model) find(key []byte) (int, bool) {
	return slices.BinarySearchFunc(m.entries, key, func(e testcorpus.Entry, k []byte) int { return m.order.Compare(e.Key, k) })
}

func (m *model) put(key, value []byte) {
	i, found := m.find(key)
	if found {
		m.entries[i] = testcorpus.EntryOf(key, value)
		return
	}
	m.entries = slices.Insert(m.entries, i, testcorpus.EntryOf(key, value))
}

func (m *model) delete(key []byte) {
	if i, found := m.find(key); found {
		m.entries = slices.Delete(m.entries, i, i+1)
	}
}

// extend writes n new keys, singly and in batches, and a new value for every
// seventh old one.
func (m *model) extend(t *testing.T, db *strata.DB, n int) {
	t.Helper()
	for i, e := range slices.Clone(m.entries) {
		if i%7 == 0 {
			m.write(t, db, e.Key, []byte("again"))
		}
	}
	for i := range n {
		// Some of the values do not fit a block.
		m.write(t, db, testcorpus.NewKey(m.order, i), bytes.Repeat(fmt.Appendf(nil, "%d,", i), 1+i*i%400))
	}
	var b strata.Batch
	for i := range n {
		key := testcorpus.NewKey(m.order, i)
		if i%5 == 0 {
			b.Delete(key)
			m.delete(key)
		}
		if i%10 == 0 {
			b.Put(key, []byte("back"))
			m.put(key, []byte("back"))
		}
	}
	if err := db.Write(&b, strata.Sync); err != nil {
		t.Fatalf("write batch: %v", err)
	}
}

func (m *model) write(t *testing.T, db *strata.DB, key, value []byte) {
	t.Helper()
	if err := db.Put(key, value, nil); err != nil {
		t.Fatalf("put %x: %v", key, err)
	}
	m.put(key, value)
}

// shrink deletes every third key.
func (m *model) shrink(t *testing.T, db *strata.DB) {
	t.Helper()
	for i, e := range slices.Clone(m.entries) {
		if i%3 != 0 {
			continue
		}
		if err := db.Delete(e.Key, nil); err != nil {
			t.Fatalf("delete %x: %v", e.Key, err)
		}
		m.delete(e.Key)
	}
}
