package tools

import (
	"bytes"
	"encoding/json"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/strata-db/strata/internal/base"
	"github.com/strata-db/strata/version"
)

func metaOf(num int, lo, hi []byte, size uint64) *version.FileMeta {
	return &version.FileMeta{
		Num: base.FileNum(num), Size: size, Type: base.FileTable,
		Smallest: base.MakeKey(lo, 9, base.KindSet), Largest: base.MakeKey(hi, 1, base.KindSet),
	}
}

// longHistory is a tree with many more tables and edits than a page has room for.
func longHistory(edits, tables int) *treeReading {
	r := &treeReading{cmp: base.Bytewise, start: 1, in: &version.Inspection{}, tables: make(map[base.FileNum]*tableReading)}
	num, snapshot := 0, new(version.Edit)
	key := func(i int) []byte { return fmt.Appendf(nil, "k%08d", i) }
	for i := range tables {
		num++
		snapshot.Add(1+i%2, metaOf(num, key(i*10), key(i*10+9), uint64(1000+i%7)))
	}
	r.edits = append(r.edits, snapshot)
	rnd := rand.New(rand.NewPCG(3, 4))
	for i := range edits {
		e := new(version.Edit)
		num++
		e.Add(0, metaOf(num, key(rnd.IntN(tables*5)), key(tables*5+rnd.IntN(tables*5)), 500))
		if i%3 == 2 {
			at := rnd.IntN(tables)
			e.Delete(1+at%2, base.FileNum(at+1))
			num++
			e.Add(3, metaOf(num, key(at*10), key(at*10+9), 900))
		}
		r.edits = append(r.edits, e)
	}
	for _, e := range r.edits {
		r.in.Contents.Replay(e)
	}
	return r
}

// TestInspectIsBounded draws a tree of 6000 tables over 3000 edits: cells,
// moments and bytes stay within their bounds, and what the frames add up to is
// the tree.
func TestInspectIsBounded(t *testing.T) {
	r := longHistory(3000, 6000)
	p := r.page(base.FormatKey)
	if len(p.Frames) > maxFrames || len(p.Frames) < 10 || len(p.Cells) > maxCells {
		t.Errorf("%d frames, %d cells", len(p.Frames), len(p.Cells))
	}
	shown := make(map[int]bool)
	for _, f := range p.Frames {
		for _, id := range f.Remove {
			if !shown[id] {
				t.Fatalf("edit %d removes cell %d, which is not there", f.Edit, id)
			}
			delete(shown, id)
		}
		for _, id := range f.Add {
			if shown[id] {
				t.Fatalf("edit %d adds cell %d twice", f.Edit, id)
			}
			shown[id] = true
		}
		var cells, tables [version.NumLevels]int
		var sums [version.NumLevels]uint64
		for id := range shown {
			c := p.Cells[id]
			cells[c.Level]++
			tables[c.Level] += c.Tables
			sums[c.Level] += c.Bytes
		}
		if tables != f.Tables || sums != f.Bytes {
			t.Fatalf("edit %d: cells of %v tables, %v bytes, want %v, %v", f.Edit, tables, sums, f.Tables, f.Bytes)
		}
		if cells[0] > level0Cells || slices.Max(cells[1:]) > cellColumns {
			t.Fatalf("edit %d: %v cells", f.Edit, cells)
		}
	}
	if last := p.Frames[len(p.Frames)-1]; last.Edit != len(r.edits) || last.Written[0] != 3000*500 || last.Flushed != 2000*500 {
		t.Errorf("the last frame is %+v", last)
	}
	b, err := json.Marshal(p)
	if err != nil || len(b) > 4<<20 {
		t.Errorf("%d bytes, %v", len(b), err)
	}
}

