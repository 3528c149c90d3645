package strata

import (
	"fmt"
	"strings"
	"time"

	"github.com/strata-db/strata/compaction"
	"github.com/strata-db/strata/internal/cache"
	"github.com/strata-db/strata/internal/tablecache"
	"github.com/strata-db/strata/version"
)

// Metrics is the state of a database at one moment, and counts since Open.
// String prints it as a table. Package encoding/json writes and reads it as it
// is, durations in nanoseconds; "strata doctor --metrics" says in words what such
// a file shows, and tools.Diagnose does for a program.
type Metrics struct {
	Levels [version.NumLevels]LevelMetrics

	Memtable struct {
		Count       int   // the one being filled included
		Bytes       int64 // keys, values and overhead
		MemoryBytes int64 // taken from the operating system, about
	}
	WAL struct {
		Segments      int
		Bytes         int64 // appended since Open
		LiveBytes     int64 // in segments still needed
		Syncs         int64
		FailedSegment bool // a sync failed; what it left unsure is being rewritten
	}
	Flush struct {
		Count int64
		Bytes int64
	}
	Compaction struct {
		Count        map[string]int64 // by reason
		BytesRead    int64
		BytesWritten int64
		DebtBytes    uint64 // to be rewritten until no level is over its target
		Running      int
		Quarantined  int // damaged tables left alone
	}
	// Stalls by cause: how often and how long writers waited.
	Stalls map[string]StallMetrics

	Manifest struct {
		Name  string
		Bytes int64
	}
	BlockCache cache.Metrics
	TableCache tablecache.Metrics

	Snapshots struct {
		Open      int
		OldestAge time.Duration // 0 if none
		OldestSeq uint64
		// PinnedBytes is about what compactions have kept for snapshots: versions
		// that others have replaced, in the tables whose counts are known.
		PinnedBytes uint64
	}
	Iterators struct {
		Open      int
		OldestAge time.Duration
		Made      int64
	}
	// PinnedBytes is what open iterators keep on disk: tables that the current tree
	// no longer has.
	PinnedBytes uint64

	UserBytes        int64 // keys and values written by the user
	Gets             int64
	TablesDeleted    int64
	BackgroundErrors int64
	LastSeq          uint64 // visible sequence number
}

// LevelMetrics is one level.
type LevelMetrics struct {
	Tables     int
	Bytes      uint64
	Score      float64 // 1 and more wants compaction
	Entries    uint64  // of the tables whose properties were read
	Tombstones uint64
}

// StallMetrics is one cause of stalls.
type StallMetrics struct {
	Count    int64
	Duration time.Duration
}

// WriteAmp is the bytes written to disk for each byte the user wrote: log,
// flushes and compactions. 0 before the first write.
func (m *Metrics) WriteAmp() float64 {
	if m.UserBytes == 0 {
		return 0
	}
	return float64(m.WAL.Bytes+m.Flush.Bytes+m.Compaction.BytesWritten) / float64(m.UserBytes)
}

// ReadAmp is how many runs a point read of an absent key may have to look at.
func (m *Metrics) ReadAmp() int {
	n := m.Memtable.Count + m.Levels[0].Tables
	for _, l := range m.Levels[1:] {
		if l.Tables > 0 {
			n++
		}
	}
	return n
}

// DiskBytes is the size of the live tables and logs.
func (m *Metrics) DiskBytes() uint64 {
	n := uint64(m.WAL.LiveBytes)
	for _, l := range m.Levels {
		n += l.Bytes
	}
	return n
}

