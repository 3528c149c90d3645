package compaction

import (
	"slices"

	"github.com/strata-db/strata/version"
)

// TieredOptions configures Tiered. The zero value works.
type TieredOptions struct {
	// TableBytes is the size at which an output below level 0 is closed. Default
	// 16 MiB.
	TableBytes uint64

	// Runs is the number of runs at which merging begins. Default 8, at least 2.
	// Fewer runs are quicker to read and dearer to keep.
	Runs int

	// SizeRatioPercent: a run joins the merge of the newer ones while it is at
	// most so much larger than they are together. Default 1.
	SizeRatioPercent int

	// MaxSpaceAmpPercent bounds what all newer runs may hold, relative to the
	// oldest one, before everything is merged into one run. Default 200: the
	// database takes at most about three times the space of its live data.
	MaxSpaceAmpPercent int
}

func (o TieredOptions) withDefaults() TieredOptions {
	def(&o.TableBytes, 16*mebibyte)
	def(&o.Runs, 8)
	def(&o.SizeRatioPercent, 1)
	def(&o.MaxSpaceAmpPercent, 200)
	o.Runs = max(o.Runs, 2)
	return o
}

type tiered struct{ o TieredOptions }

// Tiered merges runs of like size into larger ones: every byte is rewritten
// about once for each doubling of the database, at the price of more runs to
// read and more space held twice. See the package comment for where runs lie.
//
// The three triggers are those of RocksDB's universal compaction
// (compaction_picker_universal.cc).
func Tiered(o TieredOptions) Policy { return &tiered{o.withDefaults()} }

func (*tiered) Name() string { return "tiered" }

// A sortedRun is one level 0 file, or all of one deeper level.
type sortedRun struct {
	level int
	files []*version.FileMeta
	bytes uint64
	busy  bool
}

// runs returns the runs of the tree, newest first.
func (t *Tree) runs() []sortedRun {
	var out []sortedRun
	l0 := t.Version.Files(0)
	for i := range l0 {
		out = append(out, t.newRun(0, l0[i:i+1]))
	}
	for level := 1; level < version.NumLevels; level++ {
		if files := t.Version.Files(level); len(files) > 0 {
			out = append(out, t.newRun(level, files))
		}
	}
	return out
}

func (t *Tree) newRun(level int, files []*version.FileMeta) sortedRun {
	return sortedRun{level, files, bytesOf(files), t.anyBusy(files)}
}

func (p *tiered) Scores(t *Tree) []float64 {
	scores := make([]float64, version.NumLevels)
	scores[0] = float64(len(t.runs())) / float64(p.o.Runs)
	return scores
}

func (p *tiered) Debt(t *Tree) uint64 {
	runs := t.runs()
	for i := range runs {
		runs[i].busy = false
	}
	var debt uint64
	if _, i, j := p.window(runs, 0); i < j {
		for _, r := range runs[i:j] {
			debt += r.bytes
		}
	}
	return debt
}

func (p *tiered) Pick(t *Tree) *Plan {
	runs := t.runs()
	merging := 0
	for _, r := range t.Running {
		if !r.Drop {
			merging++
		}
	}
	reason, i, j := p.window(runs, merging)
	if i >= j {
		return nil
	}
	return p.merge(t, reason, runs, i, j)
}

// window returns the age-adjacent runs [i, j) to merge next, and why; i == j for
// none. merging is the number of plans at work: each makes one run of those that
// are busy.
func (p *tiered) window(runs []sortedRun, merging int) (Reason, int, int) {
	n := len(runs)
	count := merging
	for _, r := range runs {
		if !r.busy {
			count++
		}
	}
	if count < p.o.Runs {
		return 0, 0, 0
	}
	busyAt := func(i int) bool { return runs[i].busy }
	// Newer runs outgrew the oldest one.
	var newer uint64
	anyBusy := busyAt(n - 1)
	for i, r := range runs[:n-1] {
		newer += r.bytes
		anyBusy = anyBusy || busyAt(i)
	}
	if !anyBusy && float64(newer)*100 > float64(p.o.MaxSpaceAmpPercent)*float64(runs[n-1].bytes) {
		return ReasonTieredSpaceAmp, 0, n
	}
	// Neighbours of like size, newest first.
	for i := 0; i < n; i++ {
		sum, j := uint64(0), i
		for ; j < n && !busyAt(j); j++ {
			if j > i && float64(runs[j].bytes)*100 > float64(sum)*float64(100+p.o.SizeRatioPercent) {
				break
			}
			sum += runs[j].bytes
		}
		if j-i >= 2 {
			return ReasonTieredSizeRatio, i, j
		}
	}
	// As many as bring the count below the trigger again.
	for i := 0; i < n; i++ {
		j := i
		for j < n && !busyAt(j) && j-i < count-p.o.Runs+2 {
			j++
		}
		if j-i >= 2 {
			return ReasonTieredRunCount, i, j
		}
	}
	return 0, 0, 0
}

