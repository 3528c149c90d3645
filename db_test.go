package strata

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/strata-db/strata/vfs"
)

func openMem(t *testing.T, o *Options) *DB {
	t.Helper()
	if o == nil {
		o = &Options{}
	}
	if o.FS == nil {
		o.FS = vfs.NewMem()
	}
	db, err := Open("db", o)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, db.Close()) })
	return db
}

func mustPut(t *testing.T, db *DB, kv ...string) {
	t.Helper()
	for i := 0; i < len(kv); i += 2 {
		require.NoError(t, db.Put([]byte(kv[i]), []byte(kv[i+1]), nil))
	}
}

// The first steps of a new user.
func TestPutGetDelete(t *testing.T) {
	db := openMem(t, nil)
	mustPut(t, db, "a", "1", "b", "2")
	v, err := db.Get([]byte("a"))
	require.NoError(t, err)
	require.Equal(t, "1", string(v))
	require.NoError(t, db.Delete([]byte("a"), Sync))
	_, err = db.Get([]byte("a"))
	require.ErrorIs(t, err, ErrNotFound)
	has, err := db.Has([]byte("b"))
	require.NoError(t, err)
	require.True(t, has)
	v, err = db.Append([]byte("x"), []byte("b"))
	require.NoError(t, err)
	require.Equal(t, "x2", string(v))
}

// nil and empty keys and values are legal, and equal.
func TestNilIsEmpty(t *testing.T) {
	db := openMem(t, nil)
	require.NoError(t, db.Put(nil, nil, nil))
	v, err := db.Get([]byte{})
	require.NoError(t, err)
	require.NotNil(t, v)
	require.Empty(t, v)
	require.NoError(t, db.Delete([]byte{}, nil))
	_, err = db.Get(nil)
	require.ErrorIs(t, err, ErrNotFound)
	require.NoError(t, db.Write(nil, nil), "a nil batch, which goleveldb takes, was a panic")
	require.NoError(t, db.Write(nil, Sync))
}

// nil bounds are open, an empty upper bound is an empty range.
func TestBounds(t *testing.T) {
	db := openMem(t, nil)
	mustPut(t, db, "a", "1", "b", "2", "c", "3")
	count := func(o *IterOptions) (n int) {
		var err error
		for range db.Range(o, &err) {
			n++
		}
		require.NoError(t, err)
		return n
	}
	require.Equal(t, 3, count(nil))
	require.Equal(t, 0, count(&IterOptions{UpperBound: []byte{}}))
	require.Equal(t, 2, count(&IterOptions{LowerBound: []byte("b")}))
	require.Equal(t, 1, count(&IterOptions{LowerBound: []byte("b"), UpperBound: []byte("c")}))
	require.Equal(t, 0, count(&IterOptions{LowerBound: []byte("c"), UpperBound: []byte("a")}))
	require.Equal(t, 1, count(PrefixRange([]byte("b"))))
	require.Equal(t, 3, count(PrefixRange(nil)))
}

// Loops of the form "for it.Next()" and "for it.Prev()" work on a fresh iterator.
func TestFreshIterator(t *testing.T) {
	db := openMem(t, nil)
	mustPut(t, db, "a", "1", "b", "2")
	var got []string
	it := db.NewIterator(nil)
	for it.Next() {
		got = append(got, string(it.Key()))
	}
	require.NoError(t, it.Close())
	it = db.NewIterator(nil)
	for it.Prev() {
		got = append(got, string(it.Key()))
	}
	require.NoError(t, it.Close())
	require.Equal(t, []string{"a", "b", "b", "a"}, got)
	require.NoError(t, it.Close())
	require.False(t, it.Next())
	require.ErrorIs(t, it.Err(), ErrClosed)
}

// Breaking out of a range loop closes its iterator.
func TestRangeClosesItself(t *testing.T) {
	db := openMem(t, &Options{Debug: true})
	mustPut(t, db, "a", "1", "b", "2")
	for range db.Range(nil, nil) {
		break
	}
	require.Zero(t, db.Metrics().Iterators.Open)
}

