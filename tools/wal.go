package tools

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"path/filepath"

	"github.com/strata-db/strata/internal/base"
	"github.com/strata-db/strata/internal/batch"
	"github.com/strata-db/strata/version"
	"github.com/strata-db/strata/wal/record"
)

var walCommands = []*Command{
	{
		Name: "wal dump", Args: "FILE|DIR...", Short: "print the batches of logs", least: 1, most: -1,
		Long: "Prints each batch with its place, sequence number and entries, and the signature and sync marks of\n" +
			"logs of this engine. Of a directory, all logs are printed. Goes on behind damage, and then fails; a torn\n" +
			"end, as a crash leaves it, is no damage.",
		Example: "strata wal dump db/000006.log\nstrata wal dump db --keys --chunks",
		make:    func() action { return new(walDumpCommand) },
	},
}

type walDumpCommand struct{ keys, chunks bool }

func (w *walDumpCommand) flags(fs *flag.FlagSet) {
	fs.BoolVar(&w.keys, "keys", false, "print keys alone, without values")
	fs.BoolVar(&w.chunks, "chunks", false, "print the chunks that records are cut into at the borders of blocks")
}

func (w *walDumpCommand) run(ctx context.Context, c *console, args []string) error {
	damaged := false
	for _, arg := range args {
		names, err := filesOf(c, arg, base.FileLog, base.FileLogUpgr)
		if err != nil {
			return err
		}
		for _, name := range names {
			bad, err := w.file(ctx, c, name)
			if err != nil {
				return err
			}
			damaged = damaged || bad
		}
	}
	if damaged {
		return ErrDamaged
	}
	return nil
}

// filesOf returns the file arg, or the files of some types in the directory arg.
func filesOf(c *console, arg string, types ...base.FileType) ([]string, error) {
	info, err := c.FS.Stat(arg)
	if err != nil {
		return nil, err
	}
	if !info.IsDir() {
		return []string{arg}, nil
	}
	l, err := version.List(c.FS, arg)
	if err != nil {
		return nil, err
	}
	var names []string
	for _, n := range l.Names(types...) {
		names = append(names, filepath.Join(arg, n))
	}
	if len(names) == 0 {
		noun := "logs"
		if isTable(types[0]) {
			noun = "tables"
		}
		c.notef("%s: there are no %s in this directory", arg, noun)
	}
	return names, nil
}

// A walRecord is a record of a log as JSON.
type walRecord struct {
	File    string     `json:"file"`
	Offset  int64      `json:"offset"`
	What    string     `json:"what"` // "batch", "signature", "mark", "damage" or "torn end"
	Seq     uint64     `json:"seq,omitempty"`
	Bytes   int64      `json:"bytes"`
	Chunks  []walChunk `json:"chunks,omitempty"`
	Entries []walEntry `json:"entries,omitempty"`
	Reason  string     `json:"reason,omitempty"`
}

type walEntry struct {
	Seq  uint64   `json:"seq"`
	Kind string   `json:"kind"`
	K    hexBytes `json:"k"`
	V    hexBytes `json:"v,omitempty"`
}

// file prints one log and reports whether it is damaged.
func (w *walDumpCommand) file(ctx context.Context, c *console, name string) (damaged bool, err error) {
	f, err := c.FS.Open(name)
	if err != nil {
		return false, err
	}
	defer f.Close()
	size, err := f.Size()
	if err != nil {
		return false, err
	}
	if !c.json {
		c.printf("%s\n", c.paint(bold, fmt.Sprintf("%s, %s", filepath.Base(name), formatBytes(uint64(size)))))
	}
	p := walPrinter{w: w, c: c, name: filepath.Base(name), src: f}
	if p.signed, err = isSigned(f, size); err != nil {
		return false, err
	}
	r := record.NewReader(f, size, p.name)
	rec, off, err := r.Next()
	for {
		if cause := context.Cause(ctx); cause != nil {
			return p.damaged, cause
		}
		d := (*record.Damage)(nil)
		switch {
		case err == io.EOF:
			return p.damaged, nil
		case errors.As(err, &d):
			var more bool
			if rec, off, more, err = p.behind(r, d, size); err != nil || !more {
				return p.damaged, err
			}
			continue
		case err != nil:
			return p.damaged, err
		}
		if err := p.print(off, rec); err != nil {
			return p.damaged, err
		}
		c.progress(p.name, off, size)
		rec, off, err = r.Next()
	}
}

