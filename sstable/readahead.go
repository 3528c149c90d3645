package sstable

// Read-ahead sizes, in bytes of the file. A walk that misses the cache begins
// with single blocks and doubles up to maxAhead; a compaction begins there.
const (
	minAhead = 32 << 10
	maxAhead = 256 << 10

	// sequentialMisses is after how many neighbouring blocks that had to be read
	// a walk counts as a scan.
	sequentialMisses = 2

	// longMisses is after how many the blocks go into the cache as cold, and only
	// while it has room: after about a megabyte of blocks that nobody else may
	// want. A scan that kept on would pay for memory to evict its own blocks.
	longMisses = 256

	// roomEvery is after how many blocks a long scan asks again for room.
	roomEvery = 64
)

// readAhead reads the blocks of one Iter, in larger pieces once it moves
// straight.
type readAhead struct {
	r      *Reader
	chunk  int // bytes to read at a time; 0: one block
	always bool

	last int  // the block read last
	run  int  // how many neighbours were read in a row
	room bool // the cache had room when a long scan last asked

	buf []byte // what was read, from file offset off
	off uint64
}

func (a *readAhead) init(r *Reader, always bool) {
	a.r, a.always, a.last = r, always, -2
	if always {
		a.chunk = maxAhead
	}
}

// hit tells that a block was found in the cache: reading ahead would be reading
// in vain.
func (a *readAhead) hit() {
	if !a.always {
		a.chunk, a.run = 0, 0
	}
}

// long reports whether the walk has read enough in a row to look like one that
// will not come back.
func (a *readAhead) long() bool { return a.run >= longMisses }

// fills reports whether the block read last is worth a place in the cache.
func (a *readAhead) fills() bool {
	if !a.long() {
		return true
	}
	if (a.run-longMisses)%roomEvery == 0 {
		m := a.r.cache.Metrics()
		a.room = m.Bytes < m.Capacity-m.Capacity/16
	}
	return a.room
}

// read returns block i, at h, as it is on disk with its trailer. The bytes are
// a's, valid until the next read.
func (a *readAhead) read(i int, h Handle, forward bool) ([]byte, error) {
	a.note(i)
	n := h.Size + trailerLen
	if h.Offset >= a.off && h.Offset+n <= a.off+uint64(len(a.buf)) {
		return a.buf[h.Offset-a.off:][:n], nil
	}
	off, size := h.Offset, n
	if chunk := uint64(a.chunk); chunk > n {
		size = chunk
		if forward {
			size = min(size, uint64(a.r.size)-footerLen-off)
		} else if end := h.Offset + n; end > size {
			off = end - size
		} else {
			off, size = 0, end
		}
	}
	err := a.fill(off, size)
	if err != nil && size > n {
		// What cannot be read may lie beyond this block.
		off = h.Offset
		err = a.fill(off, n)
	}
	if err != nil {
		return nil, err
	}
	return a.buf[h.Offset-off:][:n], nil
}

func (a *readAhead) fill(off, size uint64) error {
	if cap(a.buf) > keepBytes && size <= maxAhead {
		a.buf = nil // it was for an unusually large block
	}
	a.buf, a.off = room(a.buf, int(size)), off
	err := a.r.readAt(a.buf, off)
	if err != nil {
		a.buf = a.buf[:0]
	}
	return err
}

// note counts neighbours and sets the size of the next piece.
func (a *readAhead) note(i int) {
	switch {
	case i == a.last+1 || i == a.last-1:
		a.run++
	default:
		a.run = 0
	}
	a.last = i
	if a.always {
		return
	}
	switch {
	case a.run < sequentialMisses:
		a.chunk = 0
	case a.chunk == 0:
		a.chunk = minAhead
	case a.run%8 == 0:
		a.chunk = min(2*a.chunk, maxAhead)
	}
}
