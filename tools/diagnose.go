package tools

import (
	"cmp"
	"fmt"
	"slices"
	"time"

	"github.com/strata-db/strata"
)

// The bounds for what only a running database knows.
const (
	oldReader     = 10 * time.Minute // of snapshots and iterators
	manyVersions  = 1000             // entries written since a snapshot
	pinnedShare   = 0.1              // of the bytes on disk
	pinnedLeast   = 64 << 20
	longStall     = time.Second // in all
	enoughLookups = 10000       // for a hit rate to mean something
	lowHitRate    = 0.8
	debtShare     = 0.5 // of the bytes on disk
	debtLeast     = 256 << 20
)

// Diagnose says in words what the metrics of an open database show, worst first:
// failing background work, snapshots and iterators that hold things back, stalled
// writers, a backlog in level 0, tombstones, caches that are too small, an oversized
// manifest. If nothing of that stands out, it is one Finding that says so.
//
// Counts in m are since Open, so what they show may be over. The command doctor
// prints the same of metrics that were saved as JSON.
func Diagnose(m *strata.Metrics) []Finding {
	d := &diagnosis{m: m}
	d.background()
	d.readers()
	d.stalls()
	d.tree()
	d.blockCache()
	d.tableCache()
	if n := m.Manifest.Bytes; n > largeManifest {
		d.manifest(n)
	}
	if len(d.findings) == 0 {
		d.ok("nothing stands out in the metrics: write amplification %.1f, read amplification %d, %s on disk",
			m.WriteAmp(), m.ReadAmp(), formatBytes(m.DiskBytes()))
	}
	return d.findings
}

type diagnosis struct {
	findings
	m *strata.Metrics
}

// background looks at flushes, compactions and syncs that failed.
func (d *diagnosis) background() {
	m := d.m
	if n := m.Compaction.Quarantined; n > 0 {
		d.damaged("strata verify DIR names them, strata repair DIR --dry-run says what can be had",
			"%s: compactions leave what is damaged alone, so the levels around it grow", plural(n, "damaged table"))
	}
	if m.WAL.FailedSegment {
		d.look("look at the disk and at the system's log", "a sync of the log failed: what it left unsure is being written anew")
	}
	if n := m.BackgroundErrors; n > 0 {
		d.look("the log (Options.Logger) has the causes: a full disk, missing rights, damage",
			"flushes or compactions failed %s since the database was opened", times(n))
	}
}

// readers looks at what snapshots and iterators hold back.
func (d *diagnosis) readers() {
	m := d.m
	s := m.Snapshots
	if since := m.LastSeq - min(m.LastSeq, s.OldestSeq); s.Open > 0 && s.OldestAge >= oldReader && since >= manyVersions {
		kept := ""
		if s.PinnedBytes > 0 {
			kept = "; replaced values take about " + formatBytes(s.PinnedBytes)
		}
		d.look("close it; Options.Debug records where each one was made",
			"%s is %s old: compactions keep every value it can see, although %s were written since%s",
			oldest(s.Open, "snapshot"), age(s.OldestAge), plural(since, "entry"), kept)
	}
	i := m.Iterators
	much := m.PinnedBytes >= max(pinnedLeast, uint64(pinnedShare*float64(m.DiskBytes())))
	if i.Open > 0 && m.PinnedBytes > 0 && (much || i.OldestAge >= oldReader) {
		d.look("close it; long scans can be cut into shorter ones, each with an iterator of its own",
			"%s is %s old: %s of tables that are out of use stay on disk for it",
			oldest(i.Open, "iterator"), age(i.OldestAge), formatBytes(m.PinnedBytes))
	}
}

// stallCures says for each cause what ends such stalls.
var stallCures = map[string]struct{ why, do string }{
	"memtables":       {"memtables filled faster than they were flushed", "raise Options.MaxMemtables for bursts; if it goes on, the disk is too slow for what is written"},
	"level0":          {"level 0 was full", "raise Options.Workers, write in larger batches, or use the policy Tiered, which rewrites less"},
	"level0-slowdown": {"level 0 was getting full", "raise Options.Workers, write in larger batches, or use the policy Tiered, which rewrites less"},
	"debt-slowdown":   {"compactions were far behind", "raise Options.Workers, or use the policy Tiered, which rewrites less"},
}

// stalls looks at how long writers waited.
func (d *diagnosis) stalls() {
	causes := make([]string, 0, len(d.m.Stalls))
	for cause, s := range d.m.Stalls {
		if s.Duration >= longStall {
			causes = append(causes, cause)
		}
	}
	slices.SortFunc(causes, func(a, b string) int {
		return cmp.Or(cmp.Compare(d.m.Stalls[b].Duration, d.m.Stalls[a].Duration), cmp.Compare(a, b))
	})
	for _, cause := range causes {
		s, cure := d.m.Stalls[cause], stallCures[cause]
		if cure.why == "" {
			cure.why = "of " + cause
		}
		d.look(cure.do, "writers waited %s, %s in all, because %s", times(s.Count), age(s.Duration), cure.why)
	}
}

