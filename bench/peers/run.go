package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"path/filepath"
	"runtime"
	"runtime/debug"
	"syscall"
	"time"
)

type config struct {
	engines    []engine
	workloads  []workload
	num, reads int
	repeats    int
	seed       uint64
	dir        string
	out        string
	profiles   string
	timeout    time.Duration
	gross      bool
	grossTo    string
	comment    string
	resume     bool
	outputs

	head header
	done map[runKey]result // by an earlier process

	ctx     context.Context
	loaded  map[loadKey]bool  // sources that are ready in this repeat
	natives map[string]native // programs of the engines in C++, by engine
	raw     io.Writer
	log     io.Writer
}

// loadKey names a source directory.
type loadKey struct {
	engine string
	source source
}

// run does everything and prints the report.
func (c *config) run(stdout, stderr io.Writer) (err error) {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	c.ctx, c.log = ctx, stderr
	if c.dir, err = os.MkdirTemp(c.dir, "strata-peers-"); err != nil {
		return err
	}
	defer os.RemoveAll(c.dir)
	if c.profiles != "" {
		if err := os.MkdirAll(c.profiles, 0o755); err != nil {
			return err
		}
	}
	if err := c.buildNatives(); err != nil {
		return err
	}
	c.head = c.header()
	raw, err := c.openRaw()
	if err != nil {
		return err
	}
	defer raw.Close()
	switch {
	case c.grossTo != "":
		return c.recordGross(c.grossTo, stdout)
	case c.gross:
		rec, err := readGross()
		if err != nil {
			return err
		}
		return c.checkGross(rec, stdout)
	}
	results, runErr := c.runAll()
	sortResults(results)
	rec := recording{header: c.head, results: results}
	if len(results) == 0 {
		return runErr
	}
	return errors.Join(runErr, c.publish(rec, stdout))
}

// runAll runs every workload in every repeat, the engines in turns. The engine
// that begins changes from repeat to repeat. When it is interrupted, it returns
// what was done by then.
func (c *config) runAll() (results []result, err error) {
	var todo []runKey
	took := make(map[runKey]float64)
	for rep := range c.repeats {
		for _, w := range c.workloads {
			for i := range c.engines {
				key := runKey{w.name, c.engines[(i+rep)%len(c.engines)].name, rep}
				if r, ok := c.done[key]; ok {
					results = append(results, r)
					took[key] = r.WallSeconds
				} else {
					todo = append(todo, key)
				}
			}
		}
	}
	all := len(todo) + len(results)
	if len(results) > 0 {
		fmt.Fprintf(c.log, "%d of %d runs are in %s already\n", len(results), all, c.out)
	}
	said := time.Now()
	for i, key := range todo {
		if i == 0 || key.repeat != todo[i-1].repeat {
			c.forgetSources()
		}
		e, err := findEngine(key.engine)
		if err != nil {
			return results, err
		}
		w, err := findWorkload(key.workload)
		if err != nil {
			return results, err
		}
		start := time.Now()
		res := c.runOne(e, w, key.repeat)
		if err := c.ctx.Err(); err != nil {
			return results, fmt.Errorf("interrupted after %d of %d runs: %w", len(results), all, err)
		}
		results = append(results, res)
		took[key] = time.Since(start).Seconds()
		if rest := todo[i+1:]; len(rest) > 0 && time.Since(said) > sayEvery {
			said = time.Now()
			fmt.Fprintf(c.log, "--- %d of %d runs, about %s left\n", len(results), all, roundly(c.left(rest, took)))
		}
	}
	return results, nil
}

// sayEvery is how often the rest of the time is estimated aloud.
const sayEvery = 20 * time.Second

// forgetSources removes the directories that workloads of one repeat start from.
func (c *config) forgetSources() {
	for key := range c.loaded {
		os.RemoveAll(c.sourceDir(key))
	}
	c.loaded = make(map[loadKey]bool)
}

func (c *config) sourceDir(key loadKey) string {
	return filepath.Join(c.dir, key.engine+"-"+loads[key.source])
}

// runOne prepares the directory of a run, runs it and clears up. A failure is in
// the result.
func (c *config) runOne(e engine, w workload, rep int) result {
	dir, err := c.prepare(e, w, rep)
	if err != nil {
		res := result{Engine: e.name, Workload: w.name, Repeat: rep, Error: err.Error()}
		c.note(res)
		return res
	}
	if w.source == fresh || w.mutates {
		defer os.RemoveAll(dir)
	}
	start := time.Now()
	res := c.spawn(c.spec(e, w, rep, dir))
	res.WallSeconds = time.Since(start).Seconds()
	c.note(res)
	return res
}

