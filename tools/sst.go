package tools

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"path/filepath"

	"github.com/strata-db/strata/internal/base"
	"github.com/strata-db/strata/sstable"
	"github.com/strata-db/strata/version"
	"github.com/strata-db/strata/vfs"
)

var sstCommands = []*Command{
	{
		Name: "sst layout", Args: "FILE|DIR...", Short: "show where the blocks of tables lie", least: 1, most: -1,
		Long: "With --recompress: what the data blocks would take with each compression, and what that costs in time.\n" +
			"A block that a compression makes smaller by no more than an eighth counts as it is, for so it is stored.",
		Example: "strata sst layout db/000005.ldb\nstrata sst layout db --recompress",
		make:    newSSTLayout,
	},
	{
		Name: "sst properties", Args: "FILE|DIR...", Short: "print what tables say of themselves", least: 1, most: -1,
		Long:    "Tables of other engines say nothing of themselves: they are read through and counted.",
		Example: "strata sst properties db/000005.ldb",
		make:    func() action { return &sstCommand{one: sstProperties} },
	},
	{
		Name: "sst scan", Args: "FILE|DIR...", Short: "print the entries of tables, every version of each key", least: 1, most: -1,
		Long:    "Prints key#sequence,KIND:value in the order of the file. Goes on behind a damaged block, and then fails.",
		Example: "strata sst scan db/000005.ldb --prefix user: --limit 10",
		make:    func() action { s := new(sstScan); return &sstCommand{one: s.file, more: s.flags} },
	},
	{
		Name: "sst verify", Args: "FILE|DIR...", Short: "check tables by themselves", least: 1, most: -1,
		Long: "Checks checksums, structure, order, filters and counts. The order is the one that the table or the\n" +
			"manifest beside it names; if that is not known, order is not checked.",
		Example: "strata sst verify db/*.ldb",
		make:    func() action { return &sstCommand{one: sstVerify} },
	},
}

// sstCommand does something with each of some tables.
type sstCommand struct {
	orderFlag
	one  func(ctx context.Context, c *console, t *tableFile) error
	more func(fs *flag.FlagSet)
	end  func(c *console) error // after the last table, if set
}

func (s *sstCommand) flags(fs *flag.FlagSet) {
	s.orderFlag.flags(fs)
	if s.more != nil {
		s.more(fs)
	}
}

func (s *sstCommand) run(ctx context.Context, c *console, args []string) error {
	var failed error
	for _, arg := range args {
		names, err := filesOf(c, arg, base.FileTable, base.FileTableOld, base.FileTableUpgr)
		if err != nil {
			return err
		}
		for _, name := range names {
			err := s.file(ctx, c, name)
			if errors.Is(err, base.ErrCorruption) {
				c.notef("%v", err)
				err = ErrDamaged
			}
			if err != nil && !errors.Is(err, ErrDamaged) {
				return err
			}
			if err != nil {
				failed = err
			}
		}
	}
	if s.end != nil {
		if err := s.end(c); err != nil {
			return err
		}
	}
	return failed
}

func (s *sstCommand) file(ctx context.Context, c *console, name string) error {
	f, err := c.FS.Open(name)
	if err != nil {
		return err
	}
	defer f.Close()
	size, err := f.Size()
	if err != nil {
		return err
	}
	l, err := sstable.ReadLayout(f, size, filepath.Base(name))
	if err != nil {
		return err
	}
	t := &tableFile{File: f, path: name, name: filepath.Base(name), size: size, layout: l}
	if err := t.findOrder(c, s.order); err != nil {
		return err
	}
	return s.one(ctx, c, t)
}

// A tableFile is a table by itself.
type tableFile struct {
	vfs.File
	path, name string
	size       int64
	layout     *sstable.Layout
	order      string         // its name, empty if nothing tells
	cmp        *base.Comparer // nil if the order is not known
}

// findOrder asks the command line, the table and the manifest beside it, in this
// order.
func (t *tableFile) findOrder(c *console, override string) error {
	t.order = override
	if p, err := t.layout.Properties(); t.order == "" && err == nil && p != nil {
		t.order = p.Comparer
	}
	if t.order == "" {
		if in, err := version.Inspect(c.FS, filepath.Dir(t.path)); err == nil {
			t.order = in.Comparer
		}
	}
	if t.order == "" {
		t.order = base.BytewiseName
	}
	t.cmp = c.order(t.order)
	if t.cmp == nil && override != "" {
		return usagef("no order of keys is called %q", override)
	}
	return nil
}

// blockJSON is a line of sst layout.
type blockJSON struct {
	File        string   `json:"file"`
	Kind        string   `json:"kind"`
	Name        string   `json:"name,omitempty"`
	Offset      uint64   `json:"offset"`
	Size        uint64   `json:"size"`
	RawSize     int      `json:"raw_size"`
	Compression string   `json:"compression,omitempty"`
	Entries     int      `json:"entries,omitempty"`
	First       *keyJSON `json:"first,omitempty"`
	Damage      string   `json:"damage,omitempty"`
	first       *base.InternalKey
}

