package metamorphic

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"hash/crc32"
	"path"

	"github.com/strata-db/strata"
	"github.com/strata-db/strata/vfs"
)

// A Run is one list of operations on one set of options.
type Run struct {
	set       Set
	opts      strata.Options
	dir       string
	db        *strata.DB
	snapshots [slots]*strata.Snapshot
	iterators [slots]*strata.Iterator
	copies    int

	// History is what the operations answered, a line each.
	History []string
	// Compactions counts those that ran, by reason.
	Compactions map[string]int64
}

// Start opens a database in dir, which must be missing, or an empty directory.
func Start(set Set, dir string) (*Run, error) {
	r := &Run{set: set, opts: set.Options(), dir: dir, Compactions: map[string]int64{}}
	if r.opts.FS == nil {
		r.opts.FS = vfs.NewMem()
	}
	return r, r.open()
}

func (r *Run) open() (err error) {
	r.db, err = strata.Open(r.dir, &r.opts)
	return err
}

// Do carries out ops and adds to the history.
func (r *Run) Do(ops []Op) error {
	for i, op := range ops {
		line, err := r.do(op)
		if err != nil {
			return fmt.Errorf("operation %d, %s: %w", i, op, err)
		}
		r.History = append(r.History, line)
	}
	return nil
}

// Close ends the run.
func (r *Run) Close() error {
	return errors.Join(r.closeReaders(), r.closeDB())
}

func (r *Run) closeDB() error {
	for reason, n := range r.db.Metrics().Compaction.Count {
		r.Compactions[reason] += n
	}
	return r.db.Close()
}

func (r *Run) do(op Op) (string, error) {
	ctx := context.Background()
	wo := &strata.WriteOptions{Sync: op.Sync}
	switch op.Kind {
	case OpPut:
		return "put", r.db.Put(op.Key, op.Value, wo)
	case OpDelete:
		return "delete", r.db.Delete(op.Key, wo)
	case OpBatch:
		return "batch", r.write(op.Entries, wo)
	case OpFill, OpWipe:
		return op.Kind.String(), r.writeEach(op.Entries, wo)
	case OpGet:
		return get(r.db, op.Key)
	case OpScan:
		return scan(r.db, op.Key, op.End)
	case OpScanBack:
		return scanBack(r.db, op.Key, op.End)
	case OpFlush:
		return "flush", r.db.Flush()
	case OpCompact:
		return "compact", r.db.CompactRange(ctx, op.Key, op.End)
	case OpWaitIdle:
		return "wait-idle", r.db.WaitIdle(ctx)
	case OpSync:
		return "sync", r.db.Sync()
	case OpCheckpoint:
		return r.checkpoint(ctx)
	case OpVerify:
		report, err := r.db.Verify(ctx)
		if err == nil {
			err = report.Err()
		}
		return "verify", err
	case OpReopen:
		if err := r.reopen(); err != nil {
			return "", err
		}
		return scan(r.db, nil, nil)
	}
	return r.doReader(op)
}

// doReader is do for what has to do with snapshots and iterators.
func (r *Run) doReader(op Op) (string, error) {
	s, it := r.snapshots[op.Slot], r.iterators[op.Slot]
	switch op.Kind {
	case OpSnapshot:
		r.snapshots[op.Slot] = r.db.NewSnapshot()
		return "snapshot", closeIf(s)
	case OpIterator:
		r.iterators[op.Slot] = r.source(op.From).NewIterator(&strata.IterOptions{LowerBound: op.Key, UpperBound: op.End})
		return "iterator", closeIf(it)
	case OpSnapshotClose:
		r.snapshots[op.Slot] = nil
		return "snapshot-close", closeIf(s)
	case OpIteratorClose:
		r.iterators[op.Slot] = nil
		return "iterator-close", closeIf(it)
	case OpIteratorMove:
		if it == nil {
			return "no iterator", nil
		}
		return move(it, op)
	}
	switch {
	case s == nil:
		return "no snapshot", nil
	case op.Kind == OpSnapshotGet:
		return get(s, op.Key)
	}
	return scan(s, op.Key, op.End)
}

// source returns the snapshot in a slot, and the database if there is none.
func (r *Run) source(slot int) strata.Reader {
	if slot < 0 || r.snapshots[slot] == nil {
		return r.db
	}
	return r.snapshots[slot]
}

// closeIf closes c unless it is nil.
func closeIf[T interface {
	*strata.Snapshot | *strata.Iterator
	Close() error
}](c T) error {
	if c == nil {
		return nil
	}
	return c.Close()
}

func (r *Run) closeReaders() error {
	var errs []error
	for i := range slots {
		errs = append(errs, closeIf(r.snapshots[i]), closeIf(r.iterators[i]))
		r.snapshots[i], r.iterators[i] = nil, nil
	}
	return errors.Join(errs...)
}