// Everything gives ErrClosed after Close, and Close may be called twice.
func TestUseAfterClose(t *testing.T) {
	db := openMem(t, nil)
	mustPut(t, db, "a", "1")
	it, snap := db.NewIterator(nil), db.NewSnapshot()
	require.True(t, it.First())
	require.NoError(t, db.Close())
	require.NoError(t, db.Close())
	ctx := context.Background()
	k := []byte("a")
	var b Batch
	b.Put(k, k)
	errs := map[string]error{
		"Put": db.Put(k, k, nil), "PutSync": db.Put(k, k, Sync), "Delete": db.Delete(k, nil), "Write": db.Write(&b, nil),
		"WriteEmpty": db.Write(&Batch{}, nil), "Sync": db.Sync(), "Flush": db.Flush(), "CompactRange": db.CompactRange(ctx, nil, nil),
		"WaitIdle": db.WaitIdle(ctx), "Checkpoint": db.Checkpoint(ctx, "x"), "View": db.View(k, nil),
		"NewIterator": db.NewIterator(nil).Err(), "SnapshotView": snap.View(k, nil),
	}
	_, errs["Get"] = db.Get(k)
	_, errs["Has"] = db.Has(k)
	_, errs["Verify"] = db.Verify(ctx)
	_, errs["EstimateSize"] = db.EstimateSize(nil, nil)
	_, errs["SnapshotGet"] = snap.Get(k)
	require.False(t, it.Next())
	errs["Iterator"] = it.Err()
	for name, err := range errs {
		require.ErrorIs(t, err, ErrClosed, name)
	}
	require.NoError(t, it.Close())
	require.NoError(t, snap.Close())
	require.NoError(t, snap.Close())
	db.Metrics()
	require.NotEmpty(t, db.Metrics().String())
}

// With Debug, Close names what was left open, and where it was made.
func TestLeaksAreNamed(t *testing.T) {
	db, err := Open("db", &Options{FS: vfs.NewMem(), Debug: true})
	require.NoError(t, err)
	mustPut(t, db, "a", "1")
	it := db.NewIterator(nil)
	snap := db.NewSnapshot()
	err = db.Close()
	require.ErrorContains(t, err, "TestLeaksAreNamed")
	require.ErrorContains(t, err, "iterator open for")
	require.ErrorContains(t, err, "snapshot open for")
	it.Close()
	snap.Close()
}

// Close leaves no goroutine behind, whatever was going on.
func TestCloseLeavesNoGoroutine(t *testing.T) {
	before := runtime.NumGoroutine()
	for range 5 {
		db, err := Open("db", &Options{FS: vfs.NewMem(), MemtableBytes: 32 << 10, TableBytes: 32 << 10})
		require.NoError(t, err)
		for i := range 3000 {
			mustPut(t, db, fmt.Sprintf("%06d", i*7919%3000), "some value of some length, to fill memtables")
		}
		require.NoError(t, db.Close())
	}
	for deadline := time.Now().Add(5 * time.Second); runtime.NumGoroutine() > before; runtime.Gosched() {
		if time.Now().After(deadline) {
			buf := make([]byte, 1<<20)
			t.Fatalf("goroutines left:\n%s", buf[:runtime.Stack(buf, true)])
		}
	}
}

// Sizes over the limits are refused before anything is written.
func TestTooLarge(t *testing.T) {
	db := openMem(t, nil)
	huge := hugeSlice(MaxKeyBytes + 1)
	require.ErrorIs(t, db.Put(huge, nil, nil), ErrKeyTooLarge)
	require.ErrorIs(t, db.Put(nil, huge, nil), ErrKeyTooLarge)
	require.ErrorIs(t, db.Delete(huge, nil), ErrKeyTooLarge)
	var b Batch
	b.Put([]byte("a"), []byte("1"))
	b.Put(huge, nil)
	require.ErrorIs(t, db.Write(&b, nil), ErrKeyTooLarge)
	_, err := db.Get([]byte("a"))
	require.ErrorIs(t, err, ErrNotFound)
	b.Reset()
	b.Put([]byte("a"), []byte("1"))
	require.NoError(t, db.Write(&b, nil))
}