func sstLayout(ctx context.Context, c *console, t *tableFile) error {
	g := newGrid("block ", "offset", "size", "raw", "stored ", "entries", "first key, or name ")
	damaged := t.layout.Damage != nil
	for _, b := range t.layout.Blocks {
		if err := context.Cause(ctx); err != nil {
			return err
		}
		j, err := t.block(b)
		if err != nil {
			return err
		}
		damaged = damaged || j.Damage != ""
		if c.json {
			if err := c.emit(j); err != nil {
				return err
			}
			continue
		}
		what := j.Name
		switch {
		case j.Damage != "":
			what = "DAMAGED: " + j.Damage
		case j.first != nil:
			what = c.internalKey(*j.first)
		}
		g.add(j.Kind, j.Offset, j.Size, j.RawSize, j.Compression, j.Entries, what)
	}
	if c.json {
		if err := c.emit(blockJSON{File: t.name, Kind: "footer", Offset: t.layout.Footer, Size: sstable.FooterLen, RawSize: sstable.FooterLen}); err != nil {
			return err
		}
	} else {
		g.add("footer", t.layout.Footer, sstable.FooterLen, sstable.FooterLen, "", "", "")
		c.printf("%s\n", c.paint(bold, fmt.Sprintf("%s, %s", t.name, formatBytes(uint64(t.size)))))
		c.grid(g)
	}
	if damaged {
		return fmt.Errorf("%s: %w", t.name, ErrDamaged)
	}
	return nil
}

// block reads a block and describes it. Damage is part of the description.
func (t *tableFile) block(b sstable.BlockInfo) (blockJSON, error) {
	j := blockJSON{File: t.name, Kind: b.Kind, Name: b.Name, Offset: b.Offset, Size: b.Size}
	content, how, err := t.layout.Read(b.Handle)
	j.RawSize, j.Compression = len(content), how.String()
	if err == nil && b.Kind == "data" {
		err = t.layout.Entries(b.Handle, func(key, _ []byte) error {
			if j.Entries++; j.Entries > 1 {
				return nil
			}
			if k, ok := base.ParseInternalKey(key); ok {
				k = k.Clone()
				first := keyOf(k)
				j.first, j.First = &k, &first
			}
			return nil
		})
	}
	if errors.Is(err, base.ErrCorruption) {
		j.Damage, err = problemOf(err).What, nil
	}
	return j, err
}

// tableCounts is what reading a table through tells.
type tableCounts struct {
	Entries       uint64      `json:"entries"`
	Tombstones    uint64      `json:"tombstones"`
	RawKeyBytes   uint64      `json:"raw_key_bytes"`
	RawValueBytes uint64      `json:"raw_value_bytes"`
	SmallestSeq   base.SeqNum `json:"smallest_seq"`
	LargestSeq    base.SeqNum `json:"largest_seq"`
}

// propertiesJSON is what sst properties prints.
type propertiesJSON struct {
	File       string   `json:"file"`
	Bytes      int64    `json:"bytes"`
	Creator    string   `json:"creator,omitempty"`
	Comparer   string   `json:"comparer"`
	DataBlocks int      `json:"data_blocks"`
	Filters    []string `json:"filters"`
	Counted    bool     `json:"counted"` // by reading the table through, as it does not say
	tableCounts
}

func sstProperties(ctx context.Context, c *console, t *tableFile) error {
	j := propertiesJSON{File: t.name, Bytes: t.size, Comparer: t.order}
	for _, b := range t.layout.Blocks {
		switch b.Kind {
		case "data":
			j.DataBlocks++
		case "filter":
			j.Filters = append(j.Filters, b.Name)
		}
	}
	p, err := t.layout.Properties()
	if err != nil {
		return err
	}
	if p == nil {
		j.Counted = true
		if j.tableCounts, err = t.count(ctx); err != nil {
			return err
		}
	} else {
		j.Creator = p.Creator
		j.tableCounts = tableCounts{p.Entries, p.Tombstones, p.RawKeyBytes, p.RawValueBytes, p.SmallestSeq, p.LargestSeq}
	}
	if c.json {
		return c.emit(j)
	}
	c.printf("%s\n", c.paint(bold, t.name))
	source := "of its own"
	if j.Counted {
		source = "counted"
	}
	c.printf("  size             %s, %s\n", formatBytes(uint64(j.Bytes)), plural(j.DataBlocks, "data block"))
	c.printf("  creator          %s\n", orDash(j.Creator))
	c.printf("  comparer         %s\n", j.Comparer)
	c.printf("  filters          %s\n", orDash(joinNames(j.Filters)))
	c.printf("  entries          %d, %d of them tombstones (%s)\n", j.Entries, j.Tombstones, source)
	c.printf("  keys, values     %s, %s before compression\n", formatBytes(j.RawKeyBytes), formatBytes(j.RawValueBytes))
	c.printf("  sequence numbers %d to %d\n", j.SmallestSeq, j.LargestSeq)
	return nil
}

