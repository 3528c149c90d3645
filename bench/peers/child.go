package main

import (
	"encoding/json"
	"fmt"
	"io"
	"io/fs"
	"math"
	"os"
	"path/filepath"
	"runtime"
	"runtime/debug"
	"runtime/pprof"
	"slices"
	"syscall"
	"time"

	"github.com/strata-db/strata/bench/gen"
)

// A spec is what the parent tells a child to run: one workload on one engine.
type spec struct {
	Engine   string
	Workload string
	Repeat   int
	Dir      string
	Num      int // entries of the database
	Reads    int // operations of a read workload
	Seed     uint64
	Profile  string // file for a CPU profile of the timed part, "" for none
}

// A result is one run, one line of the raw output.
type result struct {
	Engine   string  `json:"engine"`
	Workload string  `json:"workload"`
	Repeat   int     `json:"repeat"`
	Num      int     `json:"num"`
	Ops      int     `json:"ops"`
	Seconds  float64 `json:"seconds"`
	// Background is how long flushes and compactions went on afterwards.
	Background float64 `json:"background_seconds,omitempty"`
	// More are further measurements by name; see metricsOf.
	More map[string]float64 `json:"more,omitempty"`
	// Hits of the reads that were to find something (or nothing) did.
	Hits int `json:"hits"`
	Want int `json:"want"`

	CPUSeconds  float64 `json:"cpu_seconds"`   // in the timed part, user and system
	AllocsPerOp float64 `json:"allocs_per_op"` // of Go's heap; 0 with engines in C++
	PeakRSS     int64   `json:"peak_rss_bytes"`
	DiskBytes   int64   `json:"disk_bytes"`
	WallSeconds float64 `json:"wall_seconds,omitempty"` // of the process
	Error       string  `json:"error,omitempty"`
}

// env is what a workload runs in.
type env struct {
	spec
	engine engine
	db     DB // open, unless the workload opens it itself
	keys   gen.KeyMaker
	values *gen.Values
	perm   *gen.Perm
	res    *result
}

const keyBytes = 16

// child runs one spec, given as JSON, and prints the result as JSON.
func child(arg string, out io.Writer) error {
	var s spec
	if err := json.Unmarshal([]byte(arg), &s); err != nil {
		return err
	}
	res := result{Engine: s.Engine, Workload: s.Workload, Repeat: s.Repeat, Num: s.Num}
	if err := runSpec(s, &res); err != nil {
		res.Error = err.Error()
	}
	return json.NewEncoder(out).Encode(res)
}

func runSpec(s spec, res *result) error {
	eng, err := findEngine(s.Engine)
	if err != nil {
		return err
	}
	if eng.native {
		return fmt.Errorf("%s runs in a program of its own", eng.name)
	}
	w, err := findWorkload(s.Workload)
	if err != nil {
		return err
	}
	e := &env{spec: s, engine: eng, res: res, keys: gen.NewKeyMaker(keyBytes, 0)}
	e.values = gen.NewValues(w.valueBytes(), 0.5, 301)
	e.perm = gen.NewPerm(uint64(e.Num), e.Seed)
	if err := os.MkdirAll(s.Dir, 0o755); err != nil {
		return err
	}
	if !w.opensItself {
		open := eng.open
		if w.synced && eng.openSynced != nil {
			open = eng.openSynced
		}
		if e.db, err = open(s.Dir); err != nil {
			return fmt.Errorf("open: %w", err)
		}
	}
	if err := w.run(e); err != nil {
		return err
	}
	if e.db != nil {
		if err := e.db.Close(); err != nil {
			return fmt.Errorf("close: %w", err)
		}
	}
	if res.Hits != res.Want {
		return fmt.Errorf("wrong answers: %d hits, want %d", res.Hits, res.Want)
	}
	res.DiskBytes = diskBytes(s.Dir)
	return nil
}

// timed runs fn as the measured part, which is ops operations long.
func (e *env) timed(ops int, fn func() error) error {
	runtime.GC()
	debug.FreeOSMemory()
	stop, err := e.startProfile()
	if err != nil {
		return err
	}
	defer stop()
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	cpu, start := cpuSeconds(), time.Now()
	err = fn()
	e.res.Seconds, e.res.CPUSeconds, e.res.Ops = time.Since(start).Seconds(), cpuSeconds()-cpu, ops
	runtime.ReadMemStats(&after)
	e.res.AllocsPerOp = float64(after.Mallocs-before.Mallocs) / float64(max(ops, 1))
	return err
}

func (e *env) startProfile() (stop func(), err error) {
	if e.Profile == "" {
		return func() {}, nil
	}
	f, err := os.Create(e.Profile)
	if err != nil {
		return nil, err
	}
	if err := pprof.StartCPUProfile(f); err != nil {
		return nil, err
	}
	return func() { pprof.StopCPUProfile(); f.Close() }, nil
}

// more adds a measurement to the result.
func (e *env) more(name string, v float64) {
	if e.res.More == nil {
		e.res.More = make(map[string]float64)
	}
	e.res.More[name] = v
}

// percentiles sorts ns and adds what a latency report shows, in microseconds.
func (e *env) percentiles(ns []uint32) {
	slices.Sort(ns)
	for _, p := range []struct {
		name string
		q    float64
	}{{"p50 µs", 0.5}, {"p99 µs", 0.99}, {"p99.9 µs", 0.999}, {"max µs", 1}} {
		i := max(0, int(math.Ceil(p.q*float64(len(ns))))-1)
		e.more(p.name, float64(ns[i])/1e3)
	}
}

// cpuSeconds returns the processor time of this process so far.
func cpuSeconds() float64 {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		return 0
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano()).Seconds()
}

// waitQuiet waits until the process has used almost no processor time for a
// while: for engines that cannot be asked. It returns how long that while was.
func waitQuiet() (float64, error) {
	const every, want = 20 * time.Millisecond, 8
	for calm, last := 0, cpuSeconds(); calm < want; {
		time.Sleep(every)
		now := cpuSeconds()
		if now-last < every.Seconds()/10 {
			calm++
		} else {
			calm = 0
		}
		last = now
	}
	return (every * want).Seconds(), nil
}

// background waits until the engine is idle and takes the time.
func (e *env) background() error {
	start := time.Now()
	idle, err := e.db.WaitIdle()
	e.res.Background = max(0, time.Since(start).Seconds()-idle)
	return err
}

func diskBytes(dir string) (n int64) {
	filepath.WalkDir(dir, func(_ string, d fs.DirEntry, err error) error {
		if err == nil && d.Type().IsRegular() {
			if info, err := d.Info(); err == nil {
				n += allocated(info)
			}
		}
		return nil
	})
	return n
}

// allocated is what the file takes on disk: engines preallocate and leave holes.
func allocated(info fs.FileInfo) int64 {
	if st, ok := info.Sys().(*syscall.Stat_t); ok {
		return min(info.Size(), st.Blocks*512)
	}
	return info.Size()
}
