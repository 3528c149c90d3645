package tools

import (
	"context"
	"errors"
	"path/filepath"
	"time"

	"github.com/strata-db/strata/internal/base"
	"github.com/strata-db/strata/version"
)

// A period is a stretch of a manifest's history. The first one may be the state that
// the manifest begins with, in which nothing happened.
type period struct {
	Start        bool        `json:"start,omitempty"` // nothing happened in it
	First        int         `json:"first_edit"`      // counted from 1
	Last         int         `json:"last_edit"`
	FirstSeq     base.SeqNum `json:"first_sequence"` // behind the edit before
	LastSeq      base.SeqNum `json:"last_sequence"`  // behind the last one
	Flushes      int         `json:"flushes"`
	FlushedBytes uint64      `json:"flushed_bytes"`
	Compactions  int         `json:"compactions"`
	ReadBytes    uint64      `json:"compaction_bytes_read"`
	WrittenBytes uint64      `json:"compaction_bytes_written"`
	Moves        int         `json:"moves"`
	Made         int         `json:"tables_made"`
	Gone         int         `json:"tables_gone"`
	Live         int         `json:"live_tables"` // at the end
	LiveBytes    uint64      `json:"live_bytes"`

	// When the tables made in it were last modified, of those that are still there.
	Oldest *time.Time `json:"modified_from,omitempty"`
	Newest *time.Time `json:"modified_to,omitempty"`
}

// modified returns the times as text.
func (p *period) modified() string {
	const layout = "2006-01-02 15:04:05"
	if p.Oldest == nil {
		return "-"
	}
	from, to := p.Oldest.Format(layout), p.Newest.Format(layout)
	if from == to {
		return from
	}
	return from + " to " + to
}

// A periodReader replays a manifest and cuts its history.
type periodReader struct {
	sizes   map[base.FileNum]uint64 // of the live tables
	tree    version.Contents
	now     period
	bytes   uint64 // live
	times   map[base.FileNum]time.Time
	periods []period
}

// errEnough ends the reading of a manifest that has grown since its edits were counted.
var errEnough = errors.New("enough")

// cut cuts the history that s summarizes into most periods of equally many edits,
// or fewer if there are fewer edits.
func (s *manifestSummary) cut(ctx context.Context, c *console, name string, most int, times bool) error {
	r := &periodReader{sizes: make(map[base.FileNum]uint64), now: period{First: 1}}
	if times {
		r.times = c.modificationTimes(filepath.Dir(name))
	}
	changes := s.Edits - s.start
	steps, next := min(changes, most), 1
	_, err := version.ReadManifest(c.FS, name, func(_ int64, e *version.Edit) error {
		if err := context.Cause(ctx); err != nil {
			return err
		}
		if r.tree.Edits == s.Edits {
			return errEnough
		}
		r.replay(e)
		switch n := r.tree.Edits; {
		case n == s.start:
			// What the edits so far hold is no history.
			r.now = period{First: 1, LastSeq: r.now.LastSeq, Start: true}
			r.end()
		case n > s.start && n-s.start == changes*next/steps:
			r.end()
			next++
		}
		return nil
	})
	if errors.Is(err, errEnough) {
		err = nil
	}
	s.Periods = r.periods
	return err
}

// replay adds what e does.
func (r *periodReader) replay(e *version.Edit) {
	p := &r.now
	removed := make(map[base.FileNum]bool, len(e.Deleted))
	read, written, moved := uint64(0), uint64(0), 0
	for _, d := range e.Deleted {
		removed[d.Num] = true
		read += r.sizes[d.Num]
	}
	for _, a := range e.Added {
		if removed[a.Meta.Num] {
			moved++
			read -= min(read, r.sizes[a.Meta.Num])
			continue
		}
		p.Made++
		written += a.Meta.Size
		r.sizes[a.Meta.Num] = a.Meta.Size
		r.bytes += a.Meta.Size
		p.seen(r.times[a.Meta.Num])
	}
	r.forget(e)
	p.Gone += max(0, len(removed)-moved)
	p.Moves += moved
	switch {
	case len(removed) > moved:
		p.Compactions++
		p.ReadBytes += read
		p.WrittenBytes += written
	case written > 0:
		p.Flushes++
		p.FlushedBytes += written
	}
	r.tree.Replay(e)
	if r.tree.LastSeq != nil {
		p.LastSeq = *r.tree.LastSeq
	}
}

// forget takes the sizes of what e removes and does not add again.
func (r *periodReader) forget(e *version.Edit) {
	stays := make(map[base.FileNum]bool, len(e.Added))
	for _, a := range e.Added {
		stays[a.Meta.Num] = true
	}
	for _, d := range e.Deleted {
		if !stays[d.Num] {
			r.bytes -= r.sizes[d.Num]
			delete(r.sizes, d.Num)
		}
	}
}

// end ends the period.
func (r *periodReader) end() {
	p := r.now
	p.Last, p.Live, p.LiveBytes = r.tree.Edits, len(r.sizes), r.bytes
	r.periods = append(r.periods, p)
	r.now = period{First: p.Last + 1, FirstSeq: p.LastSeq, LastSeq: p.LastSeq}
}

// seen takes a table's time into account; the zero time is none.
func (p *period) seen(t time.Time) {
	if t.IsZero() {
		return
	}
	if p.Oldest == nil || t.Before(*p.Oldest) {
		p.Oldest = &t
	}
	if p.Newest == nil || t.After(*p.Newest) {
		p.Newest = &t
	}
}

// modificationTimes returns when each table in a directory was last modified, in UTC.
// What the system does not tell is left out.
func (c *console) modificationTimes(dir string) map[base.FileNum]time.Time {
	times := make(map[base.FileNum]time.Time)
	l, err := version.List(c.FS, dir)
	if err != nil {
		return times
	}
	for _, f := range l.Files {
		if info, err := c.FS.Stat(path(dir, f.Name)); err == nil && isTable(f.Type) {
			times[f.Num] = info.ModTime().UTC()
		}
	}
	return times
}
