package version

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/strata-db/strata/internal/base"
)

// String draws the tree, one line a level that has files, in the form
//
//	L0: 000009:[a#5,SET-z#9,DEL] 000007:[b#1,SET-b#1,SET]
//	L2: 000003:[a#2,SET-c#1,SET]
//
// Parse reads it back.
func (v *Version) String() string { return v.draw((*FileMeta).String) }

// DebugString draws the tree like String with =SIZE behind each file.
func (v *Version) DebugString() string {
	return v.draw(func(f *FileMeta) string { return f.String() + "=" + strconv.FormatUint(f.Size, 10) })
}

func (v *Version) draw(file func(*FileMeta) string) string {
	var b strings.Builder
	for i, l := range v.levels {
		if len(l.files) == 0 {
			continue
		}
		fmt.Fprintf(&b, "L%d:", i)
		for _, f := range l.files {
			b.WriteString(" " + file(f))
		}
		b.WriteByte('\n')
	}
	return b.String()
}

// ParseDebug returns the version, with one reference, that text draws. text has
// the form of String or DebugString; a size is bytes and may end in K, M or G
// (powers of 1024), and is 0 where it is missing. Blank lines, and lines that begin
// with //, are skipped. For tests and tools.
//
//	L0: 000009:[a#5,SET-z#9,DEL]=64K 000007:[b#1,SET-b#1,SET]
func ParseDebug(cmp *base.Comparer, text string) (*Version, error) {
	var levels [NumLevels][]*FileMeta
	for line := range strings.Lines(text) {
		line = strings.TrimSpace(line)
		if line == "" || strings.HasPrefix(line, "//") {
			continue
		}
		num, rest, ok := strings.Cut(line, ":")
		level, err := strconv.Atoi(strings.TrimPrefix(num, "L"))
		if !ok || !strings.HasPrefix(num, "L") || err != nil || level < 0 || level >= NumLevels {
			return nil, fmt.Errorf("version: no level in %q", line)
		}
		for rest = strings.TrimSpace(rest); rest != ""; rest = strings.TrimSpace(rest) {
			var f *FileMeta
			if f, rest, err = parseFile(rest); err != nil {
				return nil, err
			}
			levels[level] = append(levels[level], f)
		}
	}
	return NewVersion(cmp, levels), nil
}

// ParseFile returns the file that text, in the form 000007:[a#3,SET-f#9,DEL]=64K,
// draws. The size may be missing. For tests and tools.
func ParseFile(text string) (*FileMeta, error) {
	f, rest, err := parseFile(strings.TrimSpace(text))
	if err == nil && rest != "" {
		err = fmt.Errorf("version: %q follows the file", rest)
	}
	return f, err
}

func parseFile(s string) (*FileMeta, string, error) {
	bad := func() (*FileMeta, string, error) { return nil, "", fmt.Errorf("version: no file in %q", s) }
	num, rest, ok := strings.Cut(s, ":[")
	n, err := strconv.ParseUint(num, 10, 63)
	if !ok || err != nil {
		return bad()
	}
	f := &FileMeta{Num: base.FileNum(n), Type: base.FileTable}
	if f.Smallest, rest, ok = parseKey(rest, "-"); !ok {
		return bad()
	}
	if f.Largest, rest, ok = parseKey(rest, "]"); !ok {
		return bad()
	}
	if f.Size, rest, ok = parseSize(rest); !ok {
		return bad()
	}
	return f, rest, nil
}

// parseKey parses key#seq,KIND up to end. The key's own # are escaped, so the first
// one ends it.
func parseKey(s, end string) (k base.InternalKey, rest string, ok bool) {
	key, s, ok := strings.Cut(s, "#")
	if !ok {
		return k, "", false
	}
	if k.UserKey, ok = unescape(key); !ok {
		return k, "", false
	}
	num, s, ok1 := strings.Cut(s, ",")
	kind, rest, ok2 := strings.Cut(s, end)
	seq, err := strconv.ParseUint(num, 10, 56)
	if !ok1 || !ok2 || err != nil {
		return k, "", false
	}
	for _, c := range []base.Kind{base.KindDelete, base.KindSet, base.KindMerge, base.KindRangeDelete, base.KindSeek} {
		if c.String() == kind {
			k.Trailer = base.MakeTrailer(base.SeqNum(seq), c)
			return k, rest, true
		}
	}
	n, err := strconv.ParseUint(strings.TrimPrefix(kind, "KIND"), 10, 8)
	k.Trailer = base.MakeTrailer(base.SeqNum(seq), base.Kind(n))
	return k, rest, err == nil
}

// unescape is the inverse of base.FormatKey.
func unescape(s string) ([]byte, bool) {
	out := make([]byte, 0, len(s))
	for i := 0; i < len(s); i++ {
		if s[i] != '\\' {
			out = append(out, s[i])
			continue
		}
		if len(s) < i+4 || s[i+1] != 'x' {
			return nil, false
		}
		n, err := strconv.ParseUint(s[i+2:i+4], 16, 8)
		if err != nil {
			return nil, false
		}
		out = append(out, byte(n))
		i += 3
	}
	return out, true
}

func parseSize(s string) (size uint64, rest string, ok bool) {
	s, found := strings.CutPrefix(s, "=")
	if !found {
		return 0, s, true
	}
	end := strings.IndexByte(s, ' ')
	if end < 0 {
		end = len(s)
	}
	word, rest := s[:end], s[end:]
	shift := 0
	if word != "" {
		if i := strings.IndexByte("KMG", word[len(word)-1]); i >= 0 {
			shift, word = 10*(i+1), word[:len(word)-1]
		}
	}
	n, err := strconv.ParseUint(word, 10, 63-shift)
	return n << shift, rest, err == nil
}
