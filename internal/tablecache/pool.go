package tablecache

import (
	"errors"
	"sync"
	"sync/atomic"
	"syscall"

	"github.com/strata-db/strata/vfs"
)

const (
	// openAttempts bounds how often an open that the operating system refused
	// for want of descriptors is tried again after closing some.
	openAttempts = 8
	// shedFraction of the open descriptors, at least one, is closed before such
	// an attempt: others in the process compete for what is freed.
	shedFraction = 8
)

// A pool owns the descriptors.
type pool struct {
	fs  vfs.FS
	max int

	mu     sync.Mutex
	cond   sync.Cond // signalled when a handle may be idle, closed or ready
	open   int       // descriptors open or being opened or closed; at most max
	ring   []*handle // those that may be lent
	hand   int
	closed bool

	opens, evictions, waits, refused int64

	// waiting is the number of goroutines that found nothing idle. It is raised
	// before they look for the last time, and release looks at it after it gave
	// a handle back, so one of the two sees the other.
	waiting atomic.Int32
}

func (p *pool) init(fs vfs.FS, maxOpen int) {
	p.fs, p.max = fs, maxOpen
	p.cond.L = &p.mu
}

// handle lends f's handle after opening it, or after somebody else has.
func (p *pool) handle(f *file) (*handle, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for {
		if p.closed || f.gone {
			return nil, f.errGone()
		}
		if h := f.cur.Load(); h != nil && h.ref() {
			return h, nil
		}
		switch {
		case f.opening:
			p.cond.Wait()
		case p.open < p.max:
			return p.openFile(f)
		default:
			p.makeRoom()
		}
	}
}

// makeRoom closes an idle handle, or waits for a moment at which there may be
// one. p.mu is held, and let go meanwhile.
func (p *pool) makeRoom() {
	if p.closeIdle() {
		return
	}
	p.waiting.Add(1)
	if !p.closeIdle() {
		p.waits++
		p.cond.Wait()
	}
	p.waiting.Add(-1)
}

// openFile opens f and lends its handle. p.mu is held, and let go meanwhile.
func (p *pool) openFile(f *file) (*handle, error) {
	p.open++
	f.opening = true
	raw, err := p.openRaw(f)
	f.opening = false
	defer p.cond.Broadcast()
	if err != nil {
		p.open--
		return nil, f.openError(err)
	}
	p.opens++
	h := &handle{raw: raw, f: f, pos: -1}
	if p.closed || f.gone {
		p.closeRaw(h)
		return nil, f.errGone()
	}
	h.refs.Store(2)
	h.pos = len(p.ring)
	p.ring = append(p.ring, h)
	f.cur.Store(h)
	return h, nil
}

// openRaw opens the file, shedding idle descriptors if the system has no more.
func (p *pool) openRaw(f *file) (raw vfs.File, err error) {
	for range openAttempts {
		p.mu.Unlock()
		raw, err = p.fs.Open(f.path)
		p.mu.Lock()
		if !errors.Is(err, syscall.EMFILE) && !errors.Is(err, syscall.ENFILE) {
			break
		}
		p.refused++
		if !p.shed() {
			break
		}
	}
	return raw, err
}

// shed closes some idle handles and reports whether there were any.
func (p *pool) shed() bool {
	n := 0
	for want := max(1, len(p.ring)/shedFraction); n < want && p.closeIdle(); n++ {
	}
	return n > 0
}

// closeIdle closes the idle handle that was used least lately, and reports false
// if none is idle. p.mu is held, and let go during the close.
func (p *pool) closeIdle() bool {
	h := p.takeIdle()
	if h == nil {
		return false
	}
	p.evictions++
	p.closeRaw(h)
	return true
}

// takeIdle walks the clock, two turns at most, and takes the first handle that
// has no user and was not used since the hand last passed.
func (p *pool) takeIdle() *handle {
	for range 2 * len(p.ring) {
		if p.hand >= len(p.ring) {
			p.hand = 0
		}
		h := p.ring[p.hand]
		if h.refs.Load() == 1 && !h.used.Swap(false) && h.refs.CompareAndSwap(1, 0) {
			p.remove(h)
			return h
		}
		p.hand++
	}
	return nil
}

// remove takes h out of the ring: it is lent no more. p.mu is held.
func (p *pool) remove(h *handle) {
	last := len(p.ring) - 1
	p.ring[h.pos] = p.ring[last]
	p.ring[h.pos].pos = h.pos
	p.ring[last] = nil
	p.ring = p.ring[:last]
	h.pos = -1
	h.f.cur.Store(nil)
}

// closeRaw closes the descriptor of a handle that nobody can reach. Nothing was
// written through it, so an error of the close means nothing. p.mu is held, and
// let go meanwhile: the descriptor counts until it is closed.
func (p *pool) closeRaw(h *handle) {
	p.mu.Unlock()
	h.raw.Close()
	p.mu.Lock()
	p.open--
	p.cond.Broadcast()
}

// release gives a lent handle back.
func (p *pool) release(h *handle) {
	switch n := h.refs.Add(-1); {
	case n == 0: // it left the ring while it was lent
		p.mu.Lock()
		p.closeRaw(h)
		p.mu.Unlock()
	case n == 1 && p.waiting.Load() > 0:
		p.mu.Lock()
		p.cond.Broadcast()
		p.mu.Unlock()
	}
}

// evict closes f for ever: at once, or when the last user is done.
func (p *pool) evict(f *file) {
	p.mu.Lock()
	defer p.mu.Unlock()
	f.gone = true
	if h := f.cur.Load(); h != nil {
		p.retire(h)
	}
	p.cond.Broadcast()
}

// retire takes h out of the ring and gives up the pool's reference.
func (p *pool) retire(h *handle) {
	p.remove(h)
	if h.refs.Add(-1) == 0 {
		p.closeRaw(h)
	}
}

// close retires every handle and returns when all are closed. Those in use are
// closed by their last user, at the end of one read.
func (p *pool) close() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.closed = true
	for len(p.ring) > 0 {
		p.retire(p.ring[len(p.ring)-1])
	}
	p.cond.Broadcast()
	for p.open > 0 {
		p.cond.Wait()
	}
}

func (p *pool) addMetrics(m *Metrics) {
	p.mu.Lock()
	defer p.mu.Unlock()
	m.OpenFiles, m.MaxOpenFiles = p.open, p.max
	m.Opens, m.Evictions, m.Waits, m.Refused = p.opens, p.evictions, p.waits, p.refused
}
