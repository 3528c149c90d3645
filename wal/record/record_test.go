package record

import (
	"bytes"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/strata-db/strata/internal/base"
	"github.com/strata-db/strata/internal/checksum"
)

// file is an Appender in memory. After failAt calls it fails.
type file struct {
	b      []byte
	calls  int
	failAt int
}

func (f *file) Append(p []byte) error {
	if f.calls++; f.calls == f.failAt {
		return errors.New("no space")
	}
	f.b = append(f.b, p...)
	return nil
}

// write returns a file of these records.
func write(tb testing.TB, recs ...[]byte) []byte {
	tb.Helper()
	f := &file{}
	w := NewWriter(f, 0)
	for _, r := range recs {
		if err := w.Write(r); err != nil {
			tb.Fatal(err)
		}
	}
	if w.Size() != int64(len(f.b)) {
		tb.Fatalf("Size %d, file has %d bytes", w.Size(), len(f.b))
	}
	return f.b
}

// readers returns a Reader of each sort over data.
func readers(data []byte) map[string]*Reader {
	return map[string]*Reader{
		"bytes":    NewBytesReader(data, "log"),
		"readerAt": NewReader(bytes.NewReader(data), int64(len(data)), "log"),
	}
}

func sized(n int, c byte) []byte { return bytes.Repeat([]byte{c}, n) }

// chunk returns one chunk of any type with the right checksum.
func chunk(typ byte, data string) []byte {
	c := append([]byte{0, 0, 0, 0, 0, 0, typ}, data...)
	seal(c)
	return c
}

// summary reads everything and prints each record as offset:length, then the error.
func summary(r *Reader) string {
	var out []string
	for {
		rec, off, err := r.Next()
		if err != nil {
			var d *Damage
			if errors.As(err, &d) {
				return strings.Join(append(out, fmt.Sprintf("%s at %d from %d", d.Kind, d.Offset, d.Start)), " ")
			}
			return strings.Join(append(out, err.Error()), " ")
		}
		out = append(out, fmt.Sprintf("%d:%d", off, len(rec)))
	}
}

// The example of the package comment, byte by byte.
func TestBytes(t *testing.T) {
	got := hex.EncodeToString(write(t, []byte("hello"))[4:])
	if got != "0500"+"01"+"68656c6c6f" {
		t.Fatalf("got %s", got)
	}
}

// Records of every length around a block's end come back as they were, and the
// file has LevelDB's trailers: six zeros at most, an empty chunk for seven bytes.
func TestBlockBorders(t *testing.T) {
	for left := range 20 {
		for _, n := range []int{0, 1, 6, 7, 8, 100, BlockSize, 3 * BlockSize} {
			first := sized(BlockSize-HeaderLen-left, 'a')
			second := sized(n, 'b')
			data := write(t, first, second, []byte("end"))
			for name, r := range readers(data) {
				for i, want := range [][]byte{first, second, []byte("end")} {
					got, _, err := r.Next()
					if err != nil || !bytes.Equal(got, want) {
						t.Fatalf("%s, %d left, record of %d: number %d gives %d bytes, %v", name, left, n, i, len(got), err)
					}
				}
				if _, _, err := r.Next(); err != io.EOF {
					t.Fatalf("%s, %d left, record of %d: at the end %v", name, left, n, err)
				}
			}
			if left < HeaderLen && !allZero(data[BlockSize-left:BlockSize]) {
				t.Fatalf("%d left: trailer %x", left, data[BlockSize-left:BlockSize])
			}
			if left == HeaderLen && n > 0 && !bytes.Equal(data[BlockSize-left:BlockSize], chunk(typeFirst, "")) {
				t.Fatalf("%d left: trailer %x", left, data[BlockSize-left:BlockSize])
			}
		}
	}
}

// Random records, random splits into parts, and a Writer that goes on in a file
// give the same bytes back.
func TestRoundTrip(t *testing.T) {
	rnd := rand.New(rand.NewPCG(1, 2))
	for range 50 {
		f := &file{}
		w := NewWriter(f, 0)
		var want [][]byte
		for range 1 + rnd.IntN(30) {
			n := rnd.IntN(200)
			switch rnd.IntN(10) {
			case 0:
				n = rnd.IntN(4 * BlockSize)
			case 1:
				n = pieceBytes + rnd.IntN(BlockSize)
			}
			rec := make([]byte, n)
			for i := range rec {
				rec[i] = byte(rnd.Uint32())
			}
			cut := rnd.IntN(n + 1)
			if err := w.WriteParts(rec[:cut], rec[cut:]); err != nil {
				t.Fatal(err)
			}
			want = append(want, rec)
			if rnd.IntN(4) == 0 {
				w = NewWriter(f, w.Size())
			}
		}
		for name, r := range readers(f.b) {
			for i := range want {
				got, off, err := r.Next()
				if err != nil || !bytes.Equal(got, want[i]) {
					t.Fatalf("%s: record %d: %d bytes at %d, %v; want %d", name, i, len(got), off, err, len(want[i]))
				}
			}
			if _, _, err := r.Next(); err != io.EOF {
				t.Fatalf("%s: at the end %v", name, err)
			}
			if r.Offset() != w.Size() {
				t.Fatalf("%s: Offset %d, size %d", name, r.Offset(), w.Size())
			}
		}
	}
}

