package sstable

import (
	"bytes"
	"flag"
	"os"
	"path/filepath"
	"testing"

	"github.com/strata-db/strata/internal/base"
	"github.com/strata-db/strata/internal/testcorpus"
	"github.com/strata-db/strata/iterator"
	"github.com/strata-db/strata/sstable/block"
)

// readFile returns the bytes of a corpus table.
func readFile(t *testing.T, c *testcorpus.Case, file string) []byte {
	t.Helper()
	b, err := os.ReadFile(filepath.Join(c.DB(), file))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// entries returns everything in a table.
func entries(t *testing.T, r *Reader) []iterator.KV {
	t.Helper()
	var kvs []iterator.KV
	it := r.NewIter(IterOptions{})
	for kv := it.First(); kv != nil; kv = it.Next() {
		kvs = append(kvs, iterator.KV{K: kv.K.Clone(), V: bytes.Clone(kv.V)})
	}
	if err := it.Close(); err != nil {
		t.Fatal(err)
	}
	return kvs
}

// metaBlock returns the content of a named meta block, nil if there is none.
func metaBlock(t *testing.T, r *Reader, name string) (content []byte) {
	t.Helper()
	meta, err := r.readBlock(nil, r.footer.meta)
	if err != nil {
		t.Fatal(err)
	}
	err = block.Walk(meta, r.where(0), 0, func(key, value []byte) error {
		if h, n := parseHandle(value); string(key) == name && n > 0 {
			content, err = r.readBlock(nil, h)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return content
}

// A table of LevelDB 1.23, read and written again with its options, must have the
// same data blocks, index and LevelDB filter, byte for byte: then its cutting of
// blocks, prefix sharing, separators, hash and checksums are ours.
func TestSameBytesAsLevelDB(t *testing.T) {
	for _, c := range []struct {
		id string
		o  WriterOptions
	}{
		{"compress-none-cpp", WriterOptions{}},
		{"blocks-r128-b65536-cpp", WriterOptions{RestartInterval: 128, BlockBytes: 65536}},
		{"log-missing-cpp", WriterOptions{BlockBytes: 1024, FilterBitsPerKey: 10, LevelDBFilter: true}},
		{"table-trailing-garbage-cpp", WriterOptions{BlockBytes: 1024, FilterBitsPerKey: 10, LevelDBFilter: true}},
	} {
		t.Run(c.id, func(t *testing.T) {
			cs := testcorpus.Get(t, c.id)
			for _, file := range tables(t, cs) {
				r, err := openCorpus(t, cs, file)
				if err != nil {
					t.Fatal(err)
				}
				theirs := readFile(t, cs, file)
				ours, m := buildTable(t, c.o, entries(t, r))
				w := openTable(t, ours, nil, nil)
				if n := m.DataBytes; !bytes.Equal(ours[:n], theirs[:min(n, uint64(len(theirs)))]) {
					t.Errorf("%s: data blocks differ within %d bytes", file, n)
				}
				if got, want := metaBlock(t, w, ldbFilterName), metaBlock(t, r, ldbFilterName); !bytes.Equal(got, want) || (want == nil) == c.o.LevelDBFilter {
					t.Errorf("%s: filters differ:\n got %x\nwant %x", file, got, want)
				}
				got, err := w.readBlock(nil, w.footer.index)
				want, err2 := r.readBlock(nil, r.footer.index)
				if err != nil || err2 != nil || !bytes.Equal(got, want) {
					t.Errorf("%s: indexes differ: %v %v\n got %x\nwant %x", file, err, err2, got, want)
				}
			}
		})
	}
}

var update = flag.Bool("update", false, "write golden files that do not exist yet")

// Tables of earlier releases, kept in testdata, must be read as they were written,
// and the same entries must still give the same bytes. A golden file is never
// written again: a change of the format gets new ones.
func TestGolden(t *testing.T) {
	for _, c := range []struct {
		file string
		o    WriterOptions
		cmp  *base.Comparer
		same bool // the bytes are ours alone, not a compressor's
	}{
		{"v1-none.ldb", WriterOptions{BlockBytes: 512, FilterBitsPerKey: 10, LevelDBFilter: true}, base.Bytewise, true},
		{"v1-snappy.ldb", WriterOptions{BlockBytes: 512, FilterBitsPerKey: 10, Compression: Snappy}, base.Bytewise, false},
		{"v1-zstd.stbl", WriterOptions{BlockBytes: 512, FilterBitsPerKey: 10, Compression: Zstd}, base.Bytewise, false},
		{"v1-reverse.ldb", WriterOptions{BlockBytes: 512, RestartInterval: 4, FilterBitsPerKey: 10, Cmp: reverseCmp}, reverseCmp, true},
	} {
		kvs := goldenEntries(c.cmp)
		ours, _ := buildTable(t, c.o, kvs)
		path := filepath.Join("testdata", c.file)
		if _, err := os.Stat(path); *update && os.IsNotExist(err) {
			if err := os.WriteFile(path, ours, 0o644); err != nil {
				t.Fatal(err)
			}
		}
		golden, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		if c.same && !bytes.Equal(ours, golden) {
			t.Errorf("%s: the same entries give other bytes now", c.file)
		}
		r := openTable(t, golden, c.cmp, nil)
		got := entries(t, r)
		if len(got) != len(kvs) {
			t.Fatalf("%s: %d entries, want %d", c.file, len(got), len(kvs))
		}
		for i := range got {
			if got[i].K.String() != kvs[i].K.String() || !bytes.Equal(got[i].V, kvs[i].V) {
				t.Errorf("%s: entry %d is %v, want %v", c.file, i, got[i].K, kvs[i].K)
			}
		}
		if _, problems := r.Verify(t.Context()); len(problems) > 0 {
			t.Errorf("%s: %v", c.file, problems)
		}
	}
}

// goldenEntries must never change: golden files hold them.
func goldenEntries(cmp *base.Comparer) []iterator.KV {
	var kvs []iterator.KV
	for i := range 60 {
		if cmp != base.Bytewise {
			i = 59 - i
		}
		key := appendBenchKey(nil, i*i)
		kvs = append(kvs, iterator.KV{K: base.MakeKey(key, base.SeqNum(200+i), base.KindSet), V: bytes.Repeat(key, i%7)})
		if i%5 == 0 {
			kvs = append(kvs, iterator.KV{K: base.MakeKey(key, base.SeqNum(1+i), base.KindDelete)})
		}
	}
	return kvs
}
