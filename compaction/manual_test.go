package compaction

import (
	"testing"

	"github.com/strata-db/strata/internal/base"
	"github.com/strata-db/strata/iterator"
	"github.com/strata-db/strata/version"
	"github.com/stretchr/testify/require"
)

// manualTree is a tree of single tables, beside running plans.
func manualTree(files map[int]*version.FileMeta, running ...*Plan) *Tree {
	var levels [version.NumLevels][]*version.FileMeta
	for level, f := range files {
		levels[level] = []*version.FileMeta{f}
	}
	return &Tree{Version: version.NewVersion(base.Bytewise, levels), Cmp: base.Bytewise, OldestSnapshot: base.SeqNumMax, Running: running}
}

func manualFile(num base.FileNum, entries ...string) *version.FileMeta {
	var kvs []iterator.KV
	for _, e := range entries {
		kvs = append(kvs, parseKV(e))
	}
	return fileOf(num, kvs)
}

// TestManualMoved: a table that the manual compaction wrote on its way down kept a
// tombstone for a table of the last level that seemed to hold the key, by its span.
// That one was rewritten, and the other then moved beside it by edit, tombstone and
// all, and CompactRange took it for done.
func TestManualMoved(t *testing.T) {
	policy := Leveled(LeveledOptions{})
	m := NewManual(manualTree(map[int]*version.FileMeta{1: manualFile(2, "b#9,DEL"), 3: manualFile(1, "a#1,SET:v", "z#2,SET:v")}), policy, nil, nil)
	fresh, last := manualFile(12, "b#9,DEL"), manualFile(11, "x#3,SET:v", "z#2,SET:v")
	for level := 1; level < 3; level++ {
		tree := manualTree(map[int]*version.FileMeta{level: fresh, 4: last})
		p, _ := m.Next(tree)
		require.True(t, p.Move, "%s", p)
	}
	p, _ := m.Next(manualTree(map[int]*version.FileMeta{3: fresh, 4: last}))
	require.True(t, p.Move, "%s", p)
	p, done := m.Next(manualTree(map[int]*version.FileMeta{4: fresh}))
	require.Equal(t, "manual: L4 000012 -> L4", p.String())
	require.False(t, done)
}

// TestManualBesideOthers: what a compaction wrote that was running when the manual
// one began kept versions for a snapshot that had been closed since, and CompactRange
// took it for minimal.
func TestManualBesideOthers(t *testing.T) {
	for _, policy := range []Policy{Leveled(LeveledOptions{}), Tiered(TieredOptions{})} {
		before := manualFile(1, "a#2,SET:v", "a#1,SET:v")
		running := (&Plan{Inputs: []Input{{6, []*version.FileMeta{before}}}, OutputLevel: 6}).seal(base.Bytewise)
		tree := manualTree(map[int]*version.FileMeta{6: before}, running)
		m := NewManual(tree, policy, nil, nil)
		p, done := m.Next(tree)
		require.Nil(t, p)
		require.False(t, done)
		p, _ = m.Next(manualTree(map[int]*version.FileMeta{6: manualFile(5, "a#2,SET:v", "a#1,SET:v")}))
		require.Equal(t, "manual: L6 000005 -> L6", p.String(), policy.Name())
	}
}
