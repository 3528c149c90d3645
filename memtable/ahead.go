package memtable

// aheadBytes is the size of a huge page where there are any: how much memory is
// asked for at once, and how far ahead of its use.
const aheadBytes = 2 << 20

// smallEnd is what stays in ordinary pages at either end of an arena, and is not
// asked for ahead: a table with few entries touches both ends and should not pay
// for two huge pages.
const smallEnd = 1 << 20

// An ahead has the system provide an arena's memory before a writer needs it.
// To clear a huge page takes the system 100 microseconds, and milliseconds on a
// virtual machine that must first get it from its host; the writer that comes
// first would wait for that. Entries grow from the arena's start, nodes from its
// end:
//
//	0       entries     low                      high    nodes   len
//	+----------+---------+------------------------+--------+------+
//	|          | asked   | not asked for          | asked  |      |
//	+----------+---------+------------------------+--------+------+
//
// It belongs to whoever calls Reserve. Where the system lacks the call, or the
// arena was in use before, low and high are equal from the beginning.
type ahead struct{ low, high int64 }

func newAhead(a *arena) ahead {
	if !a.mapped || a.touched > 0 || len(a.mem) < 2*smallEnd+2*aheadBytes {
		return ahead{}
	}
	return ahead{low: smallEnd, high: int64(len(a.mem)) - smallEnd}
}

// reach asks for what comes next when entries end at end and nodes begin at
// start.
func (h *ahead) reach(a *arena, end, start int64) {
	if h.low >= h.high {
		return
	}
	if end+aheadBytes/2 > h.low {
		from := h.low
		h.low = min(from+aheadBytes, h.high)
		go populate(a.mem[from:h.low])
	}
	if start-aheadBytes/2 < h.high && h.low < h.high {
		to := h.high
		h.high = max(to-aheadBytes, h.low)
		go populate(a.mem[h.high:to])
	}
}

// asked returns how many bytes of a may be resident because of reach.
func (h *ahead) asked(a *arena) int64 {
	if h.high == 0 {
		return 0
	}
	return h.low + int64(len(a.mem)) - h.high
}
