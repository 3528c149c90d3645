package strata

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"slices"
	"strconv"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/strata-db/strata/internal/base"
	"github.com/strata-db/strata/internal/checksum"
	"github.com/strata-db/strata/memtable"
	"github.com/strata-db/strata/sstable"
	"github.com/strata-db/strata/version"
	"github.com/strata-db/strata/vfs"
	"github.com/strata-db/strata/wal/record"
)

// Reads of trees as other engines leave them, put together by hand: versions of
// one key on both sides of a border between two tables, level 0 out of sequence
// order, tables without properties, several memtables, orders in which different
// bytes are equal. Point reads and many iterators, open at once, moved by turns
// and closed in any order, are compared with the list of all entries; where opens
// and reads of files fail, with what they failed of.
// STRATA_SEED begins with another tree, STRATA_TREES makes more of them.

func TestForeignReads(t *testing.T) {
	number := func(name string, otherwise uint64) uint64 {
		if n, err := strconv.ParseUint(os.Getenv(name), 10, 64); err == nil {
			return n
		}
		return otherwise
	}
	first, trees := number("STRATA_SEED", rand.Uint64()%1e9), number("STRATA_TREES", 12)
	for _, cmp := range []*Comparer{BytewiseComparer, reverseComparer, lengthFirst, caseFolding} {
		t.Run(cmp.Name, func(t *testing.T) {
			t.Parallel()
			for seed := first; seed < first+trees; seed++ {
				if ok := t.Run(fmt.Sprintf("seed=%d", seed), func(t *testing.T) { newForeignTree(t, cmp, seed).run() }); !ok {
					return
				}
			}
		})
	}
}

var lengthFirst = &Comparer{Name: "strata.test.LengthFirst", EqualIsIdentical: true, Compare: func(a, b []byte) int {
	if len(a) != len(b) {
		return len(a) - len(b)
	}
	return bytes.Compare(a, b)
}}

var caseFolding = &Comparer{Name: "strata.test.CaseFolding", Compare: func(a, b []byte) int {
	return bytes.Compare(bytes.ToLower(a), bytes.ToLower(b))
}}

// A foreignEntry is one version of a key.
type foreignEntry struct {
	key   []byte
	tr    base.Trailer
	value []byte
}

type foreignTree struct {
	t   *testing.T
	r   *rand.Rand
	cmp *Comparer
	fs  *vfs.Fault
	db  *DB

	pool    [][]byte       // the keys in use
	entries []foreignEntry // by age: sequence number i+1 at i
	tables  int            // how many of them the tables hold

	edit    version.Edit
	readers []*foreignReader
	failing bool // some calls of the file system fail just now
}

func newForeignTree(t *testing.T, cmp *Comparer, seed uint64) *foreignTree {
	f := &foreignTree{t: t, r: rand.New(rand.NewPCG(seed, 11)), cmp: cmp, fs: vfs.NewFault(vfs.NewMem())}
	f.edit.Comparer = cmp.Name
	require.NoError(t, f.fs.MkdirAll("db"))
	for range 3 + f.r.IntN(60) {
		f.pool = append(f.pool, f.newKey())
	}
	distinct := f.r.IntN(4) == 0 // one run, one version a key
	n := f.r.IntN(600)
	if distinct {
		sortBytes(f.pool, cmp)
		f.pool = slices.CompactFunc(f.pool, func(a, b []byte) bool { return cmp.Compare(a, b) == 0 })
		n = len(f.pool)
	}
	for i := range n {
		e := f.newEntry(i)
		if distinct {
			e.key = f.pool[i]
		}
		f.entries = append(f.entries, e)
	}
	f.tables = n
	if distinct {
		f.addRun(3, f.entries)
	} else {
		f.tables = f.r.IntN(n + 1)
		f.deal(f.entries[:f.tables])
	}
	f.writeManifest()
	return f
}

func sortBytes(keys [][]byte, cmp *Comparer) {
	slices.SortFunc(keys, func(a, b []byte) int { return cmp.Compare(a, b) })
}

func (f *foreignTree) newKey() []byte {
	switch f.r.IntN(20) {
	case 0:
		return nil
	case 1:
		return append(bytes.Repeat([]byte("long"), 20+f.r.IntN(200)), byte('a'+f.r.IntN(3)))
	}
	k := []byte("common prefix"[:f.r.IntN(2)*13])
	for range f.r.IntN(5) {
		k = append(k, "aAbBc\x00\xff"[f.r.IntN(7)])
	}
	return k
}

