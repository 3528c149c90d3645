package strata

import (
	"sync/atomic"

	"github.com/strata-db/strata/compaction"
)

// counters are what Metrics reports beside the shape of the tree. They count
// from Open.
type counters struct {
	gets      striped
	iterators atomic.Int64

	userBytes, walBytes, walSyncs atomic.Int64

	flushes, flushedBytes           atomic.Int64
	compactions                     [compaction.NumReasons]atomic.Int64
	compactedRead, compactedWritten atomic.Int64
	tablesDeleted, backgroundErrors atomic.Int64
}

// striped is a counter for paths that several processors take at once.
type striped struct{ n [stripeCount]stripe }

func (s *striped) add(n int64) { s.n[stripeIndex()].n.Add(n) }

func (s *striped) load() int64 {
	var sum int64
	for i := range s.n {
		sum += s.n[i].n.Load()
	}
	return sum
}
