package block

import (
	"encoding/binary"
	"sync"

	"github.com/strata-db/strata/internal/base"
)

var iterPool = sync.Pool{New: func() any { return new(Iter) }}

// Get finds the newest entry of target's user key that is not newer than target
// itself, in a block that passed Check. value aliases data. more means that every
// entry of the block is below target, so that the next block must be asked.
// x is as for Iter.Init.
func Get(cmp *base.Comparer, data []byte, x Index, at Where, target base.InternalKey) (value []byte, t base.Trailer, ok, more bool, err error) {
	if x.len() == 0 {
		return getSlow(cmp, data, x, at, target)
	}
	// A target without the prefix that all keys share is not in the block, and
	// may begin at any restart: only equality is asked for.
	limit, _ := x.layout(data)
	lo, hi := EqualRange(x.prefixes(), Prefix8(target.UserKey, x.Skip))
	j := narrow(cmp, data, limit, lo, hi, target)
	e, _, equal, out := scan(data[:limit], x.offset(j), target)
	if out == ended {
		return nil, 0, false, true, nil
	}
	if out == found && !equal {
		return nil, 0, false, false, nil
	}
	if out == found {
		t = base.Trailer(binary.LittleEndian.Uint64(data[e.keyEnd-base.TrailerLen:]))
		if t.Kind().Known() {
			return data[e.keyEnd:e.end:e.end], t, true, false, nil
		}
	}
	return getSlow(cmp, data, x, at, target)
}

func getSlow(cmp *base.Comparer, data []byte, x Index, at Where, target base.InternalKey) (value []byte, t base.Trailer, ok, more bool, err error) {
	i := iterPool.Get().(*Iter)
	i.Init(cmp, data, x, at)
	kv := i.SeekGE(target)
	switch {
	case kv != nil && cmp.Compare(kv.K.UserKey, target.UserKey) == 0:
		value, t, ok = kv.V, kv.K.Trailer, true
	case kv == nil:
		err = i.Err()
		more = err == nil
	}
	i.Close() //nolint:errcheck // told above
	iterPool.Put(i)
	return value, t, ok, more, err
}
