package compaction

import (
	"context"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/strata-db/strata/internal/base"
	"github.com/strata-db/strata/iterator"
	"github.com/strata-db/strata/version"
	"github.com/stretchr/testify/require"
)

var rewrite = flag.Bool("rewrite", false, "write what the transcripts in testdata give now")

// TestTranscripts runs testdata/*.txt. A case is a command with its arguments,
// input lines, ----, and what came out, up to an empty line. Lines with // stand
// for themselves. go test -rewrite takes what comes out for right; read the diff.
//
//	pick         draws a tree, prints plans, each beside those before it, until
//	             no more can start
//	manual A B   the same for a manual compaction of [A, B]; - is open
//	scores       prints scores and debt
//	compact      merges entries, prints the outputs
//
// The input of the first three is a tree as package version draws it, and:
//
//	policy NAME OPTION=N...   busy NUM...   running L1 NUM... -> L2
//	bounds [NUM=LO-HI...]     without numbers: of all files, from their keys
//	stats NUM=ENTRIES/TOMBSTONES/USERKEYS...
//	pointer LEVEL KEY         snapshot SEQ  spares [NUM...]
func TestTranscripts(t *testing.T) {
	files, err := filepath.Glob("testdata/*.txt")
	require.NoError(t, err)
	require.NotEmpty(t, files)
	for _, file := range files {
		t.Run(filepath.Base(file), func(t *testing.T) {
			data, err := os.ReadFile(file)
			require.NoError(t, err)
			got := replay(t, strings.ReplaceAll(string(data), "\r\n", "\n"))
			if *rewrite {
				require.NoError(t, os.WriteFile(file, []byte(got), 0o644))
				return
			}
			require.Equal(t, strings.ReplaceAll(string(data), "\r\n", "\n"), got)
		})
	}
}

// replay returns the transcript with fresh outputs.
func replay(t *testing.T, text string) string {
	var out strings.Builder
	for _, block := range strings.Split(strings.TrimSpace(text), "\n\n") {
		head, _, found := strings.Cut(block+"\n", "\n----\n")
		out.WriteString(strings.TrimSpace(head) + "\n")
		if found {
			out.WriteString("----\n" + runCase(t, head))
		}
		out.WriteString("\n")
	}
	return strings.TrimSpace(out.String()) + "\n"
}

func runCase(t *testing.T, head string) string {
	lines := strings.Split(head, "\n")
	for len(lines) > 0 && strings.HasPrefix(lines[0], "//") {
		lines = lines[1:]
	}
	args := strings.Fields(lines[0])
	if args[0] == "compact" {
		return compactCase(t, args[1:], lines[1:])
	}
	c := parseTree(t, lines[1:])
	switch args[0] {
	case "pick":
		return c.plans(t, func() (*Plan, string) { return c.policy.Pick(c.tree), "" })
	case "manual":
		m := NewManual(c.tree, c.policy, bound(args[1]), bound(args[2]))
		return c.plans(t, func() (*Plan, string) {
			p, done := m.Next(c.tree)
			if done {
				return nil, "done\n"
			}
			return p, "waits\n"
		})
	case "scores":
		return fmt.Sprintf("scores %.2f\ndebt %d\n", c.policy.Scores(c.tree), c.policy.Debt(c.tree))
	}
	t.Fatalf("unknown command %q", args[0])
	return ""
}

func bound(s string) []byte {
	if s == "-" {
		return nil
	}
	return []byte(s)
}

type treeCase struct {
	policy Policy
	tree   *Tree
}

// plans prints plans until there is none. What next says then comes last.
func (c *treeCase) plans(t *testing.T, next func() (*Plan, string)) string {
	var b strings.Builder
	for n := 0; ; n++ {
		require.Less(t, n, 100)
		p, end := next()
		if p == nil {
			if b.Len() == 0 && end == "" {
				end = "none\n"
			}
			return b.String() + end
		}
		checkPlan(t, c.tree, p)
		b.WriteString(p.String() + "\n")
		c.tree.Running = append(c.tree.Running, p)
		c.tree.busyFiles = nil
	}
}

