package tools

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"

	"github.com/strata-db/strata/internal/base"
	"github.com/strata-db/strata/sstable"
	"github.com/strata-db/strata/version"
	"github.com/strata-db/strata/wal"
)

var checkCommands = []*Command{
	{
		Name: "verify", Args: "DIR", Short: "check every checksum and every ordering rule", least: 1, most: 1,
		Long: "Reads the manifest, all live tables and all live logs: checksums, structure, order within and\n" +
			"between tables, filters, counts. Names the keys that damage of a table may hide. Writes nothing, takes\n" +
			"no lock and works beside a live writer.\n" +
			"Fails if there is damage. The torn end that a crash leaves in a log or manifest is none.",
		Example: "strata verify /var/lib/app/db\nstrata verify db --json",
		make:    func() action { return new(verifyCommand) },
	},
}

// A problem is damage that a check found.
type problem struct {
	File   string `json:"file,omitempty"`
	Offset int64  `json:"offset"` // -1 if unknown
	What   string `json:"what"`
}

func problemOf(err error) problem {
	if c := (*base.CorruptionError)(nil); errors.As(err, &c) {
		short := *c
		short.File, short.Offset = "", -1
		return problem{c.File, c.Offset, trimCorruption(short.Error())}
	}
	return problem{Offset: -1, What: err.Error()}
}

func trimCorruption(s string) string {
	const prefix = "strata: corruption: "
	if len(s) > len(prefix) && s[:len(prefix)] == prefix {
		return s[len(prefix):]
	}
	return s
}

// verifyReport is what verify found.
type verifyReport struct {
	Dir          string    `json:"dir"`
	Manifest     string    `json:"manifest,omitempty"`
	Comparer     string    `json:"comparer,omitempty"`
	OrderChecked bool      `json:"order_checked"`
	Tables       int       `json:"tables"`
	Blocks       uint64    `json:"blocks"`
	Entries      uint64    `json:"entries"`
	Tombstones   uint64    `json:"tombstones"`
	Bytes        uint64    `json:"bytes"`
	Logs         int       `json:"logs"`
	Batches      int64     `json:"batches"`
	LogEntries   int64     `json:"log_entries"`
	Notes        []string  `json:"notes,omitempty"`
	Problems     []problem `json:"problems"`

	Affected []affectedKeys `json:"affected,omitempty"`
}

type verifyCommand struct{ orderFlag }

func (x *verifyCommand) run(ctx context.Context, c *console, args []string) error {
	r, err := c.verify(ctx, args[0], x.order)
	if err != nil {
		return err
	}
	if c.json {
		err = c.emit(r)
	} else {
		r.print(c)
	}
	if n := len(r.Problems); n > 0 && err == nil {
		err = fmt.Errorf("%s: %w: %s", args[0], ErrDamaged, plural(n, "problem"))
	}
	return err
}

func (r *verifyReport) print(c *console) {
	for _, p := range r.Problems {
		at := ""
		if p.Offset >= 0 {
			at = fmt.Sprintf(" at %d", p.Offset)
		}
		c.printf("%s  %s%s: %s\n", c.paint(red, "DAMAGED"), p.File, at, p.What)
	}
	r.printAffected(c)
	for _, n := range r.Notes {
		c.printf("note     %s\n", n)
	}
	c.printf("manifest %s, %s\n", orDash(r.Manifest), orDash(r.Comparer))
	c.printf("tables   %d: %s in %s, %s, %d of them tombstones\n", r.Tables, formatBytes(r.Bytes), plural(r.Blocks, "block"), plural(r.Entries, "entry"), r.Tombstones)
	c.printf("logs     %d: %s, %s\n", r.Logs, plural(r.Batches, "batch"), plural(r.LogEntries, "entry"))
	if len(r.Problems) == 0 {
		c.printf("%s\n", c.paint(green, "ok"))
	}
}

func orDash(s string) string {
	if s == "" {
		return "-"
	}
	return s
}

