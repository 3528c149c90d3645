package tools

import (
	"cmp"
	"fmt"
	"slices"

	"github.com/strata-db/strata/version"
)

const (
	keyBins     = 64 // columns of the distribution of bytes over keys
	largestShow = 12 // tables that are listed
)

// A treePage is everything that the page of inspect shows. Keys in it are short
// text, or for --json hex.
type treePage struct {
	Dir      string       `json:"dir"`
	Manifest string       `json:"manifest"`
	Comparer string       `json:"comparer"`
	Edits    int          `json:"edits"`
	LogBytes int64        `json:"log_bytes"`
	Findings findings     `json:"findings"`
	Tables   int          `json:"tables"`
	Bytes    uint64       `json:"bytes"`
	ReadAmp  int          `json:"read_amplification"`
	WriteAmp float64      `json:"write_amplification"` // of the tables; 0 if nothing was flushed
	Tombs    float64      `json:"tombstones"`          // share of the entries; negative if not known
	Axis     string       `json:"axis"`                // "value", "rank" or "number"
	Ticks    []tick       `json:"ticks"`
	Frames   []frame      `json:"frames"`
	Cells    []cell       `json:"cells"`
	Bins     []keyBin     `json:"bins"`
	BinTicks []tick       `json:"bin_ticks"`
	Largest  []largeTable `json:"largest"`

	// The bounds above which a number is marked.
	ManyLevel0 int     `json:"many_level0"`
	ManyTombs  float64 `json:"many_tombstones"`
}

// A keyBin is a column of the distribution of bytes over keys.
type keyBin struct {
	Bytes float64 `json:"b"` // about
	Tombs float64 `json:"t"` // share of tombstones in the entries, about
	From  string  `json:"k"` // the first known key in it or behind

	entries, tombstones float64
}

// A largeTable is one of the largest tables.
type largeTable struct {
	Name  string  `json:"name"`
	Level int     `json:"level"`
	Bytes uint64  `json:"bytes"`
	Tombs float64 `json:"tombstones"`
	From  string  `json:"from"`
	To    string  `json:"to"`
}

// page computes what is shown. label makes text of keys.
func (r *treeReading) page(label func([]byte) string) *treePage {
	p := &treePage{
		Dir: r.dir, Manifest: r.in.Manifest, Comparer: r.in.Comparer, Edits: len(r.edits), LogBytes: r.logBytes,
		Axis: "number", Tombs: -1, ManyLevel0: manyLevel0, ManyTombs: manyTombs,
	}
	var axis *keyAxis
	if r.cmp != nil {
		axis = newKeyAxis(r.cmp, r.axisKeys())
	}
	if axis != nil {
		p.Axis = "rank"
		p.Bins, p.BinTicks = r.bins(axis, label), axis.ticks(label)
		if axis.byValue && crowded(p.Bins) {
			axis = axis.ranked()
		}
		if axis.byValue {
			p.Axis = "value"
		}
		p.Ticks = axis.ticks(label)
	}
	p.Frames, p.Cells = r.history(func() *cellDrawer { return r.drawer(axis, label) })
	r.totals(p)
	r.largest(p, label)
	r.findings(p)
	return p
}

// axisKeys returns the keys that tables begin and end with, in all the history,
// and some from inside the live ones.
func (r *treeReading) axisKeys() (keys [][]byte) {
	for _, e := range r.edits {
		for _, a := range e.Added {
			keys = append(keys, a.Meta.Smallest.UserKey, a.Meta.Largest.UserKey)
		}
	}
	for _, files := range r.in.Contents.Files {
		for num, f := range files {
			t := r.tables[num]
			if t == nil {
				continue
			}
			for _, piece := range t.pieces[:max(0, len(t.pieces)-1)] {
				if r.inside(piece.upTo, f) {
					keys = append(keys, piece.upTo)
				}
			}
		}
	}
	return keys
}

