package tools

import (
	"context"
	"flag"
	"fmt"
	"path/filepath"

	"github.com/strata-db/strata/internal/base"
	"github.com/strata-db/strata/version"
)

// maxPeriods bounds what is printed.
const maxPeriods = 10000

type manifestSummarizeCommand struct {
	periods int
	times   bool
}

func (m *manifestSummarizeCommand) flags(fs *flag.FlagSet) {
	fs.IntVar(&m.periods, "periods", 10, "cut the history into `n` periods; 0 shows none")
	fs.BoolVar(&m.times, "times", false, "show when the tables of each period were last modified")
}

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

// manifestSummary is what summarize tells.
type manifestSummary struct {
	File    string                          `json:"file"`
	Edits   int                             `json:"edits"`
	Levels  [version.NumLevels]levelHistory `json:"levels"`
	Periods []period                        `json:"periods,omitempty"`
	Torn    bool                            `json:"torn"`

	contents version.Contents
	start    int // that many edits are the state the manifest begins with
	tear     *version.Tear
}

func (m *manifestSummarizeCommand) run(ctx context.Context, c *console, args []string) error {
	if m.periods < 0 || m.periods > maxPeriods {
		return usagef("--periods %d: want 0 to %d", m.periods, maxPeriods)
	}
	name, err := manifestOf(ctx, c, args[0])
	if err != nil {
		return err
	}
	s, err := summarize(ctx, c, name)
	if m.periods > 0 {
		// What can be read is shown, whatever comes behind it.
		if cutErr := s.cut(ctx, c, name, m.periods, m.times); err == nil {
			err = cutErr
		}
	}
	if c.json {
		if emitErr := c.emit(s); err == nil {
			err = emitErr
		}
		return err
	}
	s.print(c, m.times)
	return err
}

// summarize adds up what the manifest's edits did to each level.
func summarize(ctx context.Context, c *console, name string) (*manifestSummary, error) {
	s := &manifestSummary{File: filepath.Base(name)}
	tear, err := version.ReadManifest(c.FS, name, func(_ int64, e *version.Edit) error {
		countEdit(&s.Levels, e)
		s.contents.Replay(e)
		if s.start == 0 && isStart(&s.contents) {
			s.start = s.contents.Edits
		}
		return context.Cause(ctx)
	})
	for i := range s.Levels {
		l := &s.Levels[i]
		l.Level, l.Live = i, len(s.contents.Files[i])
		for _, f := range s.contents.Files[i] {
			l.LiveBytes += f.Size
		}
	}
	s.Edits, s.tear, s.Torn = s.contents.Edits, tear, tear != nil
	return s, err
}

// isStart reports whether a manifest has said all that it has to begin with: LevelDB
// writes the tables in one edit and the numbers in the next.
func isStart(c *version.Contents) bool {
	return c.LogNum != nil && c.NextFileNum != nil && c.LastSeq != nil
}

func (s *manifestSummary) print(c *console, times bool) {
	c.printf("%s: %s", s.File, plural(s.Edits, "edit"))
	if s.contents.LastSeq != nil && s.contents.NextFileNum != nil {
		c.printf(", last sequence %d, next file %s", *s.contents.LastSeq, *s.contents.NextFileNum)
	}
	c.printf("\n")
	g := newGrid("level", "live", "bytes", "added", "bytes added", "moved in", "removed")
	for _, l := range s.Levels {
		g.add(l.Level, l.Live, formatBytes(l.LiveBytes), l.Added, formatBytes(l.AddedBytes), l.Moved, l.Removed)
	}
	c.grid(g)
	if len(s.Periods) > 0 {
		c.printf("\n")
		c.grid(periodGrid(s.Periods, times))
	}
	if s.tear != nil {
		c.notef("ends in a torn record at %d", s.tear.Offset)
	}
}

func periodGrid(periods []period, times bool) *grid {
	titles := []string{"edits", "sequence", "flushes", "flushed", "compactions", "read", "written", "moves", "made", "gone", "live", "bytes"}
	if times {
		titles = append(titles, "last modified ")
	}
	g := newGrid(titles...)
	for _, p := range periods {
		edits := fmt.Sprint(p.Last)
		if p.First < p.Last {
			edits = fmt.Sprintf("%d-%d", p.First, p.Last)
		}
		row := []any{
			edits, p.LastSeq, p.Flushes, formatBytes(p.FlushedBytes), p.Compactions, formatBytes(p.ReadBytes), formatBytes(p.WrittenBytes),
			p.Moves, p.Made, p.Gone, p.Live, formatBytes(p.LiveBytes),
		}
		if p.Start {
			row = []any{edits, p.LastSeq, "", "", "", "", "", "", "", "", p.Live, formatBytes(p.LiveBytes)}
		}
		if times {
			row = append(row, p.modified())
		}
		g.add(row...)
	}
	return g
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
