package strata

import (
	"iter"
	"runtime/debug"
	"sync"
	"time"

	"github.com/strata-db/strata/internal/base"
	"github.com/strata-db/strata/internal/tablecache"
	"github.com/strata-db/strata/iterator"
	"github.com/strata-db/strata/sstable"
	"github.com/strata-db/strata/version"
)

// IterOptions says which keys an iterator shows. nil means all of them.
type IterOptions struct {
	// LowerBound is the first key that may be shown, UpperBound the first that
	// may not: [LowerBound, UpperBound). nil is open; an empty UpperBound that is
	// not nil is an empty range. They are copied.
	LowerBound, UpperBound []byte

	// NoCacheFill reads without leaving blocks in the cache, for long scans that
	// will not be repeated.
	NoCacheFill bool
}

// PrefixRange returns the options of an iterator over the keys that begin with
// prefix, in the order of BytewiseComparer.
func PrefixRange(prefix []byte) *IterOptions {
	o := &IterOptions{LowerBound: append([]byte{}, prefix...)}
	for n := len(prefix); n > 0; n-- {
		if c := prefix[n-1]; c != 0xff {
			o.UpperBound = append(append([]byte{}, prefix[:n-1]...), c+1)
			break
		}
	}
	return o
}

// An Iterator walks over keys in order, forwards and backwards, as the database
// was when it was made. It belongs to one goroutine and must be closed.
//
//	it := db.NewIterator(nil)
//	defer it.Close()
//	for it.First(); it.Valid(); it.Next() { … it.Key(), it.Value() … }
//	if err := it.Err(); err != nil { … }
//
// Before the first positioning, Next means First and Prev means Last, so loops
// of the form "for it.Next()" work too. Every positioning returns Valid. An
// error ends the walk and stays until the iterator is closed: damage is never
// stepped over.
type Iterator struct {
	db    *DB
	state *readState
	parts *iterParts
	err   error
	fresh bool // not positioned yet
	valid bool

	made       time.Time
	stack      []byte    // with Options.Debug
	next, prev *Iterator // in iteratorList
}

// NewIterator returns an iterator over the database as it is now, not yet
// positioned. On a closed DB its Err is ErrClosed.
func (d *DB) NewIterator(o *IterOptions) *Iterator { return d.newIterator(d.pin(), o, base.SeqNumMax) }

func (d *DB) newIterator(p pinned, o *IterOptions, at base.SeqNum) *Iterator {
	if p.readState == nil {
		return &Iterator{err: ErrClosed}
	}
	defer p.unpin() // deferred: a Comparer of the user's may panic
	rs := p.readState
	if at == base.SeqNumMax {
		at = base.SeqNum(d.commits.visible.Load())
	}
	if o == nil {
		o = &IterOptions{}
	}
	parts := iterPartsPool.Get().(*iterParts)
	it := &Iterator{db: d, state: rs, parts: parts, fresh: true, made: time.Now()}
	if d.opts.Debug {
		it.stack = debug.Stack()
	}
	parts.vis.Init(d.cmp, d.newInternalIterator(parts, rs, o), at, clone(o.LowerBound), clone(o.UpperBound))
	if d.cmp.EqualIsIdentical && onlyDistinct(rs) {
		parts.vis.AssumeDistinct()
	}
	rs.refs.Add(1)
	d.iterators.add(it)
	d.counters.iterators.Add(1)
	return it
}

// clone copies b and keeps the difference between nil and empty.
func clone(b []byte) []byte {
	if b == nil {
		return nil
	}
	return append([]byte{}, b...)
}

// iterParts are what an Iterator is made of. They are used again after Close; the
// Iterator, which its owner may still hold, is not.
type iterParts struct {
	vis     iterator.Visible
	merging iterator.Merging
	sources []iterator.Iterator
	levels  [version.NumLevels]levelRun
}

var iterPartsPool = sync.Pool{New: func() any { return new(iterParts) }}

func (p *iterParts) close() {
	p.vis.Close() //nolint:errcheck // told by Iterator.Err
	clear(p.sources)
	p.sources = p.sources[:0]
	for i := range p.levels {
		if p.levels[i].version != nil {
			p.levels[i] = levelRun{}
		}
	}
	iterPartsPool.Put(p)
}

