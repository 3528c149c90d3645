package bench

import (
	"strings"
	"testing"
)

// TestAxes: ticks must be round numbers, about as many as asked for, printed
// short.
func TestAxes(t *testing.T) {
	for _, c := range []struct {
		top  float64
		n    int
		want string
	}{{1.59, 6, "0.5"}, {12, 6, "2"}, {0.031, 6, "0.01"}, {1.9e6, 4, "500 k"}, {100, 4, "50"}, {3, 4, "1"}, {0.004, 4, "0.001"}} {
		if got := scaled(tickStep(c.top, c.n)); got != c.want {
			t.Errorf("a step of %d over %g is %s, want %s", c.n, c.top, got, c.want)
		}
	}
	for us, want := range map[float64]string{0.0625: "62.5 ns", 1: "1 µs", 22.627: "22.6 µs", 5000: "5 ms", 2.5e6: "2.5 s", 362.04: "362 µs"} {
		if got := latencyText(us); got != want {
			t.Errorf("%g µs is printed as %s, want %s", us, got, want)
		}
	}
}

// TestPlotsKeepInside: whatever is drawn must lie within the drawing, and a run
// that was too short for a curve has none.
func TestPlotsKeepInside(t *testing.T) {
	r := &Result{Name: "x<y", Latency: &Latency{P50: 0.1, P99: 3, P999: 3.1, P9999: 9e5, Buckets: []Bucket{{0, 0.088, 1}, {0.088, 0.125, 1e6}, {724077, 1024000, 1}}}}
	bars := string(latencyBars(r))
	if strings.Count(bars, `class="bar"`) != 3 || strings.Contains(bars, `"-`) || strings.Contains(bars, "x<y") || !strings.Contains(bars, ">p99.99<") {
		t.Error(bars)
	}
	if got := curve(r, "rate", []point{{0, 1}, {1, 1}}); got != "" {
		t.Errorf("two points gave %s", got)
	}
	line := string(curve(r, "rate", []point{{0, 0}, {1, 7}, {2, 3}}))
	if want := `points="60.0,156.0 239.0,`; !strings.Contains(line, want) || !strings.Contains(line, " 418.0,") {
		t.Errorf("no %s in %s", want, line)
	}
}
