package tools

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"flag"
	"fmt"
	"strings"

	"github.com/strata-db/strata"
	"github.com/strata-db/strata/internal/base"
)

// parseKey reads a key or value from the command line; see the package comment.
func parseKey(s string) ([]byte, error) {
	if rest, ok := strings.CutPrefix(s, "raw:"); ok {
		return []byte(rest), nil
	}
	if rest, ok := strings.CutPrefix(s, "hex:"); ok {
		b, err := hex.DecodeString(rest)
		if err != nil {
			return nil, usagef("%q: %v", s, err)
		}
		return b, nil
	}
	return unescape(s), nil
}

// unescape turns \xNN into bytes and leaves all else.
func unescape(s string) []byte {
	dst := make([]byte, 0, len(s))
	for i := 0; i < len(s); i++ {
		if s[i] == '\\' && i+4 <= len(s) && s[i+1] == 'x' {
			if b, err := hex.DecodeString(s[i+2 : i+4]); err == nil {
				dst = append(dst, b[0])
				i += 3
				continue
			}
		}
		dst = append(dst, s[i])
	}
	return dst
}

// formatText returns b as text: printable ASCII but \ as it is, all else \xNN.
func formatText(b []byte) string {
	const digits = "0123456789abcdef"
	dst := make([]byte, 0, len(b))
	for _, c := range b {
		if c < 0x20 || c > 0x7e || c == '\\' {
			dst = append(dst, '\\', 'x', digits[c>>4], digits[c&15])
		} else {
			dst = append(dst, c)
		}
	}
	return string(dst)
}

// hexBytes is written as hex in JSON.
type hexBytes []byte

// MarshalJSON implements json.Marshaler.
func (b hexBytes) MarshalJSON() ([]byte, error) { return json.Marshal(hex.EncodeToString(b)) }

// UnmarshalJSON implements json.Unmarshaler.
func (b *hexBytes) UnmarshalJSON(text []byte) error {
	var s string
	if err := json.Unmarshal(text, &s); err != nil {
		return err
	}
	var err error
	*b, err = hex.DecodeString(s)
	return err
}

// keyRange is the part of a database that a command is asked for.
type keyRange struct {
	from, to, prefix string
}

func (r *keyRange) flags(fs *flag.FlagSet) {
	fs.StringVar(&r.from, "from", "", "first `key` of the range")
	fs.StringVar(&r.to, "to", "", "`key` before which the range ends")
	fs.StringVar(&r.prefix, "prefix", "", "only keys that begin with `key`")
}

// A span is a keyRange under an order: keys in [lower, upper) that begin with
// prefix. nil is open.
type span struct {
	lower, upper, prefix []byte
}

func (r *keyRange) span(cmp *base.Comparer) (s span, err error) {
	for _, f := range []struct {
		text string
		dst  *[]byte
	}{{r.from, &s.lower}, {r.to, &s.upper}, {r.prefix, &s.prefix}} {
		if f.text == "" {
			continue
		}
		if *f.dst, err = parseKey(f.text); err != nil {
			return s, err
		}
	}
	if s.prefix != nil && cmp.IsBytewise() {
		s.narrow(cmp)
	}
	return s, nil
}

// narrow turns the prefix into bounds. Only the bytewise order keeps the keys of
// a prefix together.
func (s *span) narrow(cmp *base.Comparer) {
	p := strata.PrefixRange(s.prefix)
	if s.lower == nil || cmp.Compare(s.lower, p.LowerBound) < 0 {
		s.lower = p.LowerBound
	}
	if s.upper == nil || p.UpperBound != nil && cmp.Compare(s.upper, p.UpperBound) > 0 {
		s.upper = p.UpperBound
	}
	s.prefix = nil
}

// wants reports whether a key between the bounds is asked for.
func (s *span) wants(ukey []byte) bool { return bytes.HasPrefix(ukey, s.prefix) }

// meets reports whether keys of [smallest, largest] may be in the span.
func (s *span) meets(cmp *base.Comparer, smallest, largest []byte) bool {
	return (s.upper == nil || cmp.Compare(smallest, s.upper) < 0) && (s.lower == nil || cmp.Compare(largest, s.lower) >= 0)
}

// String describes the span, for messages.
func (s *span) String() string {
	if s.lower == nil && s.upper == nil {
		return "all keys"
	}
	lower, upper := "start", "end"
	if s.lower != nil {
		lower = base.FormatKey(s.lower)
	}
	if s.upper != nil {
		upper = base.FormatKey(s.upper)
	}
	return fmt.Sprintf("[%s, %s)", lower, upper)
}
