package main

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"os"
	"os/exec"
	"runtime"
	"slices"
	"strings"
	"time"

	"github.com/strata-db/strata/bench/gen"
)

// A header is a line of the raw output that says what the runs behind it, up to
// the next header, have in common.
type header struct {
	Date       string `json:"date"`
	Commit     string `json:"commit"`
	CPU        string `json:"cpu"`
	Processors int    `json:"processors"`
	Go         string `json:"go"`
	Num        int    `json:"num"`
	Reads      int    `json:"reads"`
	Seed       uint64 `json:"seed"`
	// GeneratingNS is what a key and its value cost, in every operation's time.
	GeneratingNS float64 `json:"generating_ns,omitempty"`
	// Versions of the engines that were chosen, by name.
	Versions map[string]string `json:"versions"`
	// Note says what else a reader should know of these runs.
	Note string `json:"note,omitempty"`
}

// alike reports whether runs under both headers may stand in one table: same
// code, machine and sizes.
func (h header) alike(o header) bool {
	return h.Commit == o.Commit && h.CPU == o.CPU && h.Processors == o.Processors && h.Go == o.Go &&
		h.Num == o.Num && h.Reads == o.Reads && h.Seed == o.Seed
}

func (c *config) header() header {
	return header{Date: time.Now().UTC().Format(time.DateOnly), Commit: commitName(c.ctx), CPU: cpuModel(), Processors: runtime.NumCPU(),
		Go: runtime.Version(), Num: c.num, Reads: c.reads, Seed: c.seed, Versions: c.versions(), Note: c.comment,
		GeneratingNS: math.Round(gen.Cost(gen.NewKeyMaker(keyBytes, 0), gen.NewValues(100, 0.5, 301)))}
}

// commitName names the code that is measured: the commit, and a hash of what was
// changed since. "unknown" outside a git checkout.
func commitName(ctx context.Context) string {
	head, err := exec.CommandContext(ctx, "git", "rev-parse", "--short=7", "HEAD").Output()
	if err != nil {
		return "unknown"
	}
	name := string(bytes.TrimSpace(head))
	changes, err := exec.CommandContext(ctx, "git", "diff", "HEAD", "--", ":/*.go", ":/*.cc", ":/*.h", ":/*go.mod").Output()
	if err == nil && len(changes) > 0 {
		name += fmt.Sprintf("+%x", sha256.Sum256(changes))[:9]
	}
	return name
}

// A recording is what a raw file holds of one table.
type recording struct {
	header  header
	results []result
}

type runKey struct {
	workload, engine string
	repeat           int
}

func (r result) key() runKey { return runKey{r.Workload, r.Engine, r.Repeat} }

var errNoHeader = errors.New("no line with a header: it was not written by -out")

// readRecording returns the runs under the last header and those alike; of
// several runs of the same kind the last counts. want, if not nil, stands for the
// last header. A last line that was cut off is left out.
func readRecording(r io.Reader, want *header) (recording, error) {
	data, err := io.ReadAll(r)
	if err != nil {
		return recording{}, err
	}
	var all []recording
	for n, line := range slices.Collect(bytes.Lines(data)) {
		if !bytes.HasSuffix(line, []byte("\n")) {
			break
		}
		var entry struct {
			Header *header `json:"header"`
			result
		}
		if err := json.Unmarshal(line, &entry); err != nil {
			return recording{}, fmt.Errorf("line %d: %w", n+1, err)
		}
		switch {
		case entry.Header != nil:
			all = append(all, recording{header: *entry.Header})
		case len(all) == 0:
			return recording{}, fmt.Errorf("line %d: %w", n+1, errNoHeader)
		default:
			last := &all[len(all)-1]
			last.results = append(last.results, entry.result)
		}
	}
	if want == nil {
		if len(all) == 0 {
			return recording{}, errNoHeader
		}
		want = &all[len(all)-1].header
	}
	return joined(all, *want), nil
}

