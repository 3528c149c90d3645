package sstable

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"slices"

	"github.com/strata-db/strata/internal/base"
	"github.com/strata-db/strata/internal/checksum"
	"github.com/strata-db/strata/sstable/block"
)

// maxLosses bounds the list of a SalvageResult; more are only counted.
const maxLosses = 1000

// SalvageOptions says what is to be salvaged.
type SalvageOptions struct {
	// Cmp is the order of user keys. Default base.Bytewise.
	Cmp *base.Comparer
	// Name is the base name of the file, for errors.
	Name string
	// StatedSize is the size of the table by the manifest, 0 if it is not known.
	// The footer is looked for there too.
	StatedSize int64
}

// A SalvageResult says what was found in a damaged table.
type SalvageResult struct {
	Indexed    bool // the index could be read
	Blocks     int64
	Entries    uint64 // delivered
	Tombstones uint64
	// Misplaced counts entries that were readable but out of order.
	Misplaced uint64
	// Stated is how many entries there should be by the table's properties; 0 if
	// these say nothing.
	Stated   uint64
	Comparer string // by the properties; empty if these say nothing
	// Losses are the stretches that could not be read, at most 1000 of them.
	Losses    []Loss
	LostBytes int64 // in all losses
	NumLosses int64
}

// A Loss is a stretch of a table that could not be read, or not all of it.
type Loss struct {
	Offset, Bytes int64
	// Entries of the file between After and UpTo may be missing. A nil user key is
	// an open end.
	After, UpTo base.InternalKey
	Reason      string
}

// Salvage calls add with every entry of a damaged table that can be trusted, in
// order. Blocks are trusted if their checksum is right, and what is in them as far
// as block.Salvage does. Where the index is lost, or a handle in it, blocks are
// found by their checksums alone, in time proportional to the size of the file.
// Entries out of order are left out: of what contradicts each other the fewest go.
//
// k and v are valid during the call of add, whose error ends the salvage and is
// returned. So is a failure to read, unless it says that the medium has lost the
// bytes. Damage is never an error, however much there is.
func Salvage(s Source, size int64, o SalvageOptions, add func(k base.InternalKey, v []byte) error) (*SalvageResult, error) {
	if o.Cmp == nil {
		o.Cmp = base.Bytewise
	}
	v := &salvage{src: s, size: size, o: o, res: &SalvageResult{}}
	v.out = sorter{cmp: o.Cmp, add: v.count(add), misplaced: &v.res.Misplaced}
	r, err := v.open()
	switch {
	case err != nil:
	case r != nil:
		err = v.indexed(r)
	default:
		err = v.scan(0, v.dataEnd(), block.Where{File: o.Name})
	}
	if err == nil {
		err = v.out.end()
	}
	return v.res, err
}

type salvage struct {
	src  Source
	size int64
	o    SalvageOptions
	res  *SalvageResult
	out  sorter

	// between says that the last loss ends before the next entry that is read.
	between bool
	after   base.InternalKey // the last key that was read, owned
}

func (v *salvage) count(add func(base.InternalKey, []byte) error) func(base.InternalKey, []byte) error {
	return func(k base.InternalKey, value []byte) error {
		v.res.Entries++
		if k.Kind() == base.KindDelete {
			v.res.Tombstones++
		}
		return add(k, value)
	}
}

// open returns a Reader of the table if footer and index can be read, else nil.
func (v *salvage) open() (*Reader, error) {
	sizes := []int64{v.o.StatedSize, v.size}
	if last, err := v.lastFooter(); err != nil {
		return nil, err
	} else if !slices.Contains(sizes, last) {
		sizes = append(sizes, last)
	}
	for _, size := range sizes {
		if size < footerLen || size > v.size {
			continue
		}
		r, err := NewReader(eioAsDamage{v.src, v.o.Name}, size, ReaderOptions{Cmp: v.o.Cmp, Name: v.o.Name})
		if err == nil {
			v.res.Indexed = true
			if p, ok := r.Properties(); ok {
				v.res.Stated, v.res.Comparer = p.Entries, p.Comparer
			}
			return r, nil
		}
		if !isDamage(err) {
			return nil, err
		}
	}
	return nil, nil
}

