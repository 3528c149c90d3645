package strata

import (
	"context"
	"fmt"
	"testing"

	"github.com/strata-db/strata/compaction"
	"github.com/strata-db/strata/version"
	"github.com/stretchr/testify/require"
)

// TestSpareBelowInputs: the only number that was free for the output of a merge inside
// level 0 lay below its inputs. When the older files left level 0 before the merge
// began its output, the number was forgotten, and the merge failed with
// "no free file number between".
func TestSpareBelowInputs(t *testing.T) {
	var db *DB
	var older version.Edit
	o := &Options{Events: &Events{CompactionBegin: func(CompactionInfo) {
		if err := db.set.Apply(&older); err != nil {
			t.Error(err)
		}
	}}}
	o.testing.disableAuto = true
	db = openMem(t, o)
	for i := range 4 {
		mustPut(t, db, fmt.Sprint(i), "v")
		require.NoError(t, db.Flush())
	}
	v := db.set.Current()
	l0 := v.Files(0)
	_, ok := db.set.TakeSpare(l0[1].Num, l0[0].Num)
	require.True(t, ok)
	for _, f := range l0[2:] {
		older.Deleted = append(older.Deleted, version.DeletedFile{Level: 0, Num: f.Num})
		older.Added = append(older.Added, version.AddedFile{Level: 1, Meta: f})
	}

	done := make(chan error, 1)
	db.mu.Lock()
	tree := db.treeLocked(v)
	tree.Busy = func(f *version.FileMeta) bool { return f.Num < l0[2].Num }
	plan := compaction.RelieveLevel0(tree, 2, l0[0].Size+l0[1].Size)
	require.Equal(t, fmt.Sprintf("intra-l0: L0 %s %s -> L0 as one file numbered in (%d, %d)", l0[0].Num, l0[1].Num, l0[2].Num, l0[0].Num), plan.String())
	db.startCompactionLocked(context.Background(), plan, func(err error) { done <- err })
	db.mu.Unlock()
	v.Unref()
	require.NoError(t, <-done)
	for i := range 4 {
		_, err := db.Get(fmt.Appendf(nil, "%d", i))
		require.NoError(t, err)
	}
}
