package sstable

import (
	"bytes"
	"context"
	"errors"
	"fmt"

	"github.com/strata-db/strata/internal/base"
	"github.com/strata-db/strata/sstable/block"
)

// maxProblems bounds what Verify reports of one table.
const maxProblems = 100

// VerifyStats counts what Verify has looked at.
type VerifyStats struct {
	Blocks     uint64 // of all kinds
	Bytes      uint64 // of these, on disk with trailers
	Entries    uint64
	Tombstones uint64
	FilterKeys uint64 // distinct user keys looked up in filters

	// Smallest and Largest are the first and the last key seen, owned.
	Smallest, Largest base.InternalKey

	// SmallestSeq and LargestSeq are the lowest and highest sequence number seen,
	// 0 if Entries is.
	SmallestSeq, LargestSeq base.SeqNum
}

// Verify reads the whole table past the cache and returns every problem found, at
// most 100: checksums, structure, order within and across blocks, separators,
// filters, properties. Damage is a *base.CorruptionError that names the block;
// a failure to read and the end of ctx are errors of their own and end it.
func (r *Reader) Verify(ctx context.Context) (VerifyStats, []error) {
	v := &verifier{r: r, problems: append([]error(nil), r.damage...)}
	err := v.run(ctx)
	if err != nil {
		v.problems = append(v.problems, err)
	}
	v.stats.SmallestSeq, v.stats.LargestSeq = v.smallest, v.largest
	return v.stats, v.problems
}

type verifier struct {
	r        *Reader
	stats    VerifyStats
	problems []error

	last      []byte // the last key, encoded; empty before the first
	largest   base.SeqNum
	smallest  base.SeqNum
	raw       uint64 // bytes of keys
	values    uint64 // bytes of values
	userKeys  uint64
	firstKey  bool // no key of the current block was seen yet
	blockOff  uint64
	corrupted bool // a data block could not be walked to its end
}

// errEnough ends a walk that found as many problems as are reported.
var errEnough = errors.New("enough problems")

// report keeps a problem. It returns errEnough when no more are wanted.
func (v *verifier) report(offset uint64, format string, args ...any) error {
	return v.keep(base.Corruptf(v.r.name, int64(offset), format, args...))
}

// keep keeps damage and returns any other error.
func (v *verifier) keep(err error) error {
	if !errors.Is(err, base.ErrCorruption) {
		return err
	}
	v.problems = append(v.problems, err)
	if len(v.problems) >= maxProblems {
		return errEnough
	}
	return nil
}

func (v *verifier) run(ctx context.Context) error {
	err := v.meta()
	for i := 0; err == nil && i < v.r.index.len(); i++ {
		if err = ctx.Err(); err == nil {
			err = v.data(i)
		}
	}
	if err == nil {
		err = v.totals()
	}
	if err == errEnough {
		err = nil
	}
	return err
}

// meta reads again what a long-open Reader holds in memory.
func (v *verifier) meta() error {
	r := v.r
	b := make([]byte, footerLen)
	if err := r.readAt(b, uint64(r.size)-footerLen); err != nil {
		return v.keep(err)
	}
	if f, err := parseFooter(b, r.where(uint64(r.size)-footerLen)); err != nil || f != r.footer {
		if err := v.report(uint64(r.size)-footerLen, "footer is not what it was when the table was opened: %v", err); err != nil {
			return err
		}
	}
	if _, err := v.block(r.footer.index); err != nil {
		return v.keep(err)
	}
	content, err := v.block(r.footer.meta)
	if err != nil {
		return v.seen(err)
	}
	var last []byte
	at := r.where(r.footer.meta.Offset)
	return v.seen(block.Walk(content, at, 0, func(key, value []byte) error {
		if last != nil && bytes.Compare(last, key) >= 0 {
			if err := v.report(r.footer.meta.Offset, "metaindex: %s after %s", key, last); err != nil {
				return err
			}
		}
		last = append(last[:0], key...)
		h, n := parseHandle(value)
		if n == 0 {
			return nil // noted by the reader for the names it uses
		}
		_, err := v.block(h)
		return v.seen(err)
	}))
}

// seen is keep for what the Reader may have noted when it was opened.
func (v *verifier) seen(err error) error {
	if err == nil {
		return nil
	}
	for _, p := range v.problems {
		if p.Error() == err.Error() {
			return nil
		}
	}
	return v.keep(err)
}

// block reads a block past the cache and counts it.
func (v *verifier) block(h Handle) ([]byte, error) {
	v.stats.Blocks++
	v.stats.Bytes += h.Size + trailerLen
	return v.r.readBlock(nil, h)
}

