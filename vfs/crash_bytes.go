package vfs

import (
	"maps"
	"math/rand/v2"
	"slices"
)

// This file is what a power cut makes of the bytes of one file. The moments of a
// history are numbered: 0 is when it was last synced, i is after its i-th step.

func (h *history) clone() *history {
	return &history{durable: h.durable, steps: slices.Clone(h.steps), lost: maps.Clone(h.lost)}
}

// image returns what a power cut leaves of a file that is live now.
func (h *history) image(rnd *rand.Rand, live content, fate Fate) content {
	if len(h.steps) == 0 || fate == FateLost {
		return h.durable
	}
	if fate == FateKept {
		return h.kept(live)
	}
	switch rnd.IntN(4) {
	case 0:
		return h.durable
	case 1:
		return h.kept(live)
	case 2:
		return h.torn(rnd)
	default:
		return h.shuffled(rnd)
	}
}

// kept is live with everything written, but for what a failed sync has lost.
func (h *history) kept(live content) content {
	h = h.clone()
	h.sync(live)
	return h.durable
}

// torn is the file at some moment with a part of the next write, and sometimes
// with the size after it.
func (h *history) torn(rnd *rand.Rand) content {
	i := rnd.IntN(len(h.steps) + 1)
	c := h.at(i)
	if i == len(h.steps) || h.steps[i].cut {
		return h.patched(c, i)
	}
	next := h.steps[i]
	if end := next.tear(rnd); end > next.from {
		c = h.patched(content{data: next.data[:end], size: max(c.size, end)}, i+1)
	} else {
		c = h.patched(c, i)
	}
	if rnd.IntN(3) == 0 {
		c.size = max(c.size, next.size)
	}
	return c
}

// tear returns where the step's bytes end if the disk wrote a part of them.
func (s step) tear(rnd *rand.Rand) int64 {
	u := unit(rnd)
	end := s.from + rnd.Int64N(int64(len(s.data))-s.from+1)
	return max(end/u*u, s.from)
}

// unit picks what the disk writes at once, in bytes.
func unit(rnd *rand.Rand) int64 {
	if rnd.IntN(2) == 0 {
		return 512
	}
	return crashPage
}

// shuffled is the file with each unit as it was at a moment of its own, and a
// size of yet another one. Truncations are changes of names as far as order
// goes: what they cut off does not come back once they have happened.
func (h *history) shuffled(rnd *rand.Rand) content {
	last := len(h.steps)
	if rnd.IntN(2) == 0 {
		last = rnd.IntN(last + 1)
	}
	limits, cut := h.limits(last)
	size := h.at(cut + rnd.IntN(last-cut+1)).size
	buf := make([]byte, min(slices.Max(limits), size))
	lo := int64(copy(buf, h.at(last).data[:h.firstChange(last)]))
	h.patch(buf[:lo], 0, 0)
	u, stale := unit(rnd), 2+rnd.IntN(6)
	for off := lo; off < int64(len(buf)); off = (off/u + 1) * u {
		i := last
		if rnd.IntN(stale) == 0 {
			i = rnd.IntN(last + 1)
		}
		end := min((off/u+1)*u, int64(len(buf)))
		if have := h.at(i).data[:limits[i]]; off < int64(len(have)) {
			copy(buf[off:end], have[off:])
		}
		h.patch(buf[off:end], off, i)
	}
	return content{data: buf, size: size}
}

// at returns the content at moment i, without regard to lost pages.
func (h *history) at(i int) content {
	if i == 0 {
		return h.durable
	}
	return h.steps[i-1].content
}

// limits returns for each moment up to last how many of its bytes no truncation
// until last has cut off, and the moment after the last of those truncations.
func (h *history) limits(last int) (limits []int64, cut int) {
	limits = make([]int64, last+1)
	limit := int64(1) << 62
	for i := last; i >= 0; i-- {
		limits[i] = min(limit, int64(len(h.at(i).data)))
		if i > 0 && h.steps[i-1].cut {
			limit = min(limit, limits[i])
			cut = max(cut, i)
		}
	}
	return limits, cut
}

// firstChange returns the offset before which all moments up to last agree, but
// for lost pages.
func (h *history) firstChange(last int) int64 {
	first := int64(len(h.at(last).data))
	for _, s := range h.steps[:last] {
		first = min(first, s.from)
	}
	return first
}

// patched returns c, as it is at moment i, with the lost pages as they are on
// disk then.
func (h *history) patched(c content, i int) content {
	if len(h.lost) == 0 || i == 0 {
		return c
	}
	c.data = slices.Clone(c.data)
	h.patch(c.data, 0, i)
	return c
}

// patch is patched for the bytes b at off, in place.
func (h *history) patch(b []byte, off int64, i int) {
	end := off + int64(len(b))
	for page := range h.lost {
		lo, hi := max(page*crashPage, off), min((page+1)*crashPage, end)
		if lo >= hi || h.rewritten(page, i) {
			continue
		}
		dst := b[lo-off : hi-off]
		clear(dst)
		if lo < int64(len(h.durable.data)) {
			copy(dst, h.durable.data[lo:])
		}
	}
}

// rewritten reports that a page was written to by moment i.
func (h *history) rewritten(page int64, i int) bool {
	return slices.ContainsFunc(h.steps[:i], func(s step) bool { return s.touches(page) })
}
