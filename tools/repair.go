package tools

import (
	"context"
	"encoding/hex"
	"flag"
	"fmt"
	"path/filepath"

	"github.com/strata-db/strata"
	"github.com/strata-db/strata/internal/base"
	"github.com/strata-db/strata/sstable"
	"github.com/strata-db/strata/version"
)

var repairCommands = []*Command{
	{
		Name: "repair", Args: "DIR", Short: "make an openable database of what is readable", least: 1, most: 1, Writes: true,
		Long: "Says what it found in each file. What is out of use afterwards lies in DIR/lost, nothing is deleted, and\n" +
			"a sound database stays as it is. --dry-run says what would be done and lost, and changes nothing; at a\n" +
			"terminal this is shown first, with a question, unless --yes is given. Fails, with status 1, if something\n" +
			"could not be read. An interrupt leaves DIR as it was.",
		Example: "strata repair db --dry-run\nstrata repair db",
		make:    func() action { return new(repairCommand) },
	},
	{
		Name: "salvage", Args: "DIR NEWDIR", Short: "write what is readable to a new database", least: 2, most: 2, Writes: true,
		Long: "DIR stays as it is; NEWDIR must not exist, and is whole or absent. Fails, with status 1, if something\n" +
			"could not be read. An interrupt leaves no NEWDIR.",
		Example: "strata salvage db db-new",
		make:    func() action { return &repairCommand{salvage: true} },
	},
}

// repairCommand is repair, or salvage.
type repairCommand struct {
	orderFlag
	salvage bool
	dryRun  bool
	behind  bool
	yesFlag
}

func (x *repairCommand) flags(fs *flag.FlagSet) {
	x.orderFlag.flags(fs)
	fs.BoolVar(&x.dryRun, "dry-run", false, "say what would be done, and change nothing")
	if !x.salvage {
		x.yesFlag.flags(fs)
	}
	fs.BoolVar(&x.behind, "behind-tears", false, "also take batches behind the torn end of a log, which a plain open drops")
}

func (x *repairCommand) run(ctx context.Context, c *console, args []string) error {
	name := x.order
	if name == "" {
		name = c.guessOrder(args[0])
	}
	cmp := c.order(name)
	if cmp == nil && x.order != "" {
		return usagef("no order of keys is called %q", name)
	}
	if cmp == nil {
		_, err := c.comparer(args[0], name, "")
		return err
	}
	o := &strata.RepairOptions{Options: &strata.Options{FS: c.FS, Comparer: cmp}, DryRun: x.dryRun, BehindTears: x.behind}
	var r *strata.RepairReport
	var err error
	if x.salvage {
		r, err = strata.SalvageContext(ctx, args[0], args[1], o)
	} else if err = x.ask(ctx, c, args[0], *o); err == nil {
		r, err = strata.RepairContext(ctx, args[0], o)
	}
	if err != nil {
		return err
	}
	if c.json {
		err = c.emit(repairJSONOf(r))
	} else {
		c.printf("%s", r)
	}
	if err == nil && !r.Lossless() {
		err = fmt.Errorf("%s: %w: not all could be read", args[0], ErrDamaged)
	}
	return err
}

// ask shows a person what a repair would do, and asks whether to go on. Programs and
// sound databases are not asked about.
func (x *repairCommand) ask(ctx context.Context, c *console, dir string, o strata.RepairOptions) error {
	if x.yes || x.dryRun || c.json || c.Confirm == nil {
		return nil
	}
	o.DryRun = true
	r, err := strata.RepairContext(ctx, dir, &o)
	if err != nil || r.Sound {
		return err
	}
	c.notef("%s", r)
	return x.check(ctx, c, "changes the database in "+dir+" as shown (what is out of use is kept in lost)")
}

