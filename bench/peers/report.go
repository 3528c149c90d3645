package main

import (
	"fmt"
	"math"
	"slices"
	"strings"
)

// A metric is one number of a run, on a line of its own in the report.
type metric struct {
	line  string
	value float64
	lower bool // lower is better
	unit  string
}

func (m metric) shown() string { return fmt.Sprintf("%s %s", format(m.value), m.unit) }

// timedAsMS are the workloads whose single operation is told in milliseconds.
var timedAsMS = []string{"compact", "reopen-wal", "open"}

// metricsOf turns a run into the report's lines, in their order.
func metricsOf(r result) []metric {
	if r.Error != "" {
		return nil
	}
	w := r.Workload
	switch {
	case slices.Contains(timedAsMS, w):
		return []metric{{w, r.Seconds * 1e3, true, "ms"}}
	case w == "latency":
		var out []metric
		for _, name := range []string{"p50 µs", "p99 µs", "p99.9 µs", "max µs"} {
			out = append(out, metric{"fillrandom " + strings.TrimSuffix(name, " µs"), r.More[name], true, "µs"})
		}
		return out
	}
	if r.Seconds <= 0 {
		return nil
	}
	rate := func(seconds float64) float64 { return float64(r.Ops) / seconds / 1e3 }
	out := []metric{{w, rate(r.Seconds), false, "kops/s"}}
	if r.Background > 0 || strings.HasPrefix(w, "fill") && !strings.HasPrefix(w, "fillsync") {
		out = append(out, metric{w + " incl. background", rate(r.Seconds + r.Background), false, "kops/s"})
	}
	if v, ok := r.More["writer ops/s"]; ok {
		out[0].line = w + " reader"
		out = append(out, metric{w + " writer", v / 1e3, false, "kops/s"})
	}
	if v, ok := r.More["scan after ms"]; ok {
		out = append(out, metric{"scan after " + w, v, true, "ms"})
	}
	return out
}

// A row is one line of the report: the median of each engine.
type row struct {
	line, unit string
	workload   string
	lower      bool
	medians    map[string]float64
}

// rows gathers the results, in the order in which the lines first came.
func rows(results []result) []row {
	type cell struct{ line, engine string }
	var out []row
	values := make(map[cell][]float64)
	for _, r := range results {
		for _, m := range metricsOf(r) {
			if !slices.ContainsFunc(out, func(o row) bool { return o.line == m.line }) {
				out = append(out, row{m.line, m.unit, r.Workload, m.lower, make(map[string]float64)})
			}
			values[cell{m.line, r.Engine}] = append(values[cell{m.line, r.Engine}], m.value)
		}
	}
	for c, v := range values {
		for _, o := range out {
			if o.line == c.line {
				o.medians[c.engine] = median(v)
			}
		}
	}
	return out
}

// ratio says how many times better Strata is than engine: above 1 is better,
// whichever way the line counts. 0 if either is missing.
func (r row) ratio(engine string) float64 {
	a, b := r.medians["strata"], r.medians[engine]
	if a == 0 || b == 0 {
		return 0
	}
	if r.lower {
		return b / a
	}
	return a / b
}

// doesNothing reports whether the line asks the engine for something that it has
// no need of: bbolt has nothing to merge, and Badger flattens only what it finds
// too deep, mostly nothing.
func doesNothing(line, engine string) bool {
	return line == "compact" && (engine == "badger" || engine == "bbolt")
}

// ratioBest compares with the best of the other log-structured engines in Go.
func (r row) ratioBest() (ratio float64) {
	for _, e := range engines {
		if !e.lsm || e.native || e.name == "strata" || doesNothing(r.line, e.name) {
			continue
		}
		if v := r.ratio(e.name); v != 0 && (ratio == 0 || v < ratio) {
			ratio = v
		}
	}
	return ratio
}

// speed is larger for the better engine, whichever way the line counts; 0 if it
// is missing.
func (r row) speed(engine string) float64 {
	v := r.medians[engine]
	if r.lower && v > 0 {
		return 1 / v
	}
	return v
}

// bestPeer is the speed of the best other log-structured engine.
func (r row) bestPeer() (best float64) {
	for _, e := range engines {
		if e.lsm && e.name != "strata" && !doesNothing(r.line, e.name) {
			best = max(best, r.speed(e.name))
		}
	}
	return best
}

// compared are the engines that the report has a column of ratios for.
var compared = []string{"goleveldb", "pebble", "leveldb", "rocksdb"}

const tableLegend = "Thousand operations a second, or where noted a time; × is how many times better Strata is (above 1 = better)."

// table returns the lines with their medians and ratios, a head first.
func (rec recording) table() [][]string {
	names := rec.engineNames()
	head := append([]string{"line"}, names...)
	peers := slices.DeleteFunc(slices.Clone(names), func(n string) bool { return !slices.Contains(compared, n) })
	for _, n := range peers {
		head = append(head, "× "+n)
	}
	out := [][]string{append(head, "× best Go LSM")}
	for _, r := range rows(rec.results) {
		line := []string{r.title()}
		for _, n := range names {
			line = append(line, format(r.medians[n]))
		}
		for _, n := range peers {
			line = append(line, ratioText(r.ratio(n)))
		}
		out = append(out, append(line, ratioText(r.ratioBest())))
	}
	return out
}

func (r row) title() string {
	if r.unit != "kops/s" {
		return r.line + ", " + r.unit
	}
	return r.line
}

func ratioText(v float64) string {
	if v == 0 {
		return "–"
	}
	return fmt.Sprintf("%.2f", v)
}

// behind lists the lines on which some engine is ahead of Strata, a head first.
func (rec recording) behind() [][]string {
	out := [][]string{{"line", "beside"}}
	for _, r := range rows(rec.results) {
		var ahead []string
		for _, n := range rec.engineNames() {
			switch v := r.ratio(n); {
			case n == "strata" || v == 0 || v >= 0.995 || doesNothing(r.line, n):
			case v < 0.01:
				ahead = append(ahead, n+" <0.01")
			default:
				ahead = append(ahead, fmt.Sprintf("%s %.2f", n, v))
			}
		}
		if len(ahead) > 0 {
			out = append(out, []string{r.title(), strings.Join(ahead, ", ")})
		}
	}
	return out
}

func (rec recording) failures() (lines []string) {
	for _, r := range rec.results {
		if r.Error != "" {
			lines = append(lines, fmt.Sprintf("%s on %s, repeat %d: %s", r.Workload, r.Engine, r.Repeat, r.Error))
		}
	}
	return lines
}

// median returns the middle of v, the mean of the two middles if there are two.
func median(v []float64) float64 {
	if len(v) == 0 {
		return 0
	}
	v = slices.Clone(v)
	slices.Sort(v)
	return (v[(len(v)-1)/2] + v[len(v)/2]) / 2
}

// format prints v with three digits that count.
func format(v float64) string {
	switch {
	case v == 0:
		return "–"
	case math.Abs(v) >= 100:
		s := fmt.Sprintf("%.0f", v)
		for i := len(s) - 3; i > 0; i -= 3 {
			s = s[:i] + "," + s[i:]
		}
		return s
	case math.Abs(v) >= 10:
		return fmt.Sprintf("%.1f", v)
	}
	return fmt.Sprintf("%.2f", v)
}
