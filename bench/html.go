package bench

import (
	_ "embed"
	"fmt"
	"html/template"
	"io"
)

// reportPage draws the report. It loads nothing from anywhere.
//
//go:embed report.html
var reportPage string

var reportTemplate = template.Must(template.New("report").Funcs(template.FuncMap{
	"short": short, "grouped": grouped,
	"num": func(n int) int64 { return int64(n) },
	"int": func(v float64) int64 { return int64(v) },
	"mb":  func(n int64) string { return fmt.Sprintf("%.0f", float64(n)/(1<<20)) },
	"mbu": func(n uint64) string { return fmt.Sprintf("%.0f", float64(n)/(1<<20)) },
	"orBlank": func(v float64) string {
		if v == 0 {
			return ""
		}
		return short(v)
	},
	"throughput": func(r *Result) template.HTML { return curve(r, "operations per second", opsPerSecond(r.Samples)) },
	"amplification": func(r *Result) template.HTML {
		return sampled(r, "write amplification", func(s Sample) float64 { return s.WriteAmp })
	},
	"memory": func(r *Result) template.HTML {
		return sampled(r, "memory in MB", func(s Sample) float64 { return float64(s.MemoryBytes) / (1 << 20) })
	},
	"disk": func(r *Result) template.HTML {
		return sampled(r, "disk in MB", func(s Sample) float64 { return float64(s.DiskBytes) / (1 << 20) })
	},
	"latency": latencyBars,
}).Parse(reportPage))

// WriteHTML writes the report as one page with plots: throughput over time,
// distribution of latencies, amplification, memory.
func (rep *Report) WriteHTML(w io.Writer) error { return reportTemplate.Execute(w, rep) }

// sampled draws one number of the samples over time, where it is known.
func sampled(r *Result, title string, of func(Sample) float64) template.HTML {
	var points []point
	for _, s := range r.Samples {
		if v := of(s); v > 0 {
			points = append(points, point{s.Seconds, v})
		}
	}
	return curve(r, title, points)
}

// opsPerSecond turns the samples' counts into rates between them, each shown in
// the middle of its time.
func opsPerSecond(samples []Sample) (points []point) {
	for i := 1; i < len(samples); i++ {
		a, b := samples[i-1], samples[i]
		if d := b.Seconds - a.Seconds; d > samplePeriod.Seconds()/4 {
			points = append(points, point{(a.Seconds + b.Seconds) / 2, float64(b.Ops-a.Ops) / d})
		}
	}
	return points
}
