package tools

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math"
	"runtime"
	"slices"
	"strings"
	"testing"

	"github.com/strata-db/strata/internal/base"
)

// stream returns the binary form of records, in frames of perFrame records.
func stream(tb testing.TB, records []string, perFrame int) []byte {
	tb.Helper()
	var b bytes.Buffer
	s, err := newStreamWriter(&b)
	for i := 0; i < len(records) && err == nil; i++ {
		if err = s.add([]byte(records[i]), []byte("value of "+records[i])); err == nil && (i+1)%perFrame == 0 {
			err = s.flush(frameRecords)
		}
	}
	if err == nil {
		err = s.finish()
	}
	if err != nil {
		tb.Fatal(err)
	}
	return b.Bytes()
}

// readStream returns the keys that b holds, up to what is wrong with it.
func readStream(b []byte) (keys []string, err error) {
	s, err := newStreamReader(bytes.NewReader(b))
	for err == nil {
		err = s.next(func(key, value []byte) error {
			if string(value) != "value of "+string(key) {
				return fmt.Errorf("value %q of key %q", value, key)
			}
			keys = append(keys, string(key))
			return nil
		})
	}
	if err == io.EOF {
		err = nil
	}
	return keys, err
}

var someRecords = []string{"", "a", "b\x00", strings.Repeat("c", 130), "d", "e", "f"}

// TestStreamBytes pins the bytes of a small stream.
func TestStreamBytes(t *testing.T) {
	const want = "535452415441" + "0001" +
		"01" + "0d000000" + "2d4d8df9" + "0161" + "0a" + "76616c7565206f662061" +
		"02" + "08000000" + "1a2073a1" + "0100000000000000"
	if got := fmt.Sprintf("%x", stream(t, []string{"a"}, 9)); got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
}

// TestStreamNoticesDamage flips every bit of a stream and cuts it at every length:
// each is an error with a place, and no record is handed out that was not put in.
func TestStreamNoticesDamage(t *testing.T) {
	whole := stream(t, someRecords, 2)
	if keys, err := readStream(whole); err != nil || !slices.Equal(keys, someRecords) {
		t.Fatalf("the whole stream: %q, %v", keys, err)
	}
	check := func(what string, b []byte) {
		keys, err := readStream(b)
		if err == nil {
			t.Errorf("%s: not noticed", what)
		}
		if c := (*base.CorruptionError)(nil); errors.As(err, &c) && (c.Offset < 0 || c.Offset > int64(len(b))) {
			t.Errorf("%s: %v, of %d bytes", what, err, len(b))
		}
		if len(keys) > len(someRecords) || !slices.Equal(keys, someRecords[:len(keys)]) {
			t.Errorf("%s: keys %q", what, keys)
		}
	}
	for i := range whole {
		check(fmt.Sprintf("cut to %d", i), whole[:i])
		for bit := range 8 {
			b := bytes.Clone(whole)
			b[i] ^= 1 << bit
			check(fmt.Sprintf("bit %d of byte %d", bit, i), b)
		}
	}
	check("a byte more", append(bytes.Clone(whole), 0))
	check("a stream more", append(bytes.Clone(whole), whole...))
}

// frameOf returns a frame with a right checksum.
func frameOf(typ byte, payload []byte) []byte {
	b := binary.LittleEndian.AppendUint32([]byte{typ}, uint32(len(payload)))
	return append(binary.LittleEndian.AppendUint32(b, frameSum(b, payload)), payload...)
}

// TestStreamJudgesSoundFrames gives the reader frames whose checksums are right and
// whose content is not.
func TestStreamJudgesSoundFrames(t *testing.T) {
	huge := binary.AppendUvarint(nil, math.MaxUint64)
	for _, c := range []struct {
		name  string
		frame []byte
		want  string
	}{
		{"key too long", frameOf(frameRecords, []byte("\x02a")), "at offset 17: record does not end"},
		{"no value", frameOf(frameRecords, []byte("\x01a")), "at offset 17: record does not end"},
		{"second record", frameOf(frameRecords, []byte("\x01a\x0avalue of a\x05b")), "at offset 30: record does not end"},
		{"huge length", frameOf(frameRecords, huge), "at offset 17: record does not end"},
		{"endless length", frameOf(frameRecords, bytes.Repeat([]byte{0xff}, 20)), "at offset 17: record does not end"},
		{"type", frameOf(7, nil), "at offset 8: frame of unknown type 7"},
		{"end", frameOf(frameEnd, []byte("1")), "at offset 8: end frame of 1 bytes"},
		{"count", frameOf(frameEnd, []byte("\x01\x00\x00\x00\x00\x00\x00\x00")), "at offset 8: number of records, got 0, want 1"},
		{"frame", append([]byte{1, 0xff, 0xff, 0xff, 0xff}, make([]byte, 4)...), "at offset 8: frame of 4294967295 bytes"},
	} {
		_, err := readStream(append([]byte(streamMagic), c.frame...))
		if err == nil || !strings.Contains(err.Error(), c.want) || !errors.Is(err, base.ErrCorruption) {
			t.Errorf("%s: %v, want %q", c.name, err, c.want)
		}
	}
	if _, err := readStream([]byte("STRATA\x00\x02")); err == nil || !strings.Contains(err.Error(), "version 2") {
		t.Errorf("another version: %v", err)
	}
}

// TestStreamLengthCostsNoMemory reads a frame that says it is as large as a frame
// may be, and is not.
func TestStreamLengthCostsNoMemory(t *testing.T) {
	b := append([]byte(streamMagic), 1)
	b = append(binary.LittleEndian.AppendUint32(b, uint32(maxFramePayload)), make([]byte, 1000)...)
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	_, err := readStream(b)
	runtime.ReadMemStats(&after)
	if !errors.Is(err, base.ErrCorruption) {
		t.Error(err)
	}
	if n := after.TotalAlloc - before.TotalAlloc; n > 1<<20 {
		t.Errorf("%d bytes were allocated for %d", n, len(b))
	}
}

func FuzzStream(f *testing.F) {
	f.Add(stream(f, someRecords, 2))
	f.Add([]byte(streamMagic))
	f.Fuzz(func(t *testing.T, b []byte) {
		s, err := newStreamReader(bytes.NewReader(b))
		for err == nil {
			err = s.next(func([]byte, []byte) error { return nil })
		}
		if err == io.EOF && !bytes.HasPrefix(b, []byte(streamMagic)) {
			t.Error("a stream without a magic was accepted")
		}
	})
}