// inside reports whether a separator lies where the manifest says that the table
// is, which a damaged one need not.
func (r *treeReading) inside(key []byte, f *version.FileMeta) bool {
	return r.cmp.Compare(key, f.Smallest.UserKey) >= 0 && r.cmp.Compare(key, f.Largest.UserKey) <= 0
}

// bins spreads the bytes and entries of the live tables over keys.
func (r *treeReading) bins(axis *keyAxis, label func([]byte) string) []keyBin {
	bins := make([]keyBin, keyBins)
	for i := range bins {
		k, _ := axis.near(float64(i) / keyBins)
		bins[i].From = label(k)
	}
	for _, files := range r.in.Contents.Files {
		for num, f := range files {
			r.spread(bins, axis, f, r.tables[num])
		}
	}
	for i := range bins {
		b := &bins[i]
		if b.Bytes = round(b.Bytes); b.entries > 0 {
			b.Tombs = round(b.tombstones / b.entries)
		}
	}
	return bins
}

// spread adds a table piece by piece, or as one if nothing is known of its inside.
func (r *treeReading) spread(bins []keyBin, axis *keyAxis, f *version.FileMeta, t *tableReading) {
	pieces := []keyPiece{{f.Largest.UserKey, f.Size}}
	if t != nil && len(t.pieces) > 0 {
		pieces = t.pieces
	} else if t == nil {
		t = new(tableReading)
	}
	total := 0.0
	for _, p := range pieces {
		total += float64(p.bytes)
	}
	at := axis.at(f.Smallest.UserKey)
	end := max(at, axis.at(f.Largest.UserKey))
	for _, p := range pieces {
		to := min(end, max(at, axis.at(p.upTo)))
		share := float64(p.bytes) / max(1, total)
		fill(bins, at, to, keyBin{Bytes: share * float64(f.Size), entries: share * float64(t.Entries), tombstones: share * float64(t.Tombstones)})
		at = to
	}
}

// fill adds what to the bins from x0 to x1, evenly.
func fill(bins []keyBin, x0, x1 float64, what keyBin) {
	n := float64(len(bins))
	first, last := min(len(bins)-1, int(x0*n)), min(len(bins)-1, int(x1*n))
	for i := first; i <= last; i++ {
		share := 1.0
		if x1 > x0 {
			share = max(0, min(x1, float64(i+1)/n)-max(x0, float64(i)/n)) / (x1 - x0)
		} else if i > first {
			share = 0
		}
		bins[i].Bytes += share * what.Bytes
		bins[i].entries += share * what.entries
		bins[i].tombstones += share * what.tombstones
	}
}

// crowded reports whether nearly all bytes are in so few bins that a tree drawn
// over them would be a line.
func crowded(bins []keyBin) bool {
	sizes := make([]float64, len(bins))
	total := 0.0
	for i, b := range bins {
		sizes[i] = b.Bytes
		total += b.Bytes
	}
	slices.SortFunc(sizes, func(a, b float64) int { return cmp.Compare(b, a) })
	most := 0.0
	for _, s := range sizes[:len(sizes)/10] {
		most += s
	}
	return most > 0.8*total
}

// totals adds up the live tables.
func (r *treeReading) totals(p *treePage) {
	var n tableCounts
	for level, files := range r.in.Contents.Files {
		p.Tables += len(files)
		if level == 0 {
			p.ReadAmp = len(files)
		} else if len(files) > 0 {
			p.ReadAmp++
		}
		for num, f := range files {
			p.Bytes += f.Size
			if t := r.tables[num]; t != nil && t.known {
				n.add(t.tableCounts)
			}
		}
	}
	if n.Entries > 0 {
		p.Tombs = round(float64(n.Tombstones) / float64(n.Entries))
	}
	if len(p.Frames) == 0 {
		return
	}
	last := &p.Frames[len(p.Frames)-1]
	if last.Flushed > 0 {
		sum := uint64(0)
		for _, w := range last.Written {
			sum += w
		}
		p.WriteAmp = round(float64(sum) / float64(last.Flushed))
	}
}

