package tools

import (
	"context"
	"flag"
	"fmt"

	"github.com/strata-db/strata"
	"github.com/strata-db/strata/compaction"
	"github.com/strata-db/strata/internal/base"
	"github.com/strata-db/strata/version"
)

type lsmCommand struct {
	tables, count   bool
	metrics, policy string
}

func (x *lsmCommand) flags(fs *flag.FlagSet) {
	fs.BoolVar(&x.tables, "tables", false, "list every table")
	fs.BoolVar(&x.count, "count", false, "read tables without properties through, for their tombstones")
	fs.StringVar(&x.policy, "policy", "leveled", "whose scores are shown: leveled or tiered, with their default options")
	fs.StringVar(&x.metrics, "metrics", "", "show the metrics in `file` too, saved by the application as JSON: caches, stalls, snapshots; - is standard input")
}

// levelSummary is a level as the manifest has it, and what its tables say.
type levelSummary struct {
	Level      int            `json:"level"`
	Runs       int            `json:"runs"`
	Tables     int            `json:"tables"`
	Bytes      uint64         `json:"bytes"`
	Score      float64        `json:"score"` // 1 and more wants compaction, by the policy
	Entries    uint64         `json:"entries"`
	Tombstones uint64         `json:"tombstones"`
	Known      int            `json:"counted_tables"` // whose entries and tombstones these are
	Written    uint64         `json:"written_bytes"`  // since the manifest begins, moves not counted
	Files      []tableSummary `json:"files,omitempty"`
}

// treeSummary is what lsm tells.
type treeSummary struct {
	Dir      string          `json:"dir"`
	Policy   string          `json:"policy"` // whose scores these are; a directory does not say which it has
	Manifest string          `json:"manifest"`
	Comparer string          `json:"comparer"`
	Upgraded bool            `json:"upgraded"`
	LogNum   *base.FileNum   `json:"log_number"`
	Logs     []string        `json:"logs"` // the live ones, oldest first
	LogBytes int64           `json:"log_bytes"`
	LastSeq  *base.SeqNum    `json:"last_sequence"`
	ReadAmp  int             `json:"read_amplification"`
	WriteAmp float64         `json:"write_amplification"` // since the manifest begins; 0 if nothing was flushed
	Levels   []levelSummary  `json:"levels"`
	Metrics  *strata.Metrics `json:"metrics,omitempty"`
}

func (x *lsmCommand) run(ctx context.Context, c *console, args []string) (err error) {
	policy, err := policyNamed(x.policy)
	if err != nil {
		return err
	}
	var m *strata.Metrics
	if x.metrics != "" {
		if m, err = c.readMetrics(x.metrics); err != nil {
			return err
		}
	}
	r, err := (&inspectCommand{count: x.count}).read(ctx, c, args[0])
	if err != nil {
		return err
	}
	s := r.summary(policy)
	s.Metrics = m
	if c.json {
		err = c.emit(s)
	} else {
		err = x.print(c, r, s)
	}
	if err == nil && len(r.damage) > 0 {
		err = fmt.Errorf("%s: %w: %s", args[0], ErrDamaged, plural(len(r.damage), "table"))
	}
	return err
}

// summary adds up the tree.
func (r *treeReading) summary(policy compaction.Policy) *treeSummary {
	s := &treeSummary{
		Dir: r.dir, Policy: policy.Name(), Manifest: r.in.Manifest, Comparer: r.in.Comparer, Upgraded: r.in.Upgraded,
		LogNum: r.in.Contents.LogNum, Logs: r.logs, LogBytes: r.logBytes, LastSeq: r.in.Contents.LastSeq,
	}
	var p replayer
	for _, e := range r.edits[min(len(r.edits), max(1, r.start)):] {
		p.count(e)
	}
	last, written := &p.frame, uint64(0)
	scores := r.scores(policy)
	for level := range version.NumLevels {
		l := levelSummary{Level: level, Tables: len(r.in.Contents.Files[level]), Score: round(scores[level]), Written: last.Written[level]}
		for _, f := range ordered(r.in, level, r.cmp) {
			l.Bytes += f.Size
			if t := r.tables[f.Num]; t != nil && t.known {
				l.Known++
				l.Entries += t.Entries
				l.Tombstones += t.Tombstones
			}
			l.Files = append(l.Files, summaryOf(level, f))
		}
		if l.Runs = min(1, l.Tables); level == 0 {
			l.Runs = l.Tables
		}
		s.ReadAmp += l.Runs
		written += l.Written
		s.Levels = append(s.Levels, l)
	}
	if last.Flushed > 0 {
		s.WriteAmp = round(float64(written) / float64(last.Flushed))
	}
	return s
}

