package wal_test

import (
	"bytes"
	"errors"
	"fmt"
	"math/rand/v2"
	"strconv"
	"strings"
	"testing"

	"github.com/strata-db/strata/internal/base"
	"github.com/strata-db/strata/internal/batch"
	"github.com/strata-db/strata/internal/checksum"
	"github.com/strata-db/strata/vfs"
	"github.com/strata-db/strata/wal"
	"github.com/strata-db/strata/wal/record"
)

// image is a file under construction.
type image []byte

func (f *image) Append(p []byte) error { *f = append(*f, p...); return nil }

// makeBatch returns a batch of n entries whose first has that sequence number.
// The content follows from the number.
func makeBatch(seq base.SeqNum, n int) []byte {
	b := batch.AppendEmpty(nil, seq)
	for i := range n {
		b = batch.AppendSet(b, []byte("kk"), fmt.Appendf(nil, "v%d", int(seq)+i))
	}
	batch.SetCount(b, uint32(n))
	return b
}

// build makes a segment from words:
//
//	S5    signature with sequence number 5      B5    batch at 5      B5x3  of three entries
//	M5    mark at 5                             L5    batch at 5, longer than a block
//	Z100  that many zeros                       G100  that many random bytes
//	X     a bit of the last byte flipped        C3    three bytes cut off
//	Q5    a record at 5 that is no batch        O     a last chunk without beginning
//	U     a chunk of unknown type               P30   a batch at 30 in a value of a batch at 5
//	T32   zeros up to 32 bytes before the block's end, as a batch's value at 5
func build(tb testing.TB, words string) []byte {
	tb.Helper()
	var f image
	rnd := rand.New(rand.NewPCG(7, 7))
	for w := range strings.FieldsSeq(words) {
		num, times, _ := strings.Cut(w[1:], "x")
		n, _ := strconv.Atoi(num)
		seq := base.SeqNum(n)
		write := func(rec []byte) { _ = record.NewWriter(&f, int64(len(f))).Write(rec) }
		switch w[0] {
		case 'S':
			write(batch.AppendEmpty(nil, seq))
			write(batch.AppendEmpty(nil, seq))
		case 'M':
			write(batch.AppendEmpty(nil, seq))
		case 'B':
			count, err := strconv.Atoi(times)
			if err != nil {
				count = 1
			}
			write(makeBatch(seq, count))
		case 'L':
			b := batch.AppendSet(batch.AppendEmpty(nil, seq), []byte("k"), bytes.Repeat([]byte("x"), 70000))
			batch.SetCount(b, 1)
			write(b)
		case 'P':
			var inner image
			_ = record.NewWriter(&inner, 0).Write(makeBatch(seq, 1))
			b := batch.AppendSet(batch.AppendEmpty(nil, 5), []byte("k"), inner)
			batch.SetCount(b, 1)
			write(b)
		case 'T':
			left := record.BlockSize - len(f)%record.BlockSize - n
			b := batch.AppendSet(batch.AppendEmpty(nil, 5), []byte("k"), make([]byte, left-7-12-1-2-3))
			batch.SetCount(b, 1)
			write(b)
		case 'Z':
			f = append(f, make([]byte, n)...)
		case 'G':
			for range n {
				f = append(f, byte(rnd.Uint32()))
			}
		case 'X':
			f[len(f)-1] ^= 1
		case 'C':
			f = f[:len(f)-n]
		case 'Q':
			write(append(makeBatch(seq, 1), 99))
		case 'O', 'U':
			c := []byte{0, 0, 0, 0, 1, 0, map[byte]byte{'O': 4, 'U': 9}[w[0]], 'x'}
			m := checksum.Mask(checksum.New(c[6:]))
			c[0], c[1], c[2], c[3] = byte(m), byte(m>>8), byte(m>>16), byte(m>>24)
			f = append(f, c...)
		default:
			tb.Fatalf("word %q", w)
		}
	}
	return f
}

// store writes segments 1, 2, … to a new file system.
func store(tb testing.TB, segments ...[]byte) (vfs.FS, []wal.Segment) {
	tb.Helper()
	fs := vfs.NewMem()
	var segs []wal.Segment
	for i, data := range segments {
		seg := wal.Segment{Num: base.FileNum(i + 1), Type: base.FileLog}
		f, err := fs.Create(seg.Name())
		if err == nil {
			_, err = f.Write(data)
		}
		if err == nil {
			err = f.Close()
		}
		if err != nil {
			tb.Fatal(err)
		}
		segs = append(segs, seg)
	}
	return fs, segs
}