func parseTree(t *testing.T, lines []string) *treeCase {
	var drawing []string
	for _, l := range lines {
		if strings.HasPrefix(l, "L") {
			drawing = append(drawing, l)
		}
	}
	v, err := version.ParseDebug(base.Bytewise, strings.Join(drawing, "\n"))
	require.NoError(t, err)
	require.NoError(t, v.CheckOrder(base.Bytewise))
	c := &treeCase{tree: &Tree{Version: v, Cmp: base.Bytewise, OldestSnapshot: base.SeqNumMax}, policy: Leveled(LeveledOptions{})}
	busy := make(map[*version.FileMeta]bool)
	c.tree.Busy = func(f *version.FileMeta) bool { return busy[f] }
	for _, l := range lines {
		args := strings.Fields(l)
		if len(args) == 0 || strings.HasPrefix(l, "L") {
			continue
		}
		switch args[0] {
		case "policy":
			c.policy = parsePolicy(t, args[1:])
		case "busy":
			for _, a := range args[1:] {
				busy[fileNum(t, v, a)] = true
			}
		case "running":
			c.tree.Running = append(c.tree.Running, parsePlan(t, v, args[1:]))
		case "bounds":
			setBounds(t, v, args[1:])
		case "stats":
			for _, a := range args[1:] {
				num, counts, _ := strings.Cut(a, "=")
				n := numbers(t, counts, "/")
				fileNum(t, v, num).SetStats(version.Stats{Entries: n[0], Tombstones: n[1], UserKeys: n[2]})
			}
		case "pointer":
			key := base.AppendInternalKey(nil, parseKV(args[2]).K)
			c.tree.Pointer = func(level int) []byte {
				if strconv.Itoa(level) == args[1] {
					return key
				}
				return nil
			}
		case "snapshot":
			c.tree.OldestSnapshot = base.SeqNum(numbers(t, args[1], ",")[0])
		case "spares":
			c.tree.Spare = func(lo, hi base.FileNum) bool {
				for _, a := range args[1:] {
					if n := base.FileNum(numbers(t, a, ",")[0]); lo < n && n < hi {
						return true
					}
				}
				return false
			}
		default:
			t.Fatalf("unknown line %q", l)
		}
	}
	return c
}

func numbers(t *testing.T, s, sep string) []uint64 {
	var out []uint64
	for _, f := range strings.Split(s, sep) {
		n, err := strconv.ParseUint(f, 10, 64)
		require.NoError(t, err)
		out = append(out, n)
	}
	return out
}

func fileNum(t *testing.T, v *version.Version, s string) *version.FileMeta {
	n := base.FileNum(numbers(t, s, ",")[0])
	for level := range version.NumLevels {
		for _, f := range v.Files(level) {
			if f.Num == n {
				return f
			}
		}
	}
	t.Fatalf("no file %s", s)
	return nil
}

func setBounds(t *testing.T, v *version.Version, args []string) {
	for _, a := range args {
		num, lohi, _ := strings.Cut(a, "=")
		n := numbers(t, lohi, "-")
		fileNum(t, v, num).SetSeqBounds(version.SeqBounds{Smallest: base.SeqNum(n[0]), Largest: base.SeqNum(n[1])})
	}
	for level := 0; level < version.NumLevels && len(args) == 0; level++ {
		for _, f := range v.Files(level) {
			a, b := f.Smallest.SeqNum(), f.Largest.SeqNum()
			f.SetSeqBounds(version.SeqBounds{Smallest: min(a, b), Largest: max(a, b)})
		}
	}
}

// parsePlan parses L1 7 8 L2 3 -> L2.
func parsePlan(t *testing.T, v *version.Version, args []string) *Plan {
	p := &Plan{}
	for i, a := range args {
		if level, ok := strings.CutPrefix(a, "L"); ok {
			p.Inputs = append(p.Inputs, Input{Level: int(numbers(t, level, ",")[0])})
		} else if a == "->" {
			p.OutputLevel = int(numbers(t, args[i+1][1:], ",")[0])
			break
		} else {
			in := &p.Inputs[len(p.Inputs)-1]
			in.Files = append(in.Files, fileNum(t, v, a))
		}
	}
	return p.seal(base.Bytewise)
}