// merge makes the plan that merges runs [i, j) and finds the place of the
// output, see the package comment. The window grows where it must; nil if it
// would grow over a busy run.
func (p *tiered) merge(t *Tree, reason Reason, runs []sortedRun, i, j int) *Plan {
	out := version.NumLevels - 1
	for {
		if slices.ContainsFunc(runs[i:j], func(r sortedRun) bool { return r.busy }) {
			return nil
		}
		if j == len(runs) {
			break
		}
		next := runs[j].level
		if next > 1 {
			out = next - 1
			break
		}
		if next == 1 {
			if m := p.makeRoom(t, runs); m != nil {
				return m
			}
		}
		// No room below level 0 for now, or not the oldest of it. What is too
		// much for one table goes down into level 1 with the run there.
		if t.spare(t.numWindow(i, j)) && mergeable(t.Version.Files(0)[i:j]) {
			return t.insideL0(reason, i, j)
		}
		j++
	}
	if runs[i].level == 0 && i > 0 && !t.mayLeaveL0(i, j) {
		return p.merge(t, reason, runs, 0, j)
	}
	for _, r := range t.Running {
		if r.OutputLevel == out {
			return nil
		}
	}
	return p.plan(t, reason, runs[i:j], out)
}

// mayLeaveL0 reports whether level 0 files [i, ...) are older than those before
// i beyond doubt. j is the end of the window in runs.
func (t *Tree) mayLeaveL0(i, j int) bool {
	files := t.Version.Files(0)
	s := &l0Set{t: t, files: files, in: make([]bool, len(files))}
	for ; i < min(j, len(files)); i++ {
		s.add(i)
	}
	n := s.count
	return s.close() && s.count == n
}

// plan merges runs into level out, or moves them there if no two overlap.
func (p *tiered) plan(t *Tree, reason Reason, runs []sortedRun, out int) *Plan {
	plan := &Plan{Reason: reason, OutputLevel: out, MaxOutputBytes: p.o.TableBytes}
	for _, r := range runs {
		if n := len(plan.Inputs); n > 0 && plan.Inputs[n-1].Level == r.level {
			plan.Inputs[n-1].Files = append(plan.Inputs[n-1].Files, r.files...)
			continue
		}
		plan.Inputs = append(plan.Inputs, Input{r.level, slices.Clone(r.files)})
	}
	plan.seal(t.Cmp)
	if reason != ReasonManual && p.disjoint(t, plan) {
		return p.movePlan(t, plan, out)
	}
	return plan
}

// disjoint reports that no two inputs share a user key's place.
func (p *tiered) disjoint(t *Tree, plan *Plan) bool {
	var files []*version.FileMeta
	for _, f := range plan.Files() {
		files = append(files, f)
	}
	slices.SortFunc(files, func(a, b *version.FileMeta) int {
		return t.Cmp.CompareInternal(a.Smallest, b.Smallest)
	})
	for i := 1; i < len(files); i++ {
		if t.shared(files[i-1], files[i]) {
			return false
		}
	}
	return true
}

// movePlan is plan by edit only, for the inputs that are not in out already.
func (p *tiered) movePlan(t *Tree, plan *Plan, out int) *Plan {
	m := &Plan{Reason: ReasonTieredMove, OutputLevel: out, Move: true}
	for _, in := range plan.Inputs {
		if in.Level != out {
			m.Inputs = append(m.Inputs, in)
		}
	}
	return m.seal(t.Cmp)
}

// makeRoom moves the oldest run that has a free level under it as deep as its
// age allows, so that level 1 comes free at last.
func (p *tiered) makeRoom(t *Tree, runs []sortedRun) *Plan {
	limit := version.NumLevels - 1 // deepest level the run at hand may take
	for i := len(runs) - 1; i >= 0 && runs[i].level > 0; i-- {
		r := runs[i]
		if r.level < limit {
			if r.busy {
				return nil
			}
			return (&Plan{Reason: ReasonTieredMove, Inputs: []Input{{r.level, r.files}}, OutputLevel: limit, Move: true}).seal(t.Cmp)
		}
		limit = r.level - 1
	}
	return nil
}

// manual merges every run into one, whatever the range: a run cannot be merged
// in part, as its level would then hold data of two ages.
func (p *tiered) manual(t *Tree, m *Manual) (*Plan, bool) {
	runs := t.runs()
	if m.planned || !m.overlapsAny(t) {
		return nil, true
	}
	for _, r := range runs {
		if r.busy {
			return nil, false
		}
	}
	for _, r := range t.Running {
		if !r.Drop {
			return nil, false
		}
	}
	m.planned = true
	if len(runs) == 1 && runs[0].level > 0 && !slices.ContainsFunc(runs[0].files, func(f *version.FileMeta) bool { return m.garbage(t, f) }) {
		return nil, true
	}
	return p.plan(t, ReasonManual, runs, version.NumLevels-1), false
}
