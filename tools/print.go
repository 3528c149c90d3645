package tools

import (
	"fmt"
	"strconv"
	"strings"
)

// formatBytes returns n bytes with a unit.
func formatBytes(n uint64) string {
	const units = "KMGTPE"
	if n < 1024 {
		return strconv.FormatUint(n, 10) + " B"
	}
	f := float64(n)
	i := -1
	for f >= 1024 && i < len(units)-1 {
		f /= 1024
		i++
	}
	return fmt.Sprintf("%.1f %ciB", f, units[i])
}

// plural returns "1 table" or "2 tables".
func plural[T int | int64 | uint64](n T, noun string) string {
	switch {
	case n == 1:
		return "1 " + noun
	case strings.HasSuffix(noun, "ry"):
		return fmt.Sprintf("%d %sies", n, strings.TrimSuffix(noun, "y"))
	case strings.HasSuffix(noun, "ch"):
		return fmt.Sprintf("%d %ses", n, noun)
	}
	return fmt.Sprintf("%d %ss", n, noun)
}

// A grid is a table of text with aligned columns.
type grid struct {
	left map[int]bool // columns that begin at the left; the others end at the right
	rows [][]string
}

// newGrid returns a grid with a row of titles. A title with a space behind it
// makes its column begin at the left.
func newGrid(titles ...string) *grid {
	g := &grid{left: make(map[int]bool)}
	row := make([]string, len(titles))
	for i, t := range titles {
		row[i] = strings.TrimRight(t, " ")
		g.left[i] = row[i] != t
	}
	g.rows = [][]string{row}
	return g
}

// add appends a row. Cells are printed with %v.
func (g *grid) add(cells ...any) {
	row := make([]string, len(cells))
	for i, v := range cells {
		row[i] = fmt.Sprint(v)
	}
	g.rows = append(g.rows, row)
}

// grid prints g, its titles bold.
func (c *console) grid(g *grid) {
	var widths []int
	for _, row := range g.rows {
		for i, cell := range row {
			if i == len(widths) {
				widths = append(widths, 0)
			}
			widths[i] = max(widths[i], len(cell))
		}
	}
	for n, row := range g.rows {
		var b strings.Builder
		for i, cell := range row {
			if i > 0 {
				b.WriteString("  ")
			}
			pad := strings.Repeat(" ", widths[i]-len(cell))
			if g.left[i] {
				b.WriteString(cell + pad)
			} else {
				b.WriteString(pad + cell)
			}
		}
		line := strings.TrimRight(b.String(), " ")
		if n == 0 {
			line = c.paint(bold, line)
		}
		c.printf("%s\n", line)
	}
}
