package sstable

import (
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"testing"

	"github.com/bits-and-blooms/bloom/v3"
)

// locations computes what bloom.Locations does, through HashKey.
func locations(key []byte, k int) []uint64 {
	h := HashKey(key)
	var out []uint64
	for i := range k {
		out = append(out, h.location(uint64(i)))
	}
	return out
}

func sameLocations(t *testing.T, key []byte) {
	t.Helper()
	want := bloom.Locations(key, 30)
	for i, got := range locations(key, 30) {
		if got != want[i] {
			t.Fatalf("key %x, probe %d: %#x, library %#x", key, i, got, want[i])
		}
	}
}

// HashKey must give the library's locations for keys of every length around its
// block size.
func TestLocationsOfEveryLength(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 1))
	for n := range 70 {
		for range 20 {
			key := make([]byte, n)
			for i := range key {
				key[i] = byte(rng.Uint32())
			}
			sameLocations(t, key)
		}
	}
}

// For all keys and parameters: the same locations as the library, the same answer
// as its Test, by the same words, and no key that was added is denied.
func FuzzFilterEqualsLibrary(f *testing.F) {
	f.Add([]byte("a"), []byte("b"), uint16(3), uint8(10))
	f.Add([]byte(""), []byte("0123456789abcdef"), uint16(1000), uint8(1))
	f.Add([]byte("fifteen bytes!!"), []byte("\xff\xff"), uint16(77), uint8(43))
	f.Fuzz(func(t *testing.T, a, b []byte, n uint16, bitsPerKey uint8) {
		sameLocations(t, a)
		sameLocations(t, b)
		per := int(bitsPerKey%100) + 1
		var list hashList
		hashes := []KeyHash{HashKey(a)}
		for i := range n % 500 {
			hashes = append(hashes, HashKey(fmt.Appendf(nil, "%d", i)))
		}
		for _, h := range hashes {
			list.add(h)
		}
		content := makeFilter(&list, per)
		list.release()
		ours, err := parseFilter(content)
		if err != nil {
			t.Fatal(err)
		}
		words := make([]uint64, (len(content)-filterHeader)/8)
		for i := range words {
			words[i] = binary.LittleEndian.Uint64(content[filterHeader+8*i:])
		}
		library := bloom.FromWithM(words, uint(ours.mod.m), uint(ours.k))
		for _, key := range [][]byte{a, b, []byte("5"), []byte("absent")} {
			h := HashKey(key)
			if got, want := ours.mayContain(&h), library.Test(key); got != want {
				t.Fatalf("key %x: %v, library %v", key, got, want)
			}
		}
		for i := range hashes {
			if !ours.mayContain(&hashes[i]) {
				t.Fatalf("key %d of %d denied", i, len(hashes))
			}
		}
	})
}

// The reduction without division must be exact, at the edges above all.
func TestModulus(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 1))
	for _, m := range []uint64{2, 3, 63, 64, 65, 1000003, 1 << 31, 1<<31 - 1, 1<<63 + 1, 1<<64 - 1} {
		d := newModulus(m)
		for i := range 10_000 {
			x := rng.Uint64()
			if i < 50 {
				x = uint64(i)*m + uint64(i%3) - 1
			}
			if i == 51 {
				x = 1<<64 - 1
			}
			if got, want := d.of(x), x%m; got != want {
				t.Fatalf("%d mod %d: %d, want %d", x, m, got, want)
			}
		}
	}
}

// Ten bits a key must deny about 99 of 100 absent keys, in both filters.
func TestFalsePositives(t *testing.T) {
	const n, probes = 10_000, 20_000
	var hashes hashList
	var ldbHashes []uint32
	for i := range n {
		key := fmt.Appendf(nil, "%016d", i)
		hashes.add(HashKey(key))
		ldbHashes = append(ldbHashes, ldbHash(key))
	}
	f, err := parseFilter(makeFilter(&hashes, 10))
	if err != nil {
		t.Fatal(err)
	}
	w := ldbFilterWriter{bitsPerKey: 10}
	w.addBlock(0, ldbHashes)
	l, err := parseLDBFilter(w.finish())
	if err != nil {
		t.Fatal(err)
	}
	ours, theirs := 0, 0
	for i := range probes {
		key := fmt.Appendf(nil, "%016d", n+i)
		h := HashKey(key)
		if f.mayContain(&h) {
			ours++
		}
		if l.mayContain(0, key) {
			theirs++
		}
	}
	if ours > probes*15/1000 || theirs > probes*15/1000 {
		t.Errorf("of %d absent keys ours admits %d, LevelDB's %d", probes, ours, theirs)
	}
}

// Ranges without blocks deny, senseless offsets admit, and no damage makes the
// probe read beyond the block. That the bits are LevelDB's is shown by
// TestSameBytesAsLevelDB.
func TestLDBFilterEdges(t *testing.T) {
	w := ldbFilterWriter{bitsPerKey: 10}
	w.addBlock(0, []uint32{ldbHash([]byte("a"))})
	w.addBlock(5000, []uint32{ldbHash([]byte("b\xff"))})
	content := w.finish()
	f, err := parseLDBFilter(content)
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		offset uint64
		key    string
		want   bool
	}{
		{0, "a", true}, {0, "b", false}, {2100, "a", false}, {4096, "b\xff", true}, {5000, "b\xff", true},
		{5000, "a", false}, {6144, "a", true}, {1 << 60, "a", true},
	} {
		if got := f.mayContain(c.offset, []byte(c.key)); got != c.want {
			t.Errorf("block at %d, key %q: %v, want %v", c.offset, c.key, got, c.want)
		}
	}
	for i := range content {
		bad := append([]byte(nil), content...)
		bad[i] ^= 0xff
		if f, err := parseLDBFilter(bad); err == nil {
			f.mayContain(0, []byte("a"))
			f.mayContain(5000, []byte("a"))
		}
	}
	for n := range len(content) {
		if f, err := parseLDBFilter(content[:n]); err == nil {
			f.mayContain(0, []byte("a"))
		}
	}
}