// data walks data block i.
func (v *verifier) data(i int) error {
	r := v.r
	h, err := r.dataHandle(i)
	if err != nil {
		v.corrupted = true
		return v.keep(err)
	}
	if i > 0 {
		if p, ok := r.index.handle(i - 1); ok && p.Offset+p.Size+trailerLen > h.Offset {
			if err := v.report(h.Offset, "data block %d overlaps the one before", i); err != nil {
				return err
			}
		}
		if r.cmp.CompareInternal(r.index.separator(i-1), r.index.separator(i)) >= 0 {
			if err := v.report(r.footer.index.Offset, "index: separator %d %v does not sort after the one before", i, r.index.separator(i)); err != nil {
				return err
			}
		}
	}
	content, err := v.block(h)
	if err != nil {
		v.corrupted = true
		return v.keep(err)
	}
	v.firstKey, v.blockOff = true, h.Offset
	err = block.Walk(content, r.where(h.Offset), base.TrailerLen, func(key, value []byte) error { return v.entry(i, key, value) })
	if err == nil && len(v.last) > 0 && !v.firstKey {
		if last, _ := base.ParseInternalKey(v.last); r.cmp.CompareInternal(last, r.index.separator(i)) > 0 {
			err = v.report(h.Offset, "data block %d ends with %v, after its separator %v", i, last, r.index.separator(i))
		}
	}
	if err != nil && err != errEnough {
		v.corrupted = true
		return v.keep(err)
	}
	return err
}

// entry judges one entry of data block i.
func (v *verifier) entry(i int, key, value []byte) error {
	k, _ := base.ParseInternalKey(key)
	if !k.Kind().Known() {
		v.corrupted = true
		return base.Corruptf(v.r.name, int64(v.blockOff), "unknown kind %d of key %s", byte(k.Kind()), base.FormatKey(k.UserKey))
	}
	first := v.stats.Entries == 0
	fresh := first
	if !first {
		last, _ := base.ParseInternalKey(v.last)
		if v.r.cmp.CompareInternal(last, k) >= 0 {
			if err := v.report(v.blockOff, "key %v stands after %v", k, last); err != nil {
				return err
			}
		}
		fresh = v.r.cmp.Compare(last.UserKey, k.UserKey) != 0
	}
	if v.firstKey && i > 0 && v.r.cmp.CompareInternal(v.r.index.separator(i-1), k) >= 0 {
		if err := v.report(v.blockOff, "data block %d begins with %v, not after the separator %v before it", i, k, v.r.index.separator(i-1)); err != nil {
			return err
		}
	}
	v.count(k, value, first, fresh)
	err := v.filters(k, fresh || v.firstKey)
	v.last = append(v.last[:0], key...)
	v.firstKey = false
	return err
}

func (v *verifier) count(k base.InternalKey, value []byte, first, fresh bool) {
	s := &v.stats
	if first {
		s.Smallest = k.Clone()
		v.smallest = k.SeqNum()
	}
	s.Largest.UserKey = append(s.Largest.UserKey[:0], k.UserKey...)
	s.Largest.Trailer = k.Trailer
	s.Entries++
	if k.Kind() == base.KindDelete {
		s.Tombstones++
	}
	if fresh {
		v.userKeys++
	}
	v.smallest, v.largest = min(v.smallest, k.SeqNum()), max(v.largest, k.SeqNum())
	v.raw += uint64(k.Size())
	v.values += uint64(len(value))
}

// filters looks the key up in both filters.
func (v *verifier) filters(k base.InternalKey, fresh bool) error {
	if !fresh || !v.r.filter.present() && !v.r.ldb.present() {
		return nil
	}
	v.stats.FilterKeys++
	if v.r.filter.present() {
		if h := HashKey(k.UserKey); !v.r.filter.mayContain(&h) {
			return v.report(v.blockOff, "%s denies key %v", bloomName, k)
		}
	}
	if v.r.ldb.present() && !v.r.ldb.mayContain(v.blockOff, k.UserKey) {
		return v.report(v.blockOff, "%s denies key %v", ldbFilterName, k)
	}
	return nil
}

// totals compares what was counted with what the table says of itself.
func (v *verifier) totals() error {
	p := v.r.props
	if p == nil || v.corrupted {
		return nil
	}
	for _, c := range []struct {
		what      string
		got, want uint64
	}{
		{"entries", v.stats.Entries, p.Entries},
		{"tombstones", v.stats.Tombstones, p.Tombstones},
		{"user keys", v.userKeys, p.UserKeys},
		{"bytes of keys", v.raw, p.RawKeyBytes},
		{"bytes of values", v.values, p.RawValueBytes},
		{"smallest sequence number", uint64(v.smallest), uint64(p.SmallestSeq)},
		{"largest sequence number", uint64(v.largest), uint64(p.LargestSeq)},
		{"data blocks", uint64(v.r.index.len()), p.DataBlocks},
	} {
		if c.got != c.want {
			err := v.keep(&base.CorruptionError{File: v.r.name, Offset: int64(v.r.footer.meta.Offset), What: fmt.Sprintf("properties: %s", c.what), Got: c.got, Want: c.want})
			if err != nil {
				return err
			}
		}
	}
	return nil
}
