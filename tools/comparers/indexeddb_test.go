package comparers

import (
	"encoding/hex"
	"math/rand/v2"
	"slices"
	"testing"
)

// TestIndexedDBOrder lists keys in ascending order, one group for each rule of
// the order, written out by hand.
func TestIndexedDBOrder(t *testing.T) {
	ascending := []string{
		"00000000" + "00",                           // global: schema version
		"00000000" + "32" + "00",                    // global: scopes, sorted as bytes
		"00000000" + "32" + "0100",                  //
		"00000000" + "64" + "7f",                    // global: free list, by number
		"00000000" + "64" + "8001",                  //
		"00000000" + "c9" + "010061" + "0200610061", // global: name of a database
		"00000000" + "c9" + "010061" + "010062",     // as text, not by length
		"00000000" + "c9" + "0200610061" + "00",     // the origin counts first
		"00010000" + "00",                           // database 1
		"00010000" + "32" + "02" + "01",             // its store 2
		"00010000" + "c8" + "01005a",                // its store by name: as text, not by length
		"00010000" + "c8" + "0200610061",            //
		"00010101" + "05",                           // records of store 1: least key
		"00010101" + "03" + "00000000000000c0",      // -2
		"00010101" + "03" + "000000000000f03f",      // 1, though its bytes are larger
		"00010101" + "03" + "0000000000000840",      // 3
		"00010101" + "02" + "0000000000000000",      // dates after numbers
		"00010101" + "01" + "00",                    // strings after dates
		"00010101" + "01" + "0200610061",            // "aa"
		"00010101" + "01" + "010062",                // "b" after "aa"
		"00010101" + "06" + "00",                    // binaries after strings
		"00010101" + "04" + "00",                    // arrays last
		"00010101" + "04" + "01" + "0500",           // element first ...
		"00010101" + "04" + "02" + "0505",           // ... then the longer one
		"00010101" + "00",                           // null
		"00010102" + "01" + "010062",                // versions of store 1
		"0001011e" + "010061" + "ff",                // index 30: not decodable, see below
		"000a0101" + "05",                           // database 10
		"20000101" + "01" + "05",                    // database 256 in two bytes
	}
	keys := make([][]byte, len(ascending))
	for i, s := range ascending {
		var err error
		if keys[i], err = hex.DecodeString(s); err != nil {
			t.Fatalf("key %d: %v", i, err)
		}
	}
	// 20 | 0001 | 01 | 01: little-endian, so 256.
	keys[len(keys)-1] = []byte{0x20, 0x00, 0x01, 0x01, 0x01, 0x05}
	for i := range keys {
		for j := range keys {
			want := min(1, max(-1, i-j))
			if got := compareIndexedDB(keys[i], keys[j]); got != want {
				t.Errorf("compare(%x, %x) = %d, want %d", keys[i], keys[j], got, want)
			}
		}
	}
}

// TestIndexedDBIndexEntry checks that in an index the primary key counts before
// the sequence number that is stored in front of it.
func TestIndexedDBIndexEntry(t *testing.T) {
	entry := func(seq byte, primary ...byte) []byte {
		return append([]byte{0, 1, 1, 30, idbString, 1, 0, 'a', seq}, primary...)
	}
	one := []byte{idbString, 1, 0, '1'}
	two := []byte{idbString, 1, 0, '2'}
	ascending := [][]byte{entry(9), entry(5, one...), entry(6, one...), entry(1, two...)}
	for i := 1; i < len(ascending); i++ {
		if compareIndexedDB(ascending[i-1], ascending[i]) >= 0 {
			t.Errorf("%x does not sort before %x", ascending[i-1], ascending[i])
		}
	}
}

// TestIndexedDBIsATotalOrder checks, on keys cut, spliced and mutated at
// random, that the order is antisymmetric and transitive: a tree needs that even
// for keys that Chromium cannot decode.
func TestIndexedDBIsATotalOrder(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	seeds := []string{
		"00000000c9010061010062", "0001000032020100", "00010101040203000000000000f03f0100",
		"0001010103000000000000f03f", "0001011e0100610102010062", "0001010106020102", "00010101040105",
	}
	var keys [][]byte
	for range 150 {
		k, err := hex.DecodeString(seeds[rng.IntN(len(seeds))])
		if err != nil {
			t.Fatal(err)
		}
		if rng.IntN(2) == 0 {
			k = k[:rng.IntN(len(k)+1)]
		}
		for range rng.IntN(3) {
			if len(k) > 0 {
				k[rng.IntN(len(k))] = byte(rng.IntN(8))
			}
		}
		keys = append(keys, k)
	}
	for _, a := range keys {
		for _, b := range keys {
			if compareIndexedDB(a, b) != -compareIndexedDB(b, a) {
				t.Fatalf("compare(%x, %x) = %d, the other way %d", a, b, compareIndexedDB(a, b), compareIndexedDB(b, a))
			}
		}
	}
	slices.SortFunc(keys, compareIndexedDB)
	for i := range keys {
		for j := i + 1; j < len(keys); j++ {
			if compareIndexedDB(keys[i], keys[j]) > 0 {
				t.Fatalf("sorted, but %x > %x", keys[i], keys[j])
			}
		}
	}
}

// FuzzIndexedDB checks that no bytes make the order panic or contradict itself.
func FuzzIndexedDB(f *testing.F) {
	f.Add([]byte{0, 1, 1, 1, 4, 2, 3}, []byte{0, 1, 1, 1, 4, 2, 5})
	f.Fuzz(func(t *testing.T, a, b []byte) {
		if x, y := compareIndexedDB(a, b), compareIndexedDB(b, a); x != -y {
			t.Errorf("compare(%x, %x) = %d, the other way %d", a, b, x, y)
		}
		if compareIndexedDB(a, a) != 0 {
			t.Errorf("%x does not equal itself", a)
		}
	})
}
