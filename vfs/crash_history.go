package vfs

import "slices"

// crashPage is the unit in which the page cache writes a file, in bytes.
const crashPage = 4 << 10

// maxSteps bounds the history of a file that is never synced. Beyond it, every
// second moment of the past is forgotten.
const maxSteps = 1 << 14

// history is what a file went through since its content was last known to be on
// disk. Guarded by its node's mu.
//
// A step keeps the whole content after it, which costs a slice header, as the
// bytes of a content never change. So what a page held at any moment since the
// last sync can be looked up, and an image may choose among those.
type history struct {
	durable content
	steps   []step
	// lost has the pages that a failed sync marked clean: their durable bytes
	// are not the live ones until they are written to and synced again.
	lost map[int64]bool
}

// step is one change: of bytes from from to the end of data, or, if cut, a
// truncation.
type step struct {
	content
	from int64
	cut  bool
}

func (s step) pages() (lo, hi int64) {
	if s.cut {
		return 0, 0
	}
	return s.from / crashPage, (int64(len(s.data)) + crashPage - 1) / crashPage
}

// touches reports that the step wrote to a page.
func (s step) touches(page int64) bool {
	lo, hi := s.pages()
	return s.from < int64(len(s.data)) && lo <= page && page < hi
}

func (h *history) add(s step) {
	if len(h.steps) >= maxSteps {
		h.thin()
	}
	h.steps = append(h.steps, s)
}

// thin merges pairs of neighbouring appends.
func (h *history) thin() {
	kept := h.steps[:0]
	for i := 0; i < len(h.steps); i++ {
		s := h.steps[i]
		if i+1 < len(h.steps) && !s.cut && !h.steps[i+1].cut {
			i++
			from := min(s.from, h.steps[i].from)
			s = h.steps[i]
			s.from = from
		}
		kept = append(kept, s)
	}
	clear(h.steps[len(kept):])
	h.steps = kept
}

// sync makes the live content durable, but for pages that were lost and not
// written to since.
func (h *history) sync(live content) {
	h.forgetRewritten(int64(len(live.data)))
	h.durable = h.withoutLost(live)
	h.steps = nil
}

// forgetRewritten drops the lost pages that the steps wrote to again or that
// are behind the end.
func (h *history) forgetRewritten(end int64) {
	for page := range h.lost {
		if page*crashPage >= end || h.rewritten(page, len(h.steps)) {
			delete(h.lost, page)
		}
	}
}

// withoutLost returns live with the durable bytes in the lost pages.
func (h *history) withoutLost(live content) content {
	if len(h.lost) > 0 {
		live.data = slices.Clone(live.data)
		h.patch(live.data, 0, 0)
	}
	return live
}

// fail is a sync that failed as Linux does it: the pages count as clean from now
// on, and nobody will write them.
func (h *history) fail() {
	for _, s := range h.steps {
		if s.from >= int64(len(s.data)) {
			continue
		}
		lo, hi := s.pages()
		for page := lo; page < hi; page++ {
			if h.lost == nil {
				h.lost = make(map[int64]bool)
			}
			h.lost[page] = true
		}
	}
	h.steps = nil
}

// sync is Sync of the file: it succeeds if fail is nil, and else fails with it.
// Called with world held.
func (n *node) sync(fail error) error {
	n.mu.Lock()
	defer n.mu.Unlock()
	if h := n.mu.history; h != nil {
		if fail != nil {
			h.fail()
		} else {
			h.sync(n.mu.content)
		}
	}
	return fail
}