// outcome replays and prints: sequence numbers delivered, the last one known,
// the tear, dropped segments, and the error.
func outcome(o wal.ReplayOptions) string {
	var out []string
	res, err := wal.Replay(o, func(_ wal.Segment, _ int64, rec []byte) error {
		s := fmt.Sprint(batch.SeqNum(rec))
		if n := batch.Count(rec); n > 1 {
			s += fmt.Sprintf("-%d", batch.LastSeqNum(rec))
		}
		out = append(out, s)
		return nil
	})
	if err != nil {
		var ce *base.CorruptionError
		if !errors.As(err, &ce) {
			return strings.Join(append(out, err.Error()), " ")
		}
		return strings.Join(append(out, fmt.Sprintf("corrupt %s@%d", strings.TrimLeft(ce.File, "0"), ce.Offset)), " ")
	}
	out = append(out, fmt.Sprintf("last=%d end=%d:%d", res.LastSeq, res.End.Segment.Num, res.End.Offset))
	if t := res.Tear; t != nil {
		out = append(out, fmt.Sprintf("tear=%s@%d,%d", strings.TrimLeft(t.File, "0"), t.Offset, t.DroppedBytes))
	}
	for _, s := range res.Dropped {
		out = append(out, fmt.Sprintf("drop=%d", s.Num))
	}
	if res.Superseded > 0 {
		out = append(out, fmt.Sprintf("superseded=%d", res.Superseded))
	}
	for _, l := range res.Lost {
		out = append(out, fmt.Sprintf("lost=%d@%d,%d", l.Segment.Num, l.Offset, l.Bytes))
	}
	return strings.Join(out, " ")
}