// key returns a key that mostly is in use, perhaps in other letters.
func (f *foreignTree) key() []byte {
	if f.r.IntN(4) == 0 {
		return f.newKey()
	}
	k := f.pool[f.r.IntN(len(f.pool))]
	if f.cmp == caseFolding && f.r.IntN(2) == 0 {
		return bytes.ToUpper(k)
	}
	return k
}

func (f *foreignTree) newEntry(i int) foreignEntry {
	k := f.key()
	if f.r.IntN(3) == 0 {
		k = f.pool[0] // it gets many versions
	}
	if f.r.IntN(4) == 0 {
		return foreignEntry{key: k, tr: base.MakeTrailer(base.SeqNum(i+1), base.KindDelete)}
	}
	v := fmt.Appendf(nil, "%d ", i+1)
	if f.r.IntN(10) == 0 {
		v = append(v, make([]byte, f.r.IntN(3000))...)
	}
	return foreignEntry{key: k, tr: base.MakeTrailer(base.SeqNum(i+1), base.KindSet), value: v}
}

// deal puts es, by age, into levels: the oldest deepest, the newest into level 0.
func (f *foreignTree) deal(es []foreignEntry) {
	for _, level := range []int{5, 4, 2, 1} {
		n := f.r.IntN(len(es) + 1)
		if f.r.IntN(2) == 0 {
			f.addRun(level, es[:n])
			es = es[n:]
		}
	}
	// Level 0 in any order: which table an entry is in says nothing of its age.
	files := make([][]foreignEntry, 1+f.r.IntN(6))
	for _, e := range es {
		i := f.r.IntN(len(files))
		files[i] = append(files[i], e)
	}
	for _, es := range files {
		f.addTable(0, es)
	}
}

// addRun makes a sorted level of es, cut anywhere.
func (f *foreignTree) addRun(level int, es []foreignEntry) {
	es = slices.Clone(es)
	f.sort(es)
	for len(es) > 0 {
		n := 1 + f.r.IntN(min(len(es), 1+f.r.IntN(120)))
		f.addTable(level, es[:n])
		es = es[n:]
	}
}

func (f *foreignTree) sort(es []foreignEntry) {
	slices.SortFunc(es, func(a, b foreignEntry) int {
		return f.cmp.CompareInternal(base.InternalKey{UserKey: a.key, Trailer: a.tr}, base.InternalKey{UserKey: b.key, Trailer: b.tr})
	})
}

func (f *foreignTree) addTable(level int, es []foreignEntry) {
	if len(es) == 0 {
		return
	}
	f.sort(es)
	var b bytes.Buffer
	w := sstable.NewWriter(&b, sstable.WriterOptions{
		Cmp: f.cmp, BlockBytes: 64 << f.r.IntN(7), RestartInterval: 1 + f.r.IntN(20),
		Compression:      []sstable.Compression{sstable.NoCompression, sstable.Snappy}[f.r.IntN(2)],
		FilterBitsPerKey: 10 * f.r.IntN(2), LevelDBFilter: f.r.IntN(2) == 0,
	})
	for _, e := range es {
		require.NoError(f.t, w.Add(base.InternalKey{UserKey: e.key, Trailer: e.tr}, e.value))
	}
	m, err := w.Finish()
	require.NoError(f.t, err)
	data := b.Bytes()
	if f.r.IntN(2) == 0 {
		hideProperties(f.t, data)
	}
	meta := &version.FileMeta{
		Num: base.FileNum(10 + len(f.edit.Added)), Type: base.FileTable,
		Size: m.Size, Smallest: m.Smallest, Largest: m.Largest,
	}
	f.edit.Add(level, meta)
	f.write(meta.Name(), data)
}

// hideProperties gives the properties of a table another name, as if another
// engine had written what it holds.
func hideProperties(t *testing.T, table []byte) {
	footer := table[len(table)-48:]
	off, n := binary.Uvarint(footer)
	size, _ := binary.Uvarint(footer[n:])
	block := table[off : off+size+1]
	at := bytes.Index(block, []byte("strata.properties"))
	require.Positive(t, at)
	copy(block[at:], "strata.propertieZ")
	binary.LittleEndian.PutUint32(table[off+size+1:], checksum.Mask(checksum.New(block)))
}

