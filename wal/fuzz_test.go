package wal_test

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"github.com/strata-db/strata/internal/base"
	"github.com/strata-db/strata/internal/batch"
	"github.com/strata-db/strata/vfs"
	"github.com/strata-db/strata/wal"
)

// Any bytes in two segments: no panic; an error is a corruption with file and
// offset; every batch is well formed; no sequence number comes twice; a lockless
// reader agrees; a salvage has no error and delivers no less.
func FuzzReplay(f *testing.F) {
	f.Add(build(f, "S1 B1 B2 M3 B3 Z40"), build(f, "S4 B4 B5"))
	f.Add(build(f, "S1 B1 B2 C3"), build(f, "S3 B3 M4"))
	f.Add(build(f, "B1 B2 X B3"), build(f, "Z100 B4 G20"))
	f.Add(build(f, "S1 B1x3 Q4 O U"), build(f, ""))
	f.Fuzz(func(t *testing.T, a, b []byte) {
		fs, segs := store(t, a, b)
		o := wal.ReplayOptions{FS: fs, Segments: segs}
		seen := map[base.SeqNum]bool{}
		apply := func(seg wal.Segment, off int64, rec []byte) error {
			if err := batch.Validate(rec); err != nil {
				t.Fatalf("%s at %d: %v", seg.Name(), off, err)
			}
			if batch.Count(rec) == 0 {
				t.Fatalf("%s at %d: empty", seg.Name(), off)
			}
			for s := batch.SeqNum(rec); s <= batch.LastSeqNum(rec); s++ {
				if seen[s] {
					t.Fatalf("%s at %d: %d again", seg.Name(), off, s)
				}
				seen[s] = true
			}
			return nil
		}
		res, err := wal.Replay(o, apply)
		var ce *base.CorruptionError
		if err != nil && (!errors.As(err, &ce) || ce.File == "" || ce.Offset < 0) {
			t.Fatalf("error without a place: %v", err)
		}
		if res.Tear != nil && res.Tear.DroppedBytes < 0 || res.End.Offset > int64(max(len(a), len(b))) {
			t.Fatalf("%+v", res)
		}
		want := outcome(o)
		o.Lockless = true
		if got := outcome(o); got != want {
			t.Fatalf("lockless: %s, else %s", got, want)
		}
		o.Lockless, o.Salvage = false, true
		clear(seen)
		salvaged, serr := wal.Replay(o, apply)
		if serr != nil || salvaged.Batches < res.Batches {
			t.Fatalf("salvaged %d of %d batches, %v", salvaged.Batches, res.Batches, serr)
		}
	})
}

func benchLog(b *testing.B, mode vfs.AppendMode) (*wal.Log, string) {
	b.Helper()
	dir := b.TempDir()
	l := wal.New(wal.Options{FS: vfs.OS, Dir: dir, Append: vfs.AppendOptions{Mode: mode}})
	must(b, l.Rotate(1, 1))
	b.Cleanup(func() { must(b, l.Close()) })
	return l, dir
}

// bigBatch has one entry of 16 and 100 bytes, as the usual benchmarks write.
func bigBatch(seq base.SeqNum) []byte {
	rec := batch.AppendSet(batch.AppendEmpty(nil, seq), make([]byte, 16), make([]byte, 100))
	batch.SetCount(rec, 1)
	return rec
}

// The cost of an append that survives the process, by the way it is made. A new
// segment is begun every 64 MiB, as with a memtable of that size.
func BenchmarkAppend(b *testing.B) {
	for name, mode := range map[string]vfs.AppendMode{"mapped": vfs.AppendMapped, "write": vfs.AppendWrite} {
		b.Run(name, func(b *testing.B) {
			l, dir := benchLog(b, mode)
			rec := bigBatch(1)
			seq, num := base.SeqNum(1), base.FileNum(1)
			b.SetBytes(int64(len(rec)))
			b.ReportAllocs()
			for b.Loop() {
				batch.SetSeqNum(rec, seq)
				must(b, l.Append(rec))
				if seq++; seq%(1<<19) == 0 {
					num++
					must(b, l.Rotate(num, seq))
					for _, n := range l.Retire(num) {
						must(b, os.Remove(filepath.Join(dir, base.FileName(base.FileLog, n))))
					}
				}
			}
		})
	}
}

// The cost of an append with its sync.
func BenchmarkAppendSync(b *testing.B) {
	for name, mode := range map[string]vfs.AppendMode{"mapped": vfs.AppendMapped, "write": vfs.AppendWrite} {
		b.Run(name, func(b *testing.B) {
			l, _ := benchLog(b, mode)
			for seq := base.SeqNum(1); b.Loop(); seq++ {
				must(b, l.Append(bigBatch(seq)))
				must(b, l.Sync())
			}
		})
	}
}

// The cost of reading and checking a log, without what a caller does with it.
func BenchmarkReplay(b *testing.B) {
	l, dir := benchLog(b, vfs.AppendMapped)
	const n = 200000
	for seq := base.SeqNum(1); seq <= n; seq++ {
		must(b, l.Append(bigBatch(seq)))
	}
	b.SetBytes(l.Size())
	b.ReportAllocs()
	for b.Loop() {
		res, err := wal.Replay(wal.ReplayOptions{FS: vfs.OS, Dir: dir, Segments: logs(b, vfs.OS, dir)},
			func(wal.Segment, int64, []byte) error { return nil })
		if err != nil || res.Batches != n {
			b.Fatal(fmt.Sprint(res.Batches, err))
		}
	}
}
