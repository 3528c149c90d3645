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
		Example: "strata manifest summarize db",
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

type manifestSummarizeCommand struct{}

func (*manifestSummarizeCommand) flags(*flag.FlagSet) {}

// levelHistory is what a manifest did to one level.
type levelHistory struct {
	Level      int    `json:"level"`
	Live       int    `json:"live"`
	LiveBytes  uint64 `json:"live_bytes"`
	Added      int    `json:"added"`
	AddedBytes uint64 `json:"added_bytes"`
	Moved      int    `json:"moved_in"`
	Removed    int    `json:"removed"`
}

func (m *manifestSummarizeCommand) run(ctx context.Context, c *console, args []string) error {
	name, err := manifestOf(ctx, c, args[0])
	if err != nil {
		return err
	}
	var levels [version.NumLevels]levelHistory
	var contents version.Contents
	tear, err := version.ReadManifest(c.FS, name, func(_ int64, e *version.Edit) error {
		countEdit(&levels, e)
		contents.Replay(e)
		return context.Cause(ctx)
	})
	for i := range levels {
		levels[i].Level, levels[i].Live = i, len(contents.Files[i])
		for _, f := range contents.Files[i] {
			levels[i].LiveBytes += f.Size
		}
	}
	if c.json {
		if emitErr := c.emit(map[string]any{"file": filepath.Base(name), "edits": contents.Edits, "levels": levels, "torn": tear != nil}); err == nil {
			err = emitErr
		}
		return err
	}
	c.printf("%s: %s", filepath.Base(name), plural(contents.Edits, "edit"))
	if contents.LastSeq != nil && contents.NextFileNum != nil {
		c.printf(", last sequence %d, next file %s", *contents.LastSeq, *contents.NextFileNum)
	}
	c.printf("\n")
	g := newGrid("level", "live", "bytes", "added", "bytes added", "moved in", "removed")
	for _, l := range levels {
		g.add(l.Level, l.Live, formatBytes(l.LiveBytes), l.Added, formatBytes(l.AddedBytes), l.Moved, l.Removed)
	}
	c.grid(g)
	if tear != nil {
		c.notef("ends in a torn record at %d", tear.Offset)
	}
	return err
}

// countEdit adds what e does. A table that is removed and added at once is moved.
func countEdit(levels *[version.NumLevels]levelHistory, e *version.Edit) {
	removed := make(map[base.FileNum]bool)
	for _, d := range e.Deleted {
		removed[d.Num] = true
		levels[d.Level].Removed++
	}
	for _, a := range e.Added {
		if removed[a.Meta.Num] {
			levels[a.Level].Moved++
			continue
		}
		levels[a.Level].Added++
		levels[a.Level].AddedBytes += a.Meta.Size
	}
}
