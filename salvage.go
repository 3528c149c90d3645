package strata

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"

	"github.com/strata-db/strata/version"
)

// Salvage writes everything that is readable in dir to a new database in out, which
// must not exist, and leaves dir as it is; no lock file is made in it either. What
// counts is decided as by Repair, but sound tables are copied too, merged into one
// sorted run. The result is upgraded if dir is, or if Options.Compression is Zstd.
//
// The new database is put together beside out and renamed when it is durable, so that
// out is whole or absent. With DryRun nothing is written.
func Salvage(dir, out string, o *RepairOptions) (*RepairReport, error) {
	return SalvageContext(context.Background(), dir, out, o)
}

// SalvageContext is Salvage, which ends early with the cause when ctx is done: within
// one read or write of a file, and out is absent.
func SalvageContext(ctx context.Context, dir, out string, o *RepairOptions) (*RepairReport, error) {
	out = filepath.Clean(out) // its own name goes on below
	r, err := newRepair(ctx, dir, o)
	r.report.Out, r.fresh = out, true
	if err == nil {
		err = r.locked(false, func() error { return r.salvageTo(out) })
	}
	if err != nil {
		return r.report, publicError(fmt.Errorf("salvage %s: %w", dir, err))
	}
	return r.report, nil
}

func (r *repair) salvageTo(out string) (err error) {
	defer r.finishReport()
	if _, err := r.fs.Stat(out); err == nil {
		return fmt.Errorf("%w: %s", ErrExists, out)
	} else if !isNotExist(err) {
		return err
	}
	if r.ro.DryRun {
		defer func() { err = errors.Join(err, r.cleanUp()) }()
		if err := r.look(); err != nil {
			return err
		}
		r.report.Sound = !r.damaged
		return r.arrange()
	}
	r.dst = out + unfinishedSuffix
	if err := beginUnfinished(r.fs, r.dst); err != nil {
		return err
	}
	if err := r.salvageInto(out); err != nil {
		return dropUnfinished(r.fs, r.dst, errors.Join(err, r.cleanUp()))
	}
	return nil
}

// salvageInto makes the new database under its temporary name, and renames it.
func (r *repair) salvageInto(out string) error {
	s, err := surveyDir(r.fs, r.dir)
	if err != nil {
		return err
	}
	o := r.versionOptions(r.dst)
	if r.set, err = version.Create(o, s.upgraded || r.opts.Compression == Zstd); err != nil {
		return err
	}
	if err := r.look(); err != nil {
		return err
	}
	r.report.Sound = !r.damaged
	if err := r.arrange(); err != nil {
		return err
	}
	edit, err := r.edit()
	if err != nil {
		return err
	}
	if err := r.fs.SyncDir(r.dst); err != nil {
		return err
	}
	if err := r.set.Apply(edit); err != nil {
		return err
	}
	r.keepTables()
	if err := r.cleanUp(); err != nil {
		return err
	}
	if err := r.fs.SyncDir(r.dst); err != nil {
		return err
	}
	return publishUnfinished(r.fs, r.dst, out)
}
