package main

import (
	"fmt"
	"html"
	"math"
	"slices"
	"strings"
)

// A chart is groups of horizontal bars over one axis, in two columns.
type chart struct {
	title  string
	groups []group
	thick  float64 // of a bar
	ticks  []tick
	// place maps a value to a part of the axis, 0 to 1.
	place func(v float64) float64
}

type group struct {
	name string
	bars []bar
}

type bar struct {
	engine string
	value  float64 // in the axis' unit
	label  string  // at the end of the bar, "" for none
	tip    string
}

type tick struct {
	at    float64
	label string
	bold  bool
}

// cutAt is where the axis of throughput ends: beyond it a bar says its length
// in figures.
const cutAt = 3

// throughput compares each line with the best of the other log-structured
// engines, in whichever language.
func (rec recording) throughput() chart {
	c := chart{thick: 4, title: "Speed relative to the best other LSM engine of each line (figures: Strata's; bars are cut at 3)",
		place: func(v float64) float64 { return min(v, cutAt) / cutAt }}
	for _, at := range []float64{0, 0.5, 1, 1.5, 2, 2.5, 3} {
		c.ticks = append(c.ticks, tick{at, fmt.Sprintf("%g", at), at == 1})
	}
	for _, r := range rows(rec.results) {
		best := r.bestPeer()
		if r.unit == "µs" || best == 0 {
			continue
		}
		g := group{name: r.line}
		for _, name := range rec.engineNames() {
			v := r.speed(name)
			if v == 0 || doesNothing(r.line, name) {
				continue
			}
			b := bar{engine: name, value: v / best, tip: fmt.Sprintf("%s, %s: %s %s", r.line, name, format(r.medians[name]), r.unit)}
			if name == "strata" {
				b.label = format(b.value)
			}
			g.bars = append(g.bars, b)
		}
		c.groups = append(c.groups, g)
	}
	return c
}

// latency shows the percentiles of single writes.
func (rec recording) latency() chart {
	const low, high = 0.1, 1e5 // µs
	c := chart{thick: 11, title: "Latency of single writes in random order, µs, logarithmic (shorter is better)",
		place: func(v float64) float64 {
			return min(1, max(0.01, math.Log(max(v, low)/low)/math.Log(high/low)))
		}}
	for at := low; at <= high; at *= 10 {
		c.ticks = append(c.ticks, tick{at, fmt.Sprintf("%.3g", at), false})
	}
	for i := range c.ticks {
		if at := c.ticks[i].at; at >= 999 {
			c.ticks[i].label = fmt.Sprintf("%.0fk", at/1000)
		}
	}
	for _, r := range rows(rec.results) {
		if r.unit != "µs" {
			continue
		}
		g := group{name: r.line}
		for _, name := range rec.engineNames() {
			if v := r.medians[name]; v > 0 {
				g.bars = append(g.bars, bar{name, v, format(v), fmt.Sprintf("%s, %s: %s µs", r.line, name, format(v))})
			}
		}
		c.groups = append(c.groups, g)
	}
	return c
}

// The measures of a picture, in pixels.
const (
	pictureWidth = 940
	columnWidth  = pictureWidth / 2
	namesWidth   = 168 // of a column, for the groups' names
	labelsWidth  = 52  // for figures behind bars
	axisWidth    = columnWidth - namesWidth - labelsWidth
	headHeight   = 62 // of a chart: title, legend, axis
	groupGap     = 9
)

const pictureStyle = `<style>.peers{font:11px system-ui,sans-serif;--ink:#1c2733;--soft:#5d6975;--rule:#d9dfe5;--paper:#fff}` +
	`@media(prefers-color-scheme:dark){.peers{--ink:#dde4ea;--soft:#9aa7b3;--rule:#333e49;--paper:#14191f}}` +
	`.peers .paper{fill:var(--paper)}.peers text{fill:var(--soft)}.peers .title{font-weight:600;font-size:12.5px;fill:var(--ink)}` +
	`.peers .name{text-anchor:end;fill:var(--ink)}.peers .tick{text-anchor:middle;font-size:10px}.peers .grid{stroke:var(--rule)}` +
	`.peers .one{stroke:var(--soft);stroke-width:1.5}.peers .figure{font-size:10px}.peers .strata{fill:#2f7fe0}` +
	`.peers .goleveldb{fill:#9477bd}.peers .pebble{fill:#2f9f74}.peers .leveldb{fill:#c7a030}.peers .rocksdb{fill:#d16a3a}` +
	`.peers .badger{fill:#8b929b}.peers .bbolt{fill:#5cb0c4}</style>`