// verifier is one run of verify.
type verifier struct {
	c   *console
	dir string
	r   *verifyReport
	cmp *base.Comparer // nil: order is not checked
}

// verify checks the database in dir. Damage is in the report.
func (c *console) verify(ctx context.Context, dir, order string) (*verifyReport, error) {
	return restarting(ctx, c, dir, func() (*verifyReport, error) {
		v := &verifier{c: c, dir: dir, r: &verifyReport{Dir: dir, Problems: []problem{}}}
		return v.r, v.run(ctx, order)
	})
}

func (v *verifier) found(err error) { v.r.Problems = append(v.r.Problems, problemOf(err)) }

func (v *verifier) note(format string, args ...any) {
	v.r.Notes = append(v.r.Notes, fmt.Sprintf(format, args...))
}

func (v *verifier) run(ctx context.Context, order string) error {
	in, err := restarting(ctx, v.c, v.dir, func() (*version.Inspection, error) { return version.Inspect(v.c.FS, v.dir) })
	if errors.Is(err, base.ErrCorruption) {
		v.found(err)
		return v.looseFiles(ctx, order)
	}
	if err != nil {
		return err
	}
	v.r.Manifest, v.r.Comparer = in.Manifest, in.Comparer
	if in.Tear != nil {
		v.note("%s ends in a torn record at %d (%d bytes), as a crash leaves it", in.Tear.File, in.Tear.Offset, in.Tear.DroppedBytes)
	}
	v.cmp, err = v.c.comparer(v.dir, in.Comparer, order)
	if u := (*UsageError)(nil); errors.As(err, &u) {
		return err
	}
	if err != nil {
		v.note("the order of keys %q is not known here: checksums and structure were checked, order was not", in.Comparer)
	}
	v.r.OrderChecked = v.cmp != nil
	listing, err := version.List(v.c.FS, v.dir)
	if err != nil {
		return err
	}
	if err := v.tables(ctx, in, listing); err != nil {
		return err
	}
	return v.logs(ctx, in)
}

// tables checks the live tables and what the manifest says of them.
func (v *verifier) tables(ctx context.Context, in *version.Inspection, l *version.Listing) error {
	if v.cmp != nil {
		if err := checkOrder(v.cmp, in); err != nil {
			v.found(base.Corruptf(in.Manifest, -1, "%v", err))
		}
	}
	total, done := int64(0), int64(0)
	for _, files := range in.Contents.Files {
		for _, f := range files {
			total += int64(f.Size)
		}
	}
	for level := range version.NumLevels {
		for _, f := range in.Contents.SortedFiles(level) {
			if err := context.Cause(ctx); err != nil {
				return err
			}
			f.Type = tableType(l, in.Upgraded, f.Num)
			v.c.progress(f.Name(), done, total)
			if err := v.table(ctx, level, f); err != nil {
				return err
			}
			done += int64(f.Size)
		}
	}
	return nil
}

// checkOrder checks that no table is in two places and that levels are in order.
func checkOrder(cmp *base.Comparer, in *version.Inspection) error {
	var levels [version.NumLevels][]*version.FileMeta
	seen := make(map[base.FileNum]int)
	for level := range version.NumLevels {
		levels[level] = in.Contents.SortedFiles(level)
		for _, f := range levels[level] {
			if other, dup := seen[f.Num]; dup {
				return fmt.Errorf("table %s is in level %d and in level %d", f.Num, other, level)
			}
			seen[f.Num] = level
		}
	}
	v := version.NewVersion(cmp, levels)
	defer v.Unref()
	return v.CheckOrder(cmp)
}

// tableType returns which name table num has in a directory.
func tableType(l *version.Listing, upgraded bool, num base.FileNum) base.FileType {
	types := []base.FileType{base.FileTable, base.FileTableOld}
	if upgraded {
		types = append([]base.FileType{base.FileTableUpgr}, types...)
	}
	for _, t := range types {
		for _, f := range l.Files {
			if f.Name == base.FileName(t, num) {
				return t
			}
		}
	}
	return types[0]
}

