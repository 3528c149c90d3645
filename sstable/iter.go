package sstable

import (
	"sync"

	"github.com/strata-db/strata/internal/base"
	"github.com/strata-db/strata/iterator"
	"github.com/strata-db/strata/sstable/block"
)

// IterOptions says what an Iter is for.
type IterOptions struct {
	// Compaction is for a walk over the whole table: it leaves the cache alone
	// and reads far ahead.
	Compaction bool

	// FillCache puts the blocks that had to be read into the cache.
	FillCache bool

	// SameGoroutine forbids decoding ahead on another goroutine, which long scans
	// and compactions do otherwise.
	SameGoroutine bool
}

// An Iter walks a table. It is an iterator.Iterator. The table's file must stay
// readable until Close.
type Iter struct {
	r   *Reader
	o   IterOptions
	blk block.Iter

	// i is the block that blk walks. -1 before the start, the number of blocks
	// past the end; blk is empty then, and after an error.
	i   int
	err error

	pipe    *pipeline // decodes ahead; nil unless a scan is under way
	ahead   readAhead
	scratch []byte // decoded block, if it is not for the cache
}

// iterPool holds closed Iters: to clear a new one costs as much as to search a
// block.
var iterPool = sync.Pool{New: func() any { return new(Iter) }}

// NewIter returns an Iter before the start of the table. After its Close it may
// become another caller's.
func (r *Reader) NewIter(o IterOptions) *Iter {
	if o.Compaction || r.cache == nil || r.cache.Capacity() == 0 {
		o.FillCache = false
	}
	it := iterPool.Get().(*Iter)
	it.r, it.o, it.i, it.err = r, o, -1, nil
	it.ahead.init(r, o.Compaction)
	return it
}

// First implements iterator.Iterator.
func (it *Iter) First() *iterator.KV {
	it.reset(-1)
	return it.nextBlock()
}

// Last implements iterator.Iterator.
func (it *Iter) Last() *iterator.KV {
	it.reset(it.r.index.len())
	return it.prevBlock()
}

// SeekGE implements iterator.Iterator.
func (it *Iter) SeekGE(k base.InternalKey) *iterator.KV {
	it.err = nil
	if i := it.r.index.seek(k); i >= it.r.index.len() {
		it.reset(i)
		return nil
	} else if !it.load(i) {
		return nil
	}
	if kv := it.blk.SeekGE(k); kv != nil {
		return kv
	}
	return it.nextBlock()
}

// SeekLT implements iterator.Iterator.
func (it *Iter) SeekLT(k base.InternalKey) *iterator.KV {
	it.err = nil
	i := it.r.index.seek(k)
	if i >= it.r.index.len() {
		it.reset(i)
	} else {
		if !it.load(i) {
			return nil
		}
		if kv := it.blk.SeekLT(k); kv != nil {
			return kv
		}
	}
	return it.prevBlock()
}

// Next implements iterator.Iterator.
func (it *Iter) Next() *iterator.KV {
	if kv := it.blk.Next(); kv != nil {
		return kv
	}
	return it.nextBlock()
}

// Prev implements iterator.Iterator.
func (it *Iter) Prev() *iterator.KV {
	if kv := it.blk.Prev(); kv != nil {
		return kv
	}
	return it.prevBlock()
}

// nextBlock goes to the first entry behind the current block.
func (it *Iter) nextBlock() *iterator.KV {
	for !it.failed() && it.i+1 < it.r.index.len() {
		if !it.load(it.i + 1) {
			return nil
		}
		if kv := it.blk.First(); kv != nil {
			return kv
		}
	}
	if it.err == nil {
		it.reset(it.r.index.len())
	}
	return nil
}

// prevBlock goes to the last entry before the current block.
func (it *Iter) prevBlock() *iterator.KV {
	for !it.failed() && it.i > 0 {
		if !it.load(it.i - 1) {
			return nil
		}
		if kv := it.blk.Last(); kv != nil {
			return kv
		}
	}
	if it.err == nil {
		it.reset(-1)
	}
	return nil
}

// failed takes over an error of the block's iterator.
func (it *Iter) failed() bool {
	if it.err == nil {
		if err := it.blk.Err(); err != nil {
			it.fail(err)
		}
	}
	return it.err != nil
}

func (it *Iter) fail(err error) bool {
	it.err = err
	it.blk.Reset()
	return false
}

// reset leaves all blocks: i is -1 or the number of blocks.
func (it *Iter) reset(i int) {
	it.i, it.err = i, nil
	it.blk.Reset()
}

// load makes blk walk block i, from before its start. It reports false after an
// error.
func (it *Iter) load(i int) bool {
	forward := i >= it.i
	it.i = i
	if it.pipe != nil {
		if d := it.pipe.take(i); d != nil {
			if d.err != nil {
				return it.fail(d.err)
			}
			it.blk.Init(it.r.cmp, d.data, d.index, d.where)
			return true
		}
		it.stopPipe()
	}
	if !it.o.Compaction {
		if b := it.r.slots.Get(i); b != nil {
			it.ahead.hit()
			it.blk.Init(it.r.cmp, b.Data, indexOf(b), it.r.where(it.r.index.offsets[i]))
			return true
		}
	}
	data, x, at, err := it.read(i, forward)
	if err != nil {
		return it.fail(err)
	}
	it.blk.Init(it.r.cmp, data, x, at)
	if it.worthPipeline(i, forward) {
		it.pipe = newPipeline(it.r, it.o, i+1)
	}
	return true
}

// read reads and decodes block i.
func (it *Iter) read(i int, forward bool) (data []byte, x block.Index, at block.Where, err error) {
	h, err := it.r.dataHandle(i)
	if err != nil {
		return nil, x, at, err
	}
	at = it.r.where(h.Offset)
	raw, err := it.ahead.read(i, h, forward)
	if err != nil {
		return nil, x, at, err
	}
	if it.o.FillCache && it.ahead.fills() {
		data, x, err = it.r.keep(i, raw, h, it.ahead.long())
		return data, x, at, err
	}
	data, err = it.r.decodeBlock(it.scratch, raw, h)
	if err != nil {
		return nil, x, at, err
	}
	if cap(data) <= keepBytes {
		it.scratch = data
	}
	return data, x, at, block.Check(data, at)
}

// keep decodes a block into memory of its own and puts it into the cache.
func (r *Reader) keep(i int, raw []byte, h Handle, cold bool) ([]byte, block.Index, error) {
	content, err := r.decodeBlock(nil, raw, h)
	if err != nil {
		return nil, block.Index{}, err
	}
	b, err := r.newBlock(content, h)
	if err != nil {
		return nil, block.Index{}, err
	}
	b = r.slots.Put(i, b, cold)
	return b.Data, indexOf(b), nil
}

func (it *Iter) stopPipe() {
	if it.pipe != nil {
		it.pipe.stop()
		it.pipe = nil
	}
}

// Err implements iterator.Iterator.
func (it *Iter) Err() error {
	if it.err == nil {
		return it.blk.Err()
	}
	return it.err
}

// Close implements iterator.Iterator. A second call does nothing, unless the Iter
// has become another caller's meanwhile: nobody should rely on it.
func (it *Iter) Close() error {
	if it.r == nil {
		return nil
	}
	err := it.Err()
	it.stopPipe()
	it.blk.Close() //nolint:errcheck // told by Err
	it.ahead = readAhead{}
	it.scratch = nil
	it.r = nil
	iterPool.Put(it)
	return err
}
