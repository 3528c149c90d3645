package iterator

import (
	"sort"

	"github.com/strata-db/strata/internal/base"
)

// slice walks entries that lie in memory.
type slice struct {
	cmp *base.Comparer
	kvs []KV
	i   int // -1 is before the start, len(kvs) past the end
}

// NewSlice returns a source of kvs, which must be in internal-key order and stay
// unmodified. It is for tests and small uses, and of nil it is the empty source.
func NewSlice(cmp *base.Comparer, kvs []KV) Iterator { return &slice{cmp: cmp, kvs: kvs} }

func (s *slice) at(i int) *KV {
	s.i = min(max(i, -1), len(s.kvs))
	if s.i < 0 || s.i == len(s.kvs) {
		return nil
	}
	return &s.kvs[s.i]
}

// search returns the index of the first entry >= key.
func (s *slice) search(key base.InternalKey) int {
	return sort.Search(len(s.kvs), func(i int) bool { return s.cmp.CompareInternal(s.kvs[i].K, key) >= 0 })
}

func (s *slice) First() *KV                      { return s.at(0) }
func (s *slice) Last() *KV                       { return s.at(len(s.kvs) - 1) }
func (s *slice) SeekGE(key base.InternalKey) *KV { return s.at(s.search(key)) }
func (s *slice) SeekLT(key base.InternalKey) *KV { return s.at(s.search(key) - 1) }
func (s *slice) Next() *KV                       { return s.at(s.i + 1) }
func (s *slice) Prev() *KV                       { return s.at(s.i - 1) }
func (s *slice) Err() error                      { return nil }
func (s *slice) Close() error                    { return nil }