// table checks one live table.
func (v *verifier) table(ctx context.Context, level int, f *version.FileMeta) error {
	before := len(v.r.Problems)
	stats, err := v.verifyFile(ctx, f.Name(), int64(f.Size))
	if info, statErr := v.c.FS.Stat(filepath.Join(v.dir, f.Name())); statErr == nil && len(v.r.Problems) > before && info.Size() != int64(f.Size) {
		v.note("%s has %d bytes, %s says %d", f.Name(), info.Size(), v.r.Manifest, f.Size)
	}
	if errors.Is(err, fs.ErrNotExist) {
		if v.dropped(f) {
			return nil
		}
		v.found(base.Corruptf(f.Name(), -1, "table of level %d is missing", level))
		return v.affected(ctx, f.Name(), int64(f.Size), f, true)
	}
	if err != nil {
		return err
	}
	if len(v.r.Problems) > before {
		return v.affected(ctx, f.Name(), int64(f.Size), f, stats.Blocks == 0)
	}
	if v.cmp == nil || stats.Entries == 0 {
		return nil
	}
	if v.cmp.CompareInternal(stats.Smallest, f.Smallest) < 0 {
		v.found(&base.CorruptionError{File: f.Name(), Offset: -1, What: "first key below the manifest's", Got: stats.Smallest, Want: f.Smallest})
	}
	if v.cmp.CompareInternal(stats.Largest, f.Largest) > 0 {
		v.found(&base.CorruptionError{File: f.Name(), Offset: -1, What: "last key above the manifest's", Got: stats.Largest, Want: f.Largest})
	}
	return nil
}

// dropped reports that the manifest does not name f any more.
func (v *verifier) dropped(f *version.FileMeta) bool {
	in, err := version.Inspect(v.c.FS, v.dir)
	if err != nil {
		return false
	}
	for _, files := range in.Contents.Files {
		if _, ok := files[f.Num]; ok {
			return false
		}
	}
	return true
}

// verifyFile checks a table by itself. size < 0 is the size of the file. Damage
// is reported, an error is one of reading.
func (v *verifier) verifyFile(ctx context.Context, name string, size int64) (st sstable.VerifyStats, err error) {
	file, err := v.c.FS.Open(filepath.Join(v.dir, name))
	if err != nil {
		return st, err
	}
	defer file.Close()
	if size < 0 {
		if size, err = file.Size(); err != nil {
			return st, err
		}
	}
	v.r.Tables++
	v.r.Bytes += uint64(size)
	var problems []error
	st, problems = verifyTable(ctx, file, size, name, v.cmp)
	v.r.Blocks += st.Blocks
	v.r.Entries += st.Entries
	v.r.Tombstones += st.Tombstones
	for _, p := range problems {
		if !errors.Is(p, base.ErrCorruption) {
			return st, p
		}
		v.found(p)
	}
	if len(problems) > 0 {
		st.Entries = 0 // bounds of a damaged table prove nothing
	}
	return st, nil
}

// verifyTable returns what is wrong with a table. Without an order it checks
// checksums and structure.
func verifyTable(ctx context.Context, src sstable.Source, size int64, name string, cmp *base.Comparer) (st sstable.VerifyStats, problems []error) {
	if cmp != nil {
		r, err := sstable.NewReader(src, size, sstable.ReaderOptions{Cmp: cmp, Name: name})
		if err != nil {
			return st, []error{err}
		}
		defer r.Close()
		return r.Verify(ctx)
	}
	l, err := sstable.ReadLayout(src, size, name)
	if err != nil {
		return st, []error{err}
	}
	if l.Damage != nil {
		problems = append(problems, l.Damage)
	}
	for _, b := range l.Blocks {
		if err := context.Cause(ctx); err != nil {
			return st, append(problems, err)
		}
		st.Blocks++
		st.Bytes += b.Size + sstable.TrailerLen
		if b.Kind == "data" {
			err = l.Entries(b.Handle, func(key, _ []byte) error { return countEntry(&st, key, name, int64(b.Offset)) })
		} else {
			_, _, err = l.Read(b.Handle)
		}
		if err != nil && !containsError(problems, err) {
			problems = append(problems, err)
		}
	}
	return st, problems
}

