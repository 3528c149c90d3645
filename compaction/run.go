package compaction

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"

	"github.com/strata-db/strata/internal/base"
	"github.com/strata-db/strata/iterator"
	"github.com/strata-db/strata/version"
)

// An Env is what Run needs from its caller.
type Env struct {
	Cmp *base.Comparer

	// OpenTable returns an iterator over a table that is meant to be read once
	// from start to end. Run closes it. Files of a level below 0 are opened one
	// after the other.
	OpenTable func(*version.FileMeta) (iterator.Iterator, error)

	// NewOutput makes the next output. Called from Run's goroutine, but possibly
	// while an earlier output is still being finished.
	NewOutput func() (Output, error)

	// Snapshots holds the sequence number of every snapshot, in any order. It
	// must be taken after the inputs were sealed and when everything in them is
	// visible: a snapshot made later is then newer than all of them.
	Snapshots []base.SeqNum

	// Version is the tree the plan was made from, or a later one that still has
	// all inputs. It tells which tombstones may go; without one all are kept.
	// For a flush it must hold everything older than the memtable.
	Version *version.Version

	// Pace is called with the bytes of keys and values read since the last call,
	// about every 64 KiB. It may block: this is where a limit of bytes a second
	// is put. Optional.
	Pace func(bytes int)

	// Progress, if not nil, is kept up to date while Run works.
	Progress *Progress
}

// Progress counts what a running compaction has done so far. It may be read at
// any time.
type Progress struct {
	EntriesIn, EntriesOut atomic.Int64
	BytesIn               atomic.Int64 // keys and values, before compression
	BytesOut              atomic.Int64 // of finished tables
	Tables                atomic.Int64 // finished
}

// A Result says what Run did.
type Result struct {
	// Outputs are the new tables in key order: written, synced and closed, with
	// counts and sequence bounds set. After an error they are what the caller
	// must remove: those not finished have a number and a type only.
	Outputs []*version.FileMeta

	BytesRead    uint64 // size of the input tables
	BytesWritten uint64 // size of the outputs

	EntriesIn, EntriesOut uint64
	RawBytesIn            uint64 // keys and values read, before compression
	Dropped               uint64 // entries that did not survive, of which
	TombstonesDropped     uint64 // were tombstones with nothing left to hide
}

// tickBytes and tickEntries are how much is merged between two looks at the
// context, the pace and the progress.
const (
	tickBytes   = 64 << 10
	tickEntries = 1024
)

var errNotRun = errors.New("a plan that only moves or drops files is not run")

// Run carries p out: it merges the inputs and extra, drops what no reader can
// see, and writes the outputs. extra are further inputs, newer than the rest or
// equal: the memtable of a flush. Run closes all iterators.
//
// When it returns nil the outputs are durable but for their names: the caller
// syncs the directory, once, and publishes the edit. On an error nothing counts;
// the outputs made so far are to be removed. The Result is never nil.
//
// It ends soon after ctx does, with ctx's error. It is called without locks; any
// number of Runs may work at once if their plans do not conflict.
func Run(ctx context.Context, p *Plan, env Env, extra ...iterator.Iterator) (*Result, error) {
	m := newMerge(ctx, p, env)
	err := m.run(extra)
	m.out.abandon()
	m.res.Outputs = m.out.metas()
	m.res.Dropped = m.survivor.shadowed + m.survivor.tombstones
	m.res.TombstonesDropped = m.survivor.tombstones
	for _, f := range m.res.Outputs {
		m.res.BytesWritten += f.Size
	}
	if err != nil {
		return m.res, fmt.Errorf("%s compaction: %w", p.Reason, err)
	}
	return m.res, nil
}

// A merge is one Run at work.
type merge struct {
	ctx      context.Context
	plan     *Plan
	env      Env
	survivor *survivor
	splitter *splitter
	out      *outputs
	res      *Result

	// Since the last tick.
	tickEntries int
	tickBytes   int
}

func newMerge(ctx context.Context, p *Plan, env Env) *merge {
	if env.Progress == nil {
		env.Progress = &Progress{}
	}
	return &merge{
		ctx: ctx, plan: p, env: env,
		survivor: newSurvivor(env.Cmp, env.Snapshots, newOlder(env.Cmp, env.Version, p)),
		splitter: newSplitter(env.Cmp, p),
		out:      &outputs{create: env.NewOutput, progress: env.Progress},
		res:      &Result{BytesRead: p.Bytes()},
	}
}