// Metrics returns the state of the database. On a closed DB only the counts are
// filled in.
func (d *DB) Metrics() *Metrics {
	m := &Metrics{
		UserBytes: d.counters.userBytes.Load(), Gets: d.counters.gets.load(),
		TablesDeleted: d.counters.tablesDeleted.Load(), BackgroundErrors: d.counters.backgroundErrors.Load(),
		LastSeq: d.commits.visible.Load(),
	}
	m.WAL.Bytes, m.WAL.Syncs = d.counters.walBytes.Load(), d.counters.walSyncs.Load()
	m.Flush.Count, m.Flush.Bytes = d.counters.flushes.Load(), d.counters.flushedBytes.Load()
	m.Compaction.Count = make(map[string]int64)
	for r := range compaction.NumReasons {
		if n := d.counters.compactions[r].Load(); n > 0 {
			m.Compaction.Count[r.String()] = n
		}
	}
	m.Compaction.BytesRead, m.Compaction.BytesWritten = d.counters.compactedRead.Load(), d.counters.compactedWritten.Load()
	m.Stalls = make(map[string]StallMetrics)
	for c := stallNone + 1; c < stallCauses; c++ {
		if w := &d.stall.waits[c]; w.count.Load() > 0 {
			m.Stalls[c.String()] = StallMetrics{w.count.Load(), time.Duration(w.nanos.Load())}
		}
	}
	m.BlockCache, m.TableCache = d.blocks.Metrics(), d.tables.Metrics()
	d.readerMetrics(m)
	if p := d.pin(); p.readState != nil {
		d.treeMetrics(m, p.readState)
		p.unpin()
	}
	return m
}

// readerMetrics fills in what iterators and snapshots hold.
func (d *DB) readerMetrics(m *Metrics) {
	live := make(map[*version.FileMeta]bool)
	if p := d.pin(); p.readState != nil {
		eachTable(p.version, func(_ int, f *version.FileMeta) { live[f] = true })
		p.unpin()
	}
	d.snapshots.Lock()
	m.Snapshots.Open = d.snapshots.n
	if s := d.snapshots.root.next; s != &d.snapshots.root {
		m.Snapshots.OldestAge, m.Snapshots.OldestSeq = time.Since(s.made), uint64(s.at)
	}
	d.snapshots.Unlock()
	l := &d.iterators
	l.Lock()
	m.Iterators.Open = l.n
	m.Iterators.Made = d.counters.iterators.Load()
	if it := l.root.next; it != &l.root {
		m.Iterators.OldestAge = time.Since(it.made)
	}
	for it := l.root.next; it != &l.root; it = it.next {
		eachTable(it.state.version, func(_ int, f *version.FileMeta) {
			if !live[f] {
				live[f] = true
				m.PinnedBytes += f.Size
			}
		})
	}
	l.Unlock()
}

func eachTable(v *version.Version, fn func(level int, f *version.FileMeta)) {
	for level := range version.NumLevels {
		for _, f := range v.Files(level) {
			fn(level, f)
		}
	}
}

// keptForSnapshots returns about how many bytes of f are versions that newer ones in
// it have replaced, and that a snapshot at oldest, or a later one, can be the reason
// for. Flushes and compactions write no others.
func keptForSnapshots(f *version.FileMeta, s version.Stats, oldest uint64) uint64 {
	b, ok := f.SeqBounds()
	if !ok || uint64(b.Largest) <= oldest || s.UserKeys == 0 || s.Entries <= s.UserKeys {
		return 0
	}
	return uint64(float64(f.Size) * float64(s.Entries-s.UserKeys) / float64(s.Entries))
}

