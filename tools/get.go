package tools

import (
	"context"
	"flag"
	"fmt"

	"github.com/strata-db/strata"
	"github.com/strata-db/strata/internal/base"
	"github.com/strata-db/strata/iterator"
	"github.com/strata-db/strata/version"
)

type getCommand struct {
	orderFlag
	at uint64
}

func (g *getCommand) flags(fs *flag.FlagSet) {
	g.orderFlag.flags(fs)
	atFlag(fs, &g.at)
}

func (g *getCommand) run(ctx context.Context, c *console, args []string) error {
	key, err := parseKey(args[1])
	if err != nil {
		return err
	}
	if g.at > uint64(base.SeqNumMax) {
		return usagef("--at-seq is at most %d", base.SeqNumMax)
	}
	v, err := c.openView(ctx, viewOptions{dir: args[0], order: g.order})
	if err != nil {
		return err
	}
	defer v.close()
	value, found, err := v.get(key, base.SeqNum(g.at))
	switch {
	case err != nil:
		return err
	case !found:
		return fmt.Errorf("%s: %w", base.FormatKey(key), strata.ErrNotFound)
	case c.json:
		return c.emit(keyValue{key, value})
	case c.hex:
		c.printf("%x\n", value)
	default:
		c.printf("%s\n", value)
	}
	return nil
}

// get returns the value that key has at a sequence number. The value is the
// caller's.
func (v *view) get(key []byte, at base.SeqNum) (value []byte, found bool, err error) {
	s := span{lower: key}
	src, err := v.iterPoint(key)
	if err != nil {
		return nil, false, err
	}
	it := iterator.NewVisible(v.cmp, src, at, s.lower, nil)
	if it.First() && v.cmp.Compare(it.Key(), key) == 0 {
		value, found = append([]byte{}, it.Value()...), true
	}
	return value, found, it.Close()
}

// iterPoint returns the entries of the tables and logs that may hold key.
func (v *view) iterPoint(key []byte) (iterator.Iterator, error) {
	var its []iterator.Iterator
	for _, m := range v.mems {
		its = append(its, m.NewIter())
	}
	for f := range v.tables() {
		if !v.covers(f.meta, key) {
			continue
		}
		it, err := v.tableIter(f.meta, false)
		if err != nil {
			for _, it := range its {
				_ = it.Close() // err counts
			}
			return nil, err
		}
		its = append(its, it)
	}
	return iterator.NewMerging(v.cmp, its...), nil
}

func (v *view) covers(f *version.FileMeta, key []byte) bool {
	return v.cmp.Compare(f.Smallest.UserKey, key) <= 0 && v.cmp.Compare(key, f.Largest.UserKey) <= 0
}

type approxsizeCommand struct {
	keyRange
	orderFlag
}

func (a *approxsizeCommand) flags(fs *flag.FlagSet) {
	a.keyRange.flags(fs)
	a.orderFlag.flags(fs)
}

func (a *approxsizeCommand) run(ctx context.Context, c *console, args []string) error {
	v, err := c.openView(ctx, viewOptions{dir: args[0], order: a.order, span: &a.keyRange})
	if err != nil {
		return err
	}
	defer v.close()
	s, err := a.span(v.cmp)
	if err != nil {
		return err
	}
	if s.prefix != nil {
		return usagef("--prefix needs the bytewise order, the keys are ordered by %q; use --from and --to", v.cmp.Name)
	}
	sum, tables := uint64(0), 0
	for f := range v.tables() {
		if !s.meets(v.cmp, f.meta.Smallest.UserKey, f.meta.Largest.UserKey) {
			continue
		}
		n, err := v.estimate(f.meta, &s)
		if err != nil {
			return err
		}
		sum += n
		tables++
	}
	if c.json {
		return c.emit(map[string]uint64{"bytes": sum, "tables": uint64(tables)})
	}
	c.printf("%d\n", sum)
	c.notef("about %s in %s of %s", formatBytes(sum), &s, plural(tables, "table"))
	return nil
}

// estimate returns about how many bytes of f are in s.
func (v *view) estimate(f *version.FileMeta, s *span) (uint64, error) {
	fromStart := s.lower == nil || v.cmp.Compare(s.lower, f.Smallest.UserKey) <= 0
	toEnd := s.upper == nil || v.cmp.Compare(s.upper, f.Largest.UserKey) > 0
	if fromStart && toEnd {
		return f.Size, nil
	}
	r, release, err := v.openTable(f)
	if err != nil {
		return 0, err
	}
	defer release()
	lo, hi := uint64(0), f.Size
	if !fromStart {
		lo = r.EstimateOffset(base.SeekKey(s.lower, base.SeqNumMax))
	}
	if !toEnd {
		hi = r.EstimateOffset(base.SeekKey(s.upper, base.SeqNumMax))
	}
	return hi - min(lo, hi), nil
}