// Where replay ends, case by case: see the package comment. A batch of one entry
// takes 26 bytes here, a mark 19, a signature 38.
func TestWhereReplayEnds(t *testing.T) {
	for _, c := range []struct{ name, segments, want string }{
		{"nothing", "", "last=0 end=1:0"},
		{"only a signature", "S5", "last=4 end=1:38"},
		{"signed", "S1 B1 B2x3 M5 B5", "1 2-4 5 last=5 end=1:149"},
		{"marks count", "S1 B1 M2", "1 last=1 end=1:83"},

		// Signed, one segment.
		{"zero tail", "S1 B1 Z1000", "1 last=1 end=1:64"},
		{"torn record", "S1 B1 B2 C3", "1 last=1 end=1:64 tear=1.log@64,23"},
		{"torn record, zeros", "S1 B1 B2 C3 Z500", "1 last=1 end=1:64 tear=1.log@64,23"},
		{"garbage", "S1 B1 G300", "1 last=1 end=1:64 tear=1.log@64,300"},
		{"flip, then records", "S1 B1 B2 X B3 B4", "1 last=1 end=1:64 tear=1.log@64,78"},
		{"flip, then records and mark", "S1 B1 B2 X B3 M4 B4", "1 corrupt 1.log@64"},
		{"flip behind the mark", "S1 B1 M2 B2 X B3", "1 last=1 end=1:83 tear=1.log@83,52"},
		{"flip before the mark", "S1 B1 X M2", "corrupt 1.log@38"},
		{"flip of the mark itself", "S1 B1 M2 X B2", "1 2 last=2 end=1:109"},
		{"hole, then records", "S1 B1 Z100 B3 B4", "1 last=1 end=1:64 tear=1.log@64,152"},
		{"hole, then a mark", "S1 B1 Z100 M3", "1 corrupt 1.log@64"},
		{"appended behind zeros", "S1 B1 Z1000 B2 B3", "1 2 3 last=3 end=1:1116"},
		{"appended behind a tear", "S1 B1 B2 C3 B2 B3", "1 2 3 last=3 end=1:139"},
		{"empty batch behind zeros", "S1 B1 Z1000 M2 B2", "1 2 last=2 end=1:1109"},
		{"jump without damage", "S1 B1 B7", "1 7 last=7 end=1:90"},
		{"malformed", "S1 B1 Q2", "1 corrupt 1.log@64"},
		{"malformed behind zeros", "S1 B1 Z9 Q2", "1 last=1 end=1:64 tear=1.log@64,36"},
		{"orphan chunk", "S1 B1 O", "1 corrupt 1.log@64"},
		{"unknown type", "S1 B1 U", "1 corrupt 1.log@64"},
		{"same numbers again", "S1 B1 B2 B2", "1 2 corrupt 1.log@90"},
		{"torn record of blocks", "S1 B1 L2 C9", "1 last=1 end=1:64 tear=1.log@64,70030"},
		{"seven zeros, beginning lost", "S5 T7 Z7 O", "5 last=5 end=1:32761 tear=1.log@32761,15"},
		{"seven zeros are a trailer", "S5 T7 Z7 B6", "5 6 last=6 end=1:32794"},

		// Unsigned, one segment.
		{"foreign", "B1 B2 M3 B9 B4", "1 2 9 4 last=9 end=1:123"},
		{"foreign torn", "B1 B2 C3", "1 last=1 end=1:26 tear=1.log@26,23"},
		{"foreign zero tail", "B1 Z1000", "1 last=1 end=1:26"},
		{"foreign garbage", "B1 G300", "1 last=1 end=1:26 tear=1.log@26,300"},
		{"foreign flip", "B1 B2 X B3", "1 corrupt 1.log@26"},
		{"foreign flip before an empty batch", "B1 B2 X M3", "1 corrupt 1.log@26"},
		{"foreign hole", "B1 Z100 B3", "1 corrupt 1.log@26"},
		{"foreign hole, next number", "B1 Z100 B2", "1 corrupt 1.log@26"},
		{"foreign hole, then no batch", "B1 Z100 Q2", "1 last=1 end=1:26 tear=1.log@26,127"},
		{"foreign first page lost", "Z100 B3", "corrupt 1.log@0"},
		{"foreign malformed", "B1 Q2", "1 corrupt 1.log@26"},
		{"foreign same numbers again", "B1 B2 B1", "1 2 corrupt 1.log@52"},
		{"foreign, all garbage", "G300", "last=0 end=1:0 tear=1.log@0,300"},

		// Several signed segments.
		{"two", "S1 B1 B2 | S3 B3", "1 2 3 last=3 end=2:64"},
		{"two, zeros between", "S1 B1 Z90 | S2 B2", "1 2 last=2 end=2:64"},
		{"two, failed append between", "S1 B1 B2 C3 | S2 B2", "1 2 last=2 end=2:64"},
		{"whole failed append", "S1 B1 B2 | S2 B2 B3", "1 2 3 last=3 end=2:90 superseded=1"},
		{"tear, then more", "S1 B1 B2 C3 | S3 B3", "1 last=1 end=1:64 tear=1.log@64,87 drop=2"},
		{"tear, then marks", "S1 B1 B2 C3 | S3 B3 M4", "1 corrupt 1.log@64"},
		{"flip, then marks", "S1 B1 B2 X B3 | S4 M4", "1 corrupt 1.log@64"},
		{"end cut clean", "S1 B1 | S3 B3", "1 last=1 end=1:64 tear=1.log@64,64 drop=2"},
		{"end cut clean, then marks", "S1 B1 | S3 B3 M4", "1 corrupt 1.log@64"},
		{"end cut clean, then an empty one", "S1 B1 | S3", "1 last=1 end=1:64 tear=1.log@64,27 drop=2"},
		{"middle one missing its bytes", "S1 B1 | Z200 | S4 B4", "1 last=1 end=1:64 tear=1.log@64,64 drop=3"},
		{"middle one lost its signature", "S1 B1 | Z200 B3 | S4 B4", "1 last=1 end=1:64 tear=2.log@0,290 drop=3"},
		{"lost its signature, then marks", "S1 B1 | Z200 B3 M4", "1 corrupt 2.log@0"},
		{"second crash", "S1 B1 B2 X B3 | S4 B4 | S2 B2", "1 2 last=2 end=3:64 drop=2"},
		{"second crash, then marks", "S1 B1 B2 X B3 | S4 B4 | S2 B2 M3", "1 2 last=2 end=3:83 drop=2"},
		{"unused beginnings", "S1 B1 | S2 | S2 | S2 B2", "1 2 last=2 end=4:64"},
		{"prepared and not used", "S1 B1 Z90 | Z5000", "1 last=1 end=1:64"},
		{"half a signature", "S1 B1 | M4", "1 last=1 end=2:19"},
		{"half a signature, then a hole", "S1 B1 | M4 | S4 B4", "1 last=1 end=2:19 tear=2.log@19,64 drop=3"},
		{"half a signature, nothing missing", "S1 B1 | M2 | S2 B2", "1 2 last=2 end=3:64"},
		// The first log was cut back by a power cut after the half was written.
		{"half a signature above the next", "S1 B1 | M4 | S2 B2", "1 2 last=2 end=3:64"},
		{"half superseded", "S1 B1x3 | S3", "corrupt 1.log@38"},
		{"mark beyond the next beginning", "S1 B1 B2 M3 | S2 B2", "1 corrupt 1.log@90"},

		// Foreign ones among them.
		{"foreign two", "B1 B2 | B3 B5", "1 2 3 5 last=5 end=2:52"},
		{"foreign tear between", "B1 B2 C3 | B3 B5", "1 3 5 last=5 end=2:52"},
		{"foreign then ours", "B1 B2 | S3 B3", "1 2 3 last=3 end=2:64"},
		{"foreign then ours, jump", "B1 B2 | S9 B9", "1 2 9 last=9 end=2:64"},
		{"foreign tear, ours follows", "B1 B2 C3 | S2 B2", "1 2 last=2 end=2:64"},
		{"foreign tear, then ours", "B1 B2 C3 | S3 B3", "1 last=1 end=1:26 tear=1.log@26,87 drop=2"},
		{"foreign tear, then our mark", "B1 B2 C3 | S3 B3 M4", "1 corrupt 1.log@26"},
		{"empty foreign then ours", " | S3 B3", "3 last=3 end=2:64"},
		{"ours then foreign", "S1 B1 | B2 B4", "1 2 4 last=4 end=2:52"},
		{"our tear, then foreign", "S1 B1 B2 C3 | B3", "1 last=1 end=1:64 tear=1.log@64,49 drop=2"},

		// Bytes in values.
		{"a batch in a value", "S5 P30 B6", "5 6 last=6 end=1:114"},
		{"a batch in a torn value", "S5 B5 P30 C3", "5 last=5 end=1:64 tear=1.log@64,47"},
	} {
		var segments [][]byte
		for words := range strings.SplitSeq(c.segments, "|") {
			segments = append(segments, build(t, words))
		}
		fs, segs := store(t, segments...)
		if got := outcome(wal.ReplayOptions{FS: fs, Segments: segs}); got != c.want {
			t.Errorf("%s: %s\n got  %s\n want %s", c.name, c.segments, got, c.want)
		}
		if got := outcome(wal.ReplayOptions{FS: fs, Segments: segs, Lockless: true}); got != c.want {
			t.Errorf("%s, lockless: %s\n got  %s\n want %s", c.name, c.segments, got, c.want)
		}
	}
}