// lastFooter returns where the last footer in the file's last MiB ends, or 0.
func (v *salvage) lastFooter() (int64, error) {
	tail := make([]byte, min(v.size, 1<<20))
	start := v.size - int64(len(tail))
	if err := readOver(v.src, tail, uint64(start)); err != nil {
		return 0, err
	}
	at := bytes.LastIndex(tail, binary.LittleEndian.AppendUint64(nil, magic))
	if at < 0 {
		return 0, nil
	}
	return start + int64(at) + 8, nil
}

// dataEnd returns where the data blocks end at the latest, if a footer tells.
func (v *salvage) dataEnd() uint64 {
	end := uint64(v.size)
	b := make([]byte, footerLen)
	if v.size < footerLen || readOver(v.src, b, end-footerLen) != nil {
		return end
	}
	f, err := parseFooter(b, block.Where{})
	if err != nil {
		return end
	}
	end -= footerLen
	for _, h := range []Handle{f.meta, f.index} {
		if h.Offset > 0 && h.Offset < end {
			end = h.Offset
		}
	}
	return end
}

// indexed walks the data blocks by the index.
func (v *salvage) indexed(r *Reader) error {
	pos := uint64(0) // the blocks before end here
	gap := false     // a handle between there and the next block is damaged
	var lo base.InternalKey
	for i := range r.index.len() {
		h, err := r.dataHandle(i)
		if err != nil || h.Offset < pos {
			gap = true
			continue
		}
		if gap {
			if err := v.scan(pos, h.Offset, r.where(pos)); err != nil {
				return err
			}
			gap = false
		}
		hi := r.index.separator(i)
		if err := v.indexedBlock(r, h, lo, hi); err != nil {
			return err
		}
		pos, lo = h.Offset+h.Size+trailerLen, hi
	}
	if gap {
		return v.scan(pos, max(pos, min(r.metaEnd, uint64(r.size))), r.where(pos))
	}
	return nil
}

// indexedBlock takes the block at h, whose keys lie behind lo and not behind hi.
func (v *salvage) indexedBlock(r *Reader, h Handle, lo, hi base.InternalKey) error {
	content, err := r.readBlock(nil, h)
	if err != nil {
		if !isDamage(err) {
			return err
		}
		v.lose(h.Offset, h.Offset+h.Size+trailerLen, lo.Clone(), hi.Clone(), err.Error())
		v.between = false
		return nil
	}
	entries, lost := v.entries(content)
	if lost {
		v.lose(h.Offset, h.Offset+h.Size+trailerLen, lo.Clone(), hi.Clone(), "malformed block, checksum right")
		v.between = false
	}
	kept := entries[:0]
	for _, e := range entries {
		if lo.UserKey != nil && v.o.Cmp.CompareInternal(e.k, lo) <= 0 || v.o.Cmp.CompareInternal(e.k, hi) > 0 {
			v.res.Misplaced++
			continue
		}
		kept = append(kept, e)
	}
	return v.take(kept)
}

// scan looks for blocks between two offsets by their checksums.
func (v *salvage) scan(from, end uint64, at block.Where) error {
	var content []byte
	f := newFinder(v.src, end, func(lo uint64, raw []byte) (ok bool) {
		content, ok = v.candidate(lo, raw)
		return ok
	})
	for from < end {
		lo, raw, ok, err := f.next(from)
		if err != nil {
			return fmt.Errorf("read table %s at offset %d: %w", v.o.Name, from, err)
		}
		if !ok {
			lo = end
		}
		if lo > from {
			v.lose(from, lo, v.after, base.InternalKey{}, "no block to be found")
		}
		if !ok || isIndex(content, lo) {
			return nil
		}
		entries, lost := v.entries(content)
		if lost {
			v.lose(lo, lo+uint64(len(raw)), v.after, base.InternalKey{}, "malformed block, checksum right")
		}
		if err := v.take(entries); err != nil {
			return err
		}
		from = lo + uint64(len(raw))
	}
	return nil
}

// candidate judges bytes with a right checksum: a block of internal keys, sound or
// not, is one. Filters and properties are none.
func (v *salvage) candidate(lo uint64, raw []byte) ([]byte, bool) {
	n := len(raw) - trailerLen
	if checksum.Mask(checksum.New(raw[:n+1])) != le32(raw[n+1:]) {
		return nil, false
	}
	content, err := decompress(nil, raw[:n], Compression(raw[n]))
	if err != nil {
		return nil, false
	}
	entries := 0
	block.Salvage(content, func(base.InternalKey, []byte) { entries++ })
	return content, entries > 0
}

