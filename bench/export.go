package bench

import (
	"encoding/csv"
	"encoding/json"
	"fmt"
	"io"
)

// WriteJSON writes the report as one indented object.
func (rep *Report) WriteJSON(w io.Writer) error {
	e := json.NewEncoder(w)
	e.SetIndent("", "  ")
	return e.Encode(rep)
}

// WriteCSV writes a line of names and one for each result.
func (rep *Report) WriteCSV(w io.Writer) error {
	c := csv.NewWriter(w)
	_ = c.Write([]string{"name", "run", "threads", "operations", "seconds", "micros_per_op", "ops_per_sec", "mb_per_sec",
		"found", "wanted", "wrong", "writes_per_sec", "p50", "p99", "p99.9", "p99.99", "max",
		"write_amplification", "space_amplification", "stall_seconds", "peak_memory_bytes", "allocs_per_op", "disk_bytes"})
	for _, r := range rep.Results {
		l := r.Latency
		if l == nil {
			l = new(Latency)
		}
		var row []string
		for _, v := range []any{r.Name, r.Run, r.Threads, r.Ops, r.Seconds, r.MicrosPerOp, r.OpsPerSec, r.MBPerSec,
			r.Found, r.Wanted, r.Wrong, r.WritesPerSec, l.P50, l.P99, l.P999, l.P9999, l.Max,
			r.WriteAmp, r.SpaceAmp, r.StallSeconds, r.PeakMemoryBytes, r.AllocsPerOp, r.DiskBytes} {
			row = append(row, fmt.Sprint(v))
		}
		_ = c.Write(row)
	}
	c.Flush()
	return c.Error()
}
