package bench

import (
	_ "embed"
	"fmt"
	"html/template"
	"io"
	"strings"
)

// reportPage draws the report. It loads nothing from anywhere.
//
//go:embed report.html
var reportPage string

var reportTemplate = template.Must(template.New("report").Funcs(template.FuncMap{
	"short": short, "grouped": grouped,
	"int":        func(v float64) int64 { return int64(v) },
	"mb":         func(n int64) string { return fmt.Sprintf("%.0f", float64(n)/(1<<20)) },
	"mbu":        func(n uint64) string { return fmt.Sprintf("%.0f", float64(n)/(1<<20)) },
	"throughput": func(r *Result) template.HTML { return plotOf(r, "ops/sec over seconds", opsPerSecond(r.Samples)) },
	"amplification": func(r *Result) template.HTML {
		var points []point
		for _, s := range r.Samples {
			if s.WriteAmp > 0 {
				points = append(points, point{s.Seconds, s.WriteAmp})
			}
		}
		return plotOf(r, "write amplification over seconds", points)
	},
	"memory": func(r *Result) template.HTML {
		var points []point
		for _, s := range r.Samples {
			points = append(points, point{s.Seconds, float64(s.MemoryBytes) / (1 << 20)})
		}
		return plotOf(r, "memory in MB over seconds", points)
	},
	"latency": latencyBars,
}).Parse(reportPage))

// WriteHTML writes the report as one page with plots: throughput over time,
// distribution of latencies, amplification, memory.
func (rep *Report) WriteHTML(w io.Writer) error { return reportTemplate.Execute(w, rep) }

type point struct{ x, y float64 }

// opsPerSecond turns the samples' counts into rates between them.
func opsPerSecond(samples []Sample) (points []point) {
	for i := 1; i < len(samples); i++ {
		a, b := samples[i-1], samples[i]
		if d := b.Seconds - a.Seconds; d > samplePeriod.Seconds()/4 || len(samples) == 2 && d > 0 {
			points = append(points, point{b.Seconds, float64(b.Ops-a.Ops) / d})
		}
	}
	return points
}

// The size of a plot and of its margins, in pixels.
const (
	plotWidth, plotHeight = 440, 170
	plotLeft, plotBottom  = 64, 24
	plotRight             = 16
)

// plotOf draws points as a line over axes that begin at zero.
func plotOf(r *Result, title string, points []point) template.HTML {
	if len(points) < 2 {
		return ""
	}
	var mx, my float64
	for _, p := range points {
		mx, my = max(mx, p.x), max(my, p.y)
	}
	if mx <= 0 || my <= 0 {
		return ""
	}
	var b strings.Builder
	openPlot(&b, title+" of "+r.Name, title)
	x := func(v float64) float64 { return plotLeft + v/mx*(plotWidth-plotLeft-plotRight) }
	y := func(v float64) float64 { return plotHeight - plotBottom - v/my*(plotHeight-plotBottom-22) }
	for i := range 5 {
		v := my * float64(i) / 4
		fmt.Fprintf(&b, `<line class="grid" x1="%d" y1="%.1f" x2="%d" y2="%.1f"/><text class="y" x="%d" y="%.1f">%s</text>`,
			plotLeft, y(v), plotWidth-plotRight, y(v), plotLeft-6, y(v)+4, scaled(v))
		u := mx * float64(i) / 4
		fmt.Fprintf(&b, `<text class="x" x="%.1f" y="%d">%s</text>`, x(u), plotHeight-8, short(u))
	}
	b.WriteString(`<polyline class="line" points="`)
	for _, p := range points {
		fmt.Fprintf(&b, "%.1f,%.1f ", x(p.x), y(p.y))
	}
	b.WriteString(`"/></svg>`)
	return template.HTML(b.String())
}

func openPlot(b *strings.Builder, label, title string) {
	fmt.Fprintf(b, `<svg viewBox="0 0 %d %d" width="%d" height="%d" role="img" aria-label="%s"><text class="title" x="%d" y="13">%s</text>`,
		plotWidth, plotHeight, plotWidth, plotHeight, template.HTMLEscapeString(label), plotLeft, template.HTMLEscapeString(title))
}

// latencyBars draws the distribution with a bar a bucket, all of one width: the
// bounds grow by the root of two.
func latencyBars(r *Result) template.HTML {
	if r.Latency == nil || len(r.Latency.Buckets) == 0 {
		return ""
	}
	buckets := r.Latency.Buckets
	most := int64(1)
	for _, k := range buckets {
		most = max(most, k.Count)
	}
	var b strings.Builder
	openPlot(&b, "distribution of latencies of "+r.Name, "operations by microseconds")
	width := float64(plotWidth-plotLeft-plotRight) / float64(len(buckets))
	every := max(1, len(buckets)/7)
	for i, k := range buckets {
		h := float64(k.Count) / float64(most) * (plotHeight - plotBottom - 22)
		x := plotLeft + float64(i)*width
		fmt.Fprintf(&b, `<rect class="bar" x="%.1f" y="%.1f" width="%.1f" height="%.1f"><title>%s to %s µs: %s</title></rect>`,
			x, plotHeight-plotBottom-max(h, 0.6), max(width-1, 0.5), max(h, 0.6), short(k.Low), short(k.High), grouped(k.Count))
		if i%every == 0 {
			fmt.Fprintf(&b, `<text class="x" x="%.1f" y="%d">%s</text>`, x+width/2, plotHeight-8, short(k.Low))
		}
	}
	fmt.Fprintf(&b, `<text class="y" x="%d" y="30">%s</text></svg>`, plotLeft-6, scaled(float64(most)))
	return template.HTML(b.String())
}

// scaled prints an axis value with a unit prefix.
func scaled(v float64) string {
	switch {
	case v >= 1e6:
		return short(v/1e6) + " M"
	case v >= 1e3:
		return short(v/1e3) + " k"
	}
	return short(v)
}
