package compaction

import (
	"fmt"

	"github.com/strata-db/strata/internal/base"
	"github.com/strata-db/strata/sstable"
	"github.com/strata-db/strata/version"
)

// A TableWriter writes one table: *sstable.Writer.
type TableWriter interface {
	Add(k base.InternalKey, value []byte) error
	EstimatedSize() uint64
	Finish() (sstable.Meta, error)
}

// An OutputFile is the file under a TableWriter: vfs.File.
type OutputFile interface {
	Sync() error
	Close() error
}

// An Output is a new, empty table.
type Output struct {
	Num    base.FileNum
	Type   base.FileType
	File   OutputFile
	Writer TableWriter
}

// outputs writes the tables of one run. A full table is finished and synced by a
// goroutine of its own while the next one is being written; at most one at a
// time, so no more than two are open.
type outputs struct {
	create   func() (Output, error)
	progress *Progress
	open     *output // being written
	last     *output // being finished
	all      []*output
}

type output struct {
	Output
	entries uint64
	meta    sstable.Meta
	done    chan struct{} // closed when meta and err are set
	err     error
}

// begin makes the next table.
func (o *outputs) begin() error {
	out, err := o.create()
	if err != nil {
		return fmt.Errorf("create table: %w", err)
	}
	o.open = &output{Output: out}
	o.all = append(o.all, o.open)
	return nil
}

// end finishes the open table, if any, in the background.
func (o *outputs) end() error {
	if err := o.wait(); err != nil || o.open == nil {
		return err
	}
	out := o.open
	o.open, o.last = nil, out
	out.done = make(chan struct{})
	go out.finish()
	return nil
}

// wait returns when no table is being finished.
func (o *outputs) wait() error {
	out := o.last
	if out == nil {
		return nil
	}
	<-out.done
	o.last = nil
	if out.err == nil {
		o.progress.BytesOut.Add(int64(out.meta.Size))
		o.progress.Tables.Add(1)
	}
	return out.err
}

// finish writes what a table ends with, and makes it durable.
func (out *output) finish() {
	defer close(out.done)
	meta, err := out.Writer.Finish()
	if err == nil {
		err = out.File.Sync()
	}
	if cerr := out.File.Close(); err == nil {
		err = cerr
	}
	if err == nil && meta.Entries != out.entries {
		err = fmt.Errorf("%d entries written instead of %d", meta.Entries, out.entries)
	}
	if err != nil {
		out.err = fmt.Errorf("finish table %s: %w", base.FileName(out.Type, out.Num), err)
	}
	out.meta = meta
}

// abandon closes what is open. The files stay for the caller to remove.
func (o *outputs) abandon() {
	o.wait() //nolint:errcheck // the run has failed already
	if o.open != nil {
		o.open.File.Close() //nolint:errcheck // never published
		o.open = nil
	}
}

// metas describes the tables. Of one that was not finished only number and type
// are known.
func (o *outputs) metas() []*version.FileMeta {
	var files []*version.FileMeta
	for _, out := range o.all {
		f := &version.FileMeta{Num: out.Num, Type: out.Type}
		if m := out.meta; out.err == nil && m.Entries > 0 {
			f.Size = m.Size
			f.Smallest, f.Largest = m.Smallest.Clone(), m.Largest.Clone()
			f.SetSeqBounds(version.SeqBounds{Smallest: m.SmallestSeq, Largest: m.LargestSeq})
			f.SetStats(version.Stats{Entries: m.Entries, Tombstones: m.Tombstones, UserKeys: m.UserKeys, RawBytes: m.RawKeyBytes + m.RawValueBytes})
		}
		files = append(files, f)
	}
	return files
}
