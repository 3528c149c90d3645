package iterator

import (
	"sort"

	"github.com/strata-db/strata/internal/base"
)

// A Run is some sources that follow each other in internal-key order, as the
// tables of one level do. They are found by internal key: in directories written
// by other engines two neighbours may hold versions of the same user key.
type Run interface {
	Len() int

	// Find returns the first source whose last key is not before k, or Len.
	Find(k base.InternalKey) int

	// Smallest returns the first key of source i.
	Smallest(i int) base.InternalKey

	// Open opens source i. Concat closes it.
	Open(i int) (Iterator, error)
}

// A Concat walks the sources of a Run one behind the other, opens them when they
// are needed and has at most one of them open. An error of either kind of source,
// Open's included, ends the walk until the next absolute positioning, which tries
// again.
type Concat struct {
	cmp *base.Comparer
	run Run
	n   int // run.Len()

	i   int      // the source at hand: -1 before the start, n past the end
	it  Iterator // source opened; nil if none is open
	cur int      // the number of the open source
	err error
}

// Init makes c walk run. It may be called anew after Close.
func (c *Concat) Init(cmp *base.Comparer, run Run) { *c = Concat{cmp: cmp, run: run, n: run.Len()} }

// NewConcat returns a Concat of n sources with numbers 0 to n-1. bounds returns
// the first and last key of source i; open opens it.
func NewConcat(cmp *base.Comparer, n int, bounds func(i int) (smallest, largest base.InternalKey), open func(i int) (Iterator, error)) *Concat {
	c := new(Concat)
	c.Init(cmp, &funcRun{cmp, n, bounds, open})
	return c
}

// funcRun is a Run made of functions.
type funcRun struct {
	cmp    *base.Comparer
	n      int
	bounds func(i int) (smallest, largest base.InternalKey)
	open   func(i int) (Iterator, error)
}

func (r *funcRun) Len() int { return r.n }

func (r *funcRun) Find(k base.InternalKey) int {
	return sort.Search(r.n, func(i int) bool {
		_, largest := r.bounds(i)
		return r.cmp.CompareInternal(largest, k) >= 0
	})
}

func (r *funcRun) Smallest(i int) base.InternalKey {
	smallest, _ := r.bounds(i)
	return smallest
}

func (r *funcRun) Open(i int) (Iterator, error) { return r.open(i) }

// use makes file i the open one. It reports false on an error.
func (c *Concat) use(i int) bool {
	c.i = i
	if c.it != nil && c.cur == i {
		return true
	}
	c.release() //nolint:errcheck // what it ended with was told when it did
	it, err := c.run.Open(i)
	if err != nil {
		c.err = err
		return false
	}
	c.it, c.cur = it, i
	return true
}

// release closes the open file.
func (c *Concat) release() error {
	if c.it == nil {
		return nil
	}
	it := c.it
	c.it = nil
	return it.Close()
}

// First implements Iterator.
func (c *Concat) First() *KV { return c.forward(0, nil) }

// Last implements Iterator.
func (c *Concat) Last() *KV { return c.backward(c.n-1, nil) }

// SeekGE implements Iterator.
func (c *Concat) SeekGE(key base.InternalKey) *KV { return c.forward(c.run.Find(key), &key) }

// SeekLT implements Iterator.
func (c *Concat) SeekLT(key base.InternalKey) *KV {
	i := c.run.Find(key)
	if i < c.n && c.cmp.CompareInternal(c.run.Smallest(i), key) < 0 {
		return c.backward(i, &key)
	}
	return c.backward(i-1, &key)
}

// forward returns the first entry of files i and up, not before key unless nil.
func (c *Concat) forward(i int, key *base.InternalKey) *KV {
	c.err = nil
	for ; i < c.n && c.use(i); i++ {
		var kv *KV
		if key != nil {
			kv = c.it.SeekGE(*key)
		} else {
			kv = c.it.First()
		}
		if kv != nil || c.failed() {
			return kv
		}
		key = nil // all of the next file lies behind it
	}
	c.i = i
	return nil
}

// backward returns the last entry of files i and down, before key unless nil.
func (c *Concat) backward(i int, key *base.InternalKey) *KV {
	c.err = nil
	for ; i >= 0 && c.use(i); i-- {
		var kv *KV
		if key != nil {
			kv = c.it.SeekLT(*key)
		} else {
			kv = c.it.Last()
		}
		if kv != nil || c.failed() {
			return kv
		}
		key = nil
	}
	c.i = i
	return nil
}

// failed takes over the open file's error, if it has one.
func (c *Concat) failed() bool {
	c.err = c.it.Err()
	return c.err != nil
}

// Next implements Iterator.
func (c *Concat) Next() *KV {
	if c.err != nil || c.i >= c.n {
		return nil
	}
	if c.i < 0 {
		return c.First()
	}
	if kv := c.it.Next(); kv != nil || c.failed() {
		return kv
	}
	return c.forward(c.i+1, nil)
}

// Prev implements Iterator.
func (c *Concat) Prev() *KV {
	if c.err != nil || c.i < 0 {
		return nil
	}
	if c.i >= c.n {
		return c.Last()
	}
	if kv := c.it.Prev(); kv != nil || c.failed() {
		return kv
	}
	return c.backward(c.i-1, nil)
}

// Err implements Iterator.
func (c *Concat) Err() error { return c.err }

// Close implements Iterator.
func (c *Concat) Close() error {
	err := c.err
	if e := c.release(); err == nil {
		err = e
	}
	c.run = nil
	return err
}
