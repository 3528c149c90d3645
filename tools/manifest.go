package tools

import (
	"context"
	"flag"
	"fmt"
	"path/filepath"

	"github.com/strata-db/strata/internal/base"
	"github.com/strata-db/strata/version"
)

var manifestCommands = []*Command{
	{
		Name: "manifest dump", Args: "FILE|DIR...", Short: "print the edits of manifests", least: 1, most: -1,
		Long:    "Of a directory, its current manifest is printed.",
		Example: "strata manifest dump db\nstrata manifest dump db/MANIFEST-000004 --json",
		make:    func() action { return new(manifestDumpCommand) },
	},
	{
		Name: "manifest summarize", Args: "FILE|DIR", Short: "count what a manifest added, moved and removed", least: 1, most: 1,
		Long: "First the levels, then the history in periods of equally many edits: what was flushed, what compactions\n" +
			"read and wrote, how many tables were made and went, and at its end the sequence number and what was live.\n" +
			"The row without counts is what the manifest begins with. LevelDB's format has no times: --times shows when the\n" +
			"tables made in a period were last modified, of those that are still there. That is a hint; a copy changes it.",
		Example: "strata manifest summarize db\nstrata manifest summarize db --periods 24 --times",
		make:    func() action { return new(manifestSummarizeCommand) },
	},
}

// manifestOf returns the manifest that arg is, or that the directory arg points at.
func manifestOf(ctx context.Context, c *console, arg string) (string, error) {
	info, err := c.FS.Stat(arg)
	if err != nil {
		return "", err
	}
	if !info.IsDir() {
		return arg, nil
	}
	in, err := restarting(ctx, c, arg, func() (*version.Inspection, error) { return version.Inspect(c.FS, arg) })
	if err != nil {
		return "", err
	}
	return filepath.Join(arg, in.Manifest), nil
}

// editJSON is an edit as JSON.
type editJSON struct {
	File        string         `json:"file"`
	Offset      int64          `json:"offset"`
	Comparer    string         `json:"comparer,omitempty"`
	LogNum      *base.FileNum  `json:"log_number,omitempty"`
	PrevLogNum  *base.FileNum  `json:"previous_log_number,omitempty"`
	NextFileNum *base.FileNum  `json:"next_file_number,omitempty"`
	LastSeq     *base.SeqNum   `json:"last_sequence,omitempty"`
	Pointers    []pointerJSON  `json:"compact_pointers,omitempty"`
	Removed     []removedJSON  `json:"removed,omitempty"`
	Added       []tableSummary `json:"added,omitempty"`
}

type pointerJSON struct {
	Level int      `json:"level"`
	Key   hexBytes `json:"key"`
}

type removedJSON struct {
	Level int          `json:"level"`
	Num   base.FileNum `json:"number"`
}

// tableSummary is what a manifest says of a table, as JSON. Keys are user keys.
type tableSummary struct {
	Level    int          `json:"level"`
	Num      base.FileNum `json:"number"`
	Bytes    uint64       `json:"bytes"`
	Smallest keyJSON      `json:"smallest"`
	Largest  keyJSON      `json:"largest"`
}

type keyJSON struct {
	K    hexBytes    `json:"k"`
	Seq  base.SeqNum `json:"seq"`
	Kind string      `json:"kind"`
}

func keyOf(k base.InternalKey) keyJSON { return keyJSON{k.UserKey, k.SeqNum(), k.Kind().String()} }

func summaryOf(level int, f *version.FileMeta) tableSummary {
	return tableSummary{level, f.Num, f.Size, keyOf(f.Smallest), keyOf(f.Largest)}
}

type manifestDumpCommand struct{}

func (*manifestDumpCommand) flags(*flag.FlagSet) {}

func (m *manifestDumpCommand) run(ctx context.Context, c *console, args []string) error {
	for _, arg := range args {
		name, err := manifestOf(ctx, c, arg)
		if err != nil {
			return err
		}
		if !c.json {
			c.printf("%s\n", c.paint(bold, filepath.Base(name)))
		}
		tear, err := version.ReadManifest(c.FS, name, func(off int64, e *version.Edit) error {
			if err := context.Cause(ctx); err != nil {
				return err
			}
			return m.edit(c, filepath.Base(name), off, e)
		})
		if err != nil {
			return err
		}
		if tear != nil {
			c.notef("%s ends in a torn record at %d: %s, %d bytes", tear.File, tear.Offset, tear.Reason, tear.DroppedBytes)
		}
	}
	return nil
}

func (m *manifestDumpCommand) edit(c *console, name string, off int64, e *version.Edit) error {
	if c.json {
		return c.emit(editToJSON(name, off, e))
	}
	c.printf("offset %d\n", off)
	if e.Comparer != "" {
		c.printf("  comparer       %s\n", e.Comparer)
	}
	if e.LogNum != nil {
		c.printf("  log            %s\n", *e.LogNum)
	}
	if e.PrevLogNum != nil && *e.PrevLogNum != 0 {
		c.printf("  previous log   %s\n", *e.PrevLogNum)
	}
	if e.NextFileNum != nil {
		c.printf("  next file      %s\n", *e.NextFileNum)
	}
	if e.LastSeq != nil {
		c.printf("  last sequence  %d\n", *e.LastSeq)
	}
	for _, p := range e.Pointers {
		k, _ := base.ParseInternalKey(p.Key)
		c.printf("  pointer        L%d %s\n", p.Level, c.internalKey(k))
	}
	for _, d := range e.Deleted {
		c.printf("  remove         L%d %s\n", d.Level, d.Num)
	}
	for _, a := range e.Added {
		c.printf("  add            L%d %s %s\n", a.Level, c.table(a.Meta), formatBytes(a.Meta.Size))
	}
	return nil
}

// table returns a table in the form 000007:[a#3,SET-f#9,DEL].
func (c *console) table(f *version.FileMeta) string {
	return fmt.Sprintf("%s:[%s-%s]", f.Num, c.internalKey(f.Smallest), c.internalKey(f.Largest))
}

func editToJSON(name string, off int64, e *version.Edit) editJSON {
	out := editJSON{
		File: name, Offset: off, Comparer: e.Comparer, LogNum: e.LogNum, PrevLogNum: e.PrevLogNum,
		NextFileNum: e.NextFileNum, LastSeq: e.LastSeq,
	}
	for _, p := range e.Pointers {
		out.Pointers = append(out.Pointers, pointerJSON{p.Level, p.Key})
	}
	for _, d := range e.Deleted {
		out.Removed = append(out.Removed, removedJSON{d.Level, d.Num})
	}
	for _, a := range e.Added {
		out.Added = append(out.Added, summaryOf(a.Level, a.Meta))
	}
	return out
}