func joinNames(names []string) string {
	s := ""
	for i, n := range names {
		if i > 0 {
			s += ", "
		}
		s += n
	}
	return s
}

// count reads the table through.
func (t *tableFile) count(ctx context.Context) (n tableCounts, err error) {
	n.SmallestSeq = base.SeqNumMax
	err = t.entries(ctx, func(k base.InternalKey, value []byte) error {
		n.Entries++
		if k.Kind() == base.KindDelete {
			n.Tombstones++
		}
		n.RawKeyBytes += uint64(k.Size())
		n.RawValueBytes += uint64(len(value))
		n.SmallestSeq, n.LargestSeq = min(n.SmallestSeq, k.SeqNum()), max(n.LargestSeq, k.SeqNum())
		return nil
	}, nil)
	if n.Entries == 0 {
		n.SmallestSeq = 0
	}
	return n, err
}

// entries calls fn for every entry in the order of the file. Damage goes to bad,
// which ends the walk by an error; nil bad returns it.
func (t *tableFile) entries(ctx context.Context, fn func(k base.InternalKey, value []byte) error, bad func(error) error) error {
	for _, b := range t.layout.Blocks {
		if b.Kind != "data" {
			continue
		}
		if err := context.Cause(ctx); err != nil {
			return err
		}
		err := t.layout.Entries(b.Handle, func(key, value []byte) error {
			k, ok := base.ParseInternalKey(key)
			if !ok {
				return base.Corruptf(t.name, int64(b.Offset), "key %s is too short for an internal key", formatText(key))
			}
			return fn(k, value)
		})
		if bad != nil && errors.Is(err, base.ErrCorruption) {
			err = bad(err)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// sstScan is the command sst scan.
type sstScan struct {
	keyRange
	limit int64
	keys  bool
	n     int64
}

func (s *sstScan) flags(fs *flag.FlagSet) {
	s.keyRange.flags(fs)
	limitFlag(fs, &s.limit, "entries")
	fs.BoolVar(&s.keys, "keys", false, "print keys alone")
}

func (s *sstScan) file(ctx context.Context, c *console, t *tableFile) error {
	order := t.cmp
	if order == nil {
		if s.from != "" || s.to != "" {
			return fmt.Errorf("%s: --from and --to need the order %q, which this program does not know: %w", t.name, t.order, base.ErrComparerMismatch)
		}
		order = &base.Comparer{Name: t.order}
	}
	r, err := s.span(order)
	if err != nil {
		return err
	}
	damaged := false
	err = t.entries(ctx, func(k base.InternalKey, value []byte) error {
		if !r.wants(k.UserKey) || t.cmp != nil && !r.meets(t.cmp, k.UserKey, k.UserKey) {
			return nil
		}
		if s.n == s.limit {
			return errStop
		}
		s.n++
		return s.print(c, t, k, value)
	}, func(err error) error {
		damaged = true
		c.notef("%v", err)
		return nil
	})
	if err == errStop {
		err = nil
	}
	if err == nil && damaged {
		err = fmt.Errorf("%s: %w", t.name, ErrDamaged)
	}
	return err
}

func (s *sstScan) print(c *console, t *tableFile, k base.InternalKey, value []byte) error {
	switch {
	case c.json:
		e := struct {
			File string `json:"file"`
			walEntry
		}{t.name, walEntry{uint64(k.SeqNum()), k.Kind().String(), k.UserKey, value}}
		if s.keys {
			e.V = nil
		}
		return c.emit(e)
	case s.keys:
		c.printf("%s\n", c.internalKey(k))
	default:
		c.printf("%s\n", c.entry(k, value))
	}
	return nil
}

func sstVerify(ctx context.Context, c *console, t *tableFile) error {
	st, problems := verifyTable(ctx, t, t.size, t.name, t.cmp)
	list := []problem{}
	for _, err := range problems {
		if !errors.Is(err, base.ErrCorruption) {
			return err
		}
		list = append(list, problemOf(err))
	}
	if c.json {
		err := c.emit(map[string]any{
			"file": t.name, "blocks": st.Blocks, "bytes": t.size, "entries": st.Entries, "tombstones": st.Tombstones,
			"order_checked": t.cmp != nil, "problems": list,
		})
		if err != nil {
			return err
		}
	} else {
		for _, p := range list {
			c.printf("%s  %s at %d: %s\n", c.paint(red, "DAMAGED"), p.File, p.Offset, p.What)
		}
		note := ""
		if t.cmp == nil {
			note = fmt.Sprintf(" (order %q is not known: not checked)", t.order)
		}
		c.printf("%s: %s, %s, %s%s\n", t.name, formatBytes(uint64(t.size)), plural(st.Blocks, "block"), plural(st.Entries, "entry"), note)
	}
	if len(list) > 0 {
		return fmt.Errorf("%s: %w: %s", t.name, ErrDamaged, plural(len(list), "problem"))
	}
	return nil
}
