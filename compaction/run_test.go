package compaction

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"testing"

	"github.com/strata-db/strata/internal/base"
	"github.com/strata-db/strata/iterator"
	"github.com/strata-db/strata/sstable"
	"github.com/strata-db/strata/version"
	"github.com/stretchr/testify/require"
)

// A spyIter counts itself while it is open and fails where it is told to.
type spyIter struct {
	iterator.Iterator
	open   *int
	failAt int // the n-th entry is damaged, if > 0
	err    error
}

func (s *spyIter) next(kv *iterator.KV) *iterator.KV {
	if s.failAt--; s.failAt == 0 {
		s.err = base.Corruptf("000001.ldb", 17, "block checksum")
		return nil
	}
	return kv
}

func (s *spyIter) First() *iterator.KV { return s.next(s.Iterator.First()) }
func (s *spyIter) Next() *iterator.KV  { return s.next(s.Iterator.Next()) }
func (s *spyIter) Err() error          { return s.err }
func (s *spyIter) Close() error        { *s.open--; return s.err }

// A mergeCase is one Run over two files of level 0, one of level 1 and two of
// level 2, with everything that can fail.
type mergeCase struct {
	open    int // iterators
	mems    []*memTable
	failAt  int // entry of file 1
	openErr base.FileNum
	newErr  int // NewOutput number n
	addErr  int
	syncErr bool
	pace    func(int)
	short   bool // a file holds one entry less than its counts say
}

func (c *mergeCase) run(ctx context.Context) (*Result, error) {
	tables := make(map[base.FileNum][]iterator.KV)
	file := func(num base.FileNum, lo, hi int, seq base.SeqNum) *version.FileMeta {
		var kvs []iterator.KV
		for i := lo; i < hi; i++ {
			kvs = append(kvs, iterator.KV{K: base.MakeKey(fmt.Appendf(nil, "k%04d", i), seq, base.KindSet), V: []byte("v")})
		}
		tables[num] = kvs
		return fileOf(num, kvs)
	}
	p := &Plan{OutputLevel: 1, MaxOutputBytes: 100 * entryBytes, Inputs: []Input{
		{0, []*version.FileMeta{file(5, 0, 300, 9), file(4, 100, 400, 8)}},
		{1, []*version.FileMeta{file(1, 0, 200, 3), file(2, 200, 500, 2)}},
	}}
	p.seal(base.Bytewise)
	if c.short {
		tables[2] = tables[2][:299]
	}
	return Run(ctx, p, Env{
		Cmp: base.Bytewise, Pace: c.pace,
		OpenTable: func(f *version.FileMeta) (iterator.Iterator, error) {
			if f.Num == c.openErr {
				return nil, errors.New("too many open files")
			}
			c.open++
			s := &spyIter{Iterator: iterator.NewSlice(base.Bytewise, tables[f.Num]), open: &c.open}
			if f.Num == 1 {
				s.failAt = c.failAt
			}
			return s, nil
		},
		NewOutput: func() (Output, error) {
			if len(c.mems)+1 == c.newErr {
				return Output{}, errors.New("no space")
			}
			m := &memTable{failAdd: c.addErr, failSync: c.syncErr}
			c.mems = append(c.mems, m)
			return Output{Num: base.FileNum(100 + len(c.mems)), Type: base.FileTable, File: m, Writer: m}, nil
		},
	})
}

// TestRun protects the account a Run gives of itself.
func TestRun(t *testing.T) {
	paced := 0
	c := &mergeCase{pace: func(n int) { paced += n }}
	res, err := c.run(context.Background())
	require.NoError(t, err)
	require.Zero(t, c.open)
	require.Equal(t, uint64(1100), res.EntriesIn)
	require.Equal(t, uint64(500), res.EntriesOut)
	require.Equal(t, uint64(600), res.Dropped)
	require.Equal(t, uint64(1100*entryBytes), res.BytesRead)
	require.Equal(t, uint64(500*entryBytes), res.BytesWritten)
	require.Equal(t, uint64(1100*(5+8+1)), res.RawBytesIn)
	require.Equal(t, int(res.RawBytesIn), paced)
	require.Len(t, res.Outputs, 5)
	for i, f := range res.Outputs {
		require.Equal(t, base.FileNum(101+i), f.Num)
		require.True(t, c.mems[i].synced && c.mems[i].closed)
		st, ok := f.Stats()
		require.True(t, ok)
		require.Equal(t, version.Stats{Entries: 100, UserKeys: 100}, st)
	}
	b, ok := res.Outputs[4].SeqBounds()
	require.True(t, ok)
	require.Equal(t, version.SeqBounds{Smallest: 2, Largest: 2}, b)
}

