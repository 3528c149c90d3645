package tools

import (
	"cmp"
	"slices"

	"github.com/strata-db/strata/internal/base"
	"github.com/strata-db/strata/version"
)

const (
	// cellColumns is how many cells a level below 0 is drawn with at most: with more
	// tables, those whose middles fall into one column become one cell.
	cellColumns = 240
	// level0Cells is the same for level 0, whose tables overlap and are drawn one
	// above the other. Tables of like age are merged.
	level0Cells = 40
)

// A cell is a table as it is drawn, or several neighbours.
type cell struct {
	Level  int     `json:"l"`
	X0     float64 `json:"x0"` // of the axis, 0 to 1
	X1     float64 `json:"x1"`
	Tables int     `json:"n"`
	Num    uint64  `json:"f"` // the newest table
	Bytes  uint64  `json:"b"`
	Tombs  float64 `json:"t"` // share of tombstones in the entries; negative if not known
	From   string  `json:"k0"`
	To     string  `json:"k1"`
}

// cellID tells cells apart from one moment to the next.
type cellID struct {
	level, tables int
	sum           uint64 // of the tables' numbers
	first, last   base.FileNum
}

// A cellDrawer makes cells. Cells that stay are made once.
type cellDrawer struct {
	place  func(f *version.FileMeta) (x0, x1 float64)
	less   func(a, b *version.FileMeta) int // by smallest key, or by number where the order is not known
	label  func(key []byte) string
	tables map[base.FileNum]*tableReading

	cells  []cell
	known  map[cellID]int
	places map[base.FileNum][2]float64
}

// level returns the indexes of the cells for the tables of a level.
func (d *cellDrawer) level(level int, files map[base.FileNum]*version.FileMeta) []int {
	sorted := make([]*version.FileMeta, 0, len(files))
	for _, f := range files {
		sorted = append(sorted, f)
	}
	slices.SortFunc(sorted, func(a, b *version.FileMeta) int { return cmp.Compare(b.Num, a.Num) })
	groups := byAge(sorted)
	if level > 0 {
		groups = d.byColumn(sorted)
	}
	ids := make([]int, len(groups))
	for i, g := range groups {
		ids[i] = d.cell(level, g)
	}
	return ids
}

// byAge groups tables, newest first.
func byAge(sorted []*version.FileMeta) [][]*version.FileMeta {
	if len(sorted) == 0 {
		return nil
	}
	return slices.Collect(slices.Chunk(sorted, (len(sorted)+level0Cells-1)/level0Cells))
}

// byColumn groups tables by where they are, if they are many.
func (d *cellDrawer) byColumn(files []*version.FileMeta) [][]*version.FileMeta {
	slices.SortStableFunc(files, d.less)
	if len(files) <= cellColumns {
		return slices.Collect(slices.Chunk(files, 1))
	}
	columns := make([][]*version.FileMeta, cellColumns)
	for _, f := range files {
		p := d.at(f)
		i := min(cellColumns-1, int((p[0]+p[1])/2*cellColumns))
		columns[i] = append(columns[i], f)
	}
	return slices.DeleteFunc(columns, func(c []*version.FileMeta) bool { return len(c) == 0 })
}

func (d *cellDrawer) at(f *version.FileMeta) [2]float64 {
	p, ok := d.places[f.Num]
	if !ok {
		p[0], p[1] = d.place(f)
		d.places[f.Num] = p
	}
	return p
}

// cell returns the index of the cell for tables of a level.
func (d *cellDrawer) cell(level int, g []*version.FileMeta) int {
	id := cellID{level: level, tables: len(g), first: g[0].Num, last: g[len(g)-1].Num}
	for _, f := range g {
		id.sum += uint64(f.Num)
	}
	i, ok := d.known[id]
	if !ok {
		i = len(d.cells)
		d.known[id] = i
		d.cells = append(d.cells, d.make(level, g))
	}
	return i
}

func (d *cellDrawer) make(level int, g []*version.FileMeta) cell {
	c := cell{Level: level, X0: 1, Tables: len(g), Tombs: -1}
	var n tableCounts
	var from, to *version.FileMeta
	for _, f := range g {
		p := d.at(f)
		if from == nil || p[0] < c.X0 {
			from, c.X0 = f, p[0]
		}
		if to == nil || p[1] > c.X1 {
			to, c.X1 = f, p[1]
		}
		c.Num = max(c.Num, uint64(f.Num))
		c.Bytes += f.Size
		if t := d.tables[f.Num]; t != nil && t.known {
			n.add(t.tableCounts)
		}
	}
	if n.Entries > 0 {
		c.Tombs = round(float64(n.Tombstones) / float64(n.Entries))
	}
	c.X0, c.X1 = round(c.X0), round(c.X1)
	c.From, c.To = d.label(from.Smallest.UserKey), d.label(to.Largest.UserKey)
	return c
}
