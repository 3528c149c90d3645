package main

import (
	_ "embed"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"os"
	"slices"
	"strings"
)

// Continuous integration compares a few workloads with goleveldb, small ones, and
// fails if Strata's lead has more than halved since it was recorded. The machine
// may be busy, so the best run of each engine counts, and what is too slow runs
// again, a few times: the load of others passes, a blunder stays.
const (
	grossNum      = 100_000
	grossAttempts = 8
	grossPart     = 0.5 // of the recorded ratio
	// grossRecorded is how many pairs of runs a recording takes the median of.
	// The best run of many would be too lucky to demand half of.
	grossRecorded  = 9
	grossEngines   = "strata,goleveldb"
	grossWorkloads = "fillseq,fillrandom,readrandom,readmissing,readseq,seekrandom"
)

// A grossRecord is the file gross.json: how many times as fast as goleveldb
// Strata was.
type grossRecord struct {
	Commit string             `json:"commit"`
	Date   string             `json:"date"`
	CPU    string             `json:"cpu"`
	Num    int                `json:"num"`
	Ratios map[string]float64 `json:"ratios"`
}

//go:embed gross.json
var grossFile []byte

func readGross() (rec grossRecord, err error) {
	if err := json.Unmarshal(grossFile, &rec); err != nil {
		return rec, fmt.Errorf("gross.json: %w; write it anew with -gross-record", err)
	}
	if rec.Num <= 0 || len(rec.Ratios) == 0 {
		return rec, errors.New("gross.json holds no ratios; write it anew with -gross-record")
	}
	return rec, nil
}

// recordGross measures and writes the file of that name.
func (c *config) recordGross(name string, stdout io.Writer) error {
	c.repeats = grossRecorded
	results, err := c.runAll()
	if err = errors.Join(err, failuresOf(results)); err != nil {
		return err
	}
	rec := grossRecord{Commit: c.head.Commit, Date: c.head.Date, CPU: c.head.CPU, Num: c.num, Ratios: make(map[string]float64)}
	for _, w := range split(grossWorkloads) {
		rec.Ratios[w] = math.Round(medianRatio(results, w)*100) / 100
	}
	data, err := json.MarshalIndent(rec, "", "  ")
	if err != nil {
		return err
	}
	fmt.Fprintf(stdout, "%s\n", data)
	return os.WriteFile(name, append(data, '\n'), 0o644)
}

// checkGross measures, compares with the record and prints both. It fails if a
// workload stays below its bound, and at once if an answer was wrong.
func (c *config) checkGross(rec grossRecord, stdout io.Writer) error {
	c.repeats = 1
	var results []result
	var slow []string
	for range grossAttempts {
		more, err := c.runAll()
		results = append(results, more...)
		if err = errors.Join(err, failuresOf(results)); err != nil {
			return err
		}
		slow = rec.slow(bestRatios(results))
		if len(slow) == 0 {
			break
		}
		c.workloads = slices.DeleteFunc(c.workloads, func(w workload) bool { return !slices.Contains(slow, w.name) })
	}
	fmt.Fprint(stdout, rec.table(bestRatios(results)))
	if len(slow) > 0 {
		return fmt.Errorf("grossly slower beside goleveldb than recorded, in the best of %d runs: %s", grossAttempts, strings.Join(slow, ", "))
	}
	return nil
}

// slow are the workloads that are below the bound, or missing.
func (rec grossRecord) slow(ratios map[string]float64) (names []string) {
	for _, w := range split(grossWorkloads) {
		if ratios[w] < grossPart*rec.Ratios[w] || ratios[w] == 0 {
			names = append(names, w)
		}
	}
	return names
}

func (rec grossRecord) table(ratios map[string]float64) string {
	var b strings.Builder
	fmt.Fprintf(&b, "Times as fast as goleveldb, %d entries; recorded with commit %s on %s (%s).\n\n", rec.Num, rec.Commit, rec.Date, rec.CPU)
	fmt.Fprintf(&b, "%-12s %9s %9s %9s\n", "workload", "recorded", "measured", "bound")
	for _, w := range split(grossWorkloads) {
		fmt.Fprintf(&b, "%-12s %9.2f %9.2f %9.2f\n", w, rec.Ratios[w], ratios[w], grossPart*rec.Ratios[w])
	}
	return b.String()
}

// bestRatios says how many times as fast as goleveldb Strata is in each
// workload, the least time of each counting.
func bestRatios(results []result) map[string]float64 {
	best := make(map[runKey]float64)
	for _, r := range results {
		key := runKey{r.Workload, r.Engine, 0}
		if r.Error != "" || r.Ops == 0 || r.Seconds <= 0 {
			continue
		}
		each := r.Seconds / float64(r.Ops)
		if old, ok := best[key]; !ok || each < old {
			best[key] = each
		}
	}
	ratios := make(map[string]float64)
	for key, mine := range best {
		if theirs, ok := best[runKey{key.workload, "goleveldb", 0}]; ok && key.engine == "strata" {
			ratios[key.workload] = theirs / mine
		}
	}
	return ratios
}

// medianRatio is the median over the repeats of a workload, whose runs follow
// each other.
func medianRatio(results []result, workload string) float64 {
	pairs := make(map[int][]result)
	for _, r := range results {
		if r.Workload == workload {
			pairs[r.Repeat] = append(pairs[r.Repeat], r)
		}
	}
	var ratios []float64
	for _, pair := range pairs {
		if v, ok := bestRatios(pair)[workload]; ok {
			ratios = append(ratios, v)
		}
	}
	return median(ratios)
}

// failuresOf joins the errors of runs.
func failuresOf(results []result) error {
	var errs []error
	for _, r := range results {
		if r.Error != "" {
			errs = append(errs, fmt.Errorf("%s on %s: %s", r.Workload, r.Engine, r.Error))
		}
	}
	return errors.Join(errs...)
}
