package bench

import (
	"bytes"
	"sync/atomic"

	"github.com/strata-db/strata/bench/gen"
)

// content knows which keys the benchmarks have left in the database and what
// their values are. Threads may use it at once, as long as no two of them write
// one key at the same time.
type content struct {
	known  atomic.Bool // false: something else wrote into the database
	values *gen.Values
	parts  *gen.Values     // beginnings of these may be there, too; nil if not
	mixed  bool            // values of several sizes: not compared
	bits   []atomic.Uint64 // a bit a key: is it there?
	live   atomic.Int64    // how many are
}

// newContent describes an empty database for up to keys numbers.
func newContent(keys uint64, values *gen.Values) *content {
	c := &content{values: values, bits: make([]atomic.Uint64, keys/64+1)}
	c.known.Store(true)
	return c
}

// write returns the value that number k is to get, and notes that it is there.
func (c *content) write(k uint64) []byte {
	c.note(k)
	return c.values.At(k)
}

func (c *content) note(k uint64) {
	if k/64 >= uint64(len(c.bits)) {
		c.known.Store(false) // more inserts than there is room to note
		return
	}
	if bit := uint64(1) << (k % 64); c.bits[k/64].Or(bit)&bit == 0 {
		c.live.Add(1)
	}
}

// remove notes that number k is gone.
func (c *content) remove(k uint64) {
	if k/64 >= uint64(len(c.bits)) {
		return
	}
	if bit := uint64(1) << (k % 64); c.bits[k/64].And(^bit)&bit != 0 {
		c.live.Add(-1)
	}
}

// has reports whether number k is there.
func (c *content) has(k uint64) bool {
	return k/64 < uint64(len(c.bits)) && c.bits[k/64].Load()&(1<<(k%64)) != 0
}

// right reports whether a read of number k gave what it had to.
func (c *content) right(k uint64, value []byte, found bool) bool {
	switch {
	case !c.known.Load():
		return true
	case found != c.has(k):
		return false
	}
	return !found || c.mixed || bytes.Equal(value, c.values.At(k)) ||
		c.parts != nil && bytes.HasPrefix(c.parts.At(k), value)
}

// use makes values the ones that are written from now on.
func (c *content) use(values *gen.Values) {
	if c.values.Size() != values.Size() && c.live.Load() > 0 {
		c.mixed = true
	}
	c.values = values
}
