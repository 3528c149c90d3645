package exchange

import (
	"testing"

	"github.com/strata-db/strata"
	"github.com/strata-db/strata/internal/testcorpus"
)

// harmless are files that peers write although they fail, none of which Strata
// reads: texts, the lock, and the manifest that LevelDB's repair leaves when it
// cannot replace CURRENT. An upgraded directory's manifests have other names.
var harmless = []string{"LOG", "LOG.old", "LOCK", "MANIFEST-000001"}

// TestUpgradedIsClosedToPeers: past the gate the peers' Open and repair fail and
// change nothing, and Strata still reads everything. An engine that took an
// upgraded directory for an old or damaged one of its own would destroy it.
func TestUpgradedIsClosedToPeers(t *testing.T) {
	for _, s := range shapes {
		t.Run(s.name, func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			m := &model{order: s.comparer()}
			strataWrite(t, dir, &s, m, 5)
			if err := strata.Upgrade(dir, s.strataOptions()); err != nil {
				t.Fatalf("upgrade: %v", err)
			}
			refusedByPeers(t, dir, m)
			strataRead(t, dir, &s, m)
			// And when it has been written to since.
			strataWrite(t, dir, &s, m, 6)
			refusedByPeers(t, dir, m)
			strataRead(t, dir, &s, m)
		})
	}
}

// TestZstdIsClosedToPeers: a database created with Zstd is beyond the gate from
// its first byte.
func TestZstdIsClosedToPeers(t *testing.T) {
	dir := t.TempDir()
	s := &shape{name: "zstd", options: strata.Options{Compression: strata.Zstd}, ops: writes(3000, 200, 20)}
	m := &model{order: s.comparer()}
	strataWrite(t, dir, s, m, 7)
	refusedByPeers(t, dir, m)
	strataRead(t, dir, s, m)
}

func refusedByPeers(t *testing.T, dir string, m *model) {
	t.Helper()
	before := testcorpus.Snap(t, dir)
	for _, p := range peers(t) {
		for _, attempt := range []struct {
			what string
			err  error
		}{
			{"open", p.open(dir, m.order)},
			{"repair", p.repair(dir)},
			{"open after repair", p.open(dir, m.order)},
		} {
			if attempt.err == nil {
				t.Errorf("%s: %s succeeded on an upgraded directory", p.name(), attempt.what)
			}
		}
		if d := before.Diff(testcorpus.Snap(t, dir), harmless...); len(d) > 0 {
			t.Errorf("%s: changed %q", p.name(), d)
		}
	}
}
