package version_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/strata-db/strata/internal/base"
	"github.com/strata-db/strata/version"
	"github.com/strata-db/strata/vfs"
)

// TestManifestStaysBounded applies a million edits, as a busy database does in weeks.
// The manifest must stay within its limit and open as fast as a young one.
func TestManifestStaysBounded(t *testing.T) {
	edits := 1_000_000
	if testing.Short() {
		edits = 100_000
	}
	fs := vfs.NewMem()
	o := version.Options{FS: fs, Dir: "db"}
	s := mustCreate(t, o, false)
	var live []*version.FileMeta
	largest := int64(0)
	for i := range edits {
		f := &version.FileMeta{Num: s.NewFileNum(), Type: base.FileTable, Size: 1000,
			Smallest: base.MakeKey([]byte("key 1"), base.SeqNum(i), 1), Largest: base.MakeKey([]byte("key 2"), base.SeqNum(i), 1)}
		e := &version.Edit{LastSeq: new(base.SeqNum(i))}
		e.Add(0, f)
		live = append(live, f)
		if len(live) > 8 {
			e.Delete(0, live[0].Num)
			live = live[1:]
		}
		if err := s.Apply(e); err != nil {
			t.Fatal(err)
		}
		if i%100 == 0 {
			largest = max(largest, s.Metrics().ManifestBytes)
		}
	}
	m := s.Metrics()
	if largest > 1<<20 || m.Edits != int64(edits) {
		t.Errorf("the manifest grew to %d bytes, limit is %d; metrics %+v", largest, 1<<20, m)
	}
	if all := names(t, fs, "db"); len(all) != 2 {
		t.Errorf("directory holds %v, want CURRENT and one manifest", all)
	}
	for _, f := range live {
		write(t, fs, "db", f.Name(), "")
	}
	start := time.Now()
	if r := mustLoad(t, o); tree(r) != tree(s) {
		t.Error("another tree after loading")
	}
	t.Logf("%d edits, %d manifests, at most %d bytes; loaded in %v", edits, m.Manifests, largest, time.Since(start))
}

// TestLargeTreeIsNotRewrittenAtEveryEdit has a live set that alone is larger than the
// absolute limit: the number of manifests must stay small all the same. It also makes
// the snapshot span several records.
func TestLargeTreeIsNotRewrittenAtEveryEdit(t *testing.T) {
	fs := vfs.NewMem()
	o := version.Options{FS: fs, Dir: "db", MinRewriteBytes: 64 << 10}
	s := mustCreate(t, o, false)
	e := &version.Edit{}
	for i := range 10_000 {
		k := fmt.Appendf(nil, "key %08d", i)
		e.Add(3, &version.FileMeta{Num: s.NewFileNum(), Type: base.FileTable, Size: 1, Smallest: base.MakeKey(k, 1, 1), Largest: base.MakeKey(k, 1, 1)})
	}
	must(t, s.Apply(e))
	for range 10_000 {
		must(t, s.Apply(&version.Edit{LastSeq: new(base.SeqNum(7))}))
	}
	m := s.Metrics()
	if m.SnapshotBytes < o.MinRewriteBytes {
		t.Errorf("snapshot of %d bytes is below the limit, nothing is tested", m.SnapshotBytes)
	}
	if m.Manifests > 3 {
		t.Errorf("%d manifests for 10000 small edits", m.Manifests)
	}
	if m.ManifestBytes > 5*m.SnapshotBytes {
		t.Errorf("manifest of %d bytes, snapshot of %d", m.ManifestBytes, m.SnapshotBytes)
	}
	records := 0
	_, err := version.ReadManifest(fs, "db/"+s.ManifestName(), func(_ int64, e *version.Edit) error {
		if records++; len(e.Added) > 4096 {
			t.Errorf("record of %d files", len(e.Added))
		}
		return nil
	})
	must(t, err)
	if records < 3 {
		t.Errorf("%d records, want a snapshot of several", records)
	}
}

func BenchmarkApply(b *testing.B) {
	s := mustCreate(b, version.Options{FS: vfs.NewMem(), Dir: "db"}, false)
	for i := 0; b.Loop(); i++ {
		e := &version.Edit{}
		e.SetLastSeq(base.SeqNum(i))
		must(b, s.Apply(e))
	}
}