// tree looks at the shape.
func (d *diagnosis) tree() {
	m := d.m
	if l := m.Levels[0]; l.Tables >= manyLevel0 && l.Score >= 1 {
		d.backlog(l.Tables, "raise Options.Workers if this lasts; DB.CompactRange clears it once")
	}
	if debt := m.Compaction.DebtBytes; debt >= max(debtLeast, uint64(debtShare*float64(m.DiskBytes()))) {
		d.look("raise Options.Workers, or wait for DB.WaitIdle when there is less to do",
			"compactions are behind: %s are to be rewritten, of %s on disk", formatBytes(debt), formatBytes(m.DiskBytes()))
	}
	var n, tombs uint64
	for _, l := range m.Levels {
		n += l.Entries
		tombs += l.Tombstones
	}
	if n >= fewEntries && float64(tombs) > manyTombs*float64(n) {
		d.tombstones(tombs, n, "DB.CompactRange of the deleted keys, at a quiet time")
	}
}

// backlog says that level 0 has too many tables.
func (f *findings) backlog(tables int, do string) {
	f.look(do, "%d tables in level 0: a read may look at all of them, and if the policy is to compact them, writers are slowed down until that is done", tables)
}

// tombstones says that there are too many.
func (f *findings) tombstones(tombs, entries uint64, do string) {
	f.look(do, "%d of %d entries are tombstones: scans step over them", tombs, entries)
}

// manifest says that the manifest has grown too long.
func (f *findings) manifest(bytes int64) {
	f.look("open the database for writing: a new manifest is begun", "%s of manifest is read at each open", formatBytes(uint64(bytes)))
}

// blockCache looks at the hit rate. A cache that is not full, or in which nothing was
// replaced yet, misses what was never asked for before: a larger one would not help.
func (d *diagnosis) blockCache() {
	c := d.m.BlockCache
	if c.Hits+c.Misses < enoughLookups || c.HitRate() >= lowHitRate {
		return
	}
	if c.Capacity == 0 {
		d.look("set Options.CacheBytes", "there is no block cache: %s looked for a block in vain", times(c.Misses))
		return
	}
	if c.Evictions <= c.Blocks || float64(c.Bytes) < 0.9*float64(c.Capacity) {
		return
	}
	d.look("raise Options.CacheBytes, or share one strata.Cache between databases; scans of everything miss in any cache",
		"the block cache is too small: it is full with %s, and %.0f %% of %s found their block in it",
		formatBytes(uint64(c.Capacity)), 100*c.HitRate(), plural(c.Hits+c.Misses, "lookup"))
}

// tableCache looks at file descriptors.
func (d *diagnosis) tableCache() {
	c := d.m.TableCache
	tables := 0
	for _, l := range d.m.Levels {
		tables += l.Tables
	}
	switch {
	case c.Refused > 0:
		d.look("raise the limit of the process (ulimit -n), or lower Options.MaxOpenFiles",
			"the system refused to open tables %s: too many files are open", times(c.Refused))
	case c.Waits > 0, tables > c.MaxOpenFiles && c.Evictions > 10*int64(tables):
		d.look("raise Options.MaxOpenFiles, or make larger tables with Options.TableBytes",
			"%s for %s: they are closed and opened again and again (%s, and reads waited %s)",
			plural(c.MaxOpenFiles, "descriptor"), plural(tables, "table"), plural(c.Evictions, "eviction"), times(c.Waits))
	}
}

// oldest names the oldest of n things that are open.
func oldest(n int, noun string) string {
	if n == 1 {
		return "the only open " + noun
	}
	return "the oldest of " + plural(n, "open "+noun)
}

// times returns "once" or "5 times".
func times(n int64) string {
	if n == 1 {
		return "once"
	}
	return fmt.Sprintf("%d times", n)
}

// age returns a duration to two units at most: 3 days, 3h20m, 2m5s, 1.2s.
func age(d time.Duration) string {
	switch {
	case d >= 48*time.Hour:
		return fmt.Sprintf("%d days", d/(24*time.Hour))
	case d >= time.Hour:
		return fmt.Sprintf("%dh%dm", d/time.Hour, d%time.Hour/time.Minute)
	case d >= time.Minute:
		return fmt.Sprintf("%dm%ds", d/time.Minute, d%time.Minute/time.Second)
	}
	return d.Round(100 * time.Millisecond).String()
}
