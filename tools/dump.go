package tools

import (
	"context"
	"encoding/hex"
	"errors"
	"flag"
	"fmt"
	"io/fs"
	"path/filepath"
	"strconv"

	"github.com/strata-db/strata/internal/base"
	"github.com/strata-db/strata/sstable"
	"github.com/strata-db/strata/version"
)

var dumpCommands = []*Command{
	{
		Name: "dump", Args: "FILE|DIR...", Short: "print logs, manifests and tables in the text of leveldbutil", least: 1, most: -1,
		Long: "Prints what LevelDB 1.23's \"leveldbutil dump\" prints, byte for byte, for files it can read. Of a\n" +
			"directory, all its logs, manifests and tables are dumped, each under a line with its name. No order\n" +
			"of keys is needed. Checksums are verified (leveldbutil does not verify those of tables); dump goes on behind damage where\n" +
			"it can, and then fails. --json gives the lines of wal dump, manifest dump and sst scan.",
		Example: "strata dump db/000005.ldb\nstrata dump db/MANIFEST-000002 db/000006.log\nstrata dump db",
		make:    func() action { return new(dumpCommand) },
	},
}

type dumpCommand struct{}

func (*dumpCommand) flags(*flag.FlagSet) {}

func (*dumpCommand) run(ctx context.Context, c *console, args []string) error {
	damaged := false
	for _, arg := range args {
		names, err := dumpable(c, arg)
		if err != nil {
			return err
		}
		for _, name := range names {
			if !c.json && (len(names) > 1 || name != arg) {
				c.printf("==> %s <==\n", name)
			}
			switch bad, err := c.dumpFile(ctx, name); {
			case errors.Is(err, base.ErrCorruption), errors.Is(err, fs.ErrNotExist) && name != arg:
				c.notef("%v", err)
				damaged = true
			case err != nil:
				return err
			default:
				damaged = damaged || bad
			}
		}
	}
	if damaged {
		return ErrDamaged
	}
	return nil
}

// dumpable returns the file that arg is, or those in the directory that arg is.
func dumpable(c *console, arg string) ([]string, error) {
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
	for _, n := range l.Names(base.FileManifest, base.FileManifestUpgr, base.FileLog, base.FileLogUpgr, base.FileTable, base.FileTableOld, base.FileTableUpgr) {
		names = append(names, filepath.Join(arg, n))
	}
	if len(names) == 0 {
		return nil, fmt.Errorf("%s: %w", arg, base.ErrNotExist)
	}
	return names, nil
}

// dumpJSON prints one file as the command for its kind does.
func (c *console) dumpJSON(ctx context.Context, t base.FileType, name string) (damaged bool, err error) {
	switch {
	case isTable(t):
		s := &sstScan{limit: -1}
		err = (&sstCommand{one: s.file}).file(ctx, c, name)
	case isLog(t):
		return new(walDumpCommand).file(ctx, c, name)
	default:
		err = new(manifestDumpCommand).run(ctx, c, []string{name})
	}
	if errors.Is(err, ErrDamaged) {
		return true, nil
	}
	return false, err
}

// dumpFile prints one file and reports whether it met damage.
func (c *console) dumpFile(ctx context.Context, name string) (damaged bool, err error) {
	t, _ := base.ParseFileName(filepath.Base(name))
	if c.json && (isTable(t) || isLog(t) || t == base.FileManifest || t == base.FileManifestUpgr) {
		return c.dumpJSON(ctx, t, name)
	}
	var each func(off int64, rec []byte) bool
	switch t {
	case base.FileTable, base.FileTableOld, base.FileTableUpgr:
		return c.dumpTable(ctx, name)
	case base.FileLog, base.FileLogUpgr:
		each = c.dumpBatch
	case base.FileManifest, base.FileManifestUpgr:
		each = c.dumpEdit
	case base.FileUnknown:
		return false, fmt.Errorf("%s: the name says neither log, manifest nor table; wal dump, manifest dump and sst scan read files of any name", name)
	default:
		return false, fmt.Errorf("%s: dump prints logs, manifests and tables, and this is none", name)
	}
	f, err := c.FS.Open(name)
	if err != nil {
		return false, err
	}
	defer f.Close()
	r := &resyncReader{src: f, report: func(bytes int, what string) {
		damaged = true
		c.printf("corruption: %d bytes; Corruption: %s\n", bytes, what)
	}}
	for {
		rec, off, ok, err := r.next()
		if err != nil || !ok {
			return damaged, err
		}
		if err := context.Cause(ctx); err != nil {
			return damaged, err
		}
		damaged = each(off, rec) || damaged
	}
}

