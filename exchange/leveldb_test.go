package exchange

import (
	"bufio"
	"bytes"
	"encoding/hex"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/strata-db/strata"
	"github.com/strata-db/strata/internal/testcorpus"
)

// toolDir holds the built program until TestMain ends.
var toolDir string

func TestMain(m *testing.M) {
	if isKillChild() {
		killChild()
		return
	}
	dir, err := os.MkdirTemp("", "strata-exchange")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	toolDir = dir
	code := m.Run()
	os.RemoveAll(dir)
	os.Exit(code)
}

// buildTool compiles cpp/leveldb_tool.cc, once.
var buildTool = sync.OnceValues(func() (string, error) {
	if _, err := exec.LookPath("g++"); err != nil {
		return "", err
	}
	tool := filepath.Join(toolDir, "leveldb_tool")
	out, err := exec.Command("g++", "-std=c++17", "-O1", "-o", tool, filepath.Join("cpp", "leveldb_tool.cc"), "-lleveldb").CombinedOutput()
	if err != nil {
		return "", fmt.Errorf("g++: %w\n%s", err, out)
	}
	return tool, nil
})

// leveldbTool returns the path of the C++ program, empty if it cannot be built
// here. When peers are required, that is a failure.
func leveldbTool(t *testing.T) string {
	t.Helper()
	tool, err := buildTool()
	if err != nil {
		if testcorpus.Required() {
			t.Fatalf("g++ with libleveldb-dev is required (STRATA_REQUIRE=1): %v", err)
		}
		t.Logf("without LevelDB: %v", err)
	}
	return tool
}

// cpp is LevelDB 1.23, run as a program.
type cpp struct{ tool string }

func (cpp) name() string { return "leveldb" }

// run runs one command of the tool and returns its output.
func (c cpp) run(input io.Reader, order *strata.Comparer, command, dir string, options ...string) ([]byte, error) {
	cmd := exec.Command(c.tool, append([]string{order.Name, command, dir}, options...)...)
	cmd.Stdin = input
	var out, problem bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &problem
	if err := cmd.Run(); err != nil {
		return out.Bytes(), fmt.Errorf("leveldb %s: %w: %s", command, err, strings.TrimSpace(problem.String()))
	}
	return out.Bytes(), nil
}

func (c cpp) open(dir string, order *strata.Comparer) error {
	_, err := c.run(nil, order, "hold", dir)
	return err
}

func (c cpp) repair(dir string) error {
	_, err := c.run(nil, strata.BytewiseComparer, "repair", dir)
	return err
}

func (c cpp) read(t *testing.T, dir string, order *strata.Comparer, want []testcorpus.Entry) {
	t.Helper()
	out, err := c.run(nil, order, "dump", dir)
	if err != nil {
		t.Fatal(err)
	}
	lines := bufio.NewScanner(bytes.NewReader(out))
	lines.Buffer(nil, 64<<20)
	seen := map[string]int{}
	for lines.Scan() {
		f := strings.Fields(lines.Text())
		if len(f) != 3 {
			t.Fatalf("leveldb: line %.60q", lines.Text())
		}
		n := seen[f[0]]
		seen[f[0]]++
		if f[0] == "B" {
			n = len(want) - 1 - n
		}
		key, value := unhex(t, f[1]), unhex(t, f[2])
		if n < 0 || n >= len(want) || string(key) != string(want[n].Key) || !want[n].Match(value) {
			t.Fatalf("leveldb: %s: entry %d is %x = %.40x, want %v", f[0], n, key, value, at(want, n))
		}
	}
	for _, walk := range []string{"F", "B", "G"} {
		if seen[walk] != len(want) {
			t.Fatalf("leveldb: %s: %d of %d entries", walk, seen[walk], len(want))
		}
	}
}

func unhex(t *testing.T, s string) []byte {
	t.Helper()
	b, err := hex.DecodeString(strings.TrimPrefix(s, "-"))
	if err != nil {
		t.Fatalf("leveldb: %v", err)
	}
	return b
}

// hexOf is b as the tool reads it.
func hexOf(b []byte) string {
	if len(b) == 0 {
		return "-"
	}
	return hex.EncodeToString(b)
}

func (c cpp) write(t *testing.T, dir string, order *strata.Comparer, ops []op) {
	t.Helper()
	var script bytes.Buffer
	for i, o := range ops {
		switch {
		case o.compact:
			script.WriteString("C\n")
		case o.delete:
			fmt.Fprintf(&script, "D %s\n", hexOf(o.key))
		default:
			fmt.Fprintf(&script, "P %s %s\n", hexOf(o.key), hexOf(o.value))
		}
		if i%3 == 0 {
			script.WriteString("W\n")
		}
	}
	if _, err := c.run(&script, order, "apply", dir, "create", "small"); err != nil {
		t.Fatal(err)
	}
}

func (c cpp) hold(t *testing.T, dir string) func() {
	t.Helper()
	cmd := exec.Command(c.tool, strata.BytewiseComparer.Name, "hold", dir)
	stdin, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	cmd.Stderr = os.Stderr
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	if line, err := bufio.NewReader(stdout).ReadString('\n'); err != nil || line != "held\n" {
		t.Fatalf("leveldb hold: %q, %v", line, err)
	}
	return func() {
		stdin.Close()
		if err := cmd.Wait(); err != nil {
			t.Errorf("leveldb hold: %v", err)
		}
	}
}