func policyNamed(name string) (compaction.Policy, error) {
	switch name {
	case "leveled":
		return compaction.Leveled(compaction.LeveledOptions{}), nil
	case "tiered":
		return compaction.Tiered(compaction.TieredOptions{}), nil
	}
	return nil, usagef("--policy is %q, want leveled or tiered", name)
}

// scores judges the levels as a policy does, which needs counts and sizes only.
func (r *treeReading) scores(policy compaction.Policy) []float64 {
	var levels [version.NumLevels][]*version.FileMeta
	for level := range levels {
		levels[level] = r.in.Contents.SortedFiles(level)
	}
	v := version.NewVersion(base.Bytewise, levels)
	defer v.Unref()
	return policy.Scores(&compaction.Tree{Version: v})
}

func (x *lsmCommand) print(c *console, r *treeReading, s *treeSummary) error {
	c.printf("%s, %s, %s\n", s.Manifest, s.Comparer, s.logs())
	g := newGrid("level", "runs", "tables", "bytes", "score", "tombstones", "written", "keys ")
	all := levelSummary{}
	for _, l := range s.Levels {
		all.Runs += l.Runs
		all.Tables += l.Tables
		all.Bytes += l.Bytes
		all.Written += l.Written
		all.Known += l.Known
		all.Entries += l.Entries
		all.Tombstones += l.Tombstones
		g.add(l.Level, l.Runs, l.Tables, formatBytes(l.Bytes), fmt.Sprintf("%.2f", l.Score), l.tombstones(), formatBytes(l.Written), c.span(r.in, l.Level, r.cmp))
	}
	g.add("all", all.Runs, all.Tables, formatBytes(all.Bytes), "", all.tombstones(), formatBytes(all.Written), "")
	c.grid(g)
	c.printf("read amplification %d", s.ReadAmp)
	if s.WriteAmp > 0 {
		c.printf(", write amplification %.2f of tables since the manifest begins", s.WriteAmp)
	}
	c.printf("\n")
	if x.tables {
		l, err := version.List(c.FS, s.Dir)
		if err != nil {
			return err
		}
		for level := range version.NumLevels {
			for _, f := range ordered(r.in, level, r.cmp) {
				f.Type = tableType(l, r.in.Upgraded, f.Num)
				c.printf("L%d  %s  %s  %s\n", level, c.table(f), formatBytes(f.Size), f.Name())
			}
		}
	}
	if s.Metrics != nil {
		c.printf("\n%s", s.Metrics)
	}
	for _, d := range r.damage {
		c.notef("%s: %s", d.File, d.What)
	}
	return nil
}

// logs describes the live logs.
func (s *treeSummary) logs() string {
	switch n := len(s.Logs); n {
	case 0:
		return "no log"
	case 1:
		return s.Logs[0] + " of " + formatBytes(uint64(s.LogBytes))
	default:
		return fmt.Sprintf("%d logs from %s to %s of %s", n, s.Logs[0], s.Logs[n-1], formatBytes(uint64(s.LogBytes)))
	}
}

// tombstones returns their share, as far as it is known.
func (l *levelSummary) tombstones() string {
	switch {
	case l.Tables == 0:
		return ""
	case l.Known == 0 || l.Entries == 0:
		return "-"
	}
	return percent(float64(l.Tombstones) / float64(l.Entries))
}
