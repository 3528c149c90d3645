package iterator

import (
	"sort"

	"github.com/strata-db/strata/internal/base"
)

// concat walks the files of one run one behind the other and has at most one of
// them open.
//
// Files are found by internal key: in directories written by other engines two
// neighbours may hold versions of the same user key.
type concat struct {
	cmp    *base.Comparer
	n      int
	bounds func(i int) (smallest, largest base.InternalKey)
	open   func(i int) (Iterator, error)

	i   int      // the file at hand: -1 before the start, n past the end
	it  Iterator // file opened; nil if none is open
	cur int      // the number of the open file
	err error
}

// NewConcat returns a source of the entries of n sources with numbers 0 to n-1,
// which follow each other in internal-key order and are opened when they are
// needed. bounds returns the first and last key of source i; open opens it. An
// error of either kind of source, open's included, ends the walk until the next
// absolute positioning, which tries again.
func NewConcat(cmp *base.Comparer, n int, bounds func(i int) (smallest, largest base.InternalKey), open func(i int) (Iterator, error)) Iterator {
	return &concat{cmp: cmp, n: n, bounds: bounds, open: open}
}

// use makes file i the open one. It reports false on an error.
func (c *concat) use(i int) bool {
	c.i = i
	if c.it != nil && c.cur == i {
		return true
	}
	if c.err = c.release(); c.err != nil {
		return false
	}
	it, err := c.open(i)
	if err != nil {
		c.err = err
		return false
	}
	c.it, c.cur = it, i
	return true
}

// release closes the open file.
func (c *concat) release() error {
	if c.it == nil {
		return nil
	}
	it := c.it
	c.it = nil
	return it.Close()
}

func (c *concat) First() *KV { return c.forward(0, nil) }

func (c *concat) Last() *KV { return c.backward(c.n-1, nil) }

func (c *concat) SeekGE(key base.InternalKey) *KV {
	i := sort.Search(c.n, func(i int) bool {
		_, largest := c.bounds(i)
		return c.cmp.CompareInternal(largest, key) >= 0
	})
	return c.forward(i, &key)
}

func (c *concat) SeekLT(key base.InternalKey) *KV {
	i := sort.Search(c.n, func(i int) bool {
		smallest, _ := c.bounds(i)
		return c.cmp.CompareInternal(smallest, key) >= 0
	})
	return c.backward(i-1, &key)
}

// forward returns the first entry of files i and up, not before key unless nil.
func (c *concat) forward(i int, key *base.InternalKey) *KV {
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
func (c *concat) backward(i int, key *base.InternalKey) *KV {
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
func (c *concat) failed() bool {
	c.err = c.it.Err()
	return c.err != nil
}

func (c *concat) Next() *KV {
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

func (c *concat) Prev() *KV {
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

func (c *concat) Err() error { return c.err }

func (c *concat) Close() error {
	err := c.err
	if e := c.release(); err == nil {
		err = e
	}
	return err
}