// TestRunFails protects the promise that a failed Run says so, leaves nothing
// open and names every file that it began.
func TestRunFails(t *testing.T) {
	for name, c := range map[string]*mergeCase{
		"open level 0":  {openErr: 4},
		"open level 1":  {openErr: 2},
		"damaged input": {failAt: 150},
		"first output":  {newErr: 1},
		"third output":  {newErr: 3},
		"add":           {addErr: 50},
		"sync":          {syncErr: true},
		"short input":   {short: true},
	} {
		t.Run(name, func(t *testing.T) {
			res, err := c.run(context.Background())
			require.Error(t, err)
			require.Zero(t, c.open)
			require.Len(t, res.Outputs, len(c.mems))
			for i, m := range c.mems {
				require.True(t, m.closed)
				require.Equal(t, "0001"+fmt.Sprintf("%02d.ldb", i+1), res.Outputs[i].Name())
			}
			if c.failAt > 0 || c.short {
				var ce *base.CorruptionError
				require.ErrorAs(t, err, &ce)
				require.ErrorIs(t, err, base.ErrCorruption)
			}
		})
	}
}

// TestRunCancelled protects that a Run ends soon after its context.
func TestRunCancelled(t *testing.T) {
	ctx, cancel := context.WithCancel(context.Background())
	c := &mergeCase{pace: func(int) { cancel() }}
	res, err := c.run(ctx)
	require.ErrorIs(t, err, context.Canceled)
	require.Less(t, res.EntriesIn, uint64(1100))
	require.Zero(t, c.open)

	c = &mergeCase{}
	_, err = c.run(ctx)
	require.ErrorIs(t, err, context.Canceled)
	require.Empty(t, c.mems)
}

// TestRunTakesNoEdit: moves and drops have nothing to merge.
func TestRunTakesNoEdit(t *testing.T) {
	for _, p := range []*Plan{{Move: true}, {Drop: true}} {
		open := 1
		_, err := Run(context.Background(), p, Env{Cmp: base.Bytewise}, &spyIter{open: &open})
		require.ErrorIs(t, err, errNotRun)
		require.Zero(t, open)
	}
}

// A fileBuffer is a table in memory.
type fileBuffer struct{ bytes.Buffer }

func (*fileBuffer) Sync() error  { return nil }
func (*fileBuffer) Close() error { return nil }

// mergeTables merges n tables of count entries each, real ones, and returns the
// outputs.
func mergeTables(tb testing.TB, tables [][]byte, o sstable.WriterOptions, progress *Progress) (*Result, []*fileBuffer) {
	p := &Plan{OutputLevel: 1, MaxOutputBytes: 1 << 20}
	in := Input{Level: 0}
	readers := make(map[base.FileNum]*sstable.Reader)
	for i, b := range tables {
		r, err := sstable.NewReader(bytes.NewReader(b), int64(len(b)), sstable.ReaderOptions{Cmp: base.Bytewise})
		require.NoError(tb, err)
		num := base.FileNum(len(tables) - i)
		readers[num] = r
		it := r.NewIter(sstable.IterOptions{})
		f := &version.FileMeta{Num: num, Type: base.FileTable, Size: uint64(len(b))}
		f.Smallest, f.Largest = it.First().K.Clone(), it.Last().K.Clone()
		require.NoError(tb, it.Close())
		in.Files = append(in.Files, f)
	}
	p.Inputs = []Input{in}
	p.seal(base.Bytewise)
	var outs []*fileBuffer
	res, err := Run(context.Background(), p, Env{
		Cmp: base.Bytewise, Progress: progress,
		Version: version.NewVersion(base.Bytewise, [version.NumLevels][]*version.FileMeta{}),
		OpenTable: func(f *version.FileMeta) (iterator.Iterator, error) {
			return readers[f.Num].NewIter(sstable.IterOptions{Compaction: true}), nil
		},
		NewOutput: func() (Output, error) {
			b := &fileBuffer{}
			outs = append(outs, b)
			return Output{Num: base.FileNum(100 + len(outs)), Type: base.FileTable, File: b, Writer: sstable.NewWriter(b, o)}, nil
		},
	})
	require.NoError(tb, err)
	return res, outs
}