// picture draws charts below each other as SVG that needs nothing from outside
// and has colours for light and dark.
func picture(charts ...chart) string {
	var body strings.Builder
	y := 0.0
	for _, c := range charts {
		if len(c.groups) > 0 {
			y += c.draw(&body, y) + 16
		}
	}
	return fmt.Sprintf(`<svg xmlns="http://www.w3.org/2000/svg" class="peers" viewBox="0 0 %d %.0f" width="%d" height="%.0f" role="img" aria-label="Strata beside its peers">`+
		pictureStyle+`<rect class="paper" width="100%%" height="100%%"/>%s</svg>`+"\n", pictureWidth, y, pictureWidth, y, body.String())
}

// draw draws the chart from y on and returns its height.
func (c chart) draw(b *strings.Builder, y float64) float64 {
	fmt.Fprintf(b, `<text class="title" x="8" y="%.0f">%s</text>`, y+18, html.EscapeString(c.title))
	c.legend(b, y+28)
	left, right := halves(c)
	height := max(c.column(b, left, 0, y+headHeight), c.column(b, right, columnWidth, y+headHeight))
	return headHeight + height
}

// legend names the colours of the engines that have bars.
func (c chart) legend(b *strings.Builder, y float64) {
	x := 8
	for _, e := range engines {
		has := func(b bar) bool { return b.engine == e.name }
		if !slices.ContainsFunc(c.groups, func(g group) bool { return slices.ContainsFunc(g.bars, has) }) {
			continue
		}
		fmt.Fprintf(b, `<rect class="%s" x="%d" y="%.0f" width="10" height="10"/><text x="%d" y="%.0f">%s</text>`, e.name, x, y, x+14, y+9, e.name)
		x += 90
	}
}

// halves cuts the groups into two columns of about the same height.
func halves(c chart) (left, right []group) {
	var sum float64
	for _, g := range c.groups {
		sum += c.heightOf(g)
	}
	var have float64
	for i, g := range c.groups {
		if have >= sum/2 {
			return c.groups[:i], c.groups[i:]
		}
		have += c.heightOf(g)
	}
	return c.groups, nil
}

func (c chart) heightOf(g group) float64 { return float64(len(g.bars))*c.thick + groupGap }

// column draws groups below each other and returns their height.
func (c chart) column(b *strings.Builder, groups []group, left, top float64) float64 {
	height := 0.0
	for _, g := range groups {
		height += c.heightOf(g)
	}
	if len(groups) == 0 {
		return 0
	}
	axis := left + namesWidth
	for _, t := range c.ticks {
		x, class := axis+c.place(t.at)*axisWidth, "grid"
		if t.bold {
			class = "one"
		}
		fmt.Fprintf(b, `<line class="%s" x1="%.1f" y1="%.1f" x2="%.1f" y2="%.1f"/><text class="tick" x="%.1f" y="%.1f">%s</text>`,
			class, x, top, x, top+height, x, top-5, t.label)
	}
	y := top + groupGap/2
	for _, g := range groups {
		fmt.Fprintf(b, `<text class="name" x="%.1f" y="%.1f">%s</text>`, axis-6, y+float64(len(g.bars))*c.thick/2+4, html.EscapeString(g.name))
		for _, r := range g.bars {
			width := c.place(r.value) * axisWidth
			fmt.Fprintf(b, `<rect class="%s" x="%.1f" y="%.1f" width="%.1f" height="%.1f"><title>%s</title></rect>`,
				r.engine, axis, y, max(width, 0.5), c.thick-0.5, html.EscapeString(r.tip))
			if r.label != "" {
				fmt.Fprintf(b, `<text class="figure" x="%.1f" y="%.1f">%s</text>`, axis+width+4, y+c.thick/2+3.5, r.label)
			}
			y += c.thick
		}
		y += groupGap
	}
	return height
}
