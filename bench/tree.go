package bench

import (
	"fmt"
	"runtime/pprof"
	"strings"

	"github.com/strata-db/strata"
)

// Benchmarks and reports about the tree as a whole. They run in one thread.

func compact(t *thread) error {
	err := t.db.CompactRange(t.ctx, nil, nil)
	t.did(0)
	return err
}

func waitForCompaction(t *thread) error {
	err := t.db.WaitIdle(t.ctx)
	t.did(0)
	return err
}

func flush(t *thread) error {
	err := t.db.Flush()
	t.did(0)
	return err
}

func verifyChecksum(t *thread) error {
	_, err := t.db.Verify(t.ctx)
	t.did(0)
	t.bytes = int64(t.db.Metrics().DiskBytes())
	return err
}

// open closes and opens the database, one operation for ten thousand entries.
func open(t *thread) error {
	for i := 0; t.more(i, max(1, t.cfg.Num/10_000)); i++ {
		if err := t.r.close(); err != nil {
			return err
		}
		if err := t.r.open(); err != nil {
			return err
		}
		t.db = t.r.db
		t.did(0)
	}
	return nil
}

// stats prints the engine's own table.
func stats(t *thread) error {
	fmt.Fprintf(t.r.out, "\n%s\n", t.db.Metrics())
	return nil
}

func levelStats(t *thread) error {
	var b strings.Builder
	b.WriteString("\nLevel  Files  Size(MB)\n----------------------\n")
	for i, l := range t.db.Metrics().Levels {
		fmt.Fprintf(&b, "%5d %6d %9.1f\n", i, l.Tables, float64(l.Bytes)/(1<<20))
	}
	fmt.Fprintln(t.r.out, b.String())
	return nil
}

// heapProfile writes a profile beside the database.
func heapProfile(t *thread) error {
	name := fmt.Sprintf("%s.heap-%04d.pprof", strings.TrimRight(t.r.dir, "/\\"), t.r.round)
	f, err := createFile(name)
	if err != nil {
		return err
	}
	defer f.Close()
	fmt.Fprintf(t.r.out, "heap profile in %s\n", name)
	return pprof.WriteHeapProfile(f)
}

// stallSeconds is how long writers have waited, for all causes.
func stallSeconds(m *strata.Metrics) (s float64) {
	for _, c := range m.Stalls {
		s += c.Duration.Seconds()
	}
	return s
}