func (r *Run) write(entries []Entry, wo *strata.WriteOptions) error {
	var b strata.Batch
	for _, e := range entries {
		if e.Delete {
			b.Delete(e.Key)
		} else {
			b.Put(e.Key, e.Value)
		}
	}
	return r.db.Write(&b, wo)
}

func (r *Run) writeEach(entries []Entry, wo *strata.WriteOptions) error {
	for i := range entries {
		if err := r.write(entries[i:i+1], wo); err != nil {
			return err
		}
	}
	return nil
}

// reopen lets the process end as the set wants it, and opens the database again.
func (r *Run) reopen() error {
	if err := r.closeReaders(); err != nil {
		return err
	}
	disk, _ := r.opts.FS.(*vfs.Crash)
	switch r.set.End {
	case EndKill:
		disk = disk.KillImage()
	case EndPowerCut:
		if err := r.db.Sync(); err != nil {
			return err
		}
		disk = disk.Image(uint64(len(r.History)), vfs.ImageOptions{})
	}
	if err := r.closeDB(); err != nil {
		return err
	}
	if r.set.End != EndClose {
		r.opts.FS = disk
	}
	return r.open()
}

// checkpoint makes a copy and says what is in it.
func (r *Run) checkpoint(ctx context.Context) (string, error) {
	r.copies++
	dir := fmt.Sprintf("%s-copy-%d", path.Clean(r.dir), r.copies)
	if err := r.db.Checkpoint(ctx, dir); err != nil {
		return "", err
	}
	o := r.opts
	o.ReadOnly = r.copies%2 == 0
	db, err := strata.Open(dir, &o)
	if err != nil {
		return "", err
	}
	line, err := scan(db, nil, nil)
	return "copy: " + line, errors.Join(err, db.Close(), strata.Destroy(dir, &r.opts))
}

// get asks r for key in every way there is.
func get(r strata.Reader, key []byte) (string, error) {
	v, err := r.Get(key)
	has, herr := r.Has(key)
	var seen []byte
	verr := r.View(key, func(b []byte) error { seen = append(seen, b...); return nil })
	switch {
	case herr != nil:
		return "", herr
	case errors.Is(err, strata.ErrNotFound):
		if has || !errors.Is(verr, strata.ErrNotFound) {
			return "", fmt.Errorf("nothing by Get, %v by Has, %w by View", has, verr)
		}
		return "not found", nil
	case err != nil || verr != nil:
		return "", errors.Join(err, verr)
	case !has || !bytes.Equal(v, seen):
		return "", fmt.Errorf("%.40q by Get, %.40q by View, %v by Has", v, seen, has)
	}
	return show(v), nil
}

// show returns a value in short.
func show(v []byte) string { return fmt.Sprintf("%.20q (%d, %08x)", v, len(v), crc32.ChecksumIEEE(v)) }

// A sum is what a walk has met: how many keys, which, and a checksum of all.
type sum struct {
	n           int
	first, last string
	crc         uint32
}

func (s *sum) add(k, v []byte) {
	if s.n == 0 {
		s.first = string(k)
	}
	s.last = string(k)
	s.n++
	s.crc = crc32.Update(s.crc, crc32.IEEETable, fmt.Appendf(nil, "%d %d ", len(k), len(v)))
	s.crc = crc32.Update(s.crc, crc32.IEEETable, k)
	s.crc = crc32.Update(s.crc, crc32.IEEETable, v)
}

func (s *sum) String() string {
	return fmt.Sprintf("%d keys %q..%q (%08x)", s.n, s.first, s.last, s.crc)
}

func scan(r strata.Reader, lower, upper []byte) (string, error) {
	it := r.NewIterator(&strata.IterOptions{LowerBound: lower, UpperBound: upper})
	var s sum
	for k, v := range it.All() {
		s.add(k, v)
	}
	return s.String(), it.Close()
}

func scanBack(r strata.Reader, lower, upper []byte) (string, error) {
	it := r.NewIterator(&strata.IterOptions{LowerBound: lower, UpperBound: upper})
	var s sum
	for k, v := range it.Backward() {
		s.add(k, v)
	}
	return s.String(), it.Close()
}

// move moves it and says where it is after each step.
func move(it *strata.Iterator, op Op) (string, error) {
	var s sum
	for range op.Count {
		var ok bool
		switch op.Step {
		case StepFirst:
			ok = it.First()
		case StepLast:
			ok = it.Last()
		case StepSeekGE:
			ok = it.SeekGE(op.Key)
		case StepSeekLT:
			ok = it.SeekLT(op.Key)
		case StepNext:
			ok = it.Next()
		case StepPrev:
			ok = it.Prev()
		}
		if ok != it.Valid() {
			return "", fmt.Errorf("step %d returned %v, Valid says %v", op.Step, ok, it.Valid())
		}
		if !ok {
			return s.String() + ", then the end", it.Err()
		}
		s.add(it.Key(), it.Value())
	}
	return s.String(), it.Err()
}
