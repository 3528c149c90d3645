package sstable

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"testing"

	"github.com/strata-db/strata/internal/base"
)

// salvageTable returns a table of n entries and where its data blocks lie.
func salvageTable(t testing.TB, n int, c Compression, blockBytes int) ([]byte, []Handle) {
	t.Helper()
	var buf bytes.Buffer
	w := NewWriter(&buf, WriterOptions{BlockBytes: blockBytes, Compression: c, FilterBitsPerKey: 10})
	for i := range n {
		if err := w.Add(salvageKey(i), salvageValue(i)); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := w.Finish(); err != nil {
		t.Fatal(err)
	}
	b := buf.Bytes()
	r, err := NewReader(bytes.NewReader(b), int64(len(b)), ReaderOptions{})
	if err != nil {
		t.Fatal(err)
	}
	var handles []Handle
	for i := range r.index.len() {
		h, _ := r.index.handle(i)
		handles = append(handles, h)
	}
	return b, handles
}

func salvageKey(i int) base.InternalKey {
	return base.MakeKey(fmt.Appendf(nil, "key%06d", i), base.SeqNum(i+1), base.Kind(min(i%7, 1)))
}

func salvageValue(i int) []byte {
	if i%7 == 0 {
		return nil
	}
	return bytes.Repeat(fmt.Appendf(nil, "value%d.", i), i%13)
}

// runSalvage salvages b and wants true entries in order. It returns which ones came.
func runSalvage(t testing.TB, b []byte) (map[int]bool, *SalvageResult) {
	t.Helper()
	got := map[int]bool{}
	last := -1
	res, err := Salvage(bytes.NewReader(b), int64(len(b)), SalvageOptions{Name: "000001.ldb"}, func(k base.InternalKey, v []byte) error {
		var i int
		if _, err := fmt.Sscanf(string(k.UserKey), "key%d", &i); err != nil {
			t.Fatalf("delivers %v", k)
		}
		if k.String() != salvageKey(i).String() || !bytes.Equal(v, salvageValue(i)) || i <= last {
			t.Fatalf("delivers %v = %q behind entry %d", k, v, last)
		}
		last, got[i] = i, true
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if int(res.Entries) != len(got) {
		t.Errorf("%d entries, %d delivered", res.Entries, len(got))
	}
	return got, res
}

// TestSalvageBlocks damages some data blocks and, or, what leads to them, and
// wants every entry of every other block.
func TestSalvageBlocks(t *testing.T) {
	const n = 3000
	rng := rand.New(rand.NewPCG(1, 2))
	for _, c := range []Compression{NoCompression, Snappy, Zstd} {
		for _, index := range []string{"sound", "flipped", "no footer"} {
			for _, hurt := range []int{0, 1, 5} {
				b, handles := salvageTable(t, n, c, 1024)
				r, _ := NewReader(bytes.NewReader(b), int64(len(b)), ReaderOptions{})
				bad := map[int]bool{}
				for range hurt {
					i := rng.IntN(len(handles))
					bad[i] = true
					b[handles[i].Offset+rng.Uint64N(handles[i].Size)] ^= 1 << rng.IntN(8)
				}
				want := map[int]bool{}
				for i := range n {
					if block := r.index.seek(salvageKey(i)); !bad[block] {
						want[i] = true
					}
				}
				switch index {
				case "flipped":
					b[r.footer.index.Offset+3] ^= 4
				case "no footer":
					b = b[:len(b)-footerLen]
				}
				got, res := runSalvage(t, b)
				for i := range want {
					if !got[i] {
						t.Errorf("%v, index %s, %d blocks hurt: entry %d is missing (%+v)", c, index, len(bad), i, res.Losses)
						break
					}
				}
				if len(got) > len(want) || (index == "sound") != res.Indexed || res.NumLosses < int64(min(1, len(bad))) {
					t.Errorf("%v, index %s, %d blocks hurt: %d entries, want %d, %d losses", c, index, len(bad), len(got), len(want), res.NumLosses)
				}
			}
		}
	}
}

// TestSalvageLossKeys: a loss names the keys it lies between, by the index or by
// what was read around it.
func TestSalvageLossKeys(t *testing.T) {
	for _, footer := range []bool{true, false} {
		b, handles := salvageTable(t, 2000, NoCompression, 1024)
		b[handles[3].Offset+20]++
		if !footer {
			b = b[:len(b)-footerLen]
		}
		got, res := runSalvage(t, b)
		l := res.Losses[0]
		if l.Offset != int64(handles[3].Offset) || l.Bytes != int64(handles[3].Size)+trailerLen {
			t.Errorf("footer %v: lost %d bytes at %d, want block %+v", footer, l.Bytes, l.Offset, handles[3])
		}
		for i := range 2000 {
			k := salvageKey(i)
			between := base.Bytewise.CompareInternal(l.After, k) < 0 && base.Bytewise.CompareInternal(k, l.UpTo) <= 0
			if !got[i] && !between {
				t.Errorf("footer %v: %v is missing, and not between %v and %v", footer, k, l.After, l.UpTo)
			}
		}
	}
}

// TestSalvageOutOfOrder: one key that is wrong costs its entry alone.
func TestSalvageOutOfOrder(t *testing.T) {
	var got []string
	n := uint64(0)
	s := sorter{cmp: base.Bytewise, misplaced: &n, add: func(k base.InternalKey, _ []byte) error {
		got = append(got, string(k.UserKey))
		return nil
	}}
	for _, keys := range []string{"a b z c d", "e f g", "0 h i j z", "k l m"} {
		var entries []salvagedEntry
		for _, k := range bytes.Fields([]byte(keys)) {
			entries = append(entries, salvagedEntry{k: base.MakeKey(k, 1, base.KindSet)})
		}
		if err := s.block(entries); err != nil {
			t.Fatal(err)
		}
	}
	if err := s.end(); err != nil {
		t.Fatal(err)
	}
	if fmt.Sprint(got) != "[a b c d e f g h i j k l m]" || n != 3 {
		t.Errorf("%v and %d misplaced", got, n)
	}
}

// TestSalvageLargeBlocks: blocks larger than what is tried behind damage.
func TestSalvageLargeBlocks(t *testing.T) {
	var buf bytes.Buffer
	w := NewWriter(&buf, WriterOptions{})
	big := make([]byte, 3<<20)
	rng := rand.New(rand.NewPCG(3, 4))
	for i := range big {
		big[i] = byte(rng.Uint32())
	}
	for i := range 4 {
		if err := w.Add(salvageKey(i), big); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := w.Finish(); err != nil {
		t.Fatal(err)
	}
	b := buf.Bytes()
	n := 0
	res, err := Salvage(bytes.NewReader(b[:len(b)-footerLen]), int64(len(b)-footerLen), SalvageOptions{}, func(k base.InternalKey, v []byte) error {
		if n++; !bytes.Equal(v, big) {
			t.Errorf("%v has another value", k)
		}
		return nil
	})
	if err != nil || n != 4 {
		t.Errorf("%d entries of 4, %+v, %v", n, res, err)
	}
}

// TestSalvageRandomly flips, cuts, zeroes and inserts, and wants true entries only.
func TestSalvageRandomly(t *testing.T) {
	rounds := 150
	if testing.Short() {
		rounds = 30
	}
	for seed := range rounds {
		rng := rand.New(rand.NewPCG(uint64(seed), 7))
		b, _ := salvageTable(t, 500+rng.IntN(1000), Compression(rng.IntN(3)), 256<<rng.IntN(5))
		for range 1 + rng.IntN(4) {
			i := rng.IntN(len(b))
			switch rng.IntN(4) {
			case 0:
				b[i] ^= 1 << rng.IntN(8)
			case 1:
				b = b[:max(i, 1)]
			case 2:
				clear(b[i:min(len(b), i+rng.IntN(5000))])
			case 3:
				b = append(b[:i:i], append([]byte("inserted"), b[i:]...)...)
			}
		}
		runSalvage(t, b)
	}
}

// FuzzSalvageTable: no bytes make it panic or deliver entries out of order.
func FuzzSalvageTable(f *testing.F) {
	b, _ := salvageTable(f, 60, Snappy, 256)
	f.Add(b)
	f.Add(b[:len(b)-footerLen])
	f.Fuzz(func(t *testing.T, b []byte) {
		var last base.InternalKey
		_, err := Salvage(bytes.NewReader(b), int64(len(b)), SalvageOptions{}, func(k base.InternalKey, _ []byte) error {
			if last.UserKey != nil && base.Bytewise.CompareInternal(last, k) >= 0 {
				t.Fatalf("%v behind %v", k, last)
			}
			last = k.Clone()
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
	})
}

// BenchmarkSalvageScan salvages without an index: from sound blocks, and from
// bytes in which there are none.
func BenchmarkSalvageScan(b *testing.B) {
	table, _ := salvageTable(b, 100000, NoCompression, 4096)
	noise := make([]byte, 4<<20)
	rng := rand.New(rand.NewPCG(5, 6))
	for i := range noise {
		noise[i] = byte(rng.Uint32())
	}
	for _, c := range []struct {
		name string
		data []byte
	}{{"blocks", table[:len(table)-footerLen]}, {"noise", noise}, {"zeros", make([]byte, 4<<20)}} {
		b.Run(c.name, func(b *testing.B) {
			b.SetBytes(int64(len(c.data)))
			for b.Loop() {
				Salvage(bytes.NewReader(c.data), int64(len(c.data)), SalvageOptions{}, func(base.InternalKey, []byte) error { return nil })
			}
		})
	}
}