// hugeSlice is n bytes of address space that nobody touches.
func hugeSlice(n int) []byte { return make([]byte, n) }

// Options out of range name the field and the range.
func TestInvalidOptions(t *testing.T) {
	for _, o := range []Options{
		{MemtableBytes: 1}, {TableBytes: 3}, {BlockBytes: 1 << 30}, {MaxOpenFiles: 1}, {Workers: -1},
		{Compression: 77}, {FilterBitsPerKey: 1000}, {IndexBytes: 1}, {CompactionBytesPerSecond: -1}, {Comparer: &Comparer{}}, {MaxMemtables: 1},
	} {
		_, err := Open("db", &o)
		require.ErrorIs(t, err, ErrInvalidOptions, "%+v", o)
	}
}

// A numbered temporary file of another program was removed when a database was made
// beside it; one that an interrupted creation left is still in nobody's way.
func TestOpenLeavesTemporaryFilesOfOthers(t *testing.T) {
	for content, mine := range map[string]bool{"letter": false, strings.Repeat("x", 5000): false, "": true, "MANIFEST-000001\n": true, "\x00\x00": true} {
		fs := vfs.NewMem()
		require.NoError(t, fs.MkdirAll("db"))
		f, err := fs.Create("db/5.tmp")
		require.NoError(t, err)
		_, err = f.Write([]byte(content))
		require.NoError(t, err)
		require.NoError(t, f.Close())
		db, err := Open("db", &Options{FS: fs})
		if mine {
			require.NoError(t, err, "%q", content)
			require.NoError(t, db.Close())
			continue
		}
		require.ErrorIs(t, err, ErrNotDatabase)
		require.ErrorContains(t, err, "5.tmp")
		_, err = fs.Stat("db/5.tmp")
		require.NoError(t, err)
	}
}

// A directory with other people's files is left alone.
func TestForeignDirectory(t *testing.T) {
	fs := vfs.NewMem()
	require.NoError(t, fs.MkdirAll("db"))
	f, err := fs.Create("db/thesis.txt")
	require.NoError(t, err)
	require.NoError(t, f.Close())
	_, err = Open("db", &Options{FS: fs})
	require.ErrorIs(t, err, ErrNotDatabase)
	require.ErrorContains(t, err, "thesis.txt")
	require.ErrorIs(t, Destroy("db", &Options{FS: fs}), ErrNotDatabase)
	names, err := fs.List("db")
	require.NoError(t, err)
	require.Equal(t, []string{"thesis.txt"}, names)
}

// A file in place of a directory was an error of the system alone, and Open with an
// empty name left a lock file in the working directory.
func TestNoDirectory(t *testing.T) {
	t.Chdir(t.TempDir())
	require.NoError(t, os.WriteFile("file", []byte("mine"), 0o644))
	for _, dir := range []string{"file", ""} {
		for _, o := range []*Options{nil, {ReadOnly: true}, {ErrorIfMissing: true}} {
			_, err := Open(dir, o)
			require.ErrorIs(t, err, ErrNotDatabase, "%q", dir)
		}
		require.ErrorIs(t, Destroy(dir, nil), ErrNotDatabase)
	}
	for _, dry := range []bool{false, true} {
		_, err := Repair("file", &RepairOptions{DryRun: dry})
		require.ErrorIs(t, err, ErrNotDatabase)
	}
	names, err := vfs.OS.List(".")
	require.NoError(t, err)
	require.Equal(t, []string{"file"}, names)
}