// Each kind of damage is named, with the chunk it is in and the record that the
// file would be cut at.
func TestDamage(t *testing.T) {
	flip := func(b []byte, i int) []byte { b[i] ^= 1; return b }
	cat := func(parts ...[]byte) []byte { return bytes.Join(parts, nil) }
	two := func() []byte { return write(t, []byte("one"), []byte("two")) }
	long := func() []byte { return write(t, sized(40000, 'x'), []byte("two")) }
	full := func(n int) []byte { return write(t, sized(n-HeaderLen, 'f')) }

	for _, c := range []struct {
		name string
		data []byte
		want string
	}{
		{"nothing", nil, "EOF"},
		{"whole", two(), "0:3 10:3 EOF"},
		{"zero tail", cat(two(), make([]byte, 1000)), "0:3 10:3 zeros where a record should be at 20 from 20"},
		{"short zero tail", cat(two(), make([]byte, 3)), "0:3 10:3 zeros where a record should be at 20 from 20"},
		{"zero hole", cat(two(), make([]byte, 100), two()), "0:3 10:3 zeros where a record should be at 20 from 20"},
		{"zero length and type, crc set", cat(two(), []byte{1, 2, 3, 4, 0, 0, 0}), "0:3 10:3 zeros where a record should be at 20 from 20"},
		{"torn header", two()[:15], "0:3 record header cut short at 10 from 10"},
		{"torn payload", two()[:19], "0:3 record cut short at 10 from 10"},
		{"flipped payload", flip(two(), 18), "0:3 record checksum at 10 from 10"},
		{"flipped type", flip(two(), 16), "0:3 record checksum at 10 from 10"},
		{"flipped crc", flip(two(), 10), "0:3 record checksum at 10 from 10"},
		{"flipped last chunk", flip(long(), 40000), "record checksum at 32768 from 0"},
		{"flipped high length", func() []byte { b := write(t, []byte("one"), sized(40000, 'y')); b[5] ^= 0x80; return b }(),
			"record length beyond its block at 0 from 0"},
		{"cut after first", long()[:BlockSize], "record without end at 32768 from 0"},
		{"cut in last", long()[:BlockSize+100], "record cut short at 32768 from 0"},
		{"zeros after first", append(long()[:BlockSize], make([]byte, 500)...), "zeros where a record should be at 32768 from 0"},
		{"full in a record", cat(chunk(typeFirst, "a"), chunk(typeFull, "b")), "record without end before another at 8 from 0"},
		{"first in a record", cat(chunk(typeFirst, "a"), chunk(typeFirst, "b")), "record without end before another at 8 from 0"},
		{"orphan middle", cat(two(), chunk(typeMiddle, "a")), "0:3 10:3 record without beginning at 20 from 20"},
		{"orphan last", cat(two(), chunk(typeLast, "a"), two()), "0:3 10:3 record without beginning at 20 from 20"},
		{"unknown type", cat(two(), chunk(9, "a"), two()), "0:3 10:3 record type at 20 from 20"},
		{"unknown type in a record", cat(chunk(typeFirst, "a"), chunk(5, "a")), "record type at 8 from 0"},
		{"seven zeros as trailer", cat(full(BlockSize-7), make([]byte, 7), two()), "0:32754 32768:3 32778:3 EOF"},
		{"seven zeros at the end", cat(full(BlockSize-7), make([]byte, 7)), "0:32754 EOF"},
		{"beginning lost in seven zeros", cat(full(BlockSize-7), make([]byte, 7), chunk(typeLast, "a")),
			"0:32754 zeros where a record should be at 32761 from 32761"},
		{"eight zeros", cat(full(BlockSize-8), make([]byte, 8), two()), "0:32753 zeros where a record should be at 32760 from 32760"},
		{"empty first then full", cat(full(BlockSize-7), chunk(typeFirst, ""), two()), "0:32754 32768:3 32778:3 EOF"},
		{"empty first then first", cat(full(BlockSize-7), chunk(typeFirst, ""), long()), "0:32754 32768:40000 72782:3 EOF"},
		{"empty first at the end", cat(full(BlockSize-7), chunk(typeFirst, "")), "0:32754 record without end at 32768 from 32761"},
	} {
		for name, r := range readers(c.data) {
			if got := summary(r); got != c.want {
				t.Errorf("%s (%s):\n got  %s\n want %s", c.name, name, got, c.want)
			}
			_, _, err := r.Next()
			var d *Damage
			if errors.As(err, &d) {
				var ce *base.CorruptionError
				if !errors.Is(err, base.ErrCorruption) || !errors.As(err, &ce) || ce.File != "log" {
					t.Errorf("%s (%s): %v is no corruption of the file", c.name, name, err)
				}
			}
		}
	}
}

