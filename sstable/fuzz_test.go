package sstable

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"runtime"
	"testing"

	"github.com/strata-db/strata/internal/base"
	"github.com/strata-db/strata/internal/cache"
	"github.com/strata-db/strata/internal/checksum"
)

// A mutated table must give errors of corruption or results: never a panic, an
// endless walk, or memory out of proportion to the file. The fuzzer flips bytes
// of a sound table and may have the checksums of all blocks made right again, so
// that it gets behind them.
func FuzzReader(f *testing.F) {
	for i := range optionSets() {
		f.Add(uint8(i), []byte{0, 10, 1, 0, 20, 0xff}, true)
		f.Add(uint8(i), []byte{1, 0, 3}, false)
	}
	type sound struct {
		b       []byte
		handles []Handle
	}
	var tables []sound
	for _, o := range optionSets() {
		b, _ := buildTable(f, o, makeEntries(o.withDefaults().Cmp, 60, 5))
		tables = append(tables, sound{b, allHandles(f, b, o.Cmp)})
	}
	f.Fuzz(func(t *testing.T, which uint8, edits []byte, fix bool) {
		o := optionSets()[int(which)%len(tables)]
		good := tables[int(which)%len(tables)]
		b := bytes.Clone(good.b)
		for ; len(edits) >= 3; edits = edits[3:] {
			b[int(binary.LittleEndian.Uint16(edits))%len(b)] = edits[2]
		}
		if fix {
			for _, h := range good.handles {
				n := h.Offset + h.Size + 1
				binary.LittleEndian.PutUint32(b[n:], checksum.Mask(checksum.New(b[h.Offset:n])))
			}
		}
		readAll(t, b, o.Cmp)
	})
}

// allHandles returns the handles of every block of a sound table.
func allHandles(t testing.TB, b []byte, cmp *base.Comparer) []Handle {
	r := openTable(t, b, cmp, nil)
	hs := []Handle{r.footer.index, r.footer.meta}
	for i := range r.index.len() {
		h, _ := r.index.handle(i)
		hs = append(hs, h)
	}
	return hs
}

// readAll does everything that can be done to a table.
func readAll(t *testing.T, b []byte, cmp *base.Comparer) {
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	damage := func(err error) {
		if err != nil && !errors.Is(err, base.ErrCorruption) {
			t.Fatalf("not an error of corruption: %v", err)
		}
	}
	r, err := NewReader(bytes.NewReader(b), int64(len(b)), ReaderOptions{Cmp: cmp, Cache: cache.New(1 << 20), Name: "000007.ldb"})
	damage(err)
	if err != nil {
		return
	}
	for _, o := range []IterOptions{{Compaction: true}, {FillCache: true}} {
		it := r.NewIter(o)
		n, bytesSeen := 0, 0
		for kv := it.First(); kv != nil; kv = it.Next() {
			if n++; n > 100*len(b) {
				t.Fatal("endless")
			}
			bytesSeen += len(kv.K.UserKey)
			if n%7 == 0 {
				_, _, _, err := r.Get(kv.K.UserKey, kv.K.SeqNum(), HashKey(kv.K.UserKey))
				damage(err)
			}
			if n%50 == 0 {
				k := kv.K.Clone()
				it2 := r.NewIter(o)
				it2.SeekLT(k)
				it2.Next()
				damage(it2.Close())
			}
		}
		damage(it.Err())
		for kv := it.Last(); kv != nil; kv = it.Prev() {
			if n--; n < -100*len(b) {
				t.Fatal("endless")
			}
		}
		damage(it.Close())
	}
	_, problems := r.Verify(context.Background())
	for _, p := range problems {
		damage(p)
	}
	runtime.ReadMemStats(&after)
	if used := after.TotalAlloc - before.TotalAlloc; used > 64<<20 {
		t.Fatalf("%d bytes allocated for a table of %d", used, len(b))
	}
}

