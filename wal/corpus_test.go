package wal_test

import (
	"bytes"
	"errors"
	"maps"
	"slices"
	"testing"

	"github.com/strata-db/strata/internal/base"
	"github.com/strata-db/strata/internal/batch"
	"github.com/strata-db/strata/internal/testcorpus"
	"github.com/strata-db/strata/vfs"
	"github.com/strata-db/strata/wal"
)

// entry is the newest version of a key.
type entry struct {
	seq   base.SeqNum
	kind  base.Kind
	value []byte
}

// content is what a replay delivers, applied: the highest sequence number wins.
type content map[string]entry

func (c content) apply(_ wal.Segment, _ int64, rec []byte) error {
	seq := batch.SeqNum(rec)
	r := batch.NewReader(rec)
	for {
		kind, key, value, ok, err := r.Next()
		if !ok {
			return err
		}
		if old, had := c[string(key)]; !had || seq >= old.seq {
			c[string(key)] = entry{seq, kind, bytes.Clone(value)}
		}
		seq++
	}
}

// live returns the keys that have a value, in order.
func (c content) live() []string {
	maps.DeleteFunc(c, func(_ string, e entry) bool { return e.kind == base.KindDelete })
	return slices.Sorted(maps.Keys(c))
}

// logs returns the log segments of a directory in ascending order.
func logs(tb testing.TB, fs vfs.FS, dir string) []wal.Segment {
	tb.Helper()
	names, err := fs.List(dir)
	if err != nil {
		tb.Fatal(err)
	}
	var segs []wal.Segment
	for _, name := range names {
		if t, n := base.ParseFileName(name); t == base.FileLog {
			segs = append(segs, wal.Segment{Num: n, Type: t})
		}
	}
	slices.SortFunc(segs, func(a, b wal.Segment) int { return int(a.Num) - int(b.Num) })
	return segs
}

// Logs of other engines, healthy, torn and damaged, give what the case demands:
// all of the content, or an error that names the file.
func TestCorpus(t *testing.T) {
	kinds := []string{"wal-only", "wal-trailer", "wal-blocks", "wal-torn", "wal-damage", "several-logs", "reuse-logs"}
	cases, _ := testcorpus.Load(t)
	ran := 0
	for _, c := range cases {
		if !slices.Contains(kinds, c.Kind) || c.ID == "two-logs-cpp" { // that one has a table
			continue
		}
		ran++
		for _, lockless := range []bool{false, true} {
			got := content{}
			res, err := wal.Replay(wal.ReplayOptions{
				FS: vfs.OS, Dir: c.DB(), Segments: logs(t, vfs.OS, c.DB()), Lockless: lockless,
			}, got.apply)
			judge(t, c, got, res, err)
		}
		if c.Outcome() != testcorpus.Exact {
			salvage(t, c)
		}
	}
	if ran == 0 {
		testcorpus.Missing(t, "no case with logs")
	}
	t.Logf("%d cases", ran)
}

func judge(t *testing.T, c *testcorpus.Case, got content, res wal.Result, err error) {
	t.Helper()
	want := c.Content(t)
	if err != nil {
		var ce *base.CorruptionError
		switch {
		case c.Outcome() == testcorpus.Exact:
			t.Errorf("%s: %v", c.ID, err)
		case !errors.As(err, &ce) || ce.File != c.DamagedFile() || ce.Offset < 0:
			t.Errorf("%s: %v does not name a place in %s", c.ID, err, c.DamagedFile())
		}
		return
	}
	if c.Outcome() == testcorpus.Error {
		t.Errorf("%s: %s gave no error, but %d batches", c.ID, c.Derivation, res.Batches)
		return
	}
	keys := got.live()
	if len(keys) != len(want) {
		t.Errorf("%s: %d keys, want %d", c.ID, len(keys), len(want))
		return
	}
	for i, w := range want {
		if keys[i] != string(w.Key) || !w.Match(got[keys[i]].value) {
			t.Errorf("%s: key %d is %x, want %s", c.ID, i, keys[i], w)
		}
	}
	// Zeros behind the end, and a cut between two records, are no tear.
	noTear := []string{"torn-clean-cut-cpp", "torn-zero-length-go", "torn-zero-tail-cpp"}
	if torn := c.Kind == "wal-torn" && !slices.Contains(noTear, c.ID); torn != (res.Tear != nil) {
		t.Errorf("%s (%s): tear %+v", c.ID, c.Derivation, res.Tear)
	}
}

// A salvage of a damaged log has no error and says what it passed over.
func salvage(t *testing.T, c *testcorpus.Case) {
	t.Helper()
	got := content{}
	res, err := wal.Replay(wal.ReplayOptions{
		FS: vfs.OS, Dir: c.DB(), Segments: logs(t, vfs.OS, c.DB()), Salvage: true,
	}, got.apply)
	if err != nil || len(res.Lost) == 0 && c.Outcome() == testcorpus.Error || len(got) == 0 {
		t.Errorf("%s: salvaged %d keys, lost %v, %v", c.ID, len(got), res.Lost, err)
	}
}