func (r *treeReading) largest(p *treePage, label func([]byte) string) {
	type live struct {
		level int
		f     *version.FileMeta
	}
	var all []live
	for level, files := range r.in.Contents.Files {
		for _, f := range files {
			all = append(all, live{level, f})
		}
	}
	slices.SortFunc(all, func(a, b live) int {
		return cmp.Or(cmp.Compare(b.f.Size, a.f.Size), cmp.Compare(a.f.Num, b.f.Num))
	})
	for _, l := range all[:min(len(all), largestShow)] {
		t := largeTable{
			Name: l.f.Name(), Level: l.level, Bytes: l.f.Size, Tombs: -1,
			From: label(l.f.Smallest.UserKey), To: label(l.f.Largest.UserKey),
		}
		if s := r.tables[l.f.Num]; s != nil && s.known && s.Entries > 0 {
			t.Tombs = round(float64(s.Tombstones) / float64(s.Entries))
		}
		p.Largest = append(p.Largest, t)
	}
}

// findings says what stands out, by the bounds of doctor.
func (r *treeReading) findings(p *treePage) {
	f := &p.Findings
	for i, d := range r.damage {
		if i == 10 {
			f.damaged("", "and %s more", plural(len(r.damage)-i, "damaged table"))
			break
		}
		f.damaged("strata repair "+r.dir+" --dry-run", "%s: %s", d.File, d.What)
	}
	if n := len(r.in.Contents.Files[0]); n >= manyLevel0 {
		f.backlog(n, "strata compact "+r.dir)
	}
	if d, ok := deletedRange(p.Bins); ok {
		f.look("strata doctor "+r.dir+" has the command that compacts this range", "%s", d)
	} else if p.Tombs > manyTombs {
		f.look("strata compact "+r.dir, "%.0f %% of the entries are tombstones: scans step over them", 100*p.Tombs)
	}
	switch {
	case len(p.Findings) > 0:
	case p.Tables == 0:
		f.ok("there are no tables yet: what was written is in the logs")
	case p.Tombs < 0:
		f.ok("nothing stands out: level 0 is short")
	default:
		f.ok("nothing stands out: level 0 is short, tombstones are few")
	}
	if r.unread > 0 {
		f.note("%s not looked into", plural(r.unread, "table"))
	}
	if p.Tombs < 0 && p.Tables > 0 {
		f.note("tombstones are not known: the tables do not count them, --count reads them through")
	}
	if r.in.Tear != nil {
		f.note("%s ends in a torn record, as a crash or a writer under way leaves it", p.Manifest)
	}
	if r.cmp == nil {
		f.note("keys are ordered by %q, which this program does not know: tables are drawn by number", p.Comparer)
	}
}

// A deletedStretch is a range of keys of which many are deleted.
type deletedStretch struct {
	from, to string
	atEnd    bool // there are no keys behind it
	share    float64
}

// String says what is there.
func (d deletedStretch) String() string {
	return fmt.Sprintf("about %.0f %% of the entries from %s to %s are tombstones: scans step over them until a compaction drops them", 100*d.share, d.from, d.to)
}

// deletedRange returns the largest stretch of bins full of tombstones.
func deletedRange(bins []keyBin) (found deletedStretch, ok bool) {
	var best keyBin
	for i := 0; i < len(bins); i++ {
		j := i
		var sum keyBin
		for ; j < len(bins) && bins[j].Tombs > manyTombs; j++ {
			sum.entries += bins[j].entries
			sum.tombstones += bins[j].tombstones
		}
		if sum.tombstones > best.tombstones && sum.entries > 100 {
			best, ok = sum, true
			found = deletedStretch{bins[i].From, bins[min(j, len(bins)-1)].From, j == len(bins), sum.tombstones / sum.entries}
		}
		i = j
	}
	return found, ok
}
