package tools

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"strings"
	"unicode"

	"github.com/strata-db/strata"
	"github.com/strata-db/strata/internal/base"
	"github.com/strata-db/strata/version"
)

type doctorCommand struct {
	full    bool
	metrics string
}

func (d *doctorCommand) flags(fs *flag.FlagSet) {
	fs.BoolVar(&d.full, "full", false, "read every byte, as verify does, and count what tables of other engines hold")
	fs.StringVar(&d.metrics, "metrics", "", "look at the metrics in `file`, saved by the application as JSON; - is standard input")
}

// examination is doctor at work on a directory.
type examination struct {
	findings
	c   *console
	dir string
}

func (d *doctorCommand) run(ctx context.Context, c *console, args []string) error {
	if len(args) == 0 && d.metrics == "" {
		return usagef("doctor wants a directory, or --metrics FILE, or both")
	}
	var all findings
	result := map[string]any{}
	name := d.metrics
	if d.metrics != "" {
		m, err := c.readMetrics(d.metrics)
		if err != nil {
			return err
		}
		all = Diagnose(m)
		result["metrics"] = d.metrics
	}
	if len(args) > 0 {
		name = args[0]
		result["dir"] = name
		x := &examination{c: c, dir: name, findings: all}
		if err := x.examine(ctx, d.full); err != nil {
			return err
		}
		all = x.findings
	}
	if c.json {
		result["findings"] = all
		if err := c.emit(result); err != nil {
			return err
		}
	} else {
		for _, f := range all {
			c.finding(f)
		}
	}
	if n := all.count(GradeDamaged); n > 0 {
		return fmt.Errorf("%s: %w: %s", name, ErrDamaged, plural(n, "finding"))
	}
	return nil
}

// maxMetricsFile is more than any Metrics takes as JSON.
const maxMetricsFile = 1 << 20

// readMetrics reads Metrics that json.Marshal wrote.
func (c *console) readMetrics(name string) (*strata.Metrics, error) {
	r := c.In
	if name != "-" {
		f, err := c.FS.Open(name)
		if err != nil {
			return nil, err
		}
		defer f.Close()
		r = io.NewSectionReader(f, 0, maxMetricsFile+1)
	}
	if r == nil {
		return nil, usagef("there is nothing to read from")
	}
	b, err := io.ReadAll(io.LimitReader(r, maxMetricsFile+1))
	if err != nil {
		return nil, err
	}
	var m strata.Metrics
	var has struct{ Levels, Snapshots, LastSeq json.RawMessage }
	if err = json.Unmarshal(b, &has); err == nil && (has.Levels == nil || has.Snapshots == nil || has.LastSeq == nil) {
		err = errors.New("no Levels, Snapshots or LastSeq in it")
	}
	if err == nil {
		err = json.Unmarshal(b, &m)
	}
	if err != nil {
		if name == "-" {
			name = "standard input"
		}
		return nil, fmt.Errorf("%s is not what json.Marshal makes of DB.Metrics: %w", name, err)
	}
	return &m, nil
}

func (x *examination) examine(ctx context.Context, full bool) error {
	in, _, err := x.c.inspect(ctx, x.dir)
	if errors.Is(err, base.ErrCorruption) {
		p := problemOf(err)
		x.damaged("strata repair "+x.dir+" --dry-run", "%s: %s", p.File, p.What)
		return nil
	}
	if err != nil {
		return err
	}
	x.ok("%s can be read: %s", in.Manifest, plural(in.Contents.Edits, "edit"))
	if in.Tear != nil {
		x.look("nothing: the next open for writing begins a new one", "%s ends in a torn record, as a crash leaves it", in.Manifest)
	}
	if x.c.order(in.Comparer) == nil {
		x.look("dump, lsm, sst and wal work without it; an application embeds these commands with its own order",
			"keys are ordered by %q, which this program does not know", in.Comparer)
	}
	st, counted, err := x.stats(ctx, full)
	switch {
	case errors.Is(err, base.ErrCorruption):
		p := problemOf(err)
		x.damaged("strata verify "+x.dir, "%s: %s", p.File, p.What)
	case err != nil:
		return err
	default:
		x.history(in, st.Files[2].Bytes)
		if err := x.shape(ctx, st, counted); err != nil {
			return err
		}
	}
	x.disk()
	return x.content(ctx, full)
}

// stats counts what tables hold. With count those without properties are read
// through, unless there is damage, which content names.
func (x *examination) stats(ctx context.Context, count bool) (st *dirStats, counted bool, err error) {
	if st, err = x.c.stats(ctx, x.dir, count); count && errors.Is(err, base.ErrCorruption) {
		count = false
		st, err = x.c.stats(ctx, x.dir, count)
	}
	return st, count, err
}

