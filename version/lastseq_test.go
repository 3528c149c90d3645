package version_test

import (
	"testing"

	"github.com/strata-db/strata/internal/base"
	"github.com/strata-db/strata/version"
	"github.com/strata-db/strata/vfs"
)

// A compaction works out its last sequence, a flush changes log and last sequence,
// and then the compaction's edit is applied: the manifest must not go back to what
// belonged to the log before.
func TestLastSeqBelongsToTheLog(t *testing.T) {
	o := version.Options{FS: vfs.NewMem(), Dir: "db"}
	s := mustCreate(t, o, false)
	must(t, s.Apply(&version.Edit{LogNum: num(5), LastSeq: new(base.SeqNum(10))}))
	write(t, o.FS, "db", "000007.log", "")
	compaction := &version.Edit{LastSeqLog: 5, LastSeq: new(base.SeqNum(10))}
	must(t, s.Apply(&version.Edit{LogNum: num(7), LastSeq: new(base.SeqNum(20))}))
	must(t, s.Apply(compaction))
	if got := s.LastSeq(); got != 20 {
		t.Errorf("last sequence %d in memory, want 20", got)
	}
	must(t, s.Close())
	s = mustLoad(t, o)
	if got := s.LastSeq(); got != 20 {
		t.Errorf("last sequence %d in the manifest, want 20", got)
	}
}