// guessOrder returns the name of the order of the keys in a directory that may be
// damaged: of the manifest, else of the first edit of any manifest that can be
// read, else of a table, else the bytewise one.
func (c *console) guessOrder(dir string) string {
	if in, err := version.Inspect(c.FS, dir); err == nil {
		return in.Comparer
	}
	l, err := version.List(c.FS, dir)
	if err != nil {
		return base.BytewiseName
	}
	name := ""
	for _, m := range l.Names(base.FileManifest) {
		_, _ = version.ReadManifest(c.FS, path(dir, m), func(_ int64, e *version.Edit) error {
			if e.Comparer != "" {
				name = e.Comparer
			}
			return nil
		}) // what can be read is enough
	}
	for _, t := range l.Names(base.FileTable, base.FileTableUpgr) {
		if name != "" {
			return name
		}
		name = c.orderOfTable(path(dir, t))
	}
	if name == "" {
		return base.BytewiseName
	}
	return name
}

// orderOfTable returns the name that a table gives, empty if it gives none.
func (c *console) orderOfTable(name string) string {
	f, err := c.FS.Open(name)
	if err != nil {
		return ""
	}
	defer f.Close()
	size, err := f.Size()
	if err != nil {
		return ""
	}
	l, err := sstable.ReadLayout(f, size, filepath.Base(name))
	if err != nil {
		return ""
	}
	if p, err := l.Properties(); err == nil && p != nil {
		return p.Comparer
	}
	return ""
}

// repairJSON is a RepairReport as JSON.
type repairJSON struct {
	Dir       string           `json:"dir"`
	Out       string           `json:"out,omitempty"`
	DryRun    bool             `json:"dry_run"`
	Sound     bool             `json:"sound"`
	Lossless  bool             `json:"lossless"`
	Basis     string           `json:"basis"`
	Manifest  string           `json:"manifest,omitempty"`
	Merged    bool             `json:"merged"`
	Entries   int64            `json:"entries"`
	LostBytes int64            `json:"lost_bytes"`
	Files     []repairFileJSON `json:"files"`
	Created   []string         `json:"created,omitempty"`
	Notes     []string         `json:"notes,omitempty"`
}

type repairFileJSON struct {
	Name        string           `json:"name"`
	Level       int              `json:"level"`
	Action      string           `json:"action"`
	Size        int64            `json:"size"`
	Entries     int64            `json:"entries"`
	EntriesLost int64            `json:"entries_lost"` // -1: not known
	Misplaced   int64            `json:"misplaced"`
	LostBytes   int64            `json:"lost_bytes"`
	Losses      []repairLossJSON `json:"losses,omitempty"`
	Problems    []string         `json:"problems,omitempty"`
	MovedTo     string           `json:"moved_to,omitempty"`
}

// repairLossJSON has null for an open end of the range of keys.
type repairLossJSON struct {
	Offset int64   `json:"offset"`
	Bytes  int64   `json:"bytes"`
	After  *string `json:"after"`
	UpTo   *string `json:"up_to"`
	Reason string  `json:"reason"`
}

func repairJSONOf(r *strata.RepairReport) repairJSON {
	j := repairJSON{
		Dir: r.Dir, Out: r.Out, DryRun: r.DryRun, Sound: r.Sound, Lossless: r.Lossless(), Basis: r.Basis.String(), Manifest: r.Manifest,
		Merged: r.Merged, Entries: r.Entries, LostBytes: r.LostBytes, Created: r.Created, Notes: r.Notes, Files: []repairFileJSON{},
	}
	for _, f := range r.Files {
		out := repairFileJSON{
			Name: f.Name, Level: f.Level, Action: f.Action.String(), Size: f.Size, Entries: f.Entries, EntriesLost: f.EntriesLost,
			Misplaced: f.Misplaced, LostBytes: f.LostBytes, Problems: f.Problems, MovedTo: f.MovedTo,
		}
		for _, l := range f.Losses {
			out.Losses = append(out.Losses, repairLossJSON{l.Offset, l.Bytes, hexOrNil(l.After), hexOrNil(l.UpTo), l.Reason})
		}
		j.Files = append(j.Files, out)
	}
	return j
}

func hexOrNil(b []byte) *string {
	if b == nil {
		return nil
	}
	s := hex.EncodeToString(b)
	return &s
}