func TestMissingAndExisting(t *testing.T) {
	fs := vfs.NewMem()
	_, err := Open("db", &Options{FS: fs, ErrorIfMissing: true})
	require.ErrorIs(t, err, ErrNotExist)
	_, err = Open("db", &Options{FS: fs, ReadOnly: true})
	require.ErrorIs(t, err, ErrNotExist)
	db, err := Open("db", &Options{FS: fs})
	require.NoError(t, err)
	_, err = Open("db", &Options{FS: fs})
	require.ErrorIs(t, err, ErrLocked)
	_, err = Open("db", &Options{FS: fs, ReadOnly: true})
	require.ErrorIs(t, err, ErrLocked)
	require.NoError(t, db.Close())
	_, err = Open("db", &Options{FS: fs, ErrorIfExists: true})
	require.ErrorIs(t, err, ErrExists)
	_, err = Open("db", &Options{FS: fs, Comparer: reverseComparer})
	require.ErrorIs(t, err, ErrComparerMismatch)
	require.ErrorContains(t, err, "strata.test.Reverse")
	_, err = Open("db", &Options{FS: fs, Compression: Zstd})
	require.ErrorIs(t, err, ErrNeedsUpgrade)
	db, err = Open("db", &Options{FS: fs}) // and all that left it intact
	require.NoError(t, err)
	require.NoError(t, db.Close())
}

// A read-only DB shows what the log holds, refuses writes, and changes nothing.
func TestReadOnly(t *testing.T) {
	dir := t.TempDir()
	db, err := Open(dir, nil)
	require.NoError(t, err)
	mustPut(t, db, "a", "1")
	require.NoError(t, db.Flush())
	mustPut(t, db, "b", "2")
	require.NoError(t, db.Close())
	before := listing(t, dir)
	ro, err := Open(dir, &Options{ReadOnly: true})
	require.NoError(t, err)
	two, err := Open(dir, &Options{ReadOnly: true})
	require.NoError(t, err)
	_, err = Open(dir, nil)
	require.ErrorIs(t, err, ErrLocked)
	v, err := ro.Get([]byte("b"))
	require.NoError(t, err)
	require.Equal(t, "2", string(v))
	require.ErrorIs(t, ro.Put([]byte("c"), nil, nil), ErrReadOnly)
	require.ErrorIs(t, ro.Flush(), ErrReadOnly)
	require.ErrorIs(t, ro.Sync(), ErrReadOnly)
	require.ErrorIs(t, ro.CompactRange(context.Background(), nil, nil), ErrReadOnly)
	require.NoError(t, ro.Close())
	require.NoError(t, two.Close())
	require.Equal(t, before, listing(t, dir))
}

func listing(t *testing.T, dir string) map[string]string {
	t.Helper()
	out := map[string]string{}
	entries, err := os.ReadDir(dir)
	require.NoError(t, err)
	for _, e := range entries {
		b, err := os.ReadFile(filepath.Join(dir, e.Name()))
		require.NoError(t, err)
		out[e.Name()] = string(b)
	}
	return out
}

// Opening and closing leaves no trail of files.
func TestOpenCloseLeavesNoTrail(t *testing.T) {
	dir := t.TempDir()
	for i := range 20 {
		db, err := Open(dir, nil)
		require.NoError(t, err)
		if i == 3 {
			mustPut(t, db, "a", "1")
		}
		require.NoError(t, db.WaitIdle(context.Background()))
		require.NoError(t, db.Close())
	}
	require.LessOrEqual(t, len(listing(t, dir)), 5, "%v", listing(t, dir))
}

// Concurrent writers each see their own write at once, and none is lost.
func TestConcurrentWriters(t *testing.T) {
	dir := t.TempDir()
	db, err := Open(dir, &Options{MemtableBytes: 256 << 10})
	require.NoError(t, err)
	var wg sync.WaitGroup
	for w := range 8 {
		wg.Go(func() {
			for i := range 500 {
				k := fmt.Appendf(nil, "%d-%d", w, i)
				wo := NoSync
				if i%100 == 0 {
					wo = Sync
				}
				if err := db.Put(k, k, wo); err != nil {
					t.Error(err)
					return
				}
				if v, err := db.Get(k); err != nil || !bytes.Equal(v, k) {
					t.Errorf("%s is %q, %v", k, v, err)
					return
				}
			}
		})
	}
	wg.Wait()
	require.NoError(t, db.Close())
	db, err = Open(dir, nil)
	require.NoError(t, err)
	n := 0
	for range db.Range(nil, &err) {
		n++
	}
	require.NoError(t, err)
	require.Equal(t, 4000, n)
	require.NoError(t, db.Close())
}