// makeTables returns n tables of count entries with keys spread over all.
func makeTables(tb testing.TB, n, count int, o sstable.WriterOptions) [][]byte {
	var tables [][]byte
	value := bytes.Repeat([]byte("half of this "), 8)
	for i := range n {
		b := &fileBuffer{}
		w := sstable.NewWriter(b, o)
		for j := range count {
			k := base.MakeKey(fmt.Appendf(nil, "%016d", (j*n+i)*7919), base.SeqNum(j*n+i+1), base.KindSet)
			require.NoError(tb, w.Add(k, value[:100]))
		}
		_, err := w.Finish()
		require.NoError(tb, err)
		tables = append(tables, b.Bytes())
	}
	return tables
}

// TestRunTables merges real tables and reads the result back.
func TestRunTables(t *testing.T) {
	o := sstable.WriterOptions{Cmp: base.Bytewise, FilterBitsPerKey: 10, Compression: sstable.NoCompression}
	var progress Progress
	res, outs := mergeTables(t, makeTables(t, 4, 8000, o), o, &progress)
	require.Equal(t, uint64(32000), res.EntriesOut)
	require.Greater(t, len(outs), 2)
	require.Equal(t, int64(len(outs)), progress.Tables.Load())
	require.Equal(t, int64(32000), progress.EntriesIn.Load())
	require.Equal(t, int64(res.BytesWritten), progress.BytesOut.Load())
	n := 0
	for i, b := range outs {
		require.Equal(t, uint64(b.Len()), res.Outputs[i].Size)
		r, err := sstable.NewReader(bytes.NewReader(b.Bytes()), int64(b.Len()), sstable.ReaderOptions{Cmp: base.Bytewise})
		require.NoError(t, err)
		it := r.NewIter(sstable.IterOptions{})
		for kv := it.First(); kv != nil; kv = it.Next() {
			require.Equal(t, fmt.Sprintf("%016d", n*7919), string(kv.K.UserKey))
			n++
		}
		require.NoError(t, it.Close())
	}
	require.Equal(t, 32000, n)
}

// TestMergeAllocates nothing for an entry.
func TestMergeAllocates(t *testing.T) {
	s := newSurvivor(base.Bytewise, []base.SeqNum{5, 10}, newOlder(base.Bytewise, nil, FlushPlan()))
	key := []byte("key-0000")
	i := byte(0)
	require.Zero(t, testing.AllocsPerRun(1000, func() {
		if i++; i == 0 {
			key[5]++
		}
		key[7] = i
		_, _, err := s.next(base.MakeKey(key, 7, base.KindSet))
		require.NoError(t, err)
	}))
}

// BenchmarkRun merges four tables of 25,000 entries of 116 bytes.
func BenchmarkRun(b *testing.B) {
	for _, c := range []sstable.Compression{sstable.NoCompression, sstable.Snappy} {
		b.Run(fmt.Sprint("compression=", c), func(b *testing.B) {
			o := sstable.WriterOptions{Cmp: base.Bytewise, FilterBitsPerKey: 10, Compression: c}
			tables := makeTables(b, 4, 25000, o)
			b.SetBytes(100000 * 116)
			b.ReportAllocs()
			for b.Loop() {
				mergeTables(b, tables, o, nil)
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/100000, "ns/entry")
		})
	}
}

// BenchmarkSurvivor is the part of a merge that this package adds.
func BenchmarkSurvivor(b *testing.B) {
	kvs := make([]iterator.KV, 10000)
	for i := range kvs {
		kvs[i] = iterator.KV{K: base.MakeKey(fmt.Appendf(nil, "%016d", i), base.SeqNum(i), base.KindSet)}
	}
	for b.Loop() {
		s := newSurvivor(base.Bytewise, nil, newOlder(base.Bytewise, nil, FlushPlan()))
		for i := range kvs {
			if keep, _, err := s.next(kvs[i].K); !keep || err != nil {
				b.Fatal(err)
			}
		}
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/10000, "ns/entry")
}