func (f *foreignTree) write(name string, data []byte) {
	w, err := f.fs.Create("db/" + name)
	require.NoError(f.t, err)
	_, err = w.Write(data)
	require.NoError(f.t, err)
	require.NoError(f.t, w.Close())
}

func (f *foreignTree) writeManifest() {
	var log base.FileNum
	next, last := base.FileNum(10+len(f.edit.Added)), base.SeqNum(f.tables)
	f.edit.LogNum, f.edit.PrevLogNum, f.edit.NextFileNum, f.edit.LastSeq = &log, &log, &next, &last
	var b framedBytes
	require.NoError(f.t, record.NewWriter(&b, 0).Write(f.edit.Encode(nil)))
	f.write("MANIFEST-000001", b)
	f.write("CURRENT", []byte("MANIFEST-000001\n"))
}

// run reads in three phases: from memtables put together by hand above the tables
// as they are; from the DB while it gets the same entries by its own means and
// compacts; and after it was closed.
func (f *foreignTree) run() {
	o := &Options{
		FS: f.fs, Comparer: f.cmp, MemtableBytes: 32 << 10, MaxOpenFiles: 8,
		CacheBytes: []int64{-1, 1 << 10, 1 << 20}[f.r.IntN(3)], Debug: f.r.IntN(2) == 0,
	}
	o.testing.disableAuto, o.testing.l0Slow, o.testing.l0Stop = true, 1000, 1000
	var err error
	f.db, err = Open("db", o)
	require.NoError(f.t, err)
	require.EqualValues(f.t, f.tables, f.db.commits.visible.Load())

	rs := f.handMade()
	for range 100 {
		f.step(rs)
	}
	if f.r.IntN(2) == 0 {
		f.failReads()
		for range 100 {
			f.step(rs)
		}
		f.fs.Clear()
		f.failing = false
		for _, r := range f.readers {
			r.hurt = true
		}
	}
	rs.unref()

	var snaps []*Snapshot
	for i, e := range f.entries[f.tables:] {
		if e.tr.Kind() == base.KindDelete {
			err = f.db.Delete(e.key, NoSync)
		} else {
			err = f.db.Put(e.key, e.value, NoSync)
		}
		require.NoError(f.t, err)
		require.EqualValues(f.t, f.tables+i+1, f.db.commits.visible.Load())
		switch f.r.IntN(40) {
		case 0:
			require.NoError(f.t, f.db.Flush())
		case 1:
			require.NoError(f.t, f.db.CompactRange(context.Background(), f.key(), f.key()))
		case 2:
			snaps = append(snaps, f.db.NewSnapshot())
		}
		if len(snaps) > 0 && f.r.IntN(4) == 0 {
			s := snaps[f.r.IntN(len(snaps))]
			f.open(s.NewIterator, s.at)
			f.get(s, s.at)
		}
		if f.r.IntN(3) == 0 {
			f.step(nil)
		}
	}
	for _, s := range snaps {
		require.NoError(f.t, s.Close())
	}
	for range 50 {
		f.step(nil)
	}
	require.NoError(f.t, f.db.CompactRange(context.Background(), nil, nil))
	for range 50 {
		f.step(nil)
	}

	require.Equal(f.t, len(f.readers) == 0 || !o.Debug, f.db.Close() == nil, "with Debug it names the open iterators")
	for i, r := range f.readers {
		if i%2 == 0 {
			require.False(f.t, r.it.Next())
			require.Nil(f.t, r.it.Key())
			if r.err == nil {
				require.ErrorIs(f.t, r.it.Err(), ErrClosed)
			}
		}
	}
	for len(f.readers) > 0 {
		f.close(f.r.IntN(len(f.readers)))
	}
}

// handMade returns a state of all tables and of several memtables above them that
// hold the rest of the entries.
func (f *foreignTree) handMade() *readState {
	var mems []*memEntry
	es := f.entries[f.tables:]
	for range 1 + f.r.IntN(4) {
		m := &memEntry{table: memtable.New(f.cmp, 4<<20)}
		n := f.r.IntN(len(es) + 1)
		for _, e := range es[:n] {
			require.True(f.t, m.table.Reserve(1, int64(len(e.key)+len(e.value)+64)))
			m.table.Insert(e.key, e.tr, e.value)
		}
		es, mems = es[n:], append([]*memEntry{m}, mems...)
	}
	f.entries = f.entries[:len(f.entries)-len(es)]
	v := f.db.set.Current()
	rs := newReadState(mems, v, func() {})
	v.Unref()
	for _, m := range mems {
		m.table.Unref() // the state has its own
	}
	return rs
}