// shape looks at counts and sizes.
func (x *examination) shape(ctx context.Context, st *dirStats, counted bool) error {
	x.ok("%s in tables, %s in logs", formatBytes(st.Total.Bytes), formatBytes(uint64(st.Files[1].Bytes)))
	if n := st.Levels[0].Tables; n >= manyLevel0 {
		x.backlog(n, "strata compact "+x.dir)
	}
	if err := x.deleted(ctx, &st.Total, counted); err != nil {
		return err
	}
	if n := st.Total.Tables - st.Total.Known; n > 0 && !counted {
		x.findings = append(x.findings, Finding{
			GradeNote, "tombstones are not known: " + plural(n, "table") + " of another engine, which keeps no counts", "strata doctor " + x.dir + " --full",
		})
	}
	if n := st.Total.Tables; n >= manyTables && st.Total.Bytes/uint64(n) < smallTable {
		x.look("strata compact "+x.dir, "%d tables of %s on average", n, formatBytes(st.Total.Bytes/uint64(n)))
	}
	if n := st.Files[1].Bytes; n > largeLog {
		x.look("open the database and Flush", "%s of log will be replayed at the next open", formatBytes(uint64(n)))
	}
	if n := st.Files[3].Files; n > 0 {
		x.look("nothing: the next open for writing removes them", "%s left over, %s", plural(n, "file"), formatBytes(uint64(st.Files[3].Bytes)))
	}
	return nil
}

// history looks at the length of the manifest.
func (x *examination) history(in *version.Inspection, bytes int64) {
	need := int64(4 << 10)
	tables := 0
	for _, files := range in.Contents.Files {
		tables += len(files)
		for _, f := range files {
			need += int64(len(f.Smallest.UserKey)+len(f.Largest.UserKey)) + 40
		}
	}
	if bytes > largeManifest || bytes > idleManifest && bytes > longNeed*need {
		x.look("open the database for writing: a new manifest is begun",
			"%s of manifest, %s, are read at each open to find %s", formatBytes(uint64(bytes)), plural(in.Contents.Edits, "edit"), plural(tables, "live table"))
	}
}

// deleted looks for tombstones, and if there are some, for the range of keys that is
// full of them.
func (x *examination) deleted(ctx context.Context, n *levelStats, counted bool) error {
	if n.Entries < fewEntries || n.Tombstones < fewEntries/10 {
		return nil
	}
	r, err := (&inspectCommand{count: counted}).read(ctx, x.c, x.dir)
	if err != nil {
		return err
	}
	if r.cmp != nil {
		if axis := newKeyAxis(r.cmp, r.axisKeys()); axis != nil {
			if d, ok := deletedRange(r.bins(axis, base.FormatKey)); ok {
				do := "strata compact " + x.dir + " --from " + quoteKey(d.from)
				if !d.atEnd {
					do += " --to " + quoteKey(d.to)
				}
				x.look(do, "%s", d)
				return nil
			}
		}
	}
	if float64(n.Tombstones) > manyTombs*float64(n.Entries) {
		x.tombstones(n.Tombstones, n.Entries, "strata compact "+x.dir)
	}
	return nil
}

// quoteKey returns a key, as it is printed, for a command line.
func quoteKey(printed string) string {
	if strings.IndexFunc(printed, func(r rune) bool {
		return !strings.ContainsRune("+-./:@_", r) && !unicode.IsLetter(r) && !unicode.IsDigit(r)
	}) < 0 && printed != "" {
		return printed
	}
	return "'" + strings.ReplaceAll(printed, "'", `'\''`) + "'"
}

func (x *examination) disk() {
	u, err := x.c.FS.Usage(x.dir)
	if err != nil || u.Total == 0 {
		return // the system does not tell
	}
	if float64(u.Free) < lowDisk*float64(u.Total) {
		x.look("make room: a compaction needs space before it gives any back", "%s of %s free on the disk", formatBytes(u.Free), formatBytes(u.Total))
		return
	}
	x.ok("%s free on the disk", formatBytes(u.Free))
}

// content checks the logs, and with full the tables too.
func (x *examination) content(ctx context.Context, full bool) error {
	r, err := restarting(ctx, x.c, x.dir, func() (*verifyReport, error) {
		v := &verifier{c: x.c, dir: x.dir, r: &verifyReport{}}
		if full {
			return v.r, v.run(ctx, "")
		}
		in, _, err := x.c.inspect(ctx, x.dir)
		if err == nil {
			err = v.logs(ctx, in)
		}
		return v.r, err
	})
	if err != nil {
		return err
	}
	for _, p := range r.Problems {
		x.damaged("strata repair "+x.dir+" --dry-run", "%s at %d: %s", p.File, p.Offset, p.What)
	}
	for _, n := range r.Notes {
		x.note("%s", n)
	}
	switch {
	case len(r.Problems) > 0:
	case full:
		x.ok("every checksum and every order is right: %s, %s", plural(r.Tables, "table"), plural(r.Logs, "log"))
	default:
		x.ok("the log can be replayed: %s", plural(r.LogEntries, "entry"))
		x.findings = append(x.findings, Finding{GradeNote, "tables were not read through", "strata verify " + x.dir})
	}
	return nil
}
