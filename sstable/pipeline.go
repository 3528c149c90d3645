package sstable

import (
	"runtime"
	"sync/atomic"

	"github.com/strata-db/strata/sstable/block"
)

// A scan hands the decoding of the blocks ahead of it to another goroutine. They
// come in batches, because waking a goroutine costs about as much as decoding a
// block.
const (
	// pipelineMisses is after how many neighbouring blocks that had to be read a
	// scan gets a pipeline. Short scans never pay for one.
	pipelineMisses = 8

	// minPipeline is how many blocks must be left to be worth it.
	minPipeline = 8

	firstBatch = 4
	maxBatch   = 16
	batchBytes = 128 << 10 // decoded; a batch ends with the block that reaches it

	batches = 3 // one walked, one ready, one being made
)

// decoded is one block of a batch.
type decoded struct {
	i     int
	where block.Where
	data  []byte
	index block.Index
	err   error // ends the pipeline
}

// A batch is some neighbouring blocks. buffers hold those that are not for the
// cache, and are used again.
type batch struct {
	blocks  []decoded
	buffers [][]byte
}

// A pipeline decodes blocks in order on its own goroutine. take and stop are
// called by the goroutine of its Iter.
type pipeline struct {
	r     *Reader
	o     IterOptions
	ahead readAhead

	out     chan *batch // closed when the goroutine ends
	free    chan *batch
	stopped atomic.Bool

	cur *batch // the one being walked
	pos int    // in cur
}

// newPipeline begins to decode from block i on.
func newPipeline(r *Reader, o IterOptions, i int) *pipeline {
	p := &pipeline{r: r, o: o, out: make(chan *batch, batches), free: make(chan *batch, batches)}
	p.ahead.init(r, true)
	for range batches {
		p.free <- new(batch)
	}
	go p.run(i)
	return p
}

// worthPipeline reports whether a scan that just read block i should get one.
func (it *Iter) worthPipeline(i int, forward bool) bool {
	return forward && !it.o.SameGoroutine && i+minPipeline < it.r.index.len() &&
		(it.o.Compaction || it.ahead.run >= pipelineMisses) && runtime.GOMAXPROCS(0) > 1
}

func (p *pipeline) run(i int) {
	defer close(p.out)
	for n := firstBatch; ; n = min(2*n, maxBatch) {
		b := <-p.free
		if b == nil || p.stopped.Load() {
			return
		}
		var last bool
		i, last = p.fill(b, i, n)
		p.out <- b // has room for all batches
		if last {
			return
		}
	}
}

// fill decodes up to n blocks from i on into b. It returns the next block, and
// whether b is the last batch: at the end of the table, after an error, or if
// everything was in the cache already.
func (p *pipeline) fill(b *batch, i, n int) (next int, last bool) {
	b.blocks = b.blocks[:0]
	size, cached := 0, 0
	for len(b.blocks) < n && size < batchBytes && i < p.r.index.len() && !p.stopped.Load() {
		d, hit := p.decode(b, i)
		b.blocks = append(b.blocks, d)
		if d.err != nil {
			return i, true
		}
		if hit {
			cached++
		}
		size += len(d.data)
		i++
	}
	return i, i == p.r.index.len() || cached == len(b.blocks)
}

// decode makes block i, the next one of b.
func (p *pipeline) decode(b *batch, i int) (d decoded, hit bool) {
	d.i = i
	if !p.o.Compaction {
		if c := p.r.slots.Get(i); c != nil {
			d.data, d.index, d.where = c.Data, indexOf(c), p.r.where(p.r.index.offsets[i])
			return d, true
		}
	}
	h, err := p.r.dataHandle(i)
	d.where = p.r.where(h.Offset)
	var raw []byte
	if err == nil {
		raw, err = p.ahead.read(i, h, true)
	}
	switch {
	case err != nil:
	case p.o.FillCache && p.ahead.fills():
		d.data, d.index, err = p.r.keep(i, raw, h, p.ahead.long())
	default:
		d.data, err = p.r.decodeBlock(b.buffer(len(b.blocks)), raw, h)
		if err == nil {
			b.setBuffer(len(b.blocks), d.data)
			err = block.Check(d.data, d.where)
		}
	}
	d.err = err
	return d, false
}

// buffer returns memory for block j of the batch.
func (b *batch) buffer(j int) []byte {
	for j >= len(b.buffers) {
		b.buffers = append(b.buffers, nil)
	}
	return b.buffers[j]
}

// setBuffer keeps the memory of block j for the next time, unless it is unusually
// large.
func (b *batch) setBuffer(j int, data []byte) {
	if cap(data) <= batchBytes {
		b.buffers[j] = data
	}
}

// take returns block i if it is the next one, waiting for it; nil if it is
// another, or the pipeline has ended. What was returned before is invalid.
func (p *pipeline) take(i int) *decoded {
	for p.cur == nil || p.pos == len(p.cur.blocks) {
		if p.cur != nil {
			p.free <- p.cur // has room for all batches
		}
		p.pos = 0
		if p.cur = <-p.out; p.cur == nil {
			return nil
		}
	}
	d := &p.cur.blocks[p.pos]
	if d.i != i {
		return nil
	}
	p.pos++
	return d
}

// stop ends the goroutine and waits for it: the table's file may be closed
// afterwards. That takes the decoding of one block at most.
func (p *pipeline) stop() {
	p.stopped.Store(true)
	close(p.free)
	for range p.out {
	}
}
