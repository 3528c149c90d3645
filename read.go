package strata

import (
	"iter"

	"github.com/strata-db/strata/internal/base"
	"github.com/strata-db/strata/internal/tablecache"
	"github.com/strata-db/strata/sstable"
	"github.com/strata-db/strata/version"
)

// Reader is what a DB and a Snapshot share.
type Reader interface {
	Get(key []byte) ([]byte, error)
	Append(dst, key []byte) ([]byte, error)
	Has(key []byte) (bool, error)
	View(key []byte, fn func(value []byte) error) error
	NewIterator(o *IterOptions) *Iterator
	Range(o *IterOptions, errp *error) iter.Seq2[[]byte, []byte]
}

var (
	_ Reader = (*DB)(nil)
	_ Reader = (*Snapshot)(nil)
)

// Get returns the value of key, in a slice the caller owns, or ErrNotFound. An
// empty value is an empty slice that is not nil.
func (d *DB) Get(key []byte) ([]byte, error) { return d.appendAt(d.pin(), nil, key, base.SeqNumMax) }

// Append appends the value of key to dst and returns the result, or dst as it
// was and ErrNotFound. It is Get without an allocation.
func (d *DB) Append(dst, key []byte) ([]byte, error) {
	return d.appendAt(d.pin(), dst, key, base.SeqNumMax)
}

// Has reports whether key has a value.
func (d *DB) Has(key []byte) (bool, error) { return d.hasAt(d.pin(), key, base.SeqNumMax) }

// View calls fn with the value of key, without copying it, and returns what fn
// returns; or ErrNotFound, without a call. The value is valid inside fn and must
// not be modified. fn may call anything on the DB but Close, and may block.
func (d *DB) View(key []byte, fn func(value []byte) error) error {
	return d.viewAt(d.pin(), key, base.SeqNumMax, fn)
}

// appendAt is Append in a pinned state, as of at, and takes the pin back. So do
// hasAt and viewAt. An empty pin is that of a closed DB.
func (d *DB) appendAt(p pinned, dst, key []byte, at base.SeqNum) ([]byte, error) {
	if p.readState == nil {
		return dst, ErrClosed
	}
	defer p.unpin() // deferred: a Comparer of the user's may panic
	value, ok, err := d.lookup(p.readState, key, at)
	switch {
	case err != nil:
	case !ok:
		err = ErrNotFound
	case dst == nil:
		dst = make([]byte, len(value))
		copy(dst, value)
	default:
		dst = append(dst, value...)
	}
	return dst, err
}

func (d *DB) hasAt(p pinned, key []byte, at base.SeqNum) (bool, error) {
	if p.readState == nil {
		return false, ErrClosed
	}
	defer p.unpin()
	_, ok, err := d.lookup(p.readState, key, at)
	return ok, err
}

func (d *DB) viewAt(p pinned, key []byte, at base.SeqNum, fn func([]byte) error) error {
	if p.readState == nil {
		return ErrClosed
	}
	defer p.unpin()
	value, ok, err := d.lookup(p.readState, key, at)
	if err != nil {
		return err
	}
	if !ok {
		return ErrNotFound
	}
	return fn(value)
}

// lookup finds the newest entry of key visible at at. The value aliases memory
// that rs keeps.
//
// The visible sequence number is read after the state was pinned: what a
// compaction dropped from that state was shadowed at a number that is visible by
// now. Entries published later into a newer memtable are not in the state, so
// the read is as of the moment of the pin.
func (d *DB) lookup(rs *readState, key []byte, at base.SeqNum) (value []byte, ok bool, err error) {
	if at == base.SeqNumMax {
		at = base.SeqNum(d.commits.visible.Load())
	}
	d.counters.gets.add(1)
	for _, m := range rs.mems {
		if value, kind, found := m.table.Get(key, at); found {
			return value, kind == KindSet, nil
		}
	}
	g := tableGet{db: d, key: key, at: at, hash: sstable.HashKey(key)}
	if g.level0(rs.version) {
		return g.result()
	}
	for level := 1; level < version.NumLevels; level++ {
		if g.level(rs.version, level) {
			return g.result()
		}
	}
	return nil, false, nil
}

// tableGet is a point read on its way down the levels.
type tableGet struct {
	db   *DB
	key  []byte
	at   base.SeqNum
	hash sstable.KeyHash

	found bool
	value []byte
	tr    base.Trailer
	err   error
}

// result turns what was found into lookup's result.
func (g *tableGet) result() ([]byte, bool, error) {
	if g.err != nil {
		return nil, false, g.err
	}
	return g.value, g.tr.Kind() == KindSet, nil
}

// level0 asks the tables of level 0, newest number first. The highest sequence
// number wins: in a repaired or foreign directory that need not be the first
// hit, so the search ends early only past tables whose bounds are known. It
// reports whether the read is answered.
func (g *tableGet) level0(v *version.Version) bool {
	for _, f := range v.Files(0) {
		if !g.covers(f) {
			continue
		}
		if g.found {
			r, ok := g.open(f) // fills in the bounds
			if !ok {
				return true
			}
			if b, ok := f.SeqBounds(); ok && b.Largest < g.tr.SeqNum() {
				continue
			}
			_ = r
		}
		if !g.probe(f) {
			return true
		}
	}
	return g.found
}

// level asks the tables of one sorted level. Foreign directories may have
// versions of one user key at the end of one table and the start of the next.
func (g *tableGet) level(v *version.Version, level int) bool {
	files := v.Files(level)
	if len(files) == 0 {
		return false
	}
	for i := v.Find(level, base.SeekKey(g.key, g.at)); i < len(files); i++ {
		f := files[i]
		if g.db.cmp.Compare(g.key, f.Smallest.UserKey) < 0 {
			return false
		}
		if !g.probe(f) || g.found {
			return true
		}
		if g.db.cmp.Compare(g.key, f.Largest.UserKey) < 0 {
			return false
		}
	}
	return false
}

func (g *tableGet) covers(f *version.FileMeta) bool {
	cmp := g.db.cmp.Compare
	return cmp(g.key, f.Smallest.UserKey) >= 0 && cmp(g.key, f.Largest.UserKey) <= 0
}

func (g *tableGet) open(f *version.FileMeta) (*sstable.Reader, bool) {
	r, err := f.Table.(*tablecache.Table).Reader()
	if err != nil {
		g.err = g.db.readError(err)
		return nil, false
	}
	return r, true
}

// probe reads the key in f and keeps the entry if it is the newest so far. It
// reports false on an error.
func (g *tableGet) probe(f *version.FileMeta) bool {
	r, ok := g.open(f)
	if !ok {
		return false
	}
	value, tr, found, err := r.Get(g.key, g.at, g.hash)
	if err != nil {
		g.err = g.db.readError(err)
		return false
	}
	if found && (!g.found || tr > g.tr) {
		g.found, g.value, g.tr = true, value, tr
	}
	return true
}