// View pins what it shows; a panic in it releases the pin.
func TestViewPanicReleases(t *testing.T) {
	db := openMem(t, nil)
	mustPut(t, db, "a", "1")
	require.Panics(t, func() { db.View([]byte("a"), func([]byte) error { panic("mine") }) })
	require.ErrorIs(t, db.View([]byte("a"), func([]byte) error { return errors.ErrUnsupported }), errors.ErrUnsupported)
	// Close (in Cleanup) would hang on a pin that was kept.
}

// CompactRange is done when it returns: deleted keys take no space.
func TestCompactRangeIsDone(t *testing.T) {
	db := openMem(t, &Options{MemtableBytes: 64 << 10, TableBytes: 64 << 10})
	for i := range 5000 {
		mustPut(t, db, fmt.Sprintf("%06d", i), "a value that is not small, nor very large")
	}
	for i := range 5000 {
		require.NoError(t, db.Delete(fmt.Appendf(nil, "%06d", i), nil))
	}
	require.NoError(t, db.CompactRange(context.Background(), nil, nil))
	m := db.Metrics()
	for level, l := range m.Levels {
		require.Zero(t, l.Tables, "level %d\n%s", level, m)
	}
}

// Every size up to past a memtable fits a batch.
func TestOversizedBatch(t *testing.T) {
	db := openMem(t, &Options{MemtableBytes: 64 << 10})
	for _, n := range []int{1, 1 << 10, 32 << 10, 63 << 10, 64 << 10, 65 << 10, 1 << 20, 5 << 20} {
		var b Batch
		b.Put([]byte("small"), []byte("x"))
		b.Put(fmt.Appendf(nil, "big%d", n), make([]byte, n))
		require.NoError(t, db.Write(&b, nil))
	}
	require.NoError(t, db.Flush())
	v, err := db.Get([]byte("big5242880"))
	require.NoError(t, err)
	require.Len(t, v, 5<<20)
}

// A batch over half a memtable shares one that it fits into; one that fits none gets
// a memtable of its own, of its size, and the next one is as small as ever.
func TestLargeBatchesShareMemtables(t *testing.T) {
	var sealed int
	o := &Options{MemtableBytes: 256 << 10, MaxMemtables: 64, Events: &Events{LogCreated: func(FileInfo) { sealed++ }}}
	db := openMem(t, o)
	write := func(n int) {
		t.Helper()
		var b Batch
		b.Put(fmt.Append(nil, "key", n), make([]byte, n))
		require.NoError(t, db.Write(&b, nil))
	}
	begun := sealed
	write(60 << 10)
	write(140 << 10)
	require.Equal(t, begun, sealed, "there was room")
	write(140 << 10)
	require.Equal(t, begun+1, sealed)
	write(1 << 20)
	require.Equal(t, begun+2, sealed, "with what was there before")
	write(1)
	require.Equal(t, begun+3, sealed, "with what comes after")
	require.NoError(t, db.Flush())
	require.Less(t, db.Metrics().Memtable.MemoryBytes, o.MemtableBytes)
	for _, n := range []int{60 << 10, 140 << 10, 1 << 20, 1} {
		v, err := db.Get(fmt.Append(nil, "key", n))
		require.NoError(t, err)
		require.Len(t, v, n)
	}
}

// A batch written by one database can be sent to another as bytes.
func TestBatchBytes(t *testing.T) {
	var b, c Batch
	b.Put([]byte("a"), []byte("1"))
	b.Delete([]byte("b"))
	require.NoError(t, c.SetBytes(b.Bytes()))
	require.Equal(t, 2, c.Len())
	var got []string
	require.NoError(t, c.Each(func(kind Kind, k, v []byte) error {
		got = append(got, fmt.Sprintf("%s %s=%s", kind, k, v))
		return nil
	}))
	require.Equal(t, []string{"SET a=1", "DEL b="}, got)
	require.Error(t, c.SetBytes([]byte("rubbish")))
	require.Equal(t, 2, c.Len())
	require.NoError(t, (&Batch{}).SetBytes((&Batch{}).Bytes()))
}
