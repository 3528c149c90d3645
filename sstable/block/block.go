package block

import (
	"encoding/binary"
	"fmt"
	"math"

	"github.com/strata-db/strata/internal/base"
)

// Where names a block in errors: the base name of its file and its offset in it.
type Where struct {
	File   string
	Offset int64
}

func (w Where) corrupt(format string, args ...any) error {
	return base.Corruptf(w.File, w.Offset, "block: %s", fmt.Sprintf(format, args...))
}

// layout returns the end of the entries, which is where the restart array
// begins, and the number of restarts. ok is false if the array does not fit.
func layout(data []byte) (limit, restarts int, ok bool) {
	if len(data) < 4 || len(data) > math.MaxInt32 {
		return 0, 0, false
	}
	n := binary.LittleEndian.Uint32(data[len(data)-4:])
	if uint64(n) > uint64(len(data)-4)/4 {
		return 0, 0, false
	}
	return len(data) - 4 - 4*int(n), int(n), true
}

// Check judges the frame of a block of internal keys: the restart array fits,
// begins at 0, ascends, and each restart is an entry with a whole key. It must
// have returned nil before data is given to NewIndex, Get or Iter.Init.
func Check(data []byte, at Where) error { return check(data, at, base.TrailerLen) }

func check(data []byte, at Where, minKey int) error {
	limit, n, ok := layout(data)
	if !ok {
		return at.corrupt("%d bytes have no room for the restarts they claim", len(data))
	}
	if limit == 0 {
		return nil
	}
	if n == 0 {
		return at.corrupt("no restarts for %d bytes of entries", limit)
	}
	prev := -1
	for j := range n {
		off := restartAt(data, limit, j)
		if off <= prev || off >= limit || j == 0 && off != 0 {
			return at.corrupt("restart %d is at %d, after one at %d, of %d bytes", j, off, prev, limit)
		}
		prev = off
		e, ok := decode(data[:limit], off)
		if !ok || e.shared != 0 || e.keyEnd-e.key < minKey {
			return at.corrupt("no whole key at restart %d, byte %d", j, off)
		}
	}
	return nil
}

// restartAt returns restart j, which must be below the number of restarts. The
// value is as found: it may lie anywhere. On a 32-bit machine a value past 2 GiB
// is negative.
func restartAt(data []byte, limit, j int) int {
	return int(binary.LittleEndian.Uint32(data[limit+4*j:]))
}

// entry is where the parts of an entry lie: the key's own bytes are
// data[key:keyEnd], the value is data[keyEnd:end].
type entry struct {
	shared, key, keyEnd, end int
}

// decode finds the parts of the entry at off, which must not be negative. ok
// means that all lie inside data, which is the entries' region. Whether the key
// before has shared bytes is for the caller to judge.
func decode(data []byte, off int) (e entry, ok bool) {
	if off+3 > len(data) {
		return entry{}, false
	}
	a, b, c := data[off], data[off+1], data[off+2]
	if a|b|c < 0x80 {
		e.shared = int(a)
		e.key = off + 3
		e.keyEnd = e.key + int(b)
		e.end = e.keyEnd + int(c)
		return e, e.end <= len(data)
	}
	return decodeLong(data, off)
}

// decodeLong is decode for lengths of more than one byte. No length can exceed
// len(data): even shared is a sum of lengths of bytes in the block.
func decodeLong(data []byte, off int) (e entry, ok bool) {
	var v [3]int
	for i := range v {
		u, n := uvarint32(data[off:])
		if n == 0 || uint64(u) > uint64(len(data)) {
			return entry{}, false
		}
		off += n
		v[i] = int(u)
	}
	if v[1] > len(data)-off || v[2] > len(data)-off-v[1] {
		return entry{}, false
	}
	return entry{shared: v[0], key: off, keyEnd: off + v[1], end: off + v[1] + v[2]}, true
}

// uvarint32 decodes a varint of at most 32 bits and returns its length, 0 if b
// does not begin with one.
func uvarint32(b []byte) (uint32, int) {
	var v uint64
	for i := 0; i < len(b) && i < 5; i++ {
		v |= uint64(b[i]&0x7f) << (7 * i)
		if b[i] < 0x80 {
			if v > math.MaxUint32 {
				return 0, 0
			}
			return uint32(v), i + 1
		}
	}
	return 0, 0
}

// Walk is the strict reader: it calls fn for every entry from the first to the
// last and returns the first damage found, or fn's first error. Keys are as
// stored; minKey is the least length a key may have (base.TrailerLen for internal
// keys, 0 for plain ones). Besides what Check judges, restarts must fall on
// entries. key is valid during the call; value aliases data.
func Walk(data []byte, at Where, minKey int, fn func(key, value []byte) error) error {
	if err := check(data, at, minKey); err != nil {
		return err
	}
	limit, n, _ := layout(data)
	var key []byte
	next := 0
	for off := 0; off < limit; {
		if next < n {
			if r := restartAt(data, limit, next); r == off {
				next++
			} else if r < off {
				return at.corrupt("restart %d, byte %d, is inside an entry", next, r)
			}
		}
		e, ok := decode(data[:limit], off)
		if !ok || e.shared > len(key) || e.shared+e.keyEnd-e.key < minKey {
			return at.corrupt("malformed entry at byte %d", off)
		}
		key = append(key[:e.shared], data[e.key:e.keyEnd]...)
		if err := fn(key, data[e.keyEnd:e.end:e.end]); err != nil {
			return err
		}
		off = e.end
	}
	if limit > 0 && next != n {
		return at.corrupt("restart %d, byte %d, is inside an entry", next, restartAt(data, limit, next))
	}
	return nil
}