// isIndex reports whether the block at offset at is an index: every value is a
// handle of a block before it, in order. Nobody stores such values by chance, and
// nobody who does gets to choose his offsets.
func isIndex(content []byte, at uint64) bool {
	pos, n := uint64(0), 0
	index := true
	block.Salvage(content, func(_ base.InternalKey, value []byte) {
		h, size := parseHandle(value)
		if size == 0 || size != len(value) || h.Offset < pos || h.Size >= at || h.Offset+h.Size+trailerLen > at {
			index = false
			return
		}
		pos = h.Offset + h.Size + trailerLen
		n++
	})
	return index && n > 0
}

// salvagedEntry owns its key; its value aliases the decoded block.
type salvagedEntry struct {
	k base.InternalKey
	v []byte
}

// entries returns the entries of a block that can be trusted. It keeps content.
func (v *salvage) entries(content []byte) (list []salvagedEntry, lost bool) {
	v.res.Blocks++
	lost = block.Salvage(content, func(k base.InternalKey, value []byte) {
		list = append(list, salvagedEntry{k.Clone(), value})
	})
	return list, lost
}

// take hands the entries of the next block on.
func (v *salvage) take(entries []salvagedEntry) error {
	if len(entries) == 0 {
		return nil
	}
	if v.between {
		v.between = false
		v.res.Losses[len(v.res.Losses)-1].UpTo = entries[0].k
	}
	v.after = entries[len(entries)-1].k
	return v.out.block(entries)
}

// lose notes that the bytes in [from, to) could not be read.
func (v *salvage) lose(from, to uint64, after, upTo base.InternalKey, reason string) {
	v.res.NumLosses++
	v.res.LostBytes += int64(to - from)
	v.between = false
	if len(v.res.Losses) < maxLosses {
		v.res.Losses = append(v.res.Losses, Loss{int64(from), int64(to - from), after, upTo, reason})
		v.between = true
	}
}

// A sorter passes on entries in order, of blocks that should be in order. Of
// entries that contradict each other it leaves out the fewest, looking at two
// blocks at a time: a key that is wrong must not cost those that follow it.
type sorter struct {
	cmp       *base.Comparer
	add       func(base.InternalKey, []byte) error
	misplaced *uint64

	pending []salvagedEntry
	last    base.InternalKey // the last one passed on
}

// block takes the next block. The one before is passed on.
func (s *sorter) block(entries []salvagedEntry) error {
	n := len(s.pending)
	all := append(s.pending, entries...)
	keep := s.ascending(all)
	for i, e := range all[:n] {
		if keep != nil && !keep[i] {
			*s.misplaced++
			continue
		}
		if err := s.add(e.k, e.v); err != nil {
			return err
		}
		s.last = e.k
	}
	s.pending = all[n:]
	return nil
}

// end passes on the last block.
func (s *sorter) end() error {
	err := s.block(nil)
	s.pending = nil
	return err
}

// ascending marks the longest ascending sequence of entries that lie behind the
// last one passed on; nil means all of them. Patience sorting: tails[n] is the
// entry that ends the lowest ascending sequence of n+1.
func (s *sorter) ascending(all []salvagedEntry) []bool {
	sound := true
	for i, e := range all {
		before := s.last
		if i > 0 {
			before = all[i-1].k
		}
		sound = sound && (before.UserKey == nil || s.cmp.CompareInternal(before, e.k) < 0)
	}
	if sound {
		return nil
	}
	var tails []int
	before := make([]int, len(all))
	for i, e := range all {
		if s.last.UserKey != nil && s.cmp.CompareInternal(e.k, s.last) <= 0 {
			continue
		}
		n, _ := slices.BinarySearchFunc(tails, e.k, func(j int, k base.InternalKey) int { return s.cmp.CompareInternal(all[j].k, k) })
		before[i] = -1
		if n > 0 {
			before[i] = tails[n-1]
		}
		if n == len(tails) {
			tails = append(tails, i)
		} else {
			tails[n] = i
		}
	}
	keep := make([]bool, len(all))
	if len(tails) > 0 {
		for i := tails[len(tails)-1]; i >= 0; i = before[i] {
			keep[i] = true
		}
	}
	return keep
}
