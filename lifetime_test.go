package strata

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/strata-db/strata/vfs"
)

// Close gives the memtables back. They lie outside the Go heap, so that a process
// that opened and closed databases kept a memtable for each.
func TestCloseReleasesMemtables(t *testing.T) {
	fs := vfs.NewFault(vfs.NewMem())
	db, err := Open("db", &Options{FS: fs})
	require.NoError(t, err)
	fs.FailAll(vfs.OpCreate, errors.New("no tables")) // so that a sealed one stays
	mustPut(t, db, "a", "1")
	require.Error(t, db.Flush())
	mustPut(t, db, "b", "2")
	it := db.NewIterator(nil)
	tables := []*memEntry{db.mu.imm[0], db.commits.mem}
	require.NoError(t, db.Close())
	for _, m := range tables {
		m.table.Ref()
		require.NotPanics(t, m.table.Unref, "an open iterator keeps it")
	}
	require.NoError(t, it.Close())
	for _, m := range tables {
		require.Panics(t, m.table.Unref, "somebody still has a reference")
	}
}

// What was replayed read-only is given back, too.
func TestCloseReleasesReplayedMemtables(t *testing.T) {
	fs := vfs.NewMem()
	db, err := Open("db", &Options{FS: fs})
	require.NoError(t, err)
	mustPut(t, db, "a", "1")
	require.NoError(t, db.Close())
	db, err = Open("db", &Options{FS: fs, ReadOnly: true})
	require.NoError(t, err)
	m := db.mu.imm[0]
	require.NoError(t, db.Close())
	require.Panics(t, m.table.Unref)
}

// An iterator that is closed after its database does not remove files any more:
// the directory may be another database's by then.
func TestLateIteratorRemovesNothing(t *testing.T) {
	fs := vfs.NewMem()
	fill := func() *DB {
		db, err := Open("db", &Options{FS: fs})
		require.NoError(t, err)
		mustPut(t, db, "a", "1")
		require.NoError(t, db.Flush())
		require.NoError(t, db.WaitIdle(context.Background())) // its log may go a moment later
		return db
	}
	db := fill()
	it := db.NewIterator(nil)
	require.NoError(t, db.Delete([]byte("a"), nil))
	require.NoError(t, db.CompactRange(context.Background(), nil, nil))
	require.NoError(t, db.Close())
	require.NoError(t, Destroy("db", &Options{FS: fs}))

	db = fill()
	before, err := fs.List("db")
	require.NoError(t, err)
	require.NoError(t, it.Close())
	after, err := fs.List("db")
	require.NoError(t, err)
	require.ElementsMatch(t, before, after)
	require.NoError(t, db.Close())
}

// A read through a snapshot that is being closed sees what it kept, or ErrClosed:
// never a tree from which that was compacted away.
func TestSnapshotClosedDuringRead(t *testing.T) {
	db := openMem(t, nil)
	mustPut(t, db, "a", "old")
	s := db.NewSnapshot()
	mustPut(t, db, "a", "new")
	p := s.pin()
	require.NoError(t, s.Close())
	require.NoError(t, db.CompactRange(context.Background(), nil, nil))
	v, err := db.appendAt(p, nil, []byte("a"), s.at)
	require.NoError(t, err)
	require.Equal(t, "old", string(v))
	require.Nil(t, s.pin().readState)
	_, err = s.Get([]byte("a"))
	require.ErrorIs(t, err, ErrClosed)
}

// What an iterator is made of is used again after its Close. A closed iterator
// that is still called must not move, or close, the one that has it now.
func TestClosedIteratorLeavesOthersAlone(t *testing.T) {
	db := openMem(t, nil)
	for i := range 100 {
		require.NoError(t, db.Put(fmt.Appendf(nil, "%03d", i), []byte("v"), nil))
	}
	require.NoError(t, db.Flush())
	for range 20 {
		old := db.NewIterator(nil)
		require.True(t, old.SeekGE([]byte("050")))
		require.NoError(t, old.Close())
		it := db.NewIterator(nil)
		require.True(t, it.SeekGE([]byte("010")))
		require.False(t, old.Next())
		require.False(t, old.SeekGE([]byte("090")))
		require.Nil(t, old.Key())
		require.ErrorIs(t, old.Err(), ErrClosed)
		require.NoError(t, old.Close())
		require.Equal(t, "010", string(it.Key()))
		require.True(t, it.Next())
		require.Equal(t, "011", string(it.Key()))
		require.NoError(t, it.Close())
	}
}

