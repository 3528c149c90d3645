package version

import (
	"bytes"
	"encoding/hex"
	"errors"
	"math/rand/v2"
	"reflect"
	"strings"
	"testing"

	"github.com/strata-db/strata/internal/base"
)

// TestEditBytes compares the encoding with the example of the package comment and with
// a record that LevelDB 1.23 wrote.
func TestEditBytes(t *testing.T) {
	e := &Edit{}
	f := mustFile(t, "5:[a#1,SET-a#1,SET]=9")
	e.Add(2, f)
	want := "07 02 05 09 09 61 01 01 00 00 00 00 00 00 09 61 01 01 00 00 00 00 00 00"
	if got := hex.EncodeToString(e.Encode(nil)); got != strings.ReplaceAll(want, " ", "") {
		t.Errorf("got %s, want %s", got, want)
	}
	leveldb, _ := hex.DecodeString("020409000306042807020583" + "20" +
		"10746b303030302d330101000000000000" + "10746b303131372d330128000000000000")
	var again Edit
	if err := again.Decode(leveldb, "MANIFEST-000002", 50); err != nil {
		t.Fatal(err)
	}
	if got := again.Encode(nil); !bytes.Equal(got, leveldb) {
		t.Errorf("got %x, LevelDB wrote %x", got, leveldb)
	}
	if got, want := again.Added[0].Meta.String(), "000005:[tk0000-3#1,SET-tk0117-3#40,SET]"; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
	all := &Edit{Comparer: "c", LogNum: new(base.FileNum(300)), PrevLogNum: new(base.FileNum(0)), NextFileNum: new(base.FileNum(7)), LastSeq: new(base.SeqNum(1 << 40))}
	all.SetPointer(3, base.MakeKey([]byte("k"), 2, base.KindDelete))
	all.Delete(6, 200)
	want = "0101 63" + "02 ac02" + "09 00" + "03 07" + "04 808080808020" + "05 03 09 6b0002000000000000" + "06 06 c801"
	if got := hex.EncodeToString(all.Encode(nil)); got != strings.ReplaceAll(want, " ", "") {
		t.Errorf("got %s, want %s", got, want)
	}
}

// randomEdit returns an edit that uses each field with some probability.
func randomEdit(rng *rand.Rand) *Edit {
	e := &Edit{}
	some := func() bool { return rng.IntN(2) == 0 }
	num := func() base.FileNum { return base.FileNum(rng.Uint64N(1 << rng.IntN(63))) }
	key := func() base.InternalKey {
		k := make([]byte, rng.IntN(20))
		for i := range k {
			k[i] = byte(rng.IntN(256))
		}
		return base.InternalKey{UserKey: k, Trailer: base.Trailer(rng.Uint64())}
	}
	if some() {
		e.Comparer = "some.name"
	}
	if some() {
		e.LogNum = new(num())
	}
	if some() {
		e.PrevLogNum = new(num())
	}
	if some() {
		e.NextFileNum = new(num())
	}
	if some() {
		e.LastSeq = new(base.SeqNum(rng.Uint64N(1 << 56)))
	}
	for some() {
		e.SetPointer(rng.IntN(NumLevels), key())
		e.Delete(rng.IntN(NumLevels), num())
		e.Add(rng.IntN(NumLevels), &FileMeta{Num: num(), Type: base.FileTable, Size: rng.Uint64(), Smallest: key(), Largest: key()})
	}
	return e
}

// TestEditRoundTrip checks that decoding undoes encoding, and that no cut of a record
// is taken for another whole one with as many fields, or panics.
func TestEditRoundTrip(t *testing.T) {
	for seed := range uint64(500) {
		e := randomEdit(rand.New(rand.NewPCG(seed, 2)))
		b := e.Encode(nil)
		var got Edit
		if err := got.Decode(b, "MANIFEST-000001", 0); err != nil {
			t.Fatalf("seed %d: %v", seed, err)
		}
		if !reflect.DeepEqual(&got, e) {
			t.Fatalf("seed %d: got %+v, want %+v", seed, got, e)
		}
		for n := range b {
			if got.Decode(b[:n], "MANIFEST-000001", 0) == nil && !bytes.HasPrefix(b, got.Encode(nil)) {
				t.Fatalf("seed %d: cut at %d gives %+v", seed, n, got)
			}
		}
	}
}

// TestEditDecodeErrors names each way an edit can be damaged.
func TestEditDecodeErrors(t *testing.T) {
	for name, x := range map[string]string{
		"unknown tag 0":              "00",
		"retired tag 8":              "08 01",
		"unknown tag 12":             "0c 01",
		"reserved tag 64":            "40 01",
		"tag too long":               "ff ff ff ff ff ff ff ff ff ff 01",
		"no log number":              "02",
		"cut varint":                 "02 80",
		"number out of range":        "03 ff ff ff ff ff ff ff ff 7f",
		"sequence out of range":      "04 ff ff ff ff ff ff ff ff 7f",
		"name longer than record":    "01 05 61",
		"empty name":                 "01 00",
		"length over 4 GiB":          "01 ff ff ff ff 7f 61",
		"level 7":                    "06 07 01",
		"pointer of level 7":         "05 07 08 00 00 00 00 00 00 00 00",
		"added to level 9":           "07 09 01",
		"key without trailer":        "05 01 07 00 00 00 00 00 00 00",
		"largest key cut":            "07 02 05 09 09 61 01 01 00 00 00 00 00 00 09 61 01",
		"deleted file without level": "06",
	} {
		b, err := hex.DecodeString(strings.ReplaceAll(x, " ", ""))
		if err != nil {
			t.Fatal(err)
		}
		err = new(Edit).Decode(b, "MANIFEST-000003", 99)
		var c *base.CorruptionError
		if !errors.As(err, &c) || c.File != "MANIFEST-000003" || c.Offset != 99 {
			t.Errorf("%s: %v, want corruption in MANIFEST-000003 at offset 99", name, err)
		}
	}
	// A later release's tag is told from damage in an upgraded directory alone.
	if err := new(Edit).Decode([]byte{64, 1}, "STRATA-000003", 0); !errors.Is(err, ErrNewerRelease) || errors.Is(err, base.ErrCorruption) {
		t.Errorf("tag 64 in an upgraded directory: %v", err)
	}
	if err := new(Edit).Decode([]byte{8, 1}, "STRATA-000003", 0); !errors.Is(err, base.ErrCorruption) {
		t.Errorf("tag 8 in an upgraded directory: %v", err)
	}
}
