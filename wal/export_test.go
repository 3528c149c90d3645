package wal

import (
	"github.com/strata-db/strata/internal/base"
	"github.com/strata-db/strata/internal/batch"
)

// MarkNow places a mark without a sync before it: what a Log must never do.
func (l *Log) MarkNow() error {
	l.app.Lock()
	defer l.app.Unlock()
	return l.write(l.cur.Load(), batch.AppendEmpty(nil, l.app.next))
}

// Rewind has the next batch take sequence numbers that were given out before:
// what a Log must never do with a batch whose bytes may be on disk.
func (l *Log) Rewind(next base.SeqNum) {
	l.app.Lock()
	defer l.app.Unlock()
	l.app.next = next
}
