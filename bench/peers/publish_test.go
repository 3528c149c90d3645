package main

import (
	"encoding/xml"
	"errors"
	"io"
	"math"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
)

// sampleRecording has every kind of line, and names that a page must escape.
func sampleRecording() recording {
	rec := recording{header: header{Date: "2026-01-02", Commit: "abc", CPU: "A<B", Num: 1000, Versions: map[string]string{"strata": "this tree"}}}
	for i, e := range engines {
		for _, w := range workloads {
			r := result{Engine: e.name, Workload: w.name, Ops: 1000, Seconds: float64(i+1) / 4}
			switch {
			case w.hidden:
				continue
			case w.name == "latency":
				r.More = map[string]float64{"p50 µs": 0.3, "p99 µs": 2, "p99.9 µs": 40, "max µs": 4e6}
			case w.name == "compact" && e.name == "bbolt":
				r.Seconds = 1e-9
			}
			rec.results = append(rec.results, r)
		}
	}
	return rec
}

// TestPicture: the drawing must be well formed, need nothing from outside, and
// keep all bars inside.
func TestPicture(t *testing.T) {
	rec := sampleRecording()
	svg := picture(rec.throughput(), rec.latency())
	d := xml.NewDecoder(strings.NewReader(svg))
	for {
		if _, err := d.Token(); errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			t.Fatal(err)
		}
	}
	if strings.Contains(strings.ReplaceAll(svg, `xmlns="http://www.w3.org/2000/svg"`, ""), "http") {
		t.Error("an address from outside")
	}
	bars := regexp.MustCompile(`<rect class="\w+" x="([\d.-]+)" y="([\d.-]+)" width="([\d.-]+)" height="[\d.]+"><title>`).FindAllStringSubmatch(svg, -1)
	if len(bars) < 250 {
		t.Errorf("%d bars", len(bars))
	}
	for _, b := range bars {
		x, _ := strconv.ParseFloat(b[1], 64)
		width, _ := strconv.ParseFloat(b[3], 64)
		if x < 0 || width < 0 || x+width > pictureWidth {
			t.Errorf("outside: %s", b[0])
		}
	}
}

// TestThroughputUnit: the unit is the best other LSM, not bbolt, and not an
// engine that has nothing to do.
func TestThroughputUnit(t *testing.T) {
	for _, g := range sampleRecording().throughput().groups {
		if strings.HasPrefix(g.name, "fillrandom p") {
			t.Errorf("%s among the rates", g.name)
		}
		if v := g.bars[0].value; g.bars[0].engine != "strata" || math.Abs(v-2) > 1e-9 {
			t.Errorf("%s: %s %.3f, want strata at twice goleveldb", g.name, g.bars[0].engine, v)
		}
	}
}

// TestReplaceTable: what stands around the marks must stay, a second time gives
// the same file, and without marks nothing is written.
func TestReplaceTable(t *testing.T) {
	doc := filepath.Join(t.TempDir(), "doc.md")
	const text = "before\n<!-- table of raw.jsonl begins -->\nold\n<!-- table of raw.jsonl ends -->\nafter\n"
	const want = "before\n<!-- table of raw.jsonl begins -->\n\nnew\n\n<!-- table of raw.jsonl ends -->\nafter\n"
	if err := os.WriteFile(doc, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if err := replaceTable(doc, "raw.jsonl", "new\n"); err != nil {
			t.Fatal(err)
		}
		if got, err := os.ReadFile(doc); err != nil || string(got) != want {
			t.Fatalf("%q, %v, want %q", got, err, want)
		}
	}
	if err := replaceTable(doc, "other.jsonl", "new\n"); err == nil {
		t.Error("a file without marks was accepted")
	}
}

// TestPage: the page must hold the table and escape what it is given.
func TestPage(t *testing.T) {
	rec := sampleRecording()
	rec.results = append(rec.results, result{Engine: "pebble", Workload: "open", Error: "<lost>"})
	var b strings.Builder
	if err := pageTemplate.Execute(&b, pageOf(rec)); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"A&lt;B", "&lt;lost&gt;", "<td>readrandom</td>", "× best Go LSM", "bbolt"} {
		if !strings.Contains(b.String(), want) {
			t.Errorf("no %s in the page", want)
		}
	}
	if regexp.MustCompile(`(src|href)=`).MatchString(b.String()) {
		t.Error("the page loads something")
	}
}

// TestBehind: a line on which an engine is ahead must be told, for rates and for
// times.
func TestBehind(t *testing.T) {
	rec := recording{results: []result{
		{Engine: "strata", Workload: "readseq", Ops: 100, Seconds: 2}, {Engine: "pebble", Workload: "readseq", Ops: 100, Seconds: 1},
		{Engine: "strata", Workload: "open", Ops: 1, Seconds: 2}, {Engine: "bbolt", Workload: "open", Ops: 1, Seconds: 1e-4},
		{Engine: "strata", Workload: "readhot", Ops: 1, Seconds: 1}, {Engine: "bbolt", Workload: "readhot", Ops: 1, Seconds: 2},
	}}
	text := rec.markdown()
	for _, want := range []string{"| readseq | pebble 0.50 |", "| open, ms | bbolt <0.01 |"} {
		if !strings.Contains(text, want) {
			t.Errorf("no %q in\n%s", want, text)
		}
	}
	if strings.Contains(text, "| readhot | bbolt") {
		t.Error("readhot is told to be behind")
	}
}