// A salvage delivers what is whole, says what it passed over, and has no error.
func TestSalvage(t *testing.T) {
	for _, c := range []struct{ segments, want string }{
		{"S1 B1 B2 X B3 M4 B4", "1 3 4 last=4 end=1:161 lost=1@64,26"},
		{"B1 B2 X B3 Z50 B4 G9", "1 3 4 last=4 end=1:154 lost=1@26,26 lost=1@78,50 lost=1@154,9"},
		{"B1 Q2 O B3 U B4", "1 3 4 last=4 end=1:121 lost=1@26,27 lost=1@53,8 lost=1@87,8"},
		{"S1 B1 B2 C3 | S3 B3 M4", "1 3 last=3 end=2:83 lost=1@64,23"},
		{"B1 B1 B2", "1 2 last=2 end=1:78 lost=1@26,26"},
		{"Z10 B3 | G20 B4", "3 4 last=4 end=2:46 lost=1@0,10 lost=2@0,20"},
	} {
		var segments [][]byte
		for words := range strings.SplitSeq(c.segments, "|") {
			segments = append(segments, build(t, words))
		}
		fs, segs := store(t, segments...)
		got := outcome(wal.ReplayOptions{FS: fs, Segments: segs, Salvage: true})
		if got != c.want {
			t.Errorf("%s\n got  %s\n want %s", c.segments, got, c.want)
		}
	}
}