// A scan finds the first record behind damage wherever it begins, in one chunk
// or several, and reading goes on from there.
func TestFindAfter(t *testing.T) {
	isB := func(rec []byte) bool { return len(rec) > 0 && rec[0] == 'b' }
	for _, n := range []int{1, 100, BlockSize, 9 * BlockSize} {
		for _, gap := range []int{0, 1, 13, 5000, BlockSize - 3, 300000} {
			head := write(t, []byte("a"))
			f := &file{b: append(head, bytes.Repeat([]byte{0, 9, 2}, gap)...)}
			w := NewWriter(f, int64(len(f.b)))
			_ = w.Write([]byte("another"))
			if err := w.Write(sized(n, 'b')); err != nil {
				t.Fatal(err)
			}
			_ = w.Write([]byte("behind"))
			for name, r := range readers(f.b) {
				rec, off, ok, err := r.FindAfter(1, isB)
				if err != nil || !ok || !bytes.Equal(rec, sized(n, 'b')) {
					t.Fatalf("%s: gap %d, record of %d: found %d bytes at %d, %v %v", name, gap, n, len(rec), off, ok, err)
				}
				if rec, _, err := r.Next(); err != nil || string(rec) != "behind" {
					t.Fatalf("%s: gap %d, record of %d: behind it %q, %v", name, gap, n, rec, err)
				}
				if _, _, ok, _ := r.FindAfter(int64(len(f.b))-3, isB); ok {
					t.Fatalf("%s: found a record in the last three bytes", name)
				}
			}
			if off, ok := FindRecordAfter(f.b, 0, isB); !ok || off < int64(len(head)) {
				t.Fatalf("FindRecordAfter: %d %v", off, ok)
			}
		}
	}
}

// Combined sums equal direct ones, and bytes made to look like long records at
// every offset are scanned in bounded time.
func TestScanWork(t *testing.T) {
	rnd := rand.New(rand.NewPCG(3, 4))
	b := make([]byte, 2000)
	for i := range b {
		b[i] = byte(rnd.Uint32())
	}
	sums := prefixSums(b)
	for range 2000 {
		lo := rnd.IntN(len(b))
		hi := lo + rnd.IntN(len(b)-lo+1)
		if got, want := sumBetween(sums, lo, hi), checksum.New(b[lo:hi]); got != want {
			t.Fatalf("[%d:%d]: got %x, want %x", lo, hi, got, want)
		}
	}
	bad := bytes.Repeat([]byte{0x01, 0x3f}, 4*BlockSize)
	if off, ok := FindRecordAfter(bad, 0, func([]byte) bool { return true }); ok {
		t.Fatalf("found a record at %d", off)
	}
}

// LastNonZero ends where the data end, over windows and blocks.
func TestLastNonZero(t *testing.T) {
	for _, n := range []int{0, 1, 100, BlockSize, 10*BlockSize + 5} {
		data := append(sized(n, 'x'), make([]byte, 12*BlockSize+3)...)
		for name, r := range readers(data) {
			if got, err := r.LastNonZero(0); err != nil || got != int64(n) {
				t.Fatalf("%s: got %d, %v; want %d", name, got, err, n)
			}
		}
	}
}

// A write that fails leaves the file as it was, or, if the record was too long
// for one append, a Writer that refuses to go on.
func TestWriterFails(t *testing.T) {
	f := &file{failAt: 2}
	w := NewWriter(f, 0)
	_ = w.Write([]byte("one"))
	if err := w.Write(sized(50000, 'x')); err == nil || w.Unfinished() || w.Size() != 10 {
		t.Fatalf("err %v, unfinished %v, size %d", err, w.Unfinished(), w.Size())
	}
	if err := w.Write([]byte("two")); err != nil {
		t.Fatal(err)
	}
	if got := summary(NewBytesReader(f.b, "log")); got != "0:3 10:3 EOF" {
		t.Fatal(got)
	}

	f = &file{failAt: 2}
	w = NewWriter(f, 0)
	if err := w.Write(sized(3*pieceBytes, 'x')); err == nil || !w.Unfinished() {
		t.Fatalf("err %v, unfinished %v", err, w.Unfinished())
	}
	if err := w.Write([]byte("two")); !errors.Is(err, ErrUnfinished) {
		t.Fatalf("got %v", err)
	}
}