func (rs *readState) testPin() pinned {
	rs.stripes[0].n.Add(1)
	return pinned{rs, &rs.stripes[0]}
}

// failReads has some opens and reads fail from now on.
func (f *foreignTree) failReads() {
	f.failing = true
	r := rand.New(rand.NewPCG(f.r.Uint64(), 12)) // used with the file system's lock
	rule := func(kind vfs.OpKind, err error) {
		f.fs.Add(&vfs.Rule{Kind: kind, Err: err, Match: func(vfs.Op) bool { return r.IntN(8) == 0 }})
	}
	rule(vfs.OpOpen, syscall.EMFILE)
	rule(vfs.OpRead, errBadDisk)
}

// errBadDisk is what failing reads give.
var errBadDisk = errors.New("bad disk")

// isFault reports whether err is one of those that failReads makes.
func isFault(err error) bool { return errors.Is(err, syscall.EMFILE) || errors.Is(err, errBadDisk) }

// step opens, moves or closes a reader, or reads a point. With rs it reads that,
// as of any sequence number, otherwise the DB as it is now.
func (f *foreignTree) step(rs *readState) {
	switch n := f.r.IntN(10); {
	case n == 0 && len(f.readers) > 0:
		f.close(f.r.IntN(len(f.readers)))
	case n < 3 && len(f.readers) < 12:
		if rs == nil {
			f.open(f.db.NewIterator, base.SeqNum(f.db.commits.visible.Load()))
			return
		}
		at := base.SeqNum(f.r.IntN(len(f.entries) + 1))
		f.open(func(o *IterOptions) *Iterator { return f.db.newIterator(rs.testPin(), o, at) }, at)
	case n < 5:
		if rs == nil {
			f.get(f.db, base.SeqNum(f.db.commits.visible.Load()))
			return
		}
		at := base.SeqNum(f.r.IntN(len(f.entries) + 1))
		k := f.key()
		v, err := f.db.appendAt(rs.testPin(), nil, k, at)
		f.checkGet(k, v, err, at)
	case len(f.readers) > 0:
		r := f.readers[f.r.IntN(len(f.readers))]
		for range 1 + f.r.IntN(12) {
			r.move(f)
		}
	}
}

func (f *foreignTree) get(r Reader, at base.SeqNum) {
	k := f.key()
	v, err := r.Get(k)
	f.checkGet(k, v, err, at)
}

func (f *foreignTree) checkGet(k, v []byte, err error, at base.SeqNum) {
	f.t.Helper()
	if f.failing && isFault(err) {
		return
	}
	e, ok := f.newest(k, at)
	if !ok {
		require.ErrorIs(f.t, err, ErrNotFound, "%q at %d is %q", k, at, v)
		return
	}
	require.NoError(f.t, err)
	require.Equal(f.t, string(e.value), string(v), "%q at %d", k, at)
}

// newest returns what k shows at at.
func (f *foreignTree) newest(k []byte, at base.SeqNum) (foreignEntry, bool) {
	for _, e := range slices.Backward(f.entries[:at]) {
		if f.cmp.Compare(e.key, k) == 0 {
			return e, e.tr.Kind() == base.KindSet
		}
	}
	return foreignEntry{}, false
}

// A foreignReader is an iterator, what it is to show, and where it stands there.
type foreignReader struct {
	it    *Iterator
	what  string
	want  []foreignEntry
	i     int // -1 before the start, len(want) past the end
	fresh bool
	hurt  bool  // it was open while reads failed, and may have read ahead
	err   error // what has ended the walk
}

func (f *foreignTree) open(make func(*IterOptions) *Iterator, at base.SeqNum) {
	if len(f.readers) >= 12 {
		return
	}
	o := &IterOptions{NoCacheFill: f.r.IntN(2) == 0}
	if f.r.IntN(2) == 0 {
		o.LowerBound = f.key()
	}
	if f.r.IntN(2) == 0 {
		o.UpperBound = f.key()
	}
	r := &foreignReader{it: make(o), want: f.shown(o, at), fresh: true}
	r.what = fmt.Sprintf("[%q, %q) at %d", o.LowerBound, o.UpperBound, at)
	f.readers = append(f.readers, r)
}