// dumpBatch prints a record of a log and reports whether it is damaged.
func (c *console) dumpBatch(off int64, rec []byte) bool {
	c.printf("--- offset %d; ", off)
	const header = 12
	if len(rec) < header {
		c.printf("log record length %d is too small\n", len(rec))
		return true
	}
	c.printf("sequence %d\n", le64(rec))
	what := walkBatch(rec, func(kind base.Kind, key, value []byte) {
		if kind == base.KindDelete {
			c.printf("  del '%s'\n", c.leveldbText(key))
		} else {
			c.printf("  put '%s' '%s'\n", c.leveldbText(key), c.leveldbText(value))
		}
	})
	if what != "" {
		c.printf("  error: Corruption: %s\n", what)
	}
	return what != ""
}

// dumpEdit prints a record of a manifest and reports whether it is damaged.
func (c *console) dumpEdit(off int64, rec []byte) bool {
	c.printf("--- offset %d; ", off)
	var e version.Edit
	if err := e.Decode(rec, "", off); err != nil {
		c.printf("Corruption: VersionEdit: %s\n", problemOf(err).What)
		return true
	}
	c.printf("VersionEdit {")
	if e.Comparer != "" {
		c.printf("\n  Comparator: %s", e.Comparer)
	}
	if e.LogNum != nil {
		c.printf("\n  LogNumber: %d", uint64(*e.LogNum))
	}
	if e.PrevLogNum != nil {
		c.printf("\n  PrevLogNumber: %d", uint64(*e.PrevLogNum))
	}
	if e.NextFileNum != nil {
		c.printf("\n  NextFile: %d", uint64(*e.NextFileNum))
	}
	if e.LastSeq != nil {
		c.printf("\n  LastSeq: %d", uint64(*e.LastSeq))
	}
	for _, p := range e.Pointers {
		key, _ := base.ParseInternalKey(p.Key)
		c.printf("\n  CompactPointer: %d %s", p.Level, c.leveldbKey(key))
	}
	for _, d := range sortDeleted(e.Deleted) {
		c.printf("\n  RemoveFile: %d %d", d.Level, uint64(d.Num))
	}
	for _, a := range e.Added {
		c.printf("\n  AddFile: %d %d %d %s .. %s", a.Level, uint64(a.Meta.Num), a.Meta.Size, c.leveldbKey(a.Meta.Smallest), c.leveldbKey(a.Meta.Largest))
	}
	c.printf("\n}\n")
	return false
}

// dumpTable prints a table's entries in the order they are stored, and goes on
// behind a damaged block.
func (c *console) dumpTable(ctx context.Context, name string) (damaged bool, err error) {
	f, err := c.FS.Open(name)
	if err != nil {
		return false, err
	}
	defer f.Close()
	size, err := f.Size()
	if err != nil {
		return false, err
	}
	l, err := sstable.ReadLayout(f, size, filepath.Base(name))
	if err != nil {
		return false, err
	}
	for _, b := range l.Blocks {
		if b.Kind != "data" {
			continue
		}
		if err := context.Cause(ctx); err != nil {
			return damaged, err
		}
		err := l.Entries(b.Handle, func(key, value []byte) error { c.dumpEntry(key, value); return nil })
		if errors.Is(err, base.ErrCorruption) {
			damaged = true
			p := problemOf(err)
			c.printf("iterator error: Corruption: at offset %d: %s\n", p.Offset, p.What)
		} else if err != nil {
			return damaged, err
		}
	}
	return damaged, nil
}

func (c *console) dumpEntry(key, value []byte) {
	k, ok := base.ParseInternalKey(key)
	if !ok || !k.Kind().Known() {
		c.printf("badkey '%s' => '%s'\n", c.leveldbText(key), c.leveldbText(value))
		return
	}
	kind := "val"
	if k.Kind() == base.KindDelete {
		kind = "del"
	}
	c.printf("'%s' @ %d : %s => '%s'\n", c.leveldbText(k.UserKey), uint64(k.SeqNum()), kind, c.leveldbText(value))
}

// leveldbText is LevelDB's form of bytes: printable ASCII as it is, all else \xNN.
// With --hex it is hex.
func (c *console) leveldbText(b []byte) []byte {
	if c.hex {
		return hex.AppendEncode(nil, b)
	}
	const digits = "0123456789abcdef"
	dst := make([]byte, 0, len(b))
	for _, ch := range b {
		if ch < ' ' || ch > '~' {
			dst = append(dst, '\\', 'x', digits[ch>>4], digits[ch&15])
		} else {
			dst = append(dst, ch)
		}
	}
	return dst
}

func (c *console) leveldbKey(k base.InternalKey) string {
	if !k.Kind().Known() {
		return "(bad)" + string(c.leveldbText(base.AppendInternalKey(nil, k)))
	}
	return "'" + string(c.leveldbText(k.UserKey)) + "' @ " + strconv.FormatUint(uint64(k.SeqNum()), 10) + " : " + strconv.Itoa(int(k.Kind()))
}