// treeMetrics fills in the shape of the tree. The snapshots' are filled in already.
func (d *DB) treeMetrics(m *Metrics, rs *readState) {
	eachTable(rs.version, func(level int, f *version.FileMeta) {
		l := &m.Levels[level]
		l.Tables++
		l.Bytes += f.Size
		if s, ok := f.Stats(); ok {
			l.Entries += s.Entries
			l.Tombstones += s.Tombstones
			if m.Snapshots.Open > 0 {
				m.Snapshots.PinnedBytes += keptForSnapshots(f, s, m.Snapshots.OldestSeq)
			}
		}
	})
	m.Memtable.Count = len(rs.mems)
	for _, e := range rs.mems {
		m.Memtable.Bytes += e.table.Bytes()
		m.Memtable.MemoryBytes += e.table.MemoryBytes()
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.mu.closed {
		return
	}
	t := d.treeLocked(rs.version)
	for level, score := range d.opts.Policy.Scores(t) {
		m.Levels[level].Score = score
	}
	m.Compaction.DebtBytes = d.opts.Policy.Debt(t)
	m.Compaction.Running = d.mu.background.compacting
	m.Compaction.Quarantined = len(d.mu.background.quarantined)
	sm := d.set.Metrics()
	m.Manifest.Name, m.Manifest.Bytes = d.set.ManifestName(), sm.ManifestBytes
	if d.log != nil {
		for _, s := range d.log.LiveSegments() {
			m.WAL.Segments++
			m.WAL.LiveBytes += s.Bytes
		}
		_, m.WAL.FailedSegment = d.log.Unsynced()
	}
}

// String returns the metrics as a table for people.
func (m *Metrics) String() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%-6s %7s %10s %6s %12s %12s\n", "level", "tables", "size", "score", "entries", "tombstones")
	for i, l := range m.Levels {
		fmt.Fprintf(&b, "%-6d %7d %10s %6.2f %12d %12d\n", i, l.Tables, formatBytes(l.Bytes), l.Score, l.Entries, l.Tombstones)
	}
	fmt.Fprintf(&b, "memtables   %d, %s (%s of memory)\n", m.Memtable.Count, formatBytes(uint64(m.Memtable.Bytes)), formatBytes(uint64(m.Memtable.MemoryBytes)))
	fmt.Fprintf(&b, "log         %d segments, %s live, %s written, %d syncs\n", m.WAL.Segments, formatBytes(uint64(m.WAL.LiveBytes)), formatBytes(uint64(m.WAL.Bytes)), m.WAL.Syncs)
	fmt.Fprintf(&b, "flushes     %d, %s\n", m.Flush.Count, formatBytes(uint64(m.Flush.Bytes)))
	fmt.Fprintf(&b, "compactions %s, read %s, written %s, debt %s, running %d\n", countsString(m.Compaction.Count), formatBytes(uint64(m.Compaction.BytesRead)), formatBytes(uint64(m.Compaction.BytesWritten)), formatBytes(m.Compaction.DebtBytes), m.Compaction.Running)
	fmt.Fprintf(&b, "amplification: write %.2f, read %d\n", m.WriteAmp(), m.ReadAmp())
	for c := stallNone + 1; c < stallCauses; c++ {
		if s, ok := m.Stalls[c.String()]; ok {
			fmt.Fprintf(&b, "stall       %s: %d, %v\n", c, s.Count, s.Duration.Round(time.Microsecond))
		}
	}
	bc, tc := m.BlockCache, m.TableCache
	fmt.Fprintf(&b, "block cache %s of %s, %d blocks, %d hits, %d misses\n", formatBytes(uint64(bc.Bytes)), formatBytes(uint64(bc.Capacity)), bc.Blocks, bc.Hits, bc.Misses)
	fmt.Fprintf(&b, "table cache %d of %d files open, %d indexes and filters in %s\n", tc.OpenFiles, tc.MaxOpenFiles, tc.Readers, formatBytes(uint64(tc.ReaderBytes)))
	fmt.Fprintf(&b, "snapshots   %d open, oldest %v, keep about %s\niterators   %d open, oldest %v, pinned %s\n", m.Snapshots.Open, m.Snapshots.OldestAge.Round(time.Millisecond), formatBytes(m.Snapshots.PinnedBytes), m.Iterators.Open, m.Iterators.OldestAge.Round(time.Millisecond), formatBytes(m.PinnedBytes))
	fmt.Fprintf(&b, "manifest    %s, %s\n", m.Manifest.Name, formatBytes(uint64(m.Manifest.Bytes)))
	return b.String()
}

func countsString(counts map[string]int64) string {
	var parts []string
	for r := range compaction.NumReasons {
		if n := counts[r.String()]; n > 0 {
			parts = append(parts, fmt.Sprintf("%s %d", r, n))
		}
	}
	if len(parts) == 0 {
		return "none"
	}
	return strings.Join(parts, ", ")
}

// formatBytes prints n with a binary unit.
func formatBytes(n uint64) string {
	const units = "KMGTPE"
	if n < 1<<10 {
		return fmt.Sprintf("%d B", n)
	}
	v := float64(n)
	i := -1
	for v >= 1<<10 && i < len(units)-1 {
		v /= 1 << 10
		i++
	}
	return fmt.Sprintf("%.1f %ciB", v, units[i])
}
