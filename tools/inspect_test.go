package tools_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/strata-db/strata"
	"github.com/strata-db/strata/internal/testcorpus"
	"github.com/strata-db/strata/tools"
)

// inspected is what the tests look at in inspect --json.
type inspected struct {
	Edits    int
	Tables   int
	Axis     string
	Findings []struct{ Grade, What string }
	Frames   []struct {
		E        int
		W        string
		Add, Del []int
		N        [7]int
		B, Wr    [7]uint64
	}
	Cells []struct{ L, N int }
	Bins  []struct{ B float64 }
}

func inspectJSON(t *testing.T, env tools.Env, dir string) (p inspected) {
	t.Helper()
	out, errs, status := run(t, env, "inspect", dir, "--json")
	if status == tools.ExitUsage || out == "" {
		t.Fatalf("inspect %s: %d %s", dir, status, errs)
	}
	if err := json.Unmarshal([]byte(out), &p); err != nil {
		t.Fatal(err)
	}
	return p
}

// live returns the indexes of the cells of the last frame, as the page replays
// them.
func (p *inspected) live() map[int]bool {
	shown := make(map[int]bool)
	for _, f := range p.Frames {
		for _, id := range f.Del {
			delete(shown, id)
		}
		for _, id := range f.Add {
			shown[id] = true
		}
	}
	return shown
}

// TestInspectPictures checks that each of the three databases is recognised, that
// the cells of the last moment are the live tables, and that nothing is written.
func TestInspectPictures(t *testing.T) {
	for name, says := range map[string]string{
		"healthy": "nothing stands out", "tombstones": "are tombstones", "backlog": "tables in level 0",
	} {
		dir := paint(t, name)
		before := testcorpus.Snap(t, dir)
		p := inspectJSON(t, tools.Env{}, dir)
		if len(p.Findings) != 1 || !strings.Contains(p.Findings[0].What, says) {
			t.Errorf("%s: findings %v", name, p.Findings)
		}
		tables, cells := 0, p.live()
		for id := range cells {
			tables += p.Cells[id].N
		}
		last := p.Frames[len(p.Frames)-1]
		if tables != p.Tables || last.E != p.Edits || p.Axis != "value" {
			t.Errorf("%s: cells of %d tables, %d are live; last frame %d of %d; axis %s", name, tables, p.Tables, last.E, p.Edits, p.Axis)
		}
		for level, n := range last.N {
			if n > 0 && last.B[level] == 0 {
				t.Errorf("%s: level %d has %d tables without bytes", name, level, n)
			}
		}
		page := filepath.Join(t.TempDir(), "tree.html")
		out, errs, status := run(t, tools.Env{}, "inspect", dir, "--html", page)
		if status != tools.ExitOK || out != "" {
			t.Fatalf("%s: %d %s %s", name, status, out, errs)
		}
		if b, err := os.ReadFile(page); err != nil || !strings.HasPrefix(string(b), "<!DOCTYPE html>") {
			t.Errorf("%s: no page: %v", name, err)
		}
		if d := before.Diff(testcorpus.Snap(t, dir)); len(d) > 0 {
			t.Errorf("%s: files changed: %v", name, d)
		}
	}
}

// TestInspectWritesNothingInside refuses to put the page into the database.
func TestInspectWritesNothingInside(t *testing.T) {
	dir := paint(t, "backlog")
	for _, args := range [][]string{
		{"inspect", dir, "--html", dir + "/tree.html"},
		{"inspect", dir, "--html", dir + "/../backlog/tree.html"},
		{"inspect", dir, "--html", "x", "--serve", "127.0.0.1:0"},
		{"inspect", dir, "--serve", "0.0.0.0:0"},
		{"inspect", dir, "--serve", "example.org:80"},
	} {
		if _, errs, status := run(t, tools.Env{}, args...); status != tools.ExitUsage {
			t.Errorf("%v: %d %s", args, status, errs)
		}
	}
}

// hostile are keys that try to leave the text they are in.
var hostile = []string{
	`</script><script>document.title='taken'</script>`, `<img src=x onerror=document.title='taken'>`,
	`"><b>`, "\u2028<!--<script>", "\xff\xfe\x00", `';document.title='taken';//`, "]]>", "{{.}}",
}

func hostileDB(t *testing.T) string {
	t.Helper()
	dir := t.TempDir() + "/<b>db"
	db, err := strata.Open(dir, nil)
	if err != nil {
		t.Fatal(err)
	}
	for _, k := range hostile {
		if err := db.Put([]byte(k), []byte("v"), nil); err != nil {
			t.Fatal(err)
		}
		if err := db.Flush(); err != nil {
			t.Fatal(err)
		}
	}
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	return dir
}