func (m *merge) run(extra []iterator.Iterator) error {
	it, err := m.open(extra)
	if err != nil {
		return err
	}
	err = m.loop(it)
	if cerr := it.Close(); err == nil {
		err = cerr
	}
	if err == nil && len(extra) == 0 {
		err = m.checkCount()
	}
	if err == nil {
		err = m.out.end()
	}
	if err == nil {
		err = m.out.wait()
	}
	return err
}

// open returns one iterator over all inputs: each level 0 file for itself, each
// deeper level as one run.
func (m *merge) open(extra []iterator.Iterator) (iterator.Iterator, error) {
	its := append([]iterator.Iterator(nil), extra...)
	fail := func(err error) (iterator.Iterator, error) {
		for _, it := range its {
			it.Close() //nolint:errcheck // only read from
		}
		return nil, err
	}
	if m.plan.Move || m.plan.Drop {
		return fail(errNotRun)
	}
	for _, in := range m.plan.Inputs {
		if in.Level > 0 {
			its = append(its, m.openRun(in.Files))
			continue
		}
		for _, f := range in.Files {
			it, err := m.env.OpenTable(f)
			if err != nil {
				return fail(fmt.Errorf("open table %s: %w", f.Name(), err))
			}
			its = append(its, it)
		}
	}
	return iterator.NewMerging(m.env.Cmp, its...), nil
}

func (m *merge) openRun(files []*version.FileMeta) iterator.Iterator {
	bounds := func(i int) (smallest, largest base.InternalKey) { return files[i].Smallest, files[i].Largest }
	return iterator.NewConcat(m.env.Cmp, len(files), bounds, func(i int) (iterator.Iterator, error) {
		it, err := m.env.OpenTable(files[i])
		if err != nil {
			return nil, fmt.Errorf("open table %s: %w", files[i].Name(), err)
		}
		return it, nil
	})
}

// loop merges. It allocates nothing for an entry, and copies its user key once.
func (m *merge) loop(it iterator.Iterator) error {
	if err := m.ctx.Err(); err != nil {
		return err
	}
	for kv := it.First(); kv != nil; kv = it.Next() {
		m.tickEntries++
		if m.tickBytes += kv.K.Size() + len(kv.V); m.tickBytes >= tickBytes || m.tickEntries >= tickEntries {
			if err := m.tick(); err != nil {
				return err
			}
		}
		keep, first, err := m.survivor.next(kv.K)
		if err != nil {
			return err
		}
		if !keep {
			continue
		}
		if err := m.add(kv, first); err != nil {
			return err
		}
	}
	if err := m.tick(); err != nil {
		return err
	}
	return it.Err()
}

// add writes one entry. first reports that it is the first of its user key.
func (m *merge) add(kv *iterator.KV, first bool) error {
	out := m.out.open
	if first {
		var size uint64
		if out != nil {
			size = out.Writer.EstimatedSize()
		}
		if m.splitter.cut(kv.K.UserKey, out != nil, size) {
			if err := m.out.end(); err != nil {
				return err
			}
			out = nil
		}
	}
	if out == nil {
		if err := m.out.begin(); err != nil {
			return err
		}
		out = m.out.open
	}
	out.entries++
	m.res.EntriesOut++
	return out.Writer.Add(kv.K, kv.V)
}

// tick settles accounts and looks whether to go on.
func (m *merge) tick() error {
	n, bytes := m.tickEntries, m.tickBytes
	m.tickEntries, m.tickBytes = 0, 0
	m.res.EntriesIn += uint64(n)
	m.res.RawBytesIn += uint64(bytes)
	pr := m.env.Progress
	pr.EntriesIn.Store(int64(m.res.EntriesIn))
	pr.EntriesOut.Store(int64(m.res.EntriesOut))
	pr.BytesIn.Store(int64(m.res.RawBytesIn))
	if m.env.Pace != nil && bytes > 0 {
		m.env.Pace(bytes)
	}
	return m.ctx.Err()
}

// checkCount compares what was read with what the inputs are known to hold, so
// that a table that reads short does not shorten the database.
func (m *merge) checkCount() error {
	var want uint64
	for _, f := range m.plan.Files() {
		st, ok := f.Stats()
		if !ok {
			return nil
		}
		want += st.Entries
	}
	if got := m.res.EntriesIn; got != want {
		return &base.CorruptionError{Offset: -1, What: "number of entries read by a compaction", Got: got, Want: want}
	}
	return nil
}
