package tools_test

import (
	"encoding/json"
	"testing"

	"github.com/strata-db/strata/tools"
)

// TestPeriodsAddUp: the periods of a history hold each edit once, and what was
// flushed and compacted in them is what the levels got.
func TestPeriodsAddUp(t *testing.T) {
	dir := paint(t, "backlog")
	for _, periods := range []string{"1", "3", "10", "10000"} {
		out, errs, status := run(t, tools.Env{}, "manifest", "summarize", dir, "--periods", periods, "--times", "--json")
		if status != tools.ExitOK {
			t.Fatal(errs)
		}
		var s struct {
			Edits  int
			Levels []struct {
				Live      int
				LiveBytes uint64 `json:"live_bytes"`
				Added     int
				Bytes     uint64 `json:"added_bytes"`
			}
			Periods []struct {
				First    int    `json:"first_edit"`
				Last     int    `json:"last_edit"`
				FirstSeq uint64 `json:"first_sequence"`
				LastSeq  uint64 `json:"last_sequence"`
				Flushed  uint64 `json:"flushed_bytes"`
				Written  uint64 `json:"compaction_bytes_written"`
				Live     int    `json:"live_tables"`
				Bytes    uint64 `json:"live_bytes"`
				Start    bool
				Made     int    `json:"tables_made"`
				From     string `json:"modified_from"`
			}
		}
		if err := json.Unmarshal([]byte(out), &s); err != nil {
			t.Fatal(err)
		}
		var added, live, got, start uint64
		tables := 0
		for _, l := range s.Levels {
			added, live, tables = added+l.Bytes, live+l.LiveBytes, tables+l.Live
		}
		next, seq := 1, uint64(0)
		for _, p := range s.Periods {
			if p.First != next || p.Last < p.First || p.FirstSeq != seq && !p.Start || p.LastSeq < p.FirstSeq {
				t.Errorf("%s periods: edits %d to %d, sequence %d to %d, behind %d and %d", periods, p.First, p.Last, p.FirstSeq, p.LastSeq, next-1, seq)
			}
			next, seq = p.Last+1, p.LastSeq
			got += p.Flushed + p.Written
			if p.Start {
				start = p.Bytes
			}
			if p.Made > 0 && p.From == "" && p.Last == s.Edits {
				t.Errorf("%s periods: the last one has no times", periods)
			}
		}
		last := s.Periods[len(s.Periods)-1]
		if next-1 != s.Edits || got+start != added || last.Live != tables || last.Bytes != live {
			t.Errorf("%s periods: %d of %d edits, %d+%d of %d bytes, %d of %d tables, %d of %d bytes", periods, next-1, s.Edits, got, start, added, last.Live, tables, last.Bytes, live)
		}
	}
}