// TestInspectHistoryWords checks what is said of edits.
func TestInspectHistoryWords(t *testing.T) {
	r := &treeReading{cmp: base.Bytewise, start: 1, in: &version.Inspection{}, edits: []*version.Edit{{}}}
	a, z := []byte("a"), []byte("z")
	edit := func(fn func(e *version.Edit)) {
		e := new(version.Edit)
		fn(e)
		r.edits = append(r.edits, e)
	}
	edit(func(e *version.Edit) { e.Add(0, metaOf(5, a, z, 1024)) })
	edit(func(e *version.Edit) { e.Delete(0, 5); e.Add(1, metaOf(5, a, z, 1024)) })
	edit(func(e *version.Edit) { e.Delete(1, 5); e.Add(2, metaOf(6, a, z, 2048)) })
	edit(func(e *version.Edit) { e.Delete(2, 6) })
	edit(func(e *version.Edit) { e.SetLogNum(9) })
	frames, _ := r.history(func() *cellDrawer { return r.drawer(nil, base.FormatKey) })
	var got []string
	for _, f := range frames {
		got = append(got, f.What)
	}
	want := []string{
		"the manifest begins", "flush: 1 table, 1.0 KiB into level 0", "move: 1 table from level 0 to level 1",
		"compaction: 1 table from level 1 on became 1 table, 2.0 KiB, in level 2", "1 table left level 2 for good", "no change of tables",
	}
	if !slices.Equal(got, want) {
		t.Errorf("%q", got)
	}
	if w := frames[len(frames)-1].Written; w != [version.NumLevels]uint64{1024, 0, 2048} {
		t.Errorf("written %v: a move writes nothing", w)
	}
}

// TestKeyAxis checks that positions never go back, and that numbers in decimal and
// in hex are spread evenly.
func TestKeyAxis(t *testing.T) {
	for _, format := range []string{"user:%06d", "%05x", "k%d"} {
		var keys [][]byte
		for i := range 4096 {
			keys = append(keys, fmt.Appendf(nil, format, i*16))
		}
		a := newKeyAxis(base.Bytewise, slices.Clone(keys))
		worst := 0.0
		for i, k := range keys {
			worst = max(worst, math.Abs(a.at(k)-float64(i)/4095))
		}
		if format != "k%d" && worst > 0.06 {
			t.Errorf("%s: %f off", format, worst)
		}
	}
	rnd := rand.New(rand.NewPCG(5, 6))
	for range 200 {
		var keys, probes [][]byte
		for range 1 + rnd.IntN(20) {
			keys = append(keys, randomKey(rnd))
		}
		for range 100 {
			probes = append(probes, randomKey(rnd))
		}
		slices.SortFunc(probes, bytes.Compare)
		for _, a := range []*keyAxis{newKeyAxis(base.Bytewise, slices.Clone(keys)), newKeyAxis(base.Bytewise, keys).ranked()} {
			last := 0.0
			for i, k := range probes {
				x := a.at(k)
				if x < last-1e-9 || x > 1 || math.IsNaN(x) {
					t.Fatalf("%q at %v, the one before, %q, at %v", k, x, probes[max(0, i-1)], last)
				}
				last = x
			}
		}
	}
}

func randomKey(rnd *rand.Rand) []byte {
	k := make([]byte, rnd.IntN(6))
	for i := range k {
		k[i] = "\x00ab\xff"[rnd.IntN(4)]
	}
	return k
}

// TestBinsKeepTheBytes spreads tables over the columns and counts again.
func TestBinsKeepTheBytes(t *testing.T) {
	r := longHistory(30, 50)
	axis := newKeyAxis(base.Bytewise, r.axisKeys())
	want, got := 0.0, 0.0
	for _, files := range r.in.Contents.Files {
		for _, f := range files {
			want += float64(f.Size)
		}
	}
	for _, b := range r.bins(axis, base.FormatKey) {
		got += b.Bytes
	}
	if math.Abs(got-want) > 1 {
		t.Errorf("%f bytes in the columns, %f in the tables", got, want)
	}
}

// TestLoopback lists addresses that are served and that are not.
func TestLoopback(t *testing.T) {
	for addr, want := range map[string]string{
		"127.0.0.1:80": "127.0.0.1:80", ":80": "127.0.0.1:80", "80": "127.0.0.1:80", "localhost:80": "127.0.0.1:80", "[::1]:80": "[::1]:80",
		"127.9.9.9:1": "127.9.9.9:1",
		"0.0.0.0:80":  "", "[::]:80": "", "10.0.0.1:80": "", "example.org:80": "", "[::1": "", "localhost.example.org:1": "",
	} {
		if got, err := loopback(addr); got != want || (err == nil) != (want != "") {
			t.Errorf("%s: %q, %v, want %q", addr, got, err, want)
		}
	}
	for host, want := range map[string]bool{
		"localhost": true, "localhost:80": true, "127.0.0.1:80": true, "[::1]:80": true, "[::1]": true,
		"example.org": false, "10.0.0.1:80": false, "": false, "127.0.0.1.example.org:80": false,
	} {
		if localName(host) != want {
			t.Errorf("%q: %v", host, !want)
		}
	}
}
