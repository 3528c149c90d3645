package strata_test

import (
	"context"
	"errors"
	"slices"
	"testing"

	"github.com/strata-db/strata"
	"github.com/strata-db/strata/internal/testcorpus"
)

// direction of a walk.
type direction bool

const (
	forward  direction = false
	backward direction = true
)

func (d direction) String() string {
	if d == backward {
		return "backwards"
	}
	return "forwards"
}

// walk reads everything in one direction and compares it with content, entry by
// entry. It returns how many entries were shown and the error that ended the
// walk; what is shown must be the first ones of content, and an error sticky.
func walk(t *testing.T, r strata.Reader, content []testcorpus.Entry, d direction) (n int, err error) {
	t.Helper()
	it := r.NewIterator(nil)
	defer it.Close()
	start, step := it.First, it.Next
	if d == backward {
		start, step = it.Last, it.Prev
	}
	for ok := start(); ok; ok = step() {
		if n == len(content) {
			t.Fatalf("%s: shows %x = %.40x behind the last entry", d, it.Key(), it.Value())
		}
		want := content[n]
		if d == backward {
			want = content[len(content)-1-n]
		}
		if string(it.Key()) != string(want.Key) || !want.Match(it.Value()) {
			t.Fatalf("%s: entry %d is %x = %.40x, want %v", d, n, it.Key(), it.Value(), want)
		}
		n++
	}
	err = it.Err()
	if it.Valid() || it.Key() != nil || it.Value() != nil {
		t.Errorf("%s: valid after the end", d)
	}
	if err != nil && (it.Next() || it.Prev() || it.Valid() || !errors.Is(it.Err(), err)) {
		t.Errorf("%s: the error %q is not sticky, now %v", d, err, it.Err())
	}
	return n, err
}

// checkContent wants exactly content: by walks in both directions, by point
// reads and by seeks, to keys that are there and beside them.
func checkContent(t *testing.T, r strata.Reader, order *strata.Comparer, content []testcorpus.Entry) {
	t.Helper()
	for _, d := range []direction{forward, backward} {
		if n, err := walk(t, r, content, d); err != nil || n != len(content) {
			t.Fatalf("%s: %d of %d entries, error %v", d, n, len(content), err)
		}
	}
	if order == nil {
		order = strata.BytewiseComparer
	}
	at := func(key []byte) (int, bool) {
		return slices.BinarySearchFunc(content, key, func(e testcorpus.Entry, k []byte) int { return order.Compare(e.Key, k) })
	}
	it := r.NewIterator(nil)
	defer it.Close()
	for _, e := range content {
		checkAt(t, r, it, content, at, e.Key)
		checkAt(t, r, it, content, at, append(slices.Clone(e.Key), 0))
		checkAt(t, r, it, content, at, e.Key[:len(e.Key)/2])
	}
	if err := it.Err(); err != nil {
		t.Errorf("seeks: %v", err)
	}
}

// checkAt holds Get, Has, SeekGE and SeekLT at one key against content. at finds
// the index of the first entry not before a key, and whether it is that key's.
func checkAt(t *testing.T, r strata.Reader, it *strata.Iterator, content []testcorpus.Entry, at func([]byte) (int, bool), key []byte) {
	t.Helper()
	i, found := at(key)
	v, err := r.Get(key)
	switch {
	case found && (err != nil || !content[i].Match(v)):
		t.Errorf("Get(%x) = %.40x, %v, want %v", key, v, err, content[i])
	case !found && !errors.Is(err, strata.ErrNotFound):
		t.Errorf("Get(%x) = %.40x, %v, want not found", key, v, err)
	}
	if has, err := r.Has(key); has != found || err != nil {
		t.Errorf("Has(%x) = %v, %v, want %v", key, has, err, found)
	}
	if ok := it.SeekGE(key); ok != (i < len(content)) || ok && string(it.Key()) != string(content[i].Key) {
		t.Errorf("SeekGE(%x) = %v at %x, want entry %d of %d", key, ok, it.Key(), i, len(content))
	}
	if ok := it.SeekLT(key); ok != (i > 0) || ok && string(it.Key()) != string(content[i-1].Key) {
		t.Errorf("SeekLT(%x) = %v at %x, want entry %d of %d", key, ok, it.Key(), i-1, len(content))
	}
}

// verify runs Verify and returns all that it reports.
func verify(t *testing.T, db *strata.DB) []error {
	t.Helper()
	report, err := db.Verify(context.Background())
	var problems []error
	if report != nil {
		problems = append(problems, report.Problems...)
	}
	if err != nil && len(problems) == 0 {
		problems = append(problems, err)
	}
	return problems
}

func checkVerifyFindsNothing(t *testing.T, db *strata.DB) {
	t.Helper()
	for _, p := range verify(t, db) {
		t.Errorf("Verify reports %v", p)
	}
}
