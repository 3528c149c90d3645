package bench

import (
	"fmt"
	"html/template"
	"math"
	"strconv"
	"strings"
)

// Plots of the report's page, as SVG that takes its colours from the page.

// The size of a plot and of its margins, in pixels.
const (
	plotWidth, plotHeight = 440, 180
	plotLeft, plotRight   = 60, 22
	plotTop, plotBottom   = 30, 24
	plotInner             = plotWidth - plotLeft - plotRight
	plotTall              = plotHeight - plotTop - plotBottom
)

type point struct{ x, y float64 }

// leastPoints is how many points make a curve: less is a run that was over
// before much could be sampled.
const leastPoints = 3

// curve draws points as a line over axes that begin at zero. x is in seconds.
func curve(r *Result, title string, points []point) template.HTML {
	if len(points) < leastPoints {
		return ""
	}
	var top point
	for _, p := range points {
		top.x, top.y = max(top.x, p.x), max(top.y, p.y)
	}
	if top.x <= 0 || top.y <= 0 {
		return ""
	}
	stepX, stepY := tickStep(top.x, 6), tickStep(top.y, 4)
	top.y = math.Ceil(top.y/stepY) * stepY
	x := func(v float64) float64 { return plotLeft + v/top.x*plotInner }
	y := func(v float64) float64 { return plotTop + (1-v/top.y)*plotTall }
	var b strings.Builder
	openPlot(&b, title+" over seconds, "+r.Name, title)
	for i := 0.0; i*stepY <= top.y*1.001; i++ {
		gridLine(&b, y(i*stepY), scaled(i*stepY))
	}
	for i := 0.0; i*stepX <= top.x*1.001; i++ {
		xLabel(&b, x(i*stepX), plain(i*stepX)+" s")
	}
	b.WriteString(`<polyline class="line" points="`)
	for _, p := range points {
		fmt.Fprintf(&b, "%.1f,%.1f ", x(p.x), y(p.y))
	}
	b.WriteString(`"/></svg>`)
	return template.HTML(b.String())
}

// tickStep is a round distance of about n ticks over [0, top]: 1, 2 or 5 times a
// power of ten.
func tickStep(top float64, n int) float64 {
	rough := top / float64(n)
	power := math.Pow(10, math.Floor(math.Log10(rough)))
	for _, m := range []float64{1, 2, 5} {
		if m*power >= rough*0.999 {
			return m * power
		}
	}
	return 10 * power
}

// latencyBars draws the distribution of latencies. Both axes are logarithmic,
// or the slowest operations, few and far away, could not be seen.
func latencyBars(r *Result) template.HTML {
	if r.Latency == nil || len(r.Latency.Buckets) == 0 {
		return ""
	}
	buckets := r.Latency.Buckets
	most := int64(1)
	for _, k := range buckets {
		most = max(most, k.Count)
	}
	low, high := buckets[0].Low, buckets[len(buckets)-1].High
	if low == 0 {
		low = buckets[0].High / math.Sqrt2
	}
	x := func(us float64) float64 {
		return plotLeft + math.Log(max(us, low)/low)/math.Log(high/low)*plotInner
	}
	// One operation stands half a decade high, so that it shows.
	decades := math.Log10(float64(most)) + 0.5
	y := func(count float64) float64 { return plotTop + (1-(math.Log10(count)+0.5)/decades)*plotTall }
	var b strings.Builder
	openPlot(&b, "distribution of latencies, "+r.Name, "operations by latency, both scales logarithmic")
	for v := 1.0; v <= float64(most); v *= 10 {
		gridLine(&b, y(v), scaled(v))
	}
	baseLine(&b)
	for _, k := range buckets {
		left := x(k.Low)
		fmt.Fprintf(&b, `<rect class="bar" x="%.1f" y="%.1f" width="%.1f" height="%.1f"><title>%s to %s: %s</title></rect>`,
			left, y(float64(k.Count)), max(x(k.High)-left-1, 0.5), plotHeight-plotBottom-y(float64(k.Count)),
			latencyText(k.Low), latencyText(k.High), grouped(k.Count))
	}
	latencyTicks(&b, x, low, high)
	percentileMarks(&b, x, r.Latency)
	b.WriteString(`</svg>`)
	return template.HTML(b.String())
}

