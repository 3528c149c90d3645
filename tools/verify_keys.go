package tools

import (
	"context"
	"path/filepath"

	"github.com/strata-db/strata/internal/base"
	"github.com/strata-db/strata/sstable"
	"github.com/strata-db/strata/version"
)

// maxAffected is how many ranges of a table are printed for people.
const maxAffected = 20

// affectedKeys is a range of keys of which a damaged table may have held entries
// that cannot be read any more. A nil end is open.
type affectedKeys struct {
	File  string   `json:"file"`
	From  hexBytes `json:"from"`
	To    hexBytes `json:"to"`
	Bytes int64    `json:"bytes"` // that could not be read
}

// affected finds out which keys the damage of a table hides, as repair would. f is
// what the manifest says of the table; of a table that no manifest names it has the
// name alone. closed says that reads cannot even find its blocks.
func (v *verifier) affected(ctx context.Context, name string, size int64, f *version.FileMeta, closed bool) error {
	all := affectedKeys{File: name, Bytes: size}
	if f != nil {
		all.From, all.To = f.Smallest.UserKey, f.Largest.UserKey
	}
	if v.cmp == nil {
		v.r.Affected = append(v.r.Affected, all)
		return nil
	}
	file, err := v.c.FS.Open(filepath.Join(v.dir, name))
	if err != nil {
		v.r.Affected = append(v.r.Affected, all)
		return nil //nolint:nilerr // what is wrong with it was said
	}
	defer file.Close()
	if size, err = file.Size(); err != nil {
		return err
	}
	o := sstable.SalvageOptions{Cmp: v.cmp, Name: name}
	if f != nil {
		o.StatedSize = int64(f.Size)
	}
	res, err := sstable.Salvage(file, size, o, func(base.InternalKey, []byte) error { return context.Cause(ctx) })
	if err != nil {
		return err
	}
	if closed {
		v.r.Affected = append(v.r.Affected, all)
		v.note("%s: reads cannot find its blocks, repair can: %s", name, plural(res.Entries, "entry"))
		return nil
	}
	for _, l := range res.Losses {
		a := affectedKeys{name, all.From, all.To, l.Bytes}
		if l.After.UserKey != nil {
			a.From = l.After.UserKey
		}
		if l.UpTo.UserKey != nil {
			a.To = l.UpTo.UserKey
		}
		v.r.Affected = append(v.r.Affected, a)
	}
	if res.Misplaced > 0 {
		v.note("%s has %s out of order: reads may miss them", name, plural(res.Misplaced, "entry"))
	}
	if len(res.Losses) == 0 && res.Misplaced == 0 {
		v.note("%s: the damage hides no keys; repair writes the table anew", name)
	}
	return nil
}

// printAffected prints the ranges.
func (r *verifyReport) printAffected(c *console) {
	n, file := 0, ""
	for _, a := range r.Affected {
		if n++; a.File != file {
			n, file = 1, a.File
		}
		if n == maxAffected+1 {
			c.printf("keys     and more of %s, which --json lists\n", file)
		}
		if n > maxAffected {
			continue
		}
		from, to := "the first", "the last"
		if a.From != nil {
			from = c.key(a.From)
		}
		if a.To != nil {
			to = c.key(a.To)
		}
		c.printf("keys     %s to %s may be affected: %s of %s\n", from, to, formatBytes(uint64(a.Bytes)), a.File)
	}
}
