package tools_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/strata-db/strata"
	"github.com/strata-db/strata/internal/base"
	"github.com/strata-db/strata/internal/testcorpus"
	"github.com/strata-db/strata/tools"
	"github.com/strata-db/strata/version"
	"github.com/strata-db/strata/vfs"
	"github.com/strata-db/strata/wal/record"
)

// What doctor says of the databases and metrics that have something is in
// testdata/doctor.transcript.

// tire gives the database in dir a manifest with so many more edits: of tables that
// came and went, as LevelDB leaves it, which begins no new one while it is open.
func tire(t *testing.T, dir string, edits int) {
	t.Helper()
	in, err := version.Inspect(vfs.OS, dir)
	if err != nil {
		t.Fatal(err)
	}
	var out appender
	w := record.NewWriter(&out, 0)
	write := func(e *version.Edit) {
		if err := w.Write(e.Encode(nil)); err != nil {
			t.Fatal(err)
		}
	}
	name := filepath.Join(dir, in.Manifest)
	if _, err := version.ReadManifest(vfs.OS, name, func(_ int64, e *version.Edit) error {
		write(e)
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	next := *in.Contents.NextFileNum
	key := func(s string) base.InternalKey {
		return base.InternalKey{UserKey: []byte(s), Trailer: base.MakeTrailer(1, base.KindSet)}
	}
	for i := range edits / 2 {
		num := next + base.FileNum(i)
		after := num + 1
		came := &version.Edit{NextFileNum: &after}
		came.Add(0, &version.FileMeta{Num: num, Size: 4096, Smallest: key("user:000000:created"), Largest: key("user:999999:updated")})
		write(came)
		went := &version.Edit{}
		went.Delete(0, num)
		write(went)
	}
	if err := os.WriteFile(name, out.Bytes(), 0o644); err != nil {
		t.Fatal(err)
	}
}

// appender is a manifest in memory.
type appender struct{ bytes.Buffer }

// Append implements record.Appender.
func (a *appender) Append(b []byte) error {
	a.Write(b)
	return nil
}

// TestDoctorFindsNothing: of a healthy database, and of those of other engines that
// have no damage, there is nothing to say.
func TestDoctorFindsNothing(t *testing.T) {
	dirs := map[string]string{"healthy": paint(t, "healthy")}
	for _, id := range []string{"levels-cpp", "one-key-cpp", "empty-cpp", "edge-flushed-go", "chromium-localstorage", "hotkey-go"} {
		dirs[id] = testcorpus.Get(t, id).DB()
	}
	env := corpusEnv()
	env.FS = noUsage{vfs.OS}
	for name, dir := range dirs {
		out, errs, status := run(t, env, "doctor", dir, "--full")
		if status != tools.ExitOK || strings.Contains(out, "look ") || strings.Contains(out, "damaged ") {
			t.Errorf("%s: %d %s\n%s", name, status, errs, out)
		}
	}
}

// TestDiagnoseALiveDatabase reads the metrics of a database that is in use, and what
// is left of them after a way through JSON.
func TestDiagnoseALiveDatabase(t *testing.T) {
	db, err := strata.Open("db", &strata.Options{FS: vfs.NewMem()})
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	snapshot := db.NewSnapshot()
	defer snapshot.Close()
	for i := range 2000 {
		if err := db.Put(fmt.Appendf(nil, "key%d", i%10), []byte("v"), nil); err != nil {
			t.Fatal(err)
		}
	}
	m := db.Metrics()
	if f := tools.Diagnose(m); len(f) != 1 || f[0].Grade != tools.GradeOK {
		t.Errorf("a young snapshot: %v", f)
	}
	m.Snapshots.OldestAge = 3 * time.Hour
	b, err := json.Marshal(m)
	if err != nil {
		t.Fatal(err)
	}
	env := tools.Env{In: bytes.NewReader(b)}
	out, errs, status := run(t, env, "doctor", "--metrics", "-")
	const want = "look     the only open snapshot is 3h0m old: compactions keep every value it can see, although 2000 entries were written since\n"
	if status != tools.ExitOK || !strings.HasPrefix(out, want) {
		t.Errorf("%d %s\n%swant\n%s", status, errs, out, want)
	}
}

// TestDiagnose shows for each thing that may stand out the metrics at which it does,
// and that a little less is nothing to speak of.
func TestDiagnose(t *testing.T) {
	for _, c := range []struct {
		name string
		set  func(m *strata.Metrics)
		want string // part of the only finding; empty if there is none
	}{
		{"empty", func(*strata.Metrics) {}, ""},
		{"quarantined", func(m *strata.Metrics) { m.Compaction.Quarantined = 2 }, "2 damaged tables: compactions leave"},
		{"failed sync", func(m *strata.Metrics) { m.WAL.FailedSegment = true }, "a sync of the log failed"},
		{"failed work", func(m *strata.Metrics) { m.BackgroundErrors = 1 }, "compactions failed once"},
		{"idle snapshot", func(m *strata.Metrics) { m.Snapshots.Open, m.Snapshots.OldestAge = 1, time.Hour }, ""},
		{"snapshot", func(m *strata.Metrics) {
			m.Snapshots.Open, m.Snapshots.OldestAge, m.LastSeq = 2, 50*time.Hour, 5000
		}, "the oldest of 2 open snapshots is 2 days old"},
		{"iterator", func(m *strata.Metrics) {
			m.Iterators.Open, m.Iterators.OldestAge, m.PinnedBytes = 1, 11*time.Minute, 1<<20
		}, "the only open iterator is 11m0s old: 1.0 MiB of tables"},
		{"iterator of much", func(m *strata.Metrics) {
			m.Iterators.Open, m.Iterators.OldestAge, m.PinnedBytes = 1, 1500*time.Millisecond, 1<<30
		}, "is 1.5s old: 1.0 GiB of tables"},
		{"idle iterator", func(m *strata.Metrics) { m.Iterators.Open, m.Iterators.OldestAge = 1, time.Hour }, ""},
		{"short stall", func(m *strata.Metrics) {
			m.Stalls = map[string]strata.StallMetrics{"level0": {Count: 9, Duration: time.Millisecond}}
		}, ""},
		{"stall", func(m *strata.Metrics) {
			m.Stalls = map[string]strata.StallMetrics{"memtables": {Count: 9, Duration: 2 * time.Minute}}
		}, "writers waited 9 times, 2m0s in all, because memtables filled faster"},
		{"level 0", func(m *strata.Metrics) { m.Levels[0].Tables, m.Levels[0].Score = 12, 3 }, "12 tables in level 0"},
		{"FIFO", func(m *strata.Metrics) { m.Levels[0].Tables, m.Levels[0].Score = 500, 0.9 }, ""},
		{"debt", func(m *strata.Metrics) { m.Compaction.DebtBytes = 1 << 30 }, "compactions are behind: 1.0 GiB"},
		{"tombstones", func(m *strata.Metrics) { m.Levels[1].Entries, m.Levels[1].Tombstones = 1000, 400 }, "400 of 1000 entries are tombstones"},
		{"cold cache", func(m *strata.Metrics) { m.BlockCache.Misses, m.BlockCache.Capacity = 20000, 1<<20 }, ""},
		{"no cache", func(m *strata.Metrics) { m.BlockCache.Misses = 20000 }, "there is no block cache"},
		{"descriptors", func(m *strata.Metrics) { m.TableCache.MaxOpenFiles, m.TableCache.Waits = 8, 3 }, "reads waited 3 times"},
		{"refused", func(m *strata.Metrics) { m.TableCache.Refused = 3 }, "refused to open tables 3 times"},
		{"manifest", func(m *strata.Metrics) { m.Manifest.Bytes = 65 << 20 }, "65.0 MiB of manifest"},
	} {
		var m strata.Metrics
		c.set(&m)
		f := tools.Diagnose(&m)
		if len(f) != 1 || (f[0].Grade == tools.GradeOK) != (c.want == "") || !strings.Contains(f[0].What, c.want) {
			t.Errorf("%s: %v, want %q", c.name, f, c.want)
		}
		if f[0].Grade != tools.GradeOK && f[0].Do == "" {
			t.Errorf("%s: nothing to do about %q", c.name, f[0].What)
		}
	}
}

// TestStallsHaveCures: every cause that the engine names is explained.
func TestStallsHaveCures(t *testing.T) {
	for _, cause := range []string{"memtables", "level0", "level0-slowdown", "debt-slowdown"} {
		m := strata.Metrics{Stalls: map[string]strata.StallMetrics{cause: {Count: 1, Duration: time.Minute}}}
		if f := tools.Diagnose(&m); len(f) != 1 || f[0].Do == "" || strings.Contains(f[0].What, cause+"-") {
			t.Errorf("%s: %v", cause, f)
		}
	}
}