// walPrinter prints one log.
type walPrinter struct {
	w       *walDumpCommand
	c       *console
	src     io.ReaderAt
	name    string
	n       int // records so far
	signed  bool
	damaged bool
}

// isSigned reports whether a log begins with this engine's signature: two equal
// batches without entries.
func isSigned(f io.ReaderAt, size int64) (bool, error) {
	r := record.NewReader(f, size, "")
	var first base.SeqNum
	for i := range 2 {
		rec, _, err := r.Next()
		if err != nil {
			if err == io.EOF || errors.Is(err, base.ErrCorruption) {
				err = nil
			}
			return false, err
		}
		if !batch.IsEmpty(rec) || i == 1 && batch.SeqNum(rec) != first {
			return false, nil
		}
		first = batch.SeqNum(rec)
	}
	return first > 0, nil
}

// behind finds the first whole record behind damage. Damage with nothing behind
// it is a torn end.
func (p *walPrinter) behind(r *record.Reader, d *record.Damage, size int64) (rec []byte, off int64, ok bool, err error) {
	isBatch := func(rec []byte) bool { return batch.Validate(rec) == nil }
	rec, off, ok, err = r.FindAfter(d.Start+1, isBatch)
	if err != nil {
		return nil, 0, false, err
	}
	out := walRecord{File: p.name, Offset: d.Start, What: "damage", Bytes: off - d.Start, Reason: d.Kind.String()}
	if !ok {
		out.What, out.Bytes = "torn end", size-d.Start
		if d.Kind == record.Zeros {
			out.What = "zeros to the end"
		}
	}
	p.damaged = p.damaged || ok
	if p.c.json {
		return rec, off, ok, p.c.emit(out)
	}
	p.c.printf("%8d  %s: %s, %d bytes\n", out.Offset, p.c.paint(map[bool]string{true: red, false: yellow}[ok], out.What), out.Reason, out.Bytes)
	return rec, off, ok, nil
}

// print prints one record.
func (p *walPrinter) print(off int64, rec []byte) error {
	defer func() { p.n++ }()
	out := walRecord{File: p.name, Offset: off, What: "batch", Bytes: int64(len(rec))}
	if p.w.chunks {
		var err error
		if out.Chunks, err = chunksAt(p.src, off); err != nil {
			return err
		}
	}
	if err := batch.Validate(rec); err != nil {
		p.damaged = true
		out.What, out.Reason = "damage", problemOf(err).What
		return p.line(out)
	}
	out.Seq = uint64(batch.SeqNum(rec))
	if batch.IsEmpty(rec) {
		out.What = p.empty()
	}
	r := batch.NewReader(rec)
	for seq := out.Seq; ; seq++ {
		kind, key, value, ok, err := r.Next()
		if !ok || err != nil {
			break
		}
		e := walEntry{Seq: seq, Kind: kind.String(), K: key, V: value}
		if p.w.keys {
			e.V = nil
		}
		out.Entries = append(out.Entries, e)
	}
	return p.line(out)
}

// empty says what a batch without entries means.
func (p *walPrinter) empty() string {
	switch {
	case p.signed && p.n < 2:
		return "signature"
	case p.signed:
		return "mark"
	}
	return "batch"
}

func (p *walPrinter) line(r walRecord) error {
	c := p.c
	if c.json {
		return c.emit(r)
	}
	switch r.What {
	case "batch":
		c.printf("%8d  seq %d, %s, %d bytes\n", r.Offset, r.Seq, plural(len(r.Entries), "entry"), r.Bytes)
	case "signature":
		c.printf("%8d  signature, first sequence number %d\n", r.Offset, r.Seq)
	case "mark":
		c.printf("%8d  mark: all before it is on disk, next sequence number %d\n", r.Offset, r.Seq)
	default:
		c.printf("%8d  %s: %s, %d bytes\n", r.Offset, c.paint(red, r.What), r.Reason, r.Bytes)
	}
	for _, ch := range r.Chunks {
		c.printf("          chunk at %d, block %d: %s, %d bytes\n", ch.Offset, ch.Offset/record.BlockSize, ch.Type, ch.Bytes)
	}
	for _, e := range r.Entries {
		kind := base.KindSet
		if e.Kind == base.KindDelete.String() {
			kind = base.KindDelete
		}
		k := base.MakeKey(e.K, base.SeqNum(e.Seq), kind)
		if p.w.keys {
			c.printf("          %s\n", c.internalKey(k))
		} else {
			c.printf("          %s\n", c.entry(k, e.V))
		}
	}
	return nil
}