func countEntry(st *sstable.VerifyStats, key []byte, name string, block int64) error {
	k, ok := base.ParseInternalKey(key)
	if !ok || !k.Kind().Known() {
		return base.Corruptf(name, block, "malformed internal key %s", formatText(key))
	}
	st.Entries++
	if k.Kind() == base.KindDelete {
		st.Tombstones++
	}
	return nil
}

func containsError(list []error, err error) bool {
	for _, e := range list {
		if e.Error() == err.Error() {
			return true
		}
	}
	return false
}

// logs replays the live logs.
func (v *verifier) logs(ctx context.Context, in *version.Inspection) error {
	segments, err := liveLogs(v.c.FS, v.dir, in)
	if err == nil {
		err = v.replay(ctx, segments)
	}
	if errors.Is(err, base.ErrCorruption) && !v.changed(in) {
		v.found(err)
		return nil
	}
	return err
}

// changed reports that the manifest says something else by now.
func (v *verifier) changed(in *version.Inspection) bool {
	now, err := version.Inspect(v.c.FS, v.dir)
	return err != nil || now.Manifest != in.Manifest || now.Bytes != in.Bytes
}

func (v *verifier) replay(ctx context.Context, segments []wal.Segment) error {
	v.r.Logs = len(segments)
	res, err := wal.Replay(wal.ReplayOptions{FS: v.c.FS, Dir: v.dir, Segments: segments, Lockless: true},
		func(seg wal.Segment, off int64, _ []byte) error {
			v.c.progress(seg.Name(), off, 0)
			return context.Cause(ctx)
		})
	v.r.Batches, v.r.LogEntries = res.Batches, res.Entries
	if t := res.Tear; t != nil && err == nil {
		v.note("%s ends at %d: %s; %d bytes behind it do not count, as after a crash", t.File, t.Offset, t.Reason, t.DroppedBytes)
	}
	if errors.Is(err, base.ErrCorruption) && res.Batches > 0 {
		v.note("the logs can be replayed up to sequence number %d; what was written behind it is affected", res.LastSeq)
	}
	for _, s := range res.Dropped {
		v.note("%s lies behind a torn log and does not count", s.Name())
	}
	return err
}

// looseFiles checks each table and log of a directory whose manifest is of no use.
func (v *verifier) looseFiles(ctx context.Context, order string) error {
	if order != "" {
		var err error
		if v.cmp, err = v.c.comparer(v.dir, order, order); err != nil {
			return err
		}
	}
	v.note("without a manifest: every table and log that is there was checked by itself, and which are live is not known")
	l, err := version.List(v.c.FS, v.dir)
	if err != nil {
		return err
	}
	var segments []wal.Segment
	for _, f := range l.Files {
		switch f.Type {
		case base.FileTable, base.FileTableOld, base.FileTableUpgr:
			if err := v.looseTable(ctx, f.Name); err != nil && !errors.Is(err, fs.ErrNotExist) {
				return err
			}
		case base.FileLog, base.FileLogUpgr:
			segments = append(segments, wal.Segment{Num: f.Num, Type: f.Type})
		}
	}
	if err := v.replay(ctx, sortSegments(segments)); errors.Is(err, base.ErrCorruption) {
		v.found(err)
	} else if err != nil {
		return err
	}
	return nil
}

// looseTable checks a table that no manifest tells anything about.
func (v *verifier) looseTable(ctx context.Context, name string) error {
	before := len(v.r.Problems)
	st, err := v.verifyFile(ctx, name, -1)
	if err == nil && len(v.r.Problems) > before && v.cmp != nil {
		err = v.affected(ctx, name, 0, nil, st.Blocks == 0)
	}
	return err
}
