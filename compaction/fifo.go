package compaction

import (
	"cmp"
	"slices"

	"github.com/strata-db/strata/internal/base"
	"github.com/strata-db/strata/version"
)

// FIFOOptions configures FIFO. The zero value works.
type FIFOOptions struct {
	// MaxBytes is the size of all tables above which the oldest ones are
	// dropped, live data or not. Default 1 GiB.
	MaxBytes uint64

	// MergeFiles makes so many small neighbours one file of at most a tenth of
	// MaxBytes, and a gibibyte, so that reads probe fewer. 0 is never (the
	// default), at least 2 otherwise. Each byte is then rewritten a few times.
	MergeFiles int
}

func (o FIFOOptions) withDefaults() FIFOOptions {
	def(&o.MaxBytes, 1024*mebibyte)
	return o
}

type fifo struct{ o FIFOOptions }

// FIFO keeps everything in level 0 and drops strictly the oldest files when the
// database is over its size: a cache, or a window of the newest writes. Dropping
// anything but the oldest could bring deleted keys back, as the tombstone would
// go before what it deletes.
func FIFO(o FIFOOptions) Policy { return &fifo{o.withDefaults()} }

func (*fifo) Name() string { return "fifo" }

func (p *fifo) Scores(t *Tree) []float64 {
	scores := make([]float64, version.NumLevels)
	if n := t.Version.TotalBytes(); n > p.o.MaxBytes {
		scores[0] = float64(n) / float64(p.o.MaxBytes)
	} else if n > 0 {
		scores[0] = float64(n-1) / float64(p.o.MaxBytes) // full is not yet too much
	}
	return scores
}

// Debt is 0: files are dropped, not rewritten.
func (p *fifo) Debt(*Tree) uint64 { return 0 }

func (p *fifo) Pick(t *Tree) *Plan {
	if n := t.Version.TotalBytes(); n > p.o.MaxBytes {
		// Nothing is merged while the database is over its size: the oldest
		// files may be part of it.
		return p.drop(t, n-p.o.MaxBytes)
	}
	if p.o.MergeFiles > 0 {
		return t.mergeL0(ReasonFIFOMerge, p.o.MergeFiles, p.mergeBytes())
	}
	return nil
}

// mergeBytes bounds a merged file: what is dropped at once is at most about a
// tenth of the database. What one table can be made of bounds it, too.
func (p *fifo) mergeBytes() uint64 { return p.o.MaxBytes / 10 }

// drop returns the plan that drops the oldest files of at least excess bytes
// together, or as many as come before one that is taken. That a file
// is damaged is no reason to keep it, nor all that is newer.
func (p *fifo) drop(t *Tree, excess uint64) *Plan {
	plan := &Plan{Reason: ReasonFIFODrop, Drop: true}
	taken := make(map[*version.FileMeta]int)
	var bytes uint64
	for _, group := range p.oldestFirst(t) {
		if bytes >= excess || slices.ContainsFunc(group.files, t.taken) {
			break
		}
		bytes += bytesOf(group.files)
		for _, f := range group.files {
			taken[f] = group.level
		}
	}
	if len(taken) == 0 {
		return nil
	}
	for level := range version.NumLevels {
		in := Input{Level: level}
		for _, f := range t.Version.Files(level) {
			if _, ok := taken[f]; ok {
				in.Files = append(in.Files, f)
			}
		}
		plan.Inputs = append(plan.Inputs, in)
	}
	return plan.seal(t.Cmp)
}

// oldestFirst returns every file in an order in which they may be dropped: the
// deepest level first, if another policy left one, and files that share a user
// key together.
func (p *fifo) oldestFirst(t *Tree) []sortedRun {
	var out []sortedRun
	for level := version.NumLevels - 1; level > 0; level-- {
		files := t.Version.Files(level)
		first := len(out)
		for i := 0; i < len(files); {
			_, j := t.cleanCut(level, i, i+1)
			out = append(out, sortedRun{level: level, files: files[i:j]})
			i = j
		}
		slices.SortStableFunc(out[first:], func(a, b sortedRun) int {
			return cmp.Compare(newestNum(a.files), newestNum(b.files))
		})
	}
	l0 := t.Version.Files(0)
	for _, i := range t.byAge() {
		out = append(out, sortedRun{level: 0, files: l0[i : i+1]})
	}
	return out
}

func newestNum(files []*version.FileMeta) base.FileNum {
	var n base.FileNum
	for _, f := range files {
		n = max(n, f.Num)
	}
	return n
}

// manual merges neighbours as far as the size of one file allows, whatever the
// range, so that reads probe fewer. A database merged into one file would be
// dropped as one.
func (p *fifo) manual(t *Tree, m *Manual) (*Plan, bool) {
	if m.steps <= 0 || !m.overlapsAny(t) {
		return nil, true
	}
	m.steps--
	plan := t.mergeL0(ReasonManual, 2, p.mergeBytes())
	return plan, plan == nil
}