// newInternalIterator merges everything rs holds, newest source first. p is
// empty, and not needed any more when the iterator is closed.
func (d *DB) newInternalIterator(p *iterParts, rs *readState, o *IterOptions) iterator.Iterator {
	for _, m := range rs.mems {
		if !m.table.Empty() {
			p.sources = append(p.sources, m.table.NewIter())
		}
	}
	topts := sstable.IterOptions{FillCache: !o.NoCacheFill}
	for _, f := range rs.version.Files(0) {
		if d.outside(f, o) {
			continue
		}
		it, err := openTable(f, topts)
		if err != nil {
			it = iterator.NewError(err)
		}
		p.sources = append(p.sources, it)
	}
	for level := 1; level < version.NumLevels; level++ {
		if len(rs.version.Files(level)) > 0 {
			p.sources = append(p.sources, p.levels[level].start(d.cmp, rs.version, level, topts))
		}
	}
	return p.merging.Init(d.cmp, p.sources...)
}

// onlyDistinct reports that all of rs is one run in which no user key has two
// entries, as after a full compaction.
func onlyDistinct(rs *readState) bool {
	for _, m := range rs.mems {
		if !m.table.Empty() {
			return false
		}
	}
	if len(rs.version.Files(0)) > 0 {
		return false
	}
	run := 0
	for level := 1; level < version.NumLevels; level++ {
		if len(rs.version.Files(level)) == 0 {
			continue
		}
		if run != 0 {
			return false
		}
		run = level
	}
	return run != 0 && rs.version.Distinct(run)
}

// A levelRun walks the tables of a level below 0, opening each when it is
// reached. It is the Run of its Concat.
type levelRun struct {
	iterator.Concat
	version *version.Version
	level   int
	files   []*version.FileMeta
	opts    sstable.IterOptions
}

// start returns an iterator over a level of v, which has tables there.
func (r *levelRun) start(cmp *base.Comparer, v *version.Version, level int, o sstable.IterOptions) iterator.Iterator {
	files := v.Files(level)
	if len(files) == 1 {
		if it, err := openTable(files[0], o); err == nil {
			return it
		}
	}
	r.version, r.level, r.files, r.opts = v, level, files, o
	r.Init(cmp, r)
	return r
}

func (r *levelRun) Len() int                              { return len(r.files) }
func (r *levelRun) Find(k base.InternalKey) int           { return r.version.Find(r.level, k) }
func (r *levelRun) Smallest(i int) base.InternalKey       { return r.files[i].Smallest }
func (r *levelRun) Open(i int) (iterator.Iterator, error) { return openTable(r.files[i], r.opts) }

func openTable(f *version.FileMeta, o sstable.IterOptions) (iterator.Iterator, error) {
	r, err := f.Table.(*tablecache.Table).Reader()
	if err != nil {
		return nil, err
	}
	return r.NewIter(o), nil
}

// outside reports that no key of f is within the bounds of o.
func (d *DB) outside(f *version.FileMeta, o *IterOptions) bool {
	return o.LowerBound != nil && d.cmp.Compare(f.Largest.UserKey, o.LowerBound) < 0 ||
		o.UpperBound != nil && d.cmp.Compare(f.Smallest.UserKey, o.UpperBound) >= 0
}

// ready reports whether the iterator may be moved. It counts as not positioned
// until moved: if a Comparer of the user's panics meanwhile, what it stood at may
// be gone, and only an absolute positioning is sound.
func (it *Iterator) ready() bool {
	if it.err != nil {
		it.valid = false
		return false
	}
	if it.db.closed.Load() {
		it.err = ErrClosed
		it.valid = false
		return false
	}
	it.fresh, it.valid = true, false
	return true
}

func (it *Iterator) moved(ok bool) bool {
	it.fresh, it.valid = false, ok
	if !ok {
		if err := it.parts.vis.Err(); err != nil {
			it.err = it.db.readError(err)
		}
	}
	return ok
}

// First moves to the first key.
func (it *Iterator) First() bool { return it.ready() && it.moved(it.parts.vis.First()) }

