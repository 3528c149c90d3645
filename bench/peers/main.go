// Command peers measures Strata beside other engines: goleveldb, Pebble, Badger
// and bbolt in Go, LevelDB and RocksDB in C++, on equal settings, each used as
// its experts would.
//
//	go run . [-engines=a,b] [-workloads=a,b] [-num=1000000] [-repeats=3] [-html=FILE]
//
// Every workload of every engine runs in a process of its own, so that neither
// heap nor garbage of one meets another; engines take turns, and the report
// shows medians. Each run ends with a check that the database holds, or the
// reads found, exactly what was written; a run that fails it has no number.
// It runs on Unix systems only, as it asks them for processor time and memory.
//
//	main.go      flags
//	run.go       the parent: directories, order of the runs, child processes
//	child.go     the child: one workload on one engine, timed
//	workload.go  what is done to a database
//	queue.go, ycsb.go  more of these
//	engine.go    the interface between the two; one file an engine behind it
//	native.go    the engines in C++: compiled if their libraries are there
//	cpp/         their side: the same workloads on the same bytes
//	record.go    the raw output: what it holds, resuming from it, showing it again
//	report.go    medians and ratios
//	publish.go   the report as markdown and as a page (page.html)
//	picture.go   its plots
//	gross.go     a check for gross regressions, for continuous integration (gross.json)
package main

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"strings"
	"time"
)

// childEnv holds the spec of a child; in a parent it is not set.
const childEnv = "STRATA_PEERS_SPEC"

func main() {
	var err error
	if arg := os.Getenv(childEnv); arg != "" {
		err = child(arg, os.Stdout)
	} else {
		err = run(os.Args[1:], os.Stdout, os.Stderr)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "peers:", err)
		os.Exit(1)
	}
}

func run(args []string, stdout, stderr io.Writer) error {
	f := flag.NewFlagSet("peers", flag.ContinueOnError)
	f.SetOutput(stderr)
	enginesFlag := f.String("engines", "", "engines to run, separated by commas (default all)")
	workloadsFlag := f.String("workloads", "", "workloads to run, separated by commas (default all)")
	c := config{}
	f.IntVar(&c.num, "num", 1_000_000, "entries of the database (a tenth of it for values of 4 KiB)")
	f.IntVar(&c.reads, "reads", 0, "operations of a read workload (default num)")
	f.IntVar(&c.repeats, "repeats", 3, "runs of each workload and engine; the report shows medians")
	f.Uint64Var(&c.seed, "seed", 1, "seed of keys and choices")
	f.StringVar(&c.dir, "dir", "", "directory for the databases (default a temporary one)")
	f.StringVar(&c.out, "out", "", "`file` to append the raw results to, one JSON object a line")
	f.BoolVar(&c.resume, "resume", false, "skip runs that the file of -out has already, of this commit, machine and size")
	f.StringVar(&c.comment, "note", "", "what a reader of the results should know, such as the load of the machine")
	from := f.String("from", "", "raw `file` to show again; nothing is run")
	f.StringVar(&c.html, "html", "", "`file` for table and plots as one page")
	f.StringVar(&c.svg, "svg", "", "`file` for the plots as one picture")
	f.StringVar(&c.into, "into", "", "with -from: markdown `file` to put the table into, between the marks that name the raw file")
	f.StringVar(&c.profiles, "cpuprofile", "", "directory for CPU profiles of the timed parts")
	f.DurationVar(&c.timeout, "timeout", 10*time.Minute, "limit of one run")
	f.BoolVar(&c.gross, "gross", false, "only compare small workloads with goleveldb, and fail if Strata's lead is less than half of the recorded one")
	f.StringVar(&c.grossTo, "gross-record", "", "only measure for -gross, and record the ratios in `file` (gross.json)")
	quick := f.Bool("quick", false, "100,000 entries, one repeat, and without -engines the LSMs only")
	if err := f.Parse(args); err != nil {
		return err
	}
	if *from != "" {
		return c.republish(*from, stdout)
	}
	switch {
	case c.into != "":
		return errors.New("-into needs -from: it shows recorded runs")
	case c.resume && c.out == "":
		return errors.New("-resume needs -out: the file that the runs are in")
	}
	set := make(map[string]bool)
	f.Visit(func(f *flag.Flag) { set[f.Name] = true })
	if *quick {
		if !set["num"] {
			c.num = 100_000
		}
		if !set["repeats"] {
			c.repeats = 1
		}
		if *enginesFlag == "" {
			*enginesFlag = "strata,goleveldb,pebble,leveldb,rocksdb"
		}
	}
	if c.gross || c.grossTo != "" {
		c.num, *enginesFlag, *workloadsFlag = grossNum, grossEngines, grossWorkloads
	}
	if c.reads == 0 {
		c.reads = c.num
	}
	if err := c.choose(*enginesFlag, *workloadsFlag); err != nil {
		return err
	}
	return c.run(stdout, stderr)
}

// choose resolves the names; empty lists mean all.
func (c *config) choose(engineNames, workloadNames string) error {
	for _, e := range engines {
		if engineNames == "" {
			c.engines = append(c.engines, e)
		}
	}
	for _, w := range workloads {
		if workloadNames == "" && !w.hidden {
			c.workloads = append(c.workloads, w)
		}
	}
	for _, name := range split(engineNames) {
		e, err := findEngine(name)
		if err != nil {
			return err
		}
		c.engines = append(c.engines, e)
	}
	for _, name := range split(workloadNames) {
		w, err := findWorkload(name)
		if err != nil {
			return err
		}
		c.workloads = append(c.workloads, w)
	}
	return nil
}

func split(list string) (names []string) {
	for _, name := range strings.Split(list, ",") {
		if name = strings.TrimSpace(name); name != "" {
			names = append(names, name)
		}
	}
	return names
}
