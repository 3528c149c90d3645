package strata

import (
	"context"
	"errors"
	"fmt"

	"github.com/strata-db/strata/internal/base"
	"github.com/strata-db/strata/internal/tablecache"
	"github.com/strata-db/strata/version"
)

// VerifyReport says what Verify looked at and what it found.
type VerifyReport struct {
	Tables  int
	Blocks  int64
	Entries int64
	Bytes   int64 // of the tables

	// Problems are the damages found, each a *CorruptionError naming file and
	// offset where there is one.
	Problems []error
}

// Err returns the problems as one error, nil if there are none.
func (r *VerifyReport) Err() error { return errors.Join(r.Problems...) }

// Verify reads every table from disk, past the cache, and checks every checksum,
// every ordering rule within and between tables, filters and properties. What it
// finds is in the report; the error is about the verification itself: a file
// that cannot be read, or the end of ctx. The log was checked when it was
// replayed.
func (d *DB) Verify(ctx context.Context) (*VerifyReport, error) {
	if !d.begin() {
		return nil, ErrClosed
	}
	defer d.calls.Done()
	v := d.set.Current()
	defer v.Unref()
	r := &VerifyReport{}
	if err := v.CheckOrder(d.cmp); err != nil {
		r.Problems = append(r.Problems, err)
	}
	var err error
	eachTable(v, func(_ int, f *version.FileMeta) {
		if err == nil {
			err = d.verifyTable(ctx, f, r)
		}
	})
	return r, publicError(err)
}

func (d *DB) verifyTable(ctx context.Context, f *version.FileMeta, r *VerifyReport) error {
	if err := context.Cause(ctx); err != nil {
		return err
	}
	r.Tables++
	r.Bytes += int64(f.Size)
	reader, err := f.Table.(*tablecache.Table).Reader()
	if errors.Is(err, ErrCorruption) {
		r.Problems = append(r.Problems, err)
		return nil
	}
	if err != nil {
		return err
	}
	stats, problems := reader.Verify(ctx)
	r.Blocks += int64(stats.Blocks)
	r.Entries += int64(stats.Entries)
	for _, p := range problems {
		if !errors.Is(p, ErrCorruption) {
			return p
		}
		r.Problems = append(r.Problems, p)
	}
	if len(problems) == 0 && stats.Entries > 0 {
		r.Problems = append(r.Problems, d.checkBounds(f, stats.Smallest, stats.Largest)...)
	}
	return nil
}

// checkBounds compares what the manifest says of f with what is in it. The
// manifest's range may be wider, as LevelDB's readers allow, not narrower.
func (d *DB) checkBounds(f *version.FileMeta, smallest, largest base.InternalKey) (problems []error) {
	if d.cmp.CompareInternal(smallest, f.Smallest) < 0 {
		problems = append(problems, &CorruptionError{File: f.Name(), Offset: -1, What: "first key below the manifest's", Got: smallest, Want: f.Smallest})
	}
	if d.cmp.CompareInternal(largest, f.Largest) > 0 {
		problems = append(problems, &CorruptionError{File: f.Name(), Offset: -1, What: "last key above the manifest's", Got: largest, Want: f.Largest})
	}
	return problems
}

// EstimateSize returns about how many bytes of tables hold the keys in [lower,
// upper); nil is open. What is in memtables does not count. It opens the tables
// at the two ends.
func (d *DB) EstimateSize(lower, upper []byte) (uint64, error) {
	p := d.pin()
	if p.readState == nil {
		return 0, ErrClosed
	}
	defer p.unpin()
	var sum uint64
	var err error
	eachTable(p.version, func(_ int, f *version.FileMeta) {
		if err == nil && !d.outside(f, &IterOptions{LowerBound: lower, UpperBound: upper}) {
			var n uint64
			n, err = d.estimateTable(f, lower, upper)
			sum += n
		}
	})
	return sum, err
}

func (d *DB) estimateTable(f *version.FileMeta, lower, upper []byte) (uint64, error) {
	fromStart := lower == nil || d.cmp.Compare(lower, f.Smallest.UserKey) <= 0
	toEnd := upper == nil || d.cmp.Compare(upper, f.Largest.UserKey) > 0
	if fromStart && toEnd {
		return f.Size, nil
	}
	r, err := f.Table.(*tablecache.Table).Reader()
	if err != nil {
		return 0, d.readError(fmt.Errorf("estimate: %w", err))
	}
	from, to := uint64(0), f.Size
	if !fromStart {
		from = r.EstimateOffset(base.SeekKey(lower, base.SeqNumMax))
	}
	if !toEnd {
		to = r.EstimateOffset(base.SeekKey(upper, base.SeqNumMax))
	}
	if to < from {
		return 0, nil
	}
	return to - from, nil
}