// panicking returns a bytewise order that panics while *broken.
func panicking(broken *bool) *Comparer {
	return &Comparer{Name: "test.panics", Compare: func(a, b []byte) int {
		if *broken {
			panic("compare")
		}
		return bytes.Compare(a, b)
	}}
}

// A comparer of the user's that panics in a read must not keep Close waiting for
// that read.
func TestPanickingComparerLetsGo(t *testing.T) {
	broken := false
	db := openMem(t, &Options{Comparer: panicking(&broken)})
	mustPut(t, db, "a", "1")
	mustPut(t, db, "b", "1")
	broken = true
	require.Panics(t, func() { db.Get([]byte("b")) })
	require.Panics(t, func() { db.Has([]byte("b")) })
	require.Panics(t, func() { db.View([]byte("b"), func([]byte) error { return nil }) })
	broken = false
	require.NoError(t, db.Close())
}

// A comparer of the user's that panics on malformed keys refuses them before
// anything of the write is in the log or takes part in the order of commits.
func TestPanickingComparerRefusesKeys(t *testing.T) {
	fs := vfs.NewMem()
	o := &Options{FS: fs, Comparer: &Comparer{Name: "test.digits", Compare: func(a, b []byte) int {
		if len(a) != 2 || len(b) != 2 {
			panic("keys have two digits")
		}
		return bytes.Compare(a, b)
	}}}
	db, err := Open("db", o)
	require.NoError(t, err)
	mustPut(t, db, "05", "1")
	seq := db.Metrics().LastSeq
	require.Panics(t, func() { db.Put([]byte("5"), nil, nil) })
	require.Panics(t, func() { db.Delete([]byte("005"), nil) })
	var b Batch
	b.Put([]byte("04"), []byte("x"))
	b.Put(nil, nil)
	require.Panics(t, func() { db.Write(&b, &WriteOptions{Sync: true}) })
	require.Equal(t, seq, db.Metrics().LastSeq)
	mustPut(t, db, "06", "1")
	require.NoError(t, db.Flush())
	require.NoError(t, db.Close())
	db, err = Open("db", o)
	require.NoError(t, err)
	_, err = db.Get([]byte("04"))
	require.ErrorIs(t, err, ErrNotFound)
	require.NoError(t, db.Close())
}

// A comparer of the user's that panics while an iterator is made, or in its midst,
// must not keep the tree it would have walked, nor spoil those made later.
func TestPanickingComparerLeavesIterators(t *testing.T) {
	broken := false
	db := openMem(t, &Options{Comparer: panicking(&broken)})
	for i := range 3 {
		for j := range 20 {
			mustPut(t, db, fmt.Sprintf("%02d", j), fmt.Sprint(i))
		}
		require.NoError(t, db.Flush())
	}
	old := db.state.Load()
	broken = true
	require.Panics(t, func() { db.NewIterator(&IterOptions{LowerBound: []byte("05")}) })
	broken = false
	for _, move := range []func(*Iterator) bool{
		(*Iterator).First, (*Iterator).Last, (*Iterator).Next, (*Iterator).Prev,
		func(it *Iterator) bool { return it.SeekGE([]byte("10")) },
		func(it *Iterator) bool { return it.SeekLT([]byte("10")) },
	} {
		it := db.NewIterator(nil)
		require.True(t, it.SeekGE([]byte("07")))
		broken = true
		require.Panics(t, func() { move(it) })
		broken = false
		require.False(t, it.Valid())
		require.Nil(t, it.Key())
		n := 0
		for it.Next() { // it is as if new
			require.Equal(t, fmt.Sprintf("%02d 2", n), fmt.Sprintf("%s %s", it.Key(), it.Value()))
			n++
		}
		require.Equal(t, 20, n)
		require.NoError(t, it.Close())
		require.NoError(t, it.Close())
		n = 0
		require.Panics(t, func() {
			for range db.Range(nil, nil) {
				n++
				broken = n == 10
			}
		})
		broken = false
		n = 0
		for range db.Range(nil, nil) {
			n++
		}
		require.Equal(t, 20, n)
	}
	require.EqualValues(t, 1, old.refs.Load())
	require.NoError(t, db.Close())
}