// Last moves to the last key.
func (it *Iterator) Last() bool { return it.ready() && it.moved(it.parts.vis.Last()) }

// SeekGE moves to the first key at or after key.
func (it *Iterator) SeekGE(key []byte) bool { return it.ready() && it.moved(it.parts.vis.SeekGE(key)) }

// SeekLT moves to the last key before key.
func (it *Iterator) SeekLT(key []byte) bool { return it.ready() && it.moved(it.parts.vis.SeekLT(key)) }

// Next moves to the next key; from before the first key, to the first.
func (it *Iterator) Next() bool {
	if it.fresh {
		return it.First()
	}
	return it.ready() && it.moved(it.parts.vis.Next())
}

// Prev moves to the previous key; from behind the last key, to the last.
func (it *Iterator) Prev() bool {
	if it.fresh {
		return it.Last()
	}
	return it.ready() && it.moved(it.parts.vis.Prev())
}

// Valid reports whether the iterator is at a key.
func (it *Iterator) Valid() bool { return it.valid }

// Key returns the current key, nil if there is none. It is valid until the
// iterator moves or is closed, and must not be modified.
func (it *Iterator) Key() []byte {
	if !it.valid {
		return nil
	}
	return it.parts.vis.Key()
}

// Value returns the current value, nil if there is none. It is valid until the
// iterator moves or is closed, and must not be modified.
func (it *Iterator) Value() []byte {
	if !it.valid {
		return nil
	}
	return it.parts.vis.Value()
}

// Err returns what ended the walk, nil at a plain end.
func (it *Iterator) Err() error { return it.err }

// Close lets go of what the iterator kept, and returns Err. It may be called
// twice; every other use after it gives ErrClosed.
func (it *Iterator) Close() error {
	if it.state == nil {
		if it.err == ErrClosed {
			return nil
		}
		return it.err
	}
	it.db.iterators.remove(it)
	it.parts.close()
	it.state.unref()
	err := it.err
	it.state, it.parts, it.valid = nil, nil, false
	it.err = ErrClosed
	if err == ErrClosed {
		return nil
	}
	return err
}

// All starts at the first key and walks forwards. It restarts the iterator, and
// does not close it. key and value are valid for the one step.
func (it *Iterator) All() iter.Seq2[[]byte, []byte] {
	return func(yield func(k, v []byte) bool) {
		for ok := it.First(); ok; ok = it.Next() {
			if !yield(it.Key(), it.Value()) {
				return
			}
		}
	}
}

// Backward starts at the last key and walks backwards. It restarts the iterator,
// and does not close it. key and value are valid for the one step.
func (it *Iterator) Backward() iter.Seq2[[]byte, []byte] {
	return func(yield func(k, v []byte) bool) {
		for ok := it.Last(); ok; ok = it.Prev() {
			if !yield(it.Key(), it.Value()) {
				return
			}
		}
	}
}

// rangeOver is Range for what has iterators.
func rangeOver(r Reader, o *IterOptions, errp *error) iter.Seq2[[]byte, []byte] {
	return func(yield func(k, v []byte) bool) {
		it := r.NewIterator(o)
		defer func() {
			err := it.Err()
			it.Close()
			if errp != nil {
				*errp = err
			}
		}()
		for k, v := range it.All() {
			if !yield(k, v) {
				return
			}
		}
	}
}

// iteratorList holds the open iterators in a ring around root, for metrics and
// to name leaked ones.
type iteratorList struct {
	sync.Mutex
	root Iterator
	n    int
}

func (l *iteratorList) init() { l.root.next, l.root.prev = &l.root, &l.root }

func (l *iteratorList) add(it *Iterator) {
	l.Lock()
	it.prev, it.next = l.root.prev, &l.root
	it.prev.next, it.next.prev = it, it
	l.n++
	l.Unlock()
}

func (l *iteratorList) remove(it *Iterator) {
	l.Lock()
	it.prev.next, it.next.prev = it.next, it.prev
	l.n--
	l.Unlock()
}

func (l *iteratorList) open() []*Iterator {
	l.Lock()
	defer l.Unlock()
	var out []*Iterator
	for it := l.root.next; it != &l.root; it = it.next {
		out = append(out, it)
	}
	return out
}