// TestInspectEscapes finds no key and no name in the page that could become
// markup: of the tags there, all are the page's own.
func TestInspectEscapes(t *testing.T) {
	plain, _, _ := run(t, tools.Env{}, "inspect", paint(t, "backlog"), "--html", "-")
	page, errs, status := run(t, tools.Env{}, "inspect", hostileDB(t), "--html", "-")
	if status != tools.ExitOK {
		t.Fatal(errs)
	}
	for _, tag := range []string{"<script", "</script", "<img", "<b>", "<!--"} {
		want := strings.Count(plain, tag)
		if tag == "<b>" {
			want = strings.Count(page, "<li ") // one in each finding
		}
		if got := strings.Count(page, tag); got != want {
			t.Errorf("%d times %s, want %d", got, tag, want)
		}
	}
	if addr := regexp.MustCompile(`(?i)(src|href|url|import|fetch)\s*[=(]\s*["']?(https?:)?//`).FindString(page); addr != "" {
		t.Errorf("the page loads from elsewhere: %s", addr)
	}
	data, _, _ := strings.Cut(page[strings.Index(page, `id="data">`)+len(`id="data">`):], "</script>")
	if !json.Valid([]byte(data)) {
		t.Error("the data of the page is no JSON")
	}
}

// TestInspectDamage draws what can be read, and fails.
func TestInspectDamage(t *testing.T) {
	dir := paint(t, "healthy")
	tables, err := filepath.Glob(dir + "/*.ldb")
	if err != nil || len(tables) < 2 {
		t.Fatalf("%v %v", tables, err)
	}
	if err := os.Remove(tables[0]); err != nil {
		t.Fatal(err)
	}
	if err := os.Truncate(tables[1], 100); err != nil {
		t.Fatal(err)
	}
	page, errs, status := run(t, tools.Env{}, "inspect", dir, "--html", "-")
	if status != tools.ExitFailed || !strings.Contains(errs, "2 tables") || strings.Count(page, `<li class="damaged">`) != 2 {
		t.Errorf("%d %s, %d findings", status, errs, strings.Count(page, `<li class="damaged">`))
	}
	if _, errs, status := run(t, tools.Env{}, "inspect", t.TempDir()); status != tools.ExitFailed {
		t.Errorf("an empty directory: %d %s", status, errs)
	}
}

// TestInspectCorpus draws the databases of other engines, also those in an order
// that is not known, and touches nothing.
func TestInspectCorpus(t *testing.T) {
	cases, _ := testcorpus.Load(t)
	for _, c := range cases {
		before := testcorpus.Snap(t, c.DB())
		for _, env := range []tools.Env{corpusEnv(), {}} {
			out, errs, status := run(t, env, "inspect", c.DB(), "--html", "-", "--count")
			if c.Outcome() == testcorpus.Exact && (status != tools.ExitOK || !strings.Contains(out, "</html>")) {
				t.Errorf("%s: %d %s", c.ID, status, errs)
			}
			if strings.Contains(out, "NaN") || strings.Contains(out, "Inf") {
				t.Errorf("%s: a number is none", c.ID)
			}
		}
		if d := before.Diff(testcorpus.Snap(t, c.DB())); len(d) > 0 {
			t.Errorf("%s: files changed: %v", c.ID, d)
		}
	}
}

// TestInspectServes reads anew for each request, answers local names only, and
// ends with its context.
func TestInspectServes(t *testing.T) {
	dir := paint(t, "backlog")
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	said := &firstLine{got: make(chan string, 1)}
	done := make(chan int)
	go func() {
		env := tools.Env{Err: said}
		done <- tools.Main(ctx, env, []string{"inspect", dir, "--serve", "localhost:0"})
	}()
	var url string
	select {
	case line := <-said.got:
		url = regexp.MustCompile(`http://127\.0\.0\.1:\d+/`).FindString(line)
	case <-time.After(20 * time.Second):
		t.Fatal("it does not say where it is")
	}
	first := fetch(t, url, "", 200)
	if !strings.Contains(first, "20 tables in level 0") {
		t.Error("the page does not say what stands out")
	}
	db, err := strata.Open(dir, nil)
	if err != nil {
		t.Fatal(err)
	}
	if err := db.CompactRange(ctx, nil, nil); err != nil {
		t.Fatal(err)
	}
	if second := fetch(t, url, "", 200); !strings.Contains(second, "nothing stands out") {
		t.Error("the page was not read again")
	}
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	fetch(t, url, "elsewhere.example", 403)
	fetch(t, url+"other", "", 404)
	cancel()
	if status := <-done; status != tools.ExitOK {
		t.Errorf("status %d at the end", status)
	}
}

// firstLine hands over the first line written to it.
type firstLine struct {
	buf bytes.Buffer
	got chan string
}

// Write implements io.Writer.
func (f *firstLine) Write(p []byte) (int, error) {
	f.buf.Write(p)
	if line, _, ok := strings.Cut(f.buf.String(), "\n"); ok {
		select {
		case f.got <- line:
		default:
		}
	}
	return len(p), nil
}

func ExampleMain_inspect() {
	dir, err := os.MkdirTemp("", "strata")
	if err != nil {
		panic(err)
	}
	defer os.RemoveAll(dir)
	db, err := strata.Open(dir+"/db", nil)
	if err != nil {
		panic(err)
	}
	if err := db.Close(); err != nil {
		panic(err)
	}
	status := tools.Main(context.Background(), tools.Env{}, []string{"inspect", dir + "/db", "--html", dir + "/tree.html"})
	page, err := os.ReadFile(dir + "/tree.html")
	fmt.Println(status, err, bytes.Contains(page, []byte("The tree")))
	// Output: 0 <nil> true
}
