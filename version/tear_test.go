package version_test

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/strata-db/strata/internal/base"
	"github.com/strata-db/strata/version"
	"github.com/strata-db/strata/vfs"
)

// twoEdits returns the bytes of a manifest whose last record adds file 9 and holds keys
// of about keyLen random bytes, where that record begins, and the trees before and
// after it.
func twoEdits(t *testing.T, keyLen, pad int) (manifest []byte, last int, before, after string) {
	t.Helper()
	fs := vfs.NewMem()
	s := mustCreate(t, version.Options{FS: fs, Dir: "db"}, false)
	path := "db/" + s.ManifestName()
	rng := rand.New(rand.NewPCG(uint64(keyLen), uint64(pad)))
	key := func(n int) []byte {
		k := make([]byte, n)
		for i := range k {
			k[i] = byte(1 + rng.IntN(255))
		}
		return k
	}
	e := &version.Edit{LogNum: num(1), LastSeq: new(base.SeqNum(5))}
	k := key(pad)
	e.Add(0, &version.FileMeta{Num: 5, Size: 5, Smallest: base.MakeKey(k, 1, 1), Largest: base.MakeKey(k, 1, 1)})
	must(t, s.Apply(e))
	last, before = len(read(t, fs, path)), tree(s)
	e = &version.Edit{LastSeq: new(base.SeqNum(6))}
	k = key(keyLen)
	e.Add(0, &version.FileMeta{Num: 9, Size: 5, Smallest: base.MakeKey(k, 0x01010101010102, 1), Largest: base.MakeKey(k, 0x01010101010101, 1)})
	must(t, s.Apply(e))
	return read(t, fs, path), last, before, tree(s)
}

// loadBytes loads a directory with the tables 5 and 9, the log 1 and the given manifest.
func loadBytes(t *testing.T, manifest []byte) (*version.Set, error) {
	t.Helper()
	fs := vfs.NewMem()
	must(t, fs.MkdirAll("db"))
	for name, content := range map[string]string{"CURRENT": "MANIFEST-000001\n", "MANIFEST-000001": string(manifest),
		"000001.log": "", "000005.ldb": "", "000009.ldb": ""} {
		write(t, fs, "db", name, content)
	}
	return version.Load(version.Options{FS: fs, Dir: "db"})
}

// TestTornRecord makes every kind of unfinished last record: a file that ends inside it,
// sectors of it that were never written, both. It must be dropped and reported, never
// taken for damage, and the records before it must stand.
func TestTornRecord(t *testing.T) {
	for _, c := range []struct{ keyLen, pad int }{{10, 0}, {10, 200}, {300, 100}, {3000, 20}, {20000, 16300}, {60000, 16}} {
		whole, last, before, after := twoEdits(t, c.keyLen, c.pad)
		check := func(b []byte, where string) {
			t.Helper()
			s, err := loadBytes(t, b)
			if err != nil {
				t.Fatalf("keys %d, %s: %v", c.keyLen, where, err)
			}
			if tree(s) != before || s.LastSeq() != 5 {
				t.Fatalf("keys %d, %s: not the state before", c.keyLen, where)
			}
			zeros := !slices.ContainsFunc(b[last:], func(c byte) bool { return c != 0 })
			if tear := s.Tear(); (tear == nil) != zeros || tear != nil && (tear.Offset != int64(last) || tear.DroppedBytes != int64(len(b)-last)) {
				t.Fatalf("keys %d, %s: tear %+v, want offset %d", c.keyLen, where, tear, last)
			}
		}
		step := 1 + len(whole)/300
		for n := last; n < len(whole); n += step {
			check(whole[:n], fmt.Sprintf("cut to %d of %d", n, len(whole)))
		}
		for lo := last; lo < len(whole); {
			hi := min(lo-lo%512+512, len(whole))
			if hi-lo >= 8 {
				b := slices.Clone(whole)
				clear(b[lo:hi])
				check(b, fmt.Sprintf("%d to %d zero", lo, hi))
				clear(b[hi:])
				check(b, fmt.Sprintf("zero from %d", lo))
				check(append(b, make([]byte, 5000)...), fmt.Sprintf("zero from %d to far behind the end", lo))
			}
			lo = hi
		}
		s, err := loadBytes(t, append(slices.Clone(whole), make([]byte, 70000)...))
		if err != nil || tree(s) != after || s.Tear() != nil {
			t.Fatalf("keys %d, zero tail: %v", c.keyLen, err)
		}
	}
}

// TestFlippedByte damages every byte of a manifest in turn, in the last record too: it is
// an error that names file and offset, and never an older state.
func TestFlippedByte(t *testing.T) {
	for _, keyLen := range []int{10, 700} {
		whole, _, _, _ := twoEdits(t, keyLen, 20)
		for i := range whole {
			for _, flip := range []byte{1, 2, 0x10, 0x80, 0xff, whole[i]} {
				if flip == 0 {
					continue
				}
				b := slices.Clone(whole)
				b[i] ^= flip
				s, err := loadBytes(t, b)
				var c *base.CorruptionError
				if !errors.As(err, &c) || c.File != "MANIFEST-000001" || c.Offset < 0 || c.Offset > int64(i) {
					t.Fatalf("keys %d, byte %d of %d xor %#x: %v, set %v", keyLen, i, len(whole), flip, err, s)
				}
			}
		}
	}
}

// TestLostMiddle removes or zeroes records that others follow: no tear, but damage.
func TestLostMiddle(t *testing.T) {
	fs := vfs.NewMem()
	s := mustCreate(t, version.Options{FS: fs, Dir: "db"}, false)
	ends := []int{len(read(t, fs, "db/"+s.ManifestName()))}
	for i := range 5 {
		e := &version.Edit{LogNum: num(1)}
		e.SetPointer(1, base.MakeKey(fmt.Appendf(nil, "key %d %0100d", i, i), 1, 1))
		must(t, s.Apply(e))
		ends = append(ends, len(read(t, fs, "db/"+s.ManifestName())))
	}
	whole := read(t, fs, "db/"+s.ManifestName())
	for i := range ends[:4] {
		zeroed := slices.Clone(whole)
		clear(zeroed[ends[i]:ends[i+1]])
		cut := slices.Delete(slices.Clone(whole), ends[i]+20, ends[i]+60)
		for _, b := range [][]byte{zeroed, cut} {
			var c *base.CorruptionError
			if _, err := loadBytes(t, b); !errors.As(err, &c) || c.Offset != int64(ends[i]) {
				t.Errorf("record at %d lost: %v", ends[i], err)
			}
		}
	}
	// A snapshot that is cut at the border of its records lacks the numbers.
	if _, err := loadBytes(t, nil); !errors.Is(err, base.ErrCorruption) {
		t.Errorf("empty manifest: %v", err)
	}
}
