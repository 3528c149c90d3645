package strata

import (
	"context"
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"syscall"

	"github.com/strata-db/strata/internal/base"
	"github.com/strata-db/strata/version"
	"github.com/strata-db/strata/vfs"
)

// Checkpoint makes an openable copy of the database in dir, which must not
// exist. It holds everything that was committed when Checkpoint was called. On
// the same file system tables are hard links and take no space until the
// database drops its own; logs and manifests are never linked. The copy is put
// together beside dir and renamed when it is durable, so dir is whole or absent.
func (d *DB) Checkpoint(ctx context.Context, dir string) (err error) {
	if !d.begin() {
		return ErrClosed
	}
	defer d.calls.Done()
	dir = filepath.Clean(dir) // its own name goes on below
	// Two at once for one dir would take each other's files away.
	d.checkpoints.Lock()
	defer d.checkpoints.Unlock()
	if _, err := d.fs.Stat(dir); err == nil {
		return fmt.Errorf("checkpoint: %w: %s", ErrExists, dir)
	} else if !isNotExist(err) {
		return publicError(fmt.Errorf("checkpoint: %w", err))
	}
	if d.opts.ReadOnly {
		return fmt.Errorf("checkpoint: %w: what the log holds would have to be flushed", ErrReadOnly)
	}
	if err := d.flush(); err != nil {
		return err
	}
	d.deleter.hold()
	defer d.deleter.release(d)
	v := d.set.Current()
	defer v.Unref()
	c := checkpoint{db: d, version: v, last: base.SeqNum(d.commits.visible.Load()), tmp: dir + unfinishedSuffix}
	if err := beginUnfinished(d.fs, c.tmp); err != nil {
		return publicError(fmt.Errorf("checkpoint: %w", err))
	}
	if err := c.make(ctx, dir); err != nil {
		return publicError(dropUnfinished(d.fs, c.tmp, fmt.Errorf("checkpoint: %w", err)))
	}
	return nil
}

// checkpoint is one on its way.
type checkpoint struct {
	db      *DB
	version *version.Version
	last    base.SeqNum // at or above every sequence number in version
	tmp     string
}

func (c *checkpoint) make(ctx context.Context, dir string) error {
	fs := c.db.fs
	set, err := version.Create(version.Options{FS: fs, Dir: c.tmp, Cmp: c.db.cmp, Logger: c.db.opts.Logger}, c.db.set.Upgraded())
	if err != nil {
		return err
	}
	set.MarkUsed(c.db.set.NextFileNum() - 1)
	edit := &version.Edit{LastSeq: &c.last}
	eachTable(c.version, func(level int, f *version.FileMeta) {
		if err == nil {
			err = context.Cause(ctx)
		}
		if err == nil {
			err = linkOrCopy(fs, c.db.path(f.Name()), filepath.Join(c.tmp, f.Name()))
		}
		meta := &version.FileMeta{Num: f.Num, Type: f.Type, Size: f.Size, Smallest: f.Smallest, Largest: f.Largest}
		edit.Added = append(edit.Added, version.AddedFile{Level: level, Meta: meta})
	})
	if err != nil {
		return errors.Join(err, set.Close())
	}
	if err := errors.Join(set.Apply(edit), set.Close()); err != nil {
		return err
	}
	if err := fs.SyncDir(c.tmp); err != nil {
		return err
	}
	return publishUnfinished(fs, c.tmp, dir)
}

// linkOrCopy gives the file at from a second name, or copies it where that cannot
// be: the two are on different file systems, or on one without links or with no
// more to give. A copy is synced.
func linkOrCopy(fs vfs.FS, from, to string) error {
	err := fs.Link(from, to)
	if err == nil || !cannotLink(err) {
		return err
	}
	return copyFile(fs, from, to)
}

func cannotLink(err error) bool {
	for _, no := range []error{syscall.EXDEV, syscall.EPERM, syscall.EMLINK, errors.ErrUnsupported} {
		if errors.Is(err, no) {
			return true
		}
	}
	return false
}

func copyFile(fs vfs.FS, from, to string) (err error) {
	src, err := fs.Open(from)
	if err != nil {
		return err
	}
	defer src.Close()
	size, err := src.Size()
	if err != nil {
		return err
	}
	dst, err := fs.Create(to)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, dst.Close()) }()
	if _, err := io.Copy(dst, io.NewSectionReader(src, 0, size)); err != nil {
		return err
	}
	return dst.Sync()
}