// joined puts what is alike into one.
func joined(all []recording, h header) recording {
	out := recording{header: h}
	out.header.Versions = make(map[string]string)
	at := make(map[runKey]int)
	for _, rec := range all {
		if !rec.header.alike(h) {
			continue
		}
		for name, version := range rec.header.Versions {
			out.header.Versions[name] = version
		}
		for _, r := range rec.results {
			if w, err := findWorkload(r.Workload); err != nil || w.hidden {
				continue
			}
			if i, ok := at[r.key()]; ok {
				out.results[i] = r
				continue
			}
			at[r.key()] = len(out.results)
			out.results = append(out.results, r)
		}
	}
	for name, version := range h.Versions {
		out.header.Versions[name] = version
	}
	sortResults(out.results)
	return out
}

// sortResults brings runs that came in parts into the order of the workloads.
func sortResults(results []result) {
	place := func(r result) int {
		return slices.IndexFunc(workloads, func(w workload) bool { return w.name == r.Workload })
	}
	slices.SortStableFunc(results, func(a, b result) int { return place(a) - place(b) })
}

// engineNames are the engines of a recording, in the order of the table.
func (rec recording) engineNames() (names []string) {
	for _, e := range engines {
		if slices.ContainsFunc(rec.results, func(r result) bool { return r.Engine == e.name }) {
			names = append(names, e.name)
		}
	}
	return names
}

func (rec recording) repeats() (n int) {
	for _, r := range rec.results {
		n = max(n, r.Repeat+1)
	}
	return n
}

// openRaw opens the raw output for appending. With resume it first takes from
// it the runs that need not be repeated; failed ones run again.
func (c *config) openRaw() (io.Closer, error) {
	c.raw, c.done = io.Discard, make(map[runKey]result)
	if c.out == "" {
		return io.NopCloser(nil), nil
	}
	f, err := os.OpenFile(c.out, os.O_CREATE|os.O_RDWR, 0o644)
	if err != nil {
		return nil, err
	}
	if err := c.resumeFrom(f); err != nil {
		f.Close()
		return nil, fmt.Errorf("%s: %w", c.out, err)
	}
	c.raw = f
	line, err := json.Marshal(map[string]header{"header": c.head})
	if err == nil {
		_, err = fmt.Fprintf(f, "%s\n", line)
	}
	if err != nil {
		f.Close()
		return nil, err
	}
	return f, nil
}

// resumeFrom reads f and leaves it at its end, behind the last whole line.
func (c *config) resumeFrom(f *os.File) error {
	data, err := io.ReadAll(f)
	if err != nil {
		return err
	}
	whole := int64(bytes.LastIndexByte(data, '\n') + 1)
	if c.resume {
		rec, err := readRecording(bytes.NewReader(data), &c.head)
		if err != nil {
			return err
		}
		for _, r := range rec.results {
			if r.Error == "" {
				c.done[r.key()] = r
			}
		}
	}
	if err := f.Truncate(whole); err != nil {
		return err
	}
	_, err = f.Seek(whole, io.SeekStart)
	return err
}

// left estimates how long the runs take that are still to come: as long as the
// same took before, or as the mean.
func (c *config) left(todo []runKey, took map[runKey]float64) time.Duration {
	var sum, mean float64
	for _, s := range took {
		mean += s / float64(len(took))
	}
	for _, key := range todo {
		seconds, n := 0.0, 0
		for rep := range c.repeats {
			if s, ok := took[runKey{key.workload, key.engine, rep}]; ok {
				seconds, n = seconds+s, n+1
			}
		}
		if n == 0 {
			seconds, n = mean, 1
		}
		sum += seconds / float64(n)
	}
	return time.Duration(sum * float64(time.Second))
}

// roundly prints a time as a person would say it.
func roundly(d time.Duration) string {
	switch {
	case d < time.Minute:
		return fmt.Sprintf("%d s", int(d.Seconds()))
	case d < 100*time.Minute:
		return fmt.Sprintf("%d min", int(d.Round(time.Minute).Minutes()))
	}
	return strings.TrimSuffix(d.Round(time.Minute).String(), "0s")
}