func parsePolicy(t *testing.T, args []string) Policy {
	o := make(map[string]int)
	for _, a := range args[1:] {
		k, n, _ := strings.Cut(a, "=")
		i, err := strconv.Atoi(n)
		require.NoError(t, err)
		o[k] = i
	}
	switch args[0] {
	case "leveled":
		return Leveled(LeveledOptions{
			TableBytes: uint64(o["table"]), BaseBytes: uint64(o["base"]), FanOut: o["fanout"],
			L0Files: o["l0"], TombstonePercent: o["tombstones"],
		})
	case "tiered":
		return Tiered(TieredOptions{TableBytes: uint64(o["table"]), Runs: o["runs"], SizeRatioPercent: o["ratio"], MaxSpaceAmpPercent: o["amp"]})
	case "fifo":
		return FIFO(FIFOOptions{MaxBytes: uint64(o["max"]), MergeFiles: o["merge"]})
	}
	t.Fatalf("unknown policy %s", args[0])
	return nil
}

// compactCase merges entries that lie in one file of level= (-1, the default, is
// a flush) into the level below or out=. Lines of a tree are what lies around
// it; grandparents are those of the level after.
func compactCase(t *testing.T, args, lines []string) string {
	o := map[string]string{"level": "-1"}
	for _, a := range args {
		k, v, _ := strings.Cut(a, "=")
		o[k] = v
	}
	var drawing []string
	var kvs []iterator.KV
	for _, l := range lines {
		if len(l) > 1 && l[0] == 'L' && l[1] >= '0' && l[1] <= '6' {
			drawing = append(drawing, l)
			continue
		}
		for _, e := range strings.Fields(l) {
			kvs = append(kvs, parseKV(e))
		}
	}
	v, err := version.ParseDebug(base.Bytewise, strings.Join(drawing, "\n"))
	require.NoError(t, err)
	p := FlushPlan()
	level, _ := strconv.Atoi(o["level"])
	if level >= 0 {
		p = &Plan{Inputs: []Input{{level, []*version.FileMeta{fileOf(1, kvs)}}}, OutputLevel: level + 1}
		p.seal(base.Bytewise)
	}
	if out, ok := o["out"]; ok {
		p.OutputLevel, _ = strconv.Atoi(out)
	}
	if o["max"] != "" {
		p.MaxOutputBytes = numbers(t, o["max"], ",")[0] * entryBytes
		p.SingleOutput = false
	}
	if o["below"] != "" {
		p.MaxGrandparentBytes = numbers(t, o["below"], ",")[0]
	}
	if p.OutputLevel+1 < version.NumLevels {
		p.Grandparents = v.Files(p.OutputLevel + 1)
	}
	env := Env{Cmp: base.Bytewise, Version: v}
	if o["snapshots"] != "" {
		for _, n := range numbers(t, o["snapshots"], ",") {
			env.Snapshots = append(env.Snapshots, base.SeqNum(n))
		}
	}
	if o["blind"] != "" {
		env.Version = nil
	}
	var tables []*memTable
	env.NewOutput = func() (Output, error) {
		m := &memTable{}
		tables = append(tables, m)
		return Output{Num: base.FileNum(100 + len(tables)), Type: base.FileTable, File: m, Writer: m}, nil
	}
	env.OpenTable = func(*version.FileMeta) (iterator.Iterator, error) { return iterator.NewSlice(base.Bytewise, kvs), nil }
	var extra []iterator.Iterator
	if level < 0 {
		extra = append(extra, iterator.NewSlice(base.Bytewise, kvs))
	}
	res, err := Run(context.Background(), p, env, extra...)
	var b strings.Builder
	for i, f := range res.Outputs {
		b.WriteString(f.Num.String() + ":")
		for _, kv := range tables[i].kvs {
			b.WriteString(" " + formatKV(kv))
		}
		b.WriteString("\n")
	}
	if err != nil {
		return b.String() + "error: " + err.Error() + "\n"
	}
	fmt.Fprintf(&b, "dropped %d, tombstones among them %d\n", res.Dropped, res.TombstonesDropped)
	return b.String()
}