// latencyTicks labels the powers of ten, and what lies between where there is
// room.
func latencyTicks(b *strings.Builder, x func(float64) float64, low, high float64) {
	between := []float64{1}
	if high/low < 300 {
		between = []float64{1, 2, 5}
	}
	for power := math.Pow(10, math.Floor(math.Log10(low))); power <= high; power *= 10 {
		for _, m := range between {
			if us := m * power; us >= low*0.999 && us <= high {
				xLabel(b, x(us), latencyText(us))
			}
		}
	}
}

// percentileMarks draws a line at each percentile that has room for its name.
func percentileMarks(b *strings.Builder, x func(float64) float64, l *Latency) {
	last := math.Inf(-1)
	for _, p := range []struct {
		name string
		us   float64
	}{{"p50", l.P50}, {"p99", l.P99}, {"p99.9", l.P999}, {"p99.99", l.P9999}} {
		at := x(p.us)
		if at-last < 34 {
			continue
		}
		last = at
		fmt.Fprintf(b, `<line class="mark" x1="%.1f" y1="%d" x2="%.1f" y2="%d"/><text class="x" x="%.1f" y="%d">%s</text>`,
			at, plotTop, at, plotHeight-plotBottom, at, plotTop-4, p.name)
	}
}

// latencyText prints microseconds in the unit that suits them.
func latencyText(us float64) string {
	switch {
	case us >= 1e6:
		return plain(us/1e6) + " s"
	case us >= 1e3:
		return plain(us/1e3) + " ms"
	case us < 1:
		return plain(us*1e3) + " ns"
	}
	return plain(us) + " µs"
}

func openPlot(b *strings.Builder, label, title string) {
	fmt.Fprintf(b, `<svg viewBox="0 0 %d %d" width="%d" height="%d" role="img" aria-label="%s"><text class="title" x="0" y="11">%s</text>`,
		plotWidth, plotHeight, plotWidth, plotHeight, template.HTMLEscapeString(label), template.HTMLEscapeString(title))
}

func gridLine(b *strings.Builder, y float64, label string) {
	fmt.Fprintf(b, `<line class="grid" x1="%d" y1="%.1f" x2="%d" y2="%.1f"/><text class="y" x="%d" y="%.1f">%s</text>`,
		plotLeft, y, plotWidth-plotRight, y, plotLeft-6, y+4, label)
}

func baseLine(b *strings.Builder) {
	fmt.Fprintf(b, `<line class="grid" x1="%d" y1="%d" x2="%d" y2="%d"/>`, plotLeft, plotHeight-plotBottom, plotWidth-plotRight, plotHeight-plotBottom)
}

func xLabel(b *strings.Builder, x float64, label string) {
	fmt.Fprintf(b, `<text class="x" x="%.1f" y="%d">%s</text>`, x, plotHeight-8, label)
}

// scaled prints an axis value with a unit prefix.
func scaled(v float64) string {
	switch {
	case v >= 1e6:
		return plain(v/1e6) + " M"
	case v >= 1e3:
		return plain(v/1e3) + " k"
	}
	return plain(v)
}

// plain prints three digits that count, and no zeros behind the point.
func plain(v float64) string {
	digits := 2
	for w := math.Abs(v); w > 0 && w < 1; w *= 10 {
		digits++
	}
	if math.Abs(v) >= 100 {
		digits = 0
	} else if math.Abs(v) >= 10 {
		digits = 1
	}
	s := strconv.FormatFloat(v, 'f', digits, 64)
	if strings.Contains(s, ".") {
		s = strings.TrimRight(strings.TrimRight(s, "0"), ".")
	}
	return s
}