// Every byte of a small table, changed on its own with and without a right
// checksum, and every length it may be cut to: the sweep a fuzzer would need long
// for.
func TestEveryByteDamaged(t *testing.T) {
	o := WriterOptions{BlockBytes: 128, RestartInterval: 2, FilterBitsPerKey: 10, LevelDBFilter: true, Compression: Snappy}
	kvs := makeEntries(base.Bytewise, 8, 3)
	good, _ := buildTable(t, o, kvs)
	handles := allHandles(t, good, nil)
	for i := range good {
		for _, flip := range []byte{0x01, 0x80, 0xff} {
			b := bytes.Clone(good)
			b[i] ^= flip
			readAll(t, b, nil)
			for _, h := range handles {
				n := h.Offset + h.Size + 1
				binary.LittleEndian.PutUint32(b[n:], checksum.Mask(checksum.New(b[h.Offset:n])))
			}
			readAll(t, b, nil)
		}
	}
	for n := range good {
		readAll(t, good[:n], nil)
	}
}

// A single flipped bit under an unchanged checksum must never change what is
// shown: an entry is right, or there is an error.
func TestFlippedBitsAreNoticed(t *testing.T) {
	o := WriterOptions{BlockBytes: 128, RestartInterval: 2, FilterBitsPerKey: 10, LevelDBFilter: true, Compression: Snappy}
	kvs := makeEntries(base.Bytewise, 10, 3)
	good, m := buildTable(t, o, kvs)
	for i := range good {
		b := bytes.Clone(good)
		b[i] ^= 1 << (i % 8)
		r, err := NewReader(bytes.NewReader(b), int64(len(b)), ReaderOptions{Name: "000007.ldb"})
		if err != nil {
			continue
		}
		it := r.NewIter(IterOptions{})
		n := 0
		for kv := it.First(); kv != nil; kv = it.Next() {
			if n >= len(kvs) || kv.K.String() != kvs[n].K.String() || !bytes.Equal(kv.V, kvs[n].V) {
				t.Fatalf("byte %d flipped: shows %v as entry %d", i, kv.K, n)
			}
			n++
		}
		if n < len(kvs) && it.Err() == nil {
			t.Fatalf("byte %d flipped: %d of %d entries and no error", i, n, len(kvs))
		}
		for _, kv := range kvs {
			_, _, ok, err := r.Get(kv.K.UserKey, kv.K.SeqNum(), HashKey(kv.K.UserKey))
			if !ok && err == nil {
				t.Fatalf("byte %d flipped: %v not found", i, kv.K)
			}
		}
		_, problems := r.Verify(context.Background())
		zeros := uint64(i) >= m.Size-footerLen // padding of the footer is not judged
		if len(problems) == 0 && !zeros {
			t.Fatalf("byte %d of %d flipped: Verify found nothing", i, len(good))
		}
	}
}

// A handle in the index that is no handle must be an error for the keys of its
// block, even if LevelDB's filter of some other block denies them, and harm no
// other key.
func TestBadHandleIsNoMiss(t *testing.T) {
	kvs := makeEntries(base.Bytewise, 200, 3)
	b, _ := buildTable(t, WriterOptions{BlockBytes: 512, FilterBitsPerKey: 10, LevelDBFilter: true}, kvs)
	r := openTable(t, b, nil, nil)
	r.filter = tableFilter{}
	bad := r.index.len() / 2
	r.index.offsets[bad], r.index.sizes[bad] = 0, badHandle
	failed := 0
	for _, kv := range kvs {
		_, _, ok, err := r.Get(kv.K.UserKey, kv.K.SeqNum(), HashKey(kv.K.UserKey))
		switch {
		case err != nil && errors.Is(err, base.ErrCorruption):
			failed++
		case err != nil || !ok:
			t.Errorf("%v: %v %v", kv.K, ok, err)
		}
	}
	if failed == 0 {
		t.Error("nobody noticed")
	}
}
