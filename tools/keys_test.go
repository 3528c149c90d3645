package tools

import (
	"bytes"
	"testing"

	"github.com/strata-db/strata/internal/base"
)

// TestKeysReadBack gives what is printed back to the parser.
func TestKeysReadBack(t *testing.T) {
	for _, c := range []struct{ text, want string }{
		{"a b", "a b"},
		{`a\x00b`, "a\x00b"},
		{`\x5cx00`, `\x00`},
		{`\`, `\`},
		{`\x0`, `\x0`},
		{`\xzz`, `\xzz`},
		{`raw:a\x00`, `a\x00`},
		{"raw:hex:00", "hex:00"},
		{"hex:00fF", "\x00\xff"},
		{"hex:", ""},
	} {
		if got, err := parseKey(c.text); err != nil || string(got) != c.want {
			t.Errorf("%q is %q, %v, want %q", c.text, got, err, c.want)
		}
	}
	if _, err := parseKey("hex:0"); err == nil {
		t.Error("hex:0 is no key")
	}
	var all []byte
	for i := range 256 {
		all = append(all, byte(i))
	}
	for _, text := range []string{formatText(all), base.FormatKey(all)} {
		if got := unescape(text); !bytes.Equal(got, all) {
			t.Errorf("%q reads back as %q", text, got)
		}
	}
}

func FuzzKeysReadBack(f *testing.F) {
	f.Add([]byte(`a\x00#`))
	f.Fuzz(func(t *testing.T, b []byte) {
		if got := unescape(formatText(b)); !bytes.Equal(got, b) {
			t.Errorf("%q reads back as %q", b, got)
		}
		if got := unescape(base.FormatKey(b)); !bytes.Equal(got, b) {
			t.Errorf("%q as a key reads back as %q", b, got)
		}
	})
}

func TestFormatBytes(t *testing.T) {
	for _, c := range []struct {
		n    uint64
		want string
	}{{0, "0 B"}, {1023, "1023 B"}, {1024, "1.0 KiB"}, {1536, "1.5 KiB"}, {1 << 20, "1.0 MiB"}, {5 << 40, "5.0 TiB"}, {1<<64 - 1, "16.0 EiB"}} {
		if got := formatBytes(c.n); got != c.want {
			t.Errorf("%d is %q, want %q", c.n, got, c.want)
		}
	}
}

// TestSpan checks ranges and prefixes under the bytewise order and another one.
func TestSpan(t *testing.T) {
	r := keyRange{from: "b", prefix: `a\xff`}
	s, err := r.span(base.Bytewise)
	if err != nil || string(s.lower) != "b" || string(s.upper) != "b" || s.prefix != nil {
		t.Errorf("bytewise: %q %q %q %v", s.lower, s.upper, s.prefix, err)
	}
	other := &base.Comparer{Name: "other", Compare: func(a, b []byte) int { return -bytes.Compare(a, b) }}
	s, err = r.span(other)
	if err != nil || string(s.lower) != "b" || s.upper != nil || !s.wants([]byte("a\xff1")) || s.wants([]byte("a")) {
		t.Errorf("another order: %q %q %q %v", s.lower, s.upper, s.prefix, err)
	}
}