// A file that was longer when its size was taken simply ends; one that grew is
// seen after Reset.
func TestSizeChanges(t *testing.T) {
	data := write(t, []byte("one"), []byte("two"))
	r := NewReader(bytes.NewReader(data), int64(len(data))+100000, "log")
	if got := summary(r); got != "0:3 10:3 EOF" {
		t.Fatal(got)
	}
	r = NewReader(bytes.NewReader(data), 15, "log")
	if got := summary(r); got != "0:3 record header cut short at 10 from 10" {
		t.Fatal(got)
	}
	r.Reset(10, int64(len(data)))
	if got := summary(r); got != "10:3 EOF" {
		t.Fatal(got)
	}
}

type brokenDisk struct{}

func (brokenDisk) ReadAt([]byte, int64) (int, error) { return 0, errors.New("input/output error") }

// A failing disk is not damage.
func TestReadError(t *testing.T) {
	r := NewReader(brokenDisk{}, 100, "log")
	if _, _, err := r.Next(); err == nil || errors.Is(err, base.ErrCorruption) {
		t.Fatalf("got %v", err)
	}
}

// Any bytes: no panic, both sorts of Reader and the scan agree, and every
// record's offset grows.
func FuzzReader(f *testing.F) {
	f.Add(write(f, []byte("one"), sized(40000, 'x'), nil), uint16(3))
	f.Add(append(write(f, []byte("one")), make([]byte, 50)...), uint16(0))
	f.Add(append(chunk(typeFirst, ""), chunk(typeFull, "b")...), uint16(0))
	f.Fuzz(func(t *testing.T, data []byte, shift uint16) {
		// Most interesting things happen near a block's end.
		lead := BlockSize - int(shift%64) - HeaderLen
		data = append(write(t, sized(lead, 'f')), data...)
		rs := readers(data)
		a, b := summary(rs["bytes"]), summary(rs["readerAt"])
		if a != b {
			t.Fatalf("readers differ:\n%s\n%s", a, b)
		}
		r := rs["bytes"]
		last := int64(-1)
		for from := int64(0); ; {
			_, off, ok, err := r.FindAfter(from, func([]byte) bool { return true })
			if err != nil {
				t.Fatal(err)
			}
			if !ok {
				break
			}
			if off <= last {
				t.Fatalf("found %d after %d", off, last)
			}
			last, from = off, off+1
		}
	})
}

// Any records come back from a file of them.
func FuzzWriter(f *testing.F) {
	f.Add([]byte("abc"), uint32(5), uint16(7))
	f.Fuzz(func(t *testing.T, rec []byte, repeat uint32, lead uint16) {
		a := sized(int(lead), 'l')
		b := bytes.Repeat(rec, 1+int(repeat%64))
		r := NewBytesReader(write(t, a, b, rec), "log")
		for _, want := range [][]byte{a, b, rec} {
			got, _, err := r.Next()
			if err != nil || !bytes.Equal(got, want) {
				t.Fatalf("got %d bytes, %v; want %d", len(got), err, len(want))
			}
		}
	})
}

type discard struct{}

func (discard) Append([]byte) error { return nil }

// The cost of framing one small batch: copy and checksum, no allocation.
func BenchmarkWrite140(b *testing.B) {
	w := NewWriter(discard{}, 0)
	rec := sized(133, 'x')
	b.SetBytes(140)
	b.ReportAllocs()
	for b.Loop() {
		_ = w.Write(rec)
	}
}

// The cost of reading small batches back.
func BenchmarkRead140(b *testing.B) {
	f := &file{}
	w := NewWriter(f, 0)
	for range 100000 {
		_ = w.Write(sized(133, 'x'))
	}
	b.SetBytes(int64(len(f.b)))
	b.ReportAllocs()
	for b.Loop() {
		r := NewReader(bytes.NewReader(f.b), int64(len(f.b)), "log")
		for {
			if _, _, err := r.Next(); err != nil {
				break
			}
		}
	}
}

// The cost of a scan that finds nothing, over random bytes, over zeros, and over
// bytes that look like long records everywhere.
func BenchmarkFindAfter(b *testing.B) {
	random := make([]byte, 1<<20)
	rnd := rand.New(rand.NewPCG(5, 6))
	for i := range random {
		random[i] = byte(rnd.Uint32())
	}
	for name, data := range map[string][]byte{
		"random":  random,
		"zeros":   make([]byte, 1<<20),
		"hostile": bytes.Repeat([]byte{1, 0x3f}, 1<<19),
	} {
		b.Run(name, func(b *testing.B) {
			b.SetBytes(int64(len(data)))
			for b.Loop() {
				FindRecordAfter(data, 0, func([]byte) bool { return true })
			}
		})
	}
}
