package tools

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"github.com/strata-db/strata/internal/base"
	"github.com/strata-db/strata/version"
)

const (
	maxFrames = 200   // moments of the history that a page shows
	maxCells  = 12000 // cells in all of them; with more there are fewer moments
)

// A frame is the tree at one moment.
type frame struct {
	Edit   int    `json:"e"` // behind that edit of the manifest; the first is 1
	What   string `json:"w"` // what happened since the frame before
	Add    []int  `json:"add,omitempty"`
	Remove []int  `json:"del,omitempty"`
	Newest uint64 `json:"top"` // highest number of a table

	Tables  [version.NumLevels]int    `json:"n"`
	Bytes   [version.NumLevels]uint64 `json:"b"`
	Written [version.NumLevels]uint64 `json:"wr"` // into each level since the history begins; moves do not count
	Flushed uint64                    `json:"fl"` // of those, what no compaction wrote
}

// history replays the edits and returns the moments that are shown, the last of
// which is now. It gives way on moments until the cells are few enough.
func (r *treeReading) history(newDrawer func() *cellDrawer) ([]frame, []cell) {
	for most := maxFrames; ; most /= 2 {
		d := newDrawer()
		frames := r.replay(d, most)
		if len(d.cells) <= maxCells || most <= 2 {
			return frames, d.cells
		}
	}
}

// A replayer is a replay under way.
type replayer struct {
	d      *cellDrawer
	tree   version.Contents
	frame  frame // Written and Flushed go on from frame to frame
	what   story
	shown  map[int]bool // cells of the frame before
	frames []frame
}

func (r *treeReading) replay(d *cellDrawer, most int) []frame {
	p := &replayer{d: d, shown: make(map[int]bool)}
	start := max(1, r.start)
	changes := max(0, len(r.edits)-start)
	steps := min(changes, most-1)
	next := 1
	for i, e := range r.edits {
		if i < start {
			p.tree.Replay(e)
			if i+1 == start || i+1 == len(r.edits) {
				p.show(i+1, "the manifest begins")
			}
			continue
		}
		p.count(e)
		p.tree.Replay(e)
		if i+1-start == changes*next/steps {
			p.show(i+1, p.what.String())
			p.what = story{}
			next++
		}
	}
	return p.frames
}

// show adds the frame behind an edit.
func (p *replayer) show(edit int, what string) {
	f := &p.frame
	f.Edit, f.What, f.Add, f.Remove, f.Newest = edit, what, nil, nil, 0
	now := make(map[int]bool, len(p.shown))
	for level := range version.NumLevels {
		f.Tables[level], f.Bytes[level] = len(p.tree.Files[level]), 0
		for num, meta := range p.tree.Files[level] {
			f.Bytes[level] += meta.Size
			f.Newest = max(f.Newest, uint64(num))
		}
		for _, id := range p.d.level(level, p.tree.Files[level]) {
			now[id] = true
			if !p.shown[id] {
				f.Add = append(f.Add, id)
			}
		}
	}
	for id := range p.shown {
		if !now[id] {
			f.Remove = append(f.Remove, id)
		}
	}
	slices.Sort(f.Remove)
	p.shown = now
	p.frames = append(p.frames, *f)
}

// count adds to what was written and what happened. A table that an edit removes
// and adds is moved; what an edit adds without removing anything was flushed.
func (p *replayer) count(e *version.Edit) {
	removed := make(map[base.FileNum]bool)
	c := change{from: version.NumLevels}
	for _, d := range e.Deleted {
		removed[d.Num] = true
		c.in++
		c.from = min(c.from, d.Level)
	}
	for _, a := range e.Added {
		c.to = max(c.to, a.Level)
		if removed[a.Meta.Num] {
			c.moved++
			continue
		}
		c.out++
		c.bytes += a.Meta.Size
		p.frame.Written[a.Level] += a.Meta.Size
	}
	if len(e.Deleted) == 0 {
		p.frame.Flushed += c.bytes
	}
	p.what.add(c)
}

// A change is what one edit did to the tables.
type change struct {
	in, out, moved int
	bytes          uint64 // of what came out
	from, to       int    // levels
}

func (c change) kind() string {
	switch {
	case c.out > 0 && c.in == 0:
		return "flush"
	case c.in > c.moved:
		return "compaction"
	case c.moved > 0:
		return "move"
	}
	return "edit without tables"
}

// String describes the change in a few words.
func (c change) String() string {
	switch c.kind() {
	case "flush":
		return fmt.Sprintf("flush: %s, %s into level %d", plural(c.out, "table"), formatBytes(c.bytes), c.to)
	case "compaction":
		if c.out == 0 {
			return fmt.Sprintf("%s left level %d for good", plural(c.in-c.moved, "table"), c.from)
		}
		return fmt.Sprintf("compaction: %s from level %d on became %s, %s, in level %d",
			plural(c.in, "table"), c.from, plural(c.out, "table"), formatBytes(c.bytes), c.to)
	case "move":
		return fmt.Sprintf("move: %s from level %d to level %d", plural(c.moved, "table"), c.from, c.to)
	}
	return "no change of tables"
}

// A story is what some edits did.
type story struct{ changes []change }

func (s *story) add(c change) { s.changes = append(s.changes, c) }

// String describes one change, or counts many.
func (s *story) String() string {
	if len(s.changes) == 1 {
		return s.changes[0].String()
	}
	counts := make(map[string]int)
	for _, c := range s.changes {
		counts[c.kind()]++
	}
	var parts []string
	for _, kind := range []string{"flush", "compaction", "move"} {
		switch n := counts[kind]; {
		case n == 1 || n > 1 && kind != "flush":
			parts = append(parts, plural(n, kind))
		case n > 1:
			parts = append(parts, fmt.Sprintf("%d flushes", n))
		}
	}
	if len(parts) == 0 {
		return "no change of tables"
	}
	return strings.Join(parts, ", ")
}

// drawer returns a cellDrawer for the axis, nil if the order is not known: then
// tables stand side by side by number.
func (r *treeReading) drawer(axis *keyAxis, label func([]byte) string) *cellDrawer {
	d := &cellDrawer{
		label: label, tables: r.tables, known: make(map[cellID]int), places: make(map[base.FileNum][2]float64),
	}
	if axis != nil {
		d.place = func(f *version.FileMeta) (float64, float64) {
			x0, x1 := axis.at(f.Smallest.UserKey), axis.at(f.Largest.UserKey)
			return min(x0, x1), max(x0, x1)
		}
		d.less = func(a, b *version.FileMeta) int { return axis.cmp.Compare(a.Smallest.UserKey, b.Smallest.UserKey) }
		return d
	}
	nums := r.numbers()
	d.place = func(f *version.FileMeta) (float64, float64) {
		i, _ := slices.BinarySearch(nums, f.Num)
		n := float64(max(1, len(nums)))
		return float64(i) / n, float64(i+1) / n
	}
	d.less = func(a, b *version.FileMeta) int { return cmp.Compare(a.Num, b.Num) }
	return d
}

// numbers returns the numbers of all tables of the history, ascending.
func (r *treeReading) numbers() (nums []base.FileNum) {
	for _, e := range r.edits {
		for _, a := range e.Added {
			nums = append(nums, a.Meta.Num)
		}
	}
	slices.Sort(nums)
	return slices.Compact(nums)
}
