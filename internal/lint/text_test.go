package lint

import (
	"os"
	"path"
	"regexp"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"
)

// maxLines bounds a Go file: a longer one holds two ideas.
const maxLines = 700

func TestFilesAreShort(t *testing.T) {
	for _, s := range sources(t) {
		if n := strings.Count(s.text, "\n"); n > maxLines {
			t.Errorf("%s has %d lines, at most %d: split it by idea", s.path, n, maxLines)
		}
	}
}

// TestPackagesAreDocumented wants a package comment that begins as Go's tools
// expect it, in one file of each package.
func TestPackagesAreDocumented(t *testing.T) {
	docs := map[string][]string{}
	names := map[string]string{}
	for _, s := range sources(t) {
		if s.isTest {
			continue
		}
		names[s.pkg] = s.file.Name.Name
		if s.file.Doc != nil && strings.TrimSpace(s.file.Doc.Text()) != "" {
			docs[s.pkg] = append(docs[s.pkg], s.path)
			want := "Package " + s.file.Name.Name + " "
			if names[s.pkg] == "main" {
				want = ""
			}
			if !strings.HasPrefix(s.file.Doc.Text(), want) {
				t.Errorf("%s: the package comment begins %q, want %q", s.path, firstWords(s.file.Doc.Text()), want)
			}
		}
	}
	for pkg := range names {
		switch len(docs[pkg]) {
		case 0:
			t.Errorf("package %s has no package comment: say what it is, who may call it concurrently, and draw its bytes", pkg)
		case 1:
		default:
			t.Errorf("package %s has %d package comments (%v), one is enough", pkg, len(docs[pkg]), docs[pkg])
		}
	}
}

func firstWords(text string) string {
	line, _, _ := strings.Cut(text, "\n")
	return line[:min(len(line), 40)]
}

// unfinished finds marks of unfinished work that nobody owns.
var unfinished = regexp.MustCompile(`\b(TO` + `DO|FIX` + `ME|XX` + `X)\b(\([a-z][-a-z0-9]*\))?`)

func TestUnfinishedWorkHasAnOwner(t *testing.T) {
	eachText(t, func(rel, text string) {
		for i, line := range strings.Split(text, "\n") {
			for _, m := range unfinished.FindAllStringSubmatch(line, -1) {
				if m[2] == "" {
					t.Errorf("%s:%d: %s without a name in brackets: finish it, or say who will", rel, i+1, m[1])
				}
			}
		}
	})
}

// banned are expressions with the reason why they do not belong in the
// repository, which must make sense to someone who has nothing but it.
var banned = []struct {
	pattern *regexp.Regexp
	reason  string
}{
	{regexp.MustCompile(`/wo` + `rk/|/tmp/bri` + `ef|/home/[a-z]+/|/ro` + `ot/`), "a path of one machine"},
	{regexp.MustCompile(`(?i)\b(issue|issues|ticket) #?[0-9]+`), "a number in someone's tracker: state what it was about"},
	{regexp.MustCompile(`(?i)\brule [0-9]+\b|\brul` + `es\.md\b|\bfie` + `ld\.md\b|\bsty` + `le\.md\b|\bfau` + `lts\.md\b`), "a document outside the repository: state its content"},
}

func TestWordsMakeSenseToStrangers(t *testing.T) {
	eachText(t, func(rel, text string) {
		for i, line := range strings.Split(text, "\n") {
			for _, b := range banned {
				if m := b.pattern.FindString(line); m != "" {
					t.Errorf("%s:%d: %q is %s", rel, i+1, m, b.reason)
				}
			}
		}
	})
}

// TestTextIsPlain: UTF-8, LF line ends, one at the end of the file.
func TestTextIsPlain(t *testing.T) {
	eachText(t, func(rel, text string) {
		if !utf8.ValidString(text) {
			t.Errorf("%s is not valid UTF-8", rel)
		}
		if text != "" && !strings.HasSuffix(text, "\n") {
			t.Errorf("%s does not end in a line feed", rel)
		}
		if strings.Contains(text, "\r\n") {
			t.Errorf("%s has CRLF line ends", rel)
		}
	})
}

// eachText calls fn with every text file of the repository, nested modules
// included.
func eachText(t *testing.T, fn func(rel, text string)) {
	t.Helper()
	kinds := []string{".go", ".md", ".yml", ".yaml", ".sh", ".mod", ".cc", ".txt"}
	walk(t, func(rel, abs string) {
		whole := slices.Contains([]string{"Makefile", ".ci/run", "README", "CONTRIBUTING"}, rel)
		if !whole && !slices.Contains(kinds, path.Ext(rel)) {
			return
		}
		b, err := os.ReadFile(abs)
		if err != nil {
			t.Fatal(err)
		}
		fn(rel, string(b))
	})
}
