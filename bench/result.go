package bench

import (
	"math"
	"slices"

	"github.com/HdrHistogram/hdrhistogram-go"
)

// A Report is what a run has measured.
type Report struct {
	Engine string `json:"engine"`
	Date   string `json:"date"`
	CPU    string `json:"cpu"`
	CPUs   int    `json:"cpus"`
	Go     string `json:"go"`
	Num    int    `json:"num"`
	Keys   int    `json:"key_bytes"`
	Values int    `json:"value_bytes"`
	// Generating is the nanoseconds that a key and its value cost, which are part
	// of every operation's time.
	Generating float64   `json:"generating_ns"`
	Results    []*Result `json:"results"`
}

// A Result is one run of one benchmark.
type Result struct {
	Name    string  `json:"name"`
	Run     int     `json:"run"` // from 1; warm-ups are not kept
	Threads int     `json:"threads"`
	Ops     int64   `json:"operations"`
	Seconds float64 `json:"seconds"`
	// MicrosPerOp is a thread's time for an operation: with n threads n times
	// what OpsPerSec says.
	MicrosPerOp float64 `json:"micros_per_op"`
	OpsPerSec   float64 `json:"ops_per_sec"`
	MBPerSec    float64 `json:"mb_per_sec"` // of 2^20 bytes, keys and values

	// Found of Wanted reads found something; Wrong answers were not what the
	// database had to give.
	Found  int64 `json:"found"`
	Wanted int64 `json:"wanted"`
	Wrong  int64 `json:"wrong"`
	// Writes are those of a writer beside readers, a second.
	WritesPerSec float64 `json:"writes_per_sec,omitempty"`
	Message      string  `json:"message,omitempty"`

	Latency *Latency `json:"latency_micros,omitempty"`

	WriteAmp        float64 `json:"write_amplification,omitempty"`
	SpaceAmp        float64 `json:"space_amplification,omitempty"`
	StallSeconds    float64 `json:"stall_seconds"`
	PeakMemoryBytes int64   `json:"peak_memory_bytes"`
	AllocsPerOp     float64 `json:"allocs_per_op"`
	DiskBytes       uint64  `json:"disk_bytes"`

	Samples []Sample `json:"samples,omitempty"`

	writes, scanning bool
}

// A Latency is a distribution, in microseconds.
type Latency struct {
	Count   int64   `json:"count"`
	Average float64 `json:"average"`
	StdDev  float64 `json:"stddev"`
	Min     float64 `json:"min"`
	P50     float64 `json:"p50"`
	P75     float64 `json:"p75"`
	P90     float64 `json:"p90"`
	P99     float64 `json:"p99"`
	P999    float64 `json:"p99.9"`
	P9999   float64 `json:"p99.99"`
	Max     float64 `json:"max"`

	// Buckets are rows of the distribution: upper bounds that double every
	// second row.
	Buckets []Bucket `json:"buckets,omitempty"`
}

// A Bucket counts the operations in [Low, High) microseconds.
type Bucket struct {
	Low   float64 `json:"low"`
	High  float64 `json:"high"`
	Count int64   `json:"count"`
}

// A Sample is the state at one moment of a benchmark.
type Sample struct {
	Seconds     float64 `json:"seconds"`
	Ops         int64   `json:"operations"`
	MemoryBytes int64   `json:"memory_bytes"`
	WriteAmp    float64 `json:"write_amplification,omitempty"` // since the benchmark began
	ReadAmp     int     `json:"read_amplification,omitempty"`  // runs a read may look at
	DiskBytes   uint64  `json:"disk_bytes,omitempty"`
}

// newLatency summarises a histogram of nanoseconds.
func newLatency(h *hdrhistogram.Histogram) *Latency {
	us := func(q float64) float64 { return float64(h.ValueAtQuantile(q)) / 1e3 }
	return &Latency{
		Count: h.TotalCount(), Average: h.Mean() / 1e3, StdDev: h.StdDev() / 1e3, Min: float64(h.Min()) / 1e3,
		P50: us(50), P75: us(75), P90: us(90), P99: us(99), P999: us(99.9), P9999: us(99.99), Max: float64(h.Max()) / 1e3,
		Buckets: buckets(h),
	}
}

// buckets gathers h into rows whose bounds are powers of the root of two.
func buckets(h *hdrhistogram.Histogram) []Bucket {
	bound := func(i int) float64 { return math.Pow(2, float64(i)/2) / 16 } // µs
	var out []Bucket
	i := 0
	for _, bar := range h.Distribution() {
		if bar.Count == 0 {
			continue
		}
		us := float64(bar.From) / 1e3
		for us >= bound(i+1) {
			i++
		}
		low, high := bound(i), bound(i+1)
		if i == 0 {
			low = 0
		}
		if n := len(out); n > 0 && out[n-1].Low == low {
			out[n-1].Count += bar.Count
		} else {
			out = append(out, Bucket{low, high, bar.Count})
		}
	}
	return out
}

// measured makes the result of the threads of one run.
func measured(b benchmark, threads []*thread) *Result {
	res := &Result{Name: b.name, writes: b.writes, scanning: b.scanning}
	var hist *hdrhistogram.Histogram
	var inThreads float64
	var first, last = threads[0].start, threads[0].end
	bytes, writes := int64(0), int64(0)
	for _, t := range threads {
		if t.background {
			writes += t.writes
			continue
		}
		res.Threads++
		res.Ops += t.ops
		res.Found += t.found
		res.Wanted += t.wanted
		res.Wrong += t.wrong
		bytes += t.bytes
		inThreads += t.end.Sub(t.start).Seconds()
		if t.start.Before(first) {
			first = t.start
		}
		if t.end.After(last) {
			last = t.end
		}
		if t.message != "" {
			res.Message = t.message
		}
		if t.hist != nil {
			if hist == nil {
				hist = t.hist
			} else {
				hist.Merge(t.hist)
			}
		}
	}
	res.Seconds = max(last.Sub(first).Seconds(), 1e-9)
	res.MicrosPerOp = inThreads * 1e6 / float64(max(res.Ops, 1))
	res.OpsPerSec = float64(res.Ops) / res.Seconds
	res.MBPerSec = float64(bytes) / (1 << 20) / res.Seconds
	res.WritesPerSec = float64(writes) / res.Seconds
	if hist != nil && hist.TotalCount() > 0 {
		res.Latency = newLatency(hist)
	}
	return res
}

// meanAndSpread returns the mean of v and its standard deviation.
func meanAndSpread(v []float64) (mean, spread float64) {
	for _, x := range v {
		mean += x / float64(len(v))
	}
	for _, x := range v {
		spread += (x - mean) * (x - mean)
	}
	if len(v) > 1 {
		spread = math.Sqrt(spread / float64(len(v)-1))
	}
	return mean, spread
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