// shown returns the entries that a reader with these bounds shows.
func (f *foreignTree) shown(o *IterOptions, at base.SeqNum) []foreignEntry {
	if o.UpperBound != nil && len(o.UpperBound) == 0 {
		return nil
	}
	es := slices.Clone(f.entries[:at])
	f.sort(es)
	var out []foreignEntry
	for i, e := range es {
		if i > 0 && f.cmp.Compare(es[i-1].key, e.key) == 0 || e.tr.Kind() == base.KindDelete ||
			o.LowerBound != nil && f.cmp.Compare(e.key, o.LowerBound) < 0 ||
			o.UpperBound != nil && f.cmp.Compare(e.key, o.UpperBound) >= 0 {
			continue
		}
		out = append(out, e)
	}
	return out
}

// move makes one move and compares.
func (r *foreignReader) move(f *foreignTree) {
	f.t.Helper()
	var ok bool
	seek := func(k []byte) int {
		i, _ := slices.BinarySearchFunc(r.want, k, func(e foreignEntry, k []byte) int { return f.cmp.Compare(e.key, k) })
		return i
	}
	n, name := f.r.IntN(20), ""
	switch {
	case n < 8 && !r.fresh:
		name, ok = "Next", r.it.Next()
		r.i = min(r.i+1, len(r.want))
	case n < 16 && !r.fresh:
		name, ok = "Prev", r.it.Prev()
		r.i = max(r.i-1, -1)
	case n == 16 || n < 8:
		move := r.it.First
		if n < 8 {
			move = r.it.Next
		}
		name, ok, r.i = "First", move(), 0
	case n == 17 || n < 16:
		move := r.it.Last
		if n < 16 {
			move = r.it.Prev
		}
		name, ok, r.i = "Last", move(), len(r.want)-1
	case n == 18:
		k := f.key()
		name, ok, r.i = fmt.Sprintf("SeekGE(%q)", k), r.it.SeekGE(k), seek(k)
	default:
		k := f.key()
		name, ok, r.i = fmt.Sprintf("SeekLT(%q)", k), r.it.SeekLT(k), seek(k)-1
	}
	r.fresh = false
	if r.err == nil && (f.failing || r.hurt) && isFault(r.it.Err()) {
		r.err = r.it.Err()
	}
	if r.err != nil { // for good
		require.False(f.t, ok || r.it.Valid())
		require.Nil(f.t, r.it.Key())
		require.Equal(f.t, r.err, r.it.Err())
		return
	}
	require.NoError(f.t, r.it.Err(), "%s: %s", r.what, name)
	require.Equal(f.t, r.i >= 0 && r.i < len(r.want), ok, "%s: %s to %d of %d gives %q", r.what, name, r.i, len(r.want), r.it.Key())
	if ok {
		require.Equal(f.t, string(r.want[r.i].key), string(r.it.Key()), "%s: %s", r.what, name)
		require.Equal(f.t, string(r.want[r.i].value), string(r.it.Value()), "%s: %s", r.what, name)
	} else {
		require.Nil(f.t, r.it.Key())
		require.Nil(f.t, r.it.Value())
	}
}

// close closes reader i, which shows its entry until then, and gives ErrClosed
// afterwards.
func (f *foreignTree) close(i int) {
	r := f.readers[i]
	f.readers = slices.Delete(f.readers, i, i+1)
	if r.it.Valid() {
		require.Equal(f.t, string(r.want[r.i].key), string(r.it.Key()), r.what)
		require.Equal(f.t, string(r.want[r.i].value), string(r.it.Value()), r.what)
	}
	require.Equal(f.t, r.err, r.it.Close())
	require.NoError(f.t, r.it.Close())
	for _, move := range []func() bool{r.it.First, r.it.Last, r.it.Next, r.it.Prev, func() bool { return r.it.SeekGE(nil) }, func() bool { return r.it.SeekLT(nil) }} {
		require.False(f.t, move())
	}
	require.True(f.t, errors.Is(r.it.Err(), ErrClosed) && !r.it.Valid() && r.it.Key() == nil && r.it.Value() == nil)
}