func (c *config) spec(e engine, w workload, rep int, dir string) spec {
	s := spec{Engine: e.name, Workload: w.name, Repeat: rep, Dir: dir, Num: c.num, Reads: c.reads, Seed: c.seed + uint64(rep)}
	if w.big || w.source == bigValues {
		s.Num, s.Reads = max(1, s.Num/10), max(1, s.Reads/4)
	}
	if c.profiles != "" && !w.hidden {
		s.Profile = filepath.Join(c.profiles, fmt.Sprintf("%s-%s-%d.pprof", e.name, w.name, rep))
	}
	return s
}

// prepare returns the directory that w runs in, loading or copying its source if
// need be.
func (c *config) prepare(e engine, w workload, rep int) (string, error) {
	run := filepath.Join(c.dir, e.name+"-run")
	if w.source == fresh {
		return run, os.RemoveAll(run)
	}
	key := loadKey{e.name, w.source}
	from := c.sourceDir(key)
	if !c.loaded[key] {
		lw, err := findWorkload(loads[w.source])
		if err != nil {
			return "", err
		}
		res := c.spawn(c.spec(e, lw, rep, from))
		c.note(res)
		if res.Error != "" {
			return "", fmt.Errorf("%s: %s", lw.name, res.Error)
		}
		c.loaded[key] = true
	}
	if !w.mutates {
		return from, nil
	}
	if err := os.RemoveAll(run); err != nil {
		return "", err
	}
	return run, os.CopyFS(run, os.DirFS(from))
}

// spawn runs one spec in a process of its own.
func (c *config) spawn(s spec) result {
	res := result{Engine: s.Engine, Workload: s.Workload, Repeat: s.Repeat, Num: s.Num}
	arg, err := json.Marshal(s)
	if err != nil {
		res.Error = err.Error()
		return res
	}
	ctx, cancel := context.WithTimeout(c.ctx, c.timeout)
	defer cancel()
	cmd, err := c.command(ctx, s, string(arg))
	if err != nil {
		res.Error = err.Error()
		return res
	}
	var out, errOut bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errOut
	err = cmd.Run()
	switch killed := err != nil && cmd.ProcessState != nil && !cmd.ProcessState.Exited(); {
	case ctx.Err() != nil:
		res.Error = ctx.Err().Error()
	case killed && s.Workload == loads[crashed]: // as it should be
	case err != nil:
		res.Error = fmt.Sprintf("%v: %s", err, lastLines(errOut.String(), 20))
	default:
		if err := json.Unmarshal(out.Bytes(), &res); err != nil {
			res.Error = fmt.Sprintf("output of the child: %v", err)
		}
	}
	if res.DiskBytes == 0 {
		res.DiskBytes = diskBytes(s.Dir)
	}
	if cmd.ProcessState != nil {
		if u, ok := cmd.ProcessState.SysUsage().(*syscall.Rusage); ok {
			res.PeakRSS = peakRSS(u)
		}
	}
	return res
}

// peakRSS returns bytes; the unit of the field differs between systems.
func peakRSS(u *syscall.Rusage) int64 {
	if runtime.GOOS == "darwin" {
		return int64(u.Maxrss)
	}
	return int64(u.Maxrss) << 10
}

func lastLines(s string, n int) string {
	lines := bytes.Split(bytes.TrimSpace([]byte(s)), []byte("\n"))
	return string(bytes.Join(lines[:min(n, len(lines))], []byte("\n")))
}

// note writes a result to the raw output and a line of progress to the log.
func (c *config) note(res result) {
	if c.ctx.Err() != nil {
		return // interrupted, which says nothing of the engine
	}
	if line, err := json.Marshal(res); err == nil {
		fmt.Fprintf(c.raw, "%s\n", line)
	}
	if res.Error != "" {
		fmt.Fprintf(c.log, "%-24s %-10s FAILED: %s\n", res.Workload, res.Engine, res.Error)
		return
	}
	fmt.Fprintf(c.log, "%-24s %-10s %8.2f s", res.Workload, res.Engine, res.Seconds)
	for _, m := range metricsOf(res) {
		fmt.Fprintf(c.log, "  %s", m.shown())
	}
	fmt.Fprintf(c.log, "  cpu %.1f s  %.1f allocs/op  rss %d MB  disk %d MB\n",
		res.CPUSeconds, res.AllocsPerOp, res.PeakRSS>>20, res.DiskBytes>>20)
}

// moduleVersions returns the versions of the engines, by module.
func moduleVersions() map[string]string {
	out := make(map[string]string)
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return out
	}
	for _, m := range info.Deps {
		out[m.Path] = m.Version
		if m.Replace != nil {
			out[m.Path] = "this tree"
		}
	}
	return out
}

// cpuModel names the processor, where the system says it.
func cpuModel() string {
	data, err := os.ReadFile("/proc/cpuinfo")
	if err != nil {
		return runtime.GOARCH
	}
	for _, line := range bytes.Split(data, []byte("\n")) {
		if name, value, ok := bytes.Cut(line, []byte(":")); ok && string(bytes.TrimSpace(name)) == "model name" {
			return string(bytes.TrimSpace(value))
		}
	}
	return runtime.GOARCH
}
