package tools

import (
	"context"
	"errors"
	"flag"
	"fmt"

	"github.com/strata-db/strata/internal/base"
)

type doctorCommand struct{ full bool }

func (d *doctorCommand) flags(fs *flag.FlagSet) {
	fs.BoolVar(&d.full, "full", false, "read every byte, as verify does")
}

// A finding is one thing that doctor has to say.
type finding struct {
	Grade string `json:"grade"` // "ok", "note", "look" or "damaged"
	What  string `json:"what"`
	Do    string `json:"do,omitempty"`
}

// The bounds at which doctor speaks up.
const (
	manyLevel0    = 12        // tables, at which this engine begins to slow writers down
	manyTombs     = 0.3       // of the entries
	largeLog      = 256 << 20 // bytes: seconds of replay at the next open
	largeManifest = 64 << 20
	smallTable    = 64 << 10 // on average
	manyTables    = 1000
	lowDisk       = 0.1
)

type examination struct {
	c        *console
	dir      string
	findings []finding
}

func (x *examination) ok(format string, args ...any) {
	x.findings = append(x.findings, finding{Grade: "ok", What: fmt.Sprintf(format, args...)})
}

func (x *examination) look(do, format string, args ...any) {
	x.findings = append(x.findings, finding{Grade: "look", What: fmt.Sprintf(format, args...), Do: do})
}

func (x *examination) damaged(do, format string, args ...any) {
	x.findings = append(x.findings, finding{Grade: "damaged", What: fmt.Sprintf(format, args...), Do: do})
}

func (d *doctorCommand) run(ctx context.Context, c *console, args []string) error {
	x := &examination{c: c, dir: args[0]}
	if err := x.examine(ctx, d.full); err != nil {
		return err
	}
	damaged := 0
	for _, f := range x.findings {
		if f.Grade == "damaged" {
			damaged++
		}
		if c.json {
			continue
		}
		mark := map[string]string{"ok": green, "note": bold, "look": yellow, "damaged": red}[f.Grade]
		c.printf("%s  %s\n", c.paint(mark, fmt.Sprintf("%-7s", f.Grade)), f.What)
		if f.Do != "" {
			c.printf("         -> %s\n", f.Do)
		}
	}
	if c.json {
		if err := c.emit(map[string]any{"dir": args[0], "findings": x.findings}); err != nil {
			return err
		}
	}
	if damaged > 0 {
		return fmt.Errorf("%s: %w: %s", args[0], ErrDamaged, plural(damaged, "finding"))
	}
	return nil
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
	st, err := x.c.stats(ctx, x.dir, false)
	switch {
	case errors.Is(err, base.ErrCorruption):
		p := problemOf(err)
		x.damaged("strata verify "+x.dir, "%s: %s", p.File, p.What)
	case err != nil:
		return err
	default:
		x.shape(st)
	}
	x.disk()
	return x.content(ctx, full)
}

// shape looks at counts and sizes.
func (x *examination) shape(st *dirStats) {
	x.ok("%s in tables, %s in logs", formatBytes(st.Total.Bytes), formatBytes(uint64(st.Files[1].Bytes)))
	if n := st.Levels[0].Tables; n >= manyLevel0 {
		x.look("strata compact "+x.dir, "%d tables in level 0: reads look at all of them, and writers are slowed down", n)
	}
	if t := st.Total; t.Entries > 1000 && float64(t.Tombstones) > manyTombs*float64(t.Entries) {
		x.look("strata compact "+x.dir, "%d of %d entries are tombstones: scans step over them", t.Tombstones, t.Entries)
	}
	if n := st.Total.Tables; n >= manyTables && st.Total.Bytes/uint64(n) < smallTable {
		x.look("strata compact "+x.dir, "%d tables of %s on average", n, formatBytes(st.Total.Bytes/uint64(n)))
	}
	if n := st.Files[1].Bytes; n > largeLog {
		x.look("open the database and Flush", "%s of log will be replayed at the next open", formatBytes(uint64(n)))
	}
	if n := st.Files[2].Bytes; n > largeManifest {
		x.look("open the database for writing: a new manifest is begun", "%s of manifest is read at each open", formatBytes(uint64(n)))
	}
	if n := st.Files[3].Files; n > 0 {
		x.look("nothing: the next open for writing removes them", "%s left over, %s", plural(n, "file"), formatBytes(uint64(st.Files[3].Bytes)))
	}
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
		x.findings = append(x.findings, finding{Grade: "note", What: n})
	}
	switch {
	case len(r.Problems) > 0:
	case full:
		x.ok("every checksum and every order is right: %s, %s", plural(r.Tables, "table"), plural(r.Logs, "log"))
	default:
		x.ok("the log can be replayed: %s", plural(r.LogEntries, "entry"))
		x.findings = append(x.findings, finding{Grade: "note", What: "tables were not read through", Do: "strata verify " + x.dir})
	}
	return nil
}
