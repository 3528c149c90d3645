package tools_test

import (
	"bytes"
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"github.com/strata-db/strata/internal/testcorpus"
	"github.com/strata-db/strata/tools"
	"github.com/strata-db/strata/vfs"
)

var rewrite = flag.Bool("rewrite", false, "rewrite the transcripts in testdata")

// noUsage is an operating system that does not tell how full its disks are, so
// that transcripts are the same everywhere.
type noUsage struct{ vfs.FS }

func (noUsage) Usage(string) (vfs.DiskUsage, error) { return vfs.DiskUsage{}, errors.ErrUnsupported }

// TestTranscripts runs the command lines of testdata/*.transcript and compares
// what they print. Lines that begin with "$ " are commands; besides those of the
// tool there are
//
//	copy CASE DIR        copy a database of the corpus
//	paint NAME DIR       make one of the databases of inspect_data_test.go
//	tire DIR EDITS       give a database a manifest that so many edits have gone into
//	fixture FILE         copy a file of testdata
//	flip FILE OFFSET     flip the lowest bit of a byte
//	cut FILE SIZE        cut a file
//	rm FILE              remove a file
//	in FILE              give a file to the next command as standard input
//	out FILE             write the standard output of the next command to a file
//	mask                 from here on print N for every number
//
// To accept a change: go test ./tools -run Transcripts -rewrite, and read the diff.
func TestTranscripts(t *testing.T) {
	files, err := filepath.Glob("testdata/*.transcript")
	if err != nil || len(files) == 0 {
		t.Fatalf("no transcripts: %v", err)
	}
	for _, name := range files {
		abs, err := filepath.Abs(name)
		if err != nil {
			t.Fatal(err)
		}
		t.Run(strings.TrimSuffix(filepath.Base(name), ".transcript"), func(t *testing.T) {
			want, err := os.ReadFile(abs)
			if err != nil {
				t.Fatal(err)
			}
			t.Chdir(t.TempDir())
			got := replay(t, string(want))
			if got == string(want) {
				return
			}
			if !*rewrite {
				t.Fatalf("%s: %s", name, firstDifference(got, string(want)))
			}
			if err := os.WriteFile(abs, []byte(got), 0o644); err != nil {
				t.Fatal(err)
			}
		})
	}
}

func firstDifference(got, want string) string {
	g, w := strings.Split(got, "\n"), strings.Split(want, "\n")
	for i := range g {
		if i >= len(w) || g[i] != w[i] {
			wantLine := ""
			if i < len(w) {
				wantLine = w[i]
			}
			return fmt.Sprintf("line %d is %q, want %q\n\n%s", i+1, g[i], wantLine, got)
		}
	}
	return "lines are missing at the end:\n" + got
}

// testdata is where fixtures are, wherever a test works.
var testdata, _ = filepath.Abs("testdata")

// replay runs the commands of a transcript and returns it with what they print.
func replay(t *testing.T, text string) string {
	var out strings.Builder
	masked, outFile := false, ""
	env := corpusEnv()
	env.FS = noUsage{vfs.OS}
	for line := range strings.Lines(text) {
		if strings.HasPrefix(line, "#") {
			out.WriteString(line)
		}
		cmd, ok := strings.CutPrefix(strings.TrimSpace(line), "$ ")
		if !ok {
			continue
		}
		out.WriteString("$ " + cmd + "\n")
		args := strings.Fields(cmd)
		if args[0] == "mask" {
			masked = true
			continue
		}
		if args[0] == "out" {
			outFile = args[1]
			continue
		}
		if prepare(t, &env, args) {
			continue
		}
		var stdout, stderr bytes.Buffer
		env.Out, env.Err = &stdout, &stderr
		status := tools.Main(context.Background(), env, args)
		env.In = nil
		if outFile != "" {
			if err := os.WriteFile(outFile, stdout.Bytes(), 0o644); err != nil {
				t.Fatal(err)
			}
			outFile = ""
			stdout.Reset()
		}
		if masked {
			mask(&stdout)
			mask(&stderr)
		}
		out.WriteString(stdout.String())
		for line := range strings.Lines(stderr.String()) {
			out.WriteString("err: " + line)
		}
		if status != tools.ExitOK {
			fmt.Fprintf(&out, "exit %d\n", status)
		}
	}
	return out.String()
}

var numbers, spaces = regexp.MustCompile(`[0-9]+(\.[0-9]+)?`), regexp.MustCompile(` {2,}`)

// mask takes numbers, and the widths that depend on them, out of b.
func mask(b *bytes.Buffer) {
	s := spaces.ReplaceAllString(numbers.ReplaceAllString(b.String(), "N"), "  ")
	b.Reset()
	b.WriteString(s)
}

// prepare does what is no command of the tool.
func prepare(t *testing.T, env *tools.Env, args []string) bool {
	t.Helper()
	check := func(err error) {
		if err != nil {
			t.Fatal(err)
		}
	}
	number := func(s string) int64 {
		n, err := strconv.ParseInt(s, 10, 64)
		check(err)
		return n
	}
	switch args[0] {
	case "copy":
		testcorpus.CopyDir(t, testcorpus.Get(t, args[1]).DB(), args[2])
	case "paint":
		paintAt(t, args[1], args[2])
	case "tire":
		tire(t, args[1], int(number(args[2])))
	case "fixture":
		b, err := os.ReadFile(filepath.Join(testdata, args[1]))
		check(err)
		check(os.WriteFile(filepath.Base(args[1]), b, 0o644))
	case "flip":
		b, err := os.ReadFile(args[1])
		check(err)
		b[number(args[2])] ^= 1
		check(os.WriteFile(args[1], b, 0o644))
	case "cut":
		check(os.Truncate(args[1], number(args[2])))
	case "rm":
		check(os.Remove(args[1]))
	case "in":
		b, err := os.ReadFile(args[1])
		check(err)
		env.In = bytes.NewReader(b)
	default:
		return false
	}
	return true
}
