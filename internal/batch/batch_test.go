package batch

import (
	"bytes"
	"encoding/hex"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/strata-db/strata/internal/base"
)

// equal fails the test when got and want differ; what says of which thing.
func equal[T comparable](t *testing.T, what string, got, want T) {
	t.Helper()
	if got != want {
		t.Fatalf("%s: got %v, want %v", what, got, want)
	}
}

// build returns a valid batch of the entries a="xy", delete b, ""="".
func build() []byte {
	b := AppendEmpty(nil, 7)
	b = AppendSet(b, []byte("a"), []byte("xy"))
	b = AppendDelete(b, []byte("b"))
	b = AppendSet(b, nil, nil)
	SetCount(b, 3)
	return b
}

// walk prints what a Reader returns, entry by entry.
func walk(b []byte) (string, error) {
	var out []string
	for r := NewReader(b); ; {
		kind, k, v, ok, err := r.Next()
		if !ok {
			return strings.Join(out, " "), err
		}
		out = append(out, fmt.Sprintf("%s,%s:%s", base.FormatKey(k), kind, v))
	}
}

// The example of the package comment, byte by byte: the format is other
// engines' too.
func TestBytes(t *testing.T) {
	b := AppendSet(AppendEmpty(nil, 1), []byte("a"), []byte("xy"))
	SetCount(b, 1)
	equal(t, "bytes", hex.EncodeToString(b), "010000000000000001000000"+"010161027879")
	equal(t, "Validate", Validate(b), nil)
	equal(t, "IsEmpty", IsEmpty(AppendEmpty(nil, 9)), true)
	equal(t, "IsEmpty", IsEmpty(b), false)
}

func TestRoundTrip(t *testing.T) {
	b := build()
	equal(t, "Validate", Validate(b), nil)
	equal(t, "SeqNum", SeqNum(b), 7)
	equal(t, "LastSeqNum", LastSeqNum(b), 9)
	got, err := walk(b)
	equal(t, "error", err, nil)
	equal(t, "entries", got, "a,SET:xy b,DEL: ,SET:")
	SetSeqNum(b, 99)
	equal(t, "SeqNum", SeqNum(b), 99)
	equal(t, "Count", Count(b), 3)

	long := bytes.Repeat([]byte("v"), 70000)
	b = AppendSet(AppendEmpty(nil, 1), long, long)
	SetCount(b, 1)
	equal(t, "Validate", Validate(b), nil)
}

// Each way a batch can be wrong is an error with the place of the damage.
func TestValidateDamage(t *testing.T) {
	head := func(seq base.SeqNum, n uint32, tail ...byte) []byte {
		b := AppendEmpty(nil, seq)
		SetCount(b, n)
		return append(b, tail...)
	}
	for _, c := range []struct {
		name string
		in   []byte
		off  int64
		what string
	}{
		{"empty", nil, 0, "batch header"},
		{"short header", head(1, 0)[:9], 0, "batch header"},
		{"count high", head(1, 1), 8, "batch count"},
		{"count low", head(1, 0, 0, 0), 8, "batch count"},
		{"reserved kind", head(1, 1, 15, 1, 'k'), 12, "batch entry kind"},
		{"no key length", head(1, 1, 0), 12, "batch key length"},
		{"key past end", head(1, 1, 0, 5, 'k'), 12, "batch key length"},
		{"no value length", head(1, 1, 1, 1, 'k'), 12, "batch value length"},
		{"value past end", head(1, 1, 1, 1, 'k', 2, 'v'), 12, "batch value length"},
		{"second entry", head(1, 2, 0, 1, 'k', 9), 15, "batch entry kind"},
		{"length of six bytes", head(1, 1, 0, 0x80, 0x80, 0x80, 0x80, 0x80, 0), 12, "batch key length"},
		{"length of 33 bits", head(1, 1, 0, 0xff, 0xff, 0xff, 0xff, 0x1f), 12, "batch key length"},
		{"sequence too high", head(base.SeqNumMax+1, 0), 0, "batch sequence number"},
		{"sequence overflows", head(base.SeqNumMax, 2, 0, 0, 0, 0), 0, "batch sequence number"},
	} {
		err := Validate(c.in)
		var ce *base.CorruptionError
		if !errors.As(err, &ce) {
			t.Fatalf("%s: got %v, want a corruption", c.name, err)
		}
		equal(t, c.name, ce.Offset, c.off)
		equal(t, c.name, ce.What, c.what)
	}
	equal(t, "highest sequence number", Validate(head(base.SeqNumMax, 1, 0, 0)), nil)
}

// Reading allocates nothing: replay does it for every record of a log.
func TestReadAllocatesNothing(t *testing.T) {
	b := build()
	allocs := testing.AllocsPerRun(100, func() {
		if Validate(b) != nil {
			t.Fatal("invalid")
		}
		for r := NewReader(b); ; {
			if _, _, _, ok, _ := r.Next(); !ok {
				return
			}
		}
	})
	equal(t, "allocations", allocs, 0)
}

// Any bytes: Validate and Reader agree, neither panics, and what is valid is
// rebuilt to equal entries.
func FuzzBatch(f *testing.F) {
	f.Add(build())
	f.Add(build()[:20])
	f.Add([]byte{})
	f.Fuzz(func(t *testing.T, b []byte) {
		verr := Validate(b)
		copied, n := AppendEmpty(nil, 0), uint32(0)
		r := NewReader(b)
		for {
			kind, k, v, ok, err := r.Next()
			if !ok {
				if verr == nil && err != nil {
					t.Fatalf("valid batch, reader says %v", err)
				}
				break
			}
			n++
			if kind == base.KindSet {
				copied = AppendSet(copied, k, v)
			} else {
				copied = AppendDelete(copied, k)
			}
		}
		if verr != nil {
			if !errors.Is(verr, base.ErrCorruption) {
				t.Fatalf("not a corruption: %v", verr)
			}
			return
		}
		if n != Count(b) {
			t.Fatalf("read %d entries, header says %d", n, Count(b))
		}
		SetCount(copied, n)
		SetSeqNum(copied, SeqNum(b))
		if err := Validate(copied); err != nil {
			t.Fatal(err)
		}
		// Lengths may be stored in more bytes than needed; entries are equal.
		x, _ := walk(b)
		if y, _ := walk(copied); x != y {
			t.Fatalf("rebuilt as %s, was %s", y, x)
		}
	})
}
