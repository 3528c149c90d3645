package tools

import (
	"context"
	"fmt"
	"slices"
	"testing"

	"github.com/strata-db/strata"
	"github.com/strata-db/strata/internal/base"
)

// TestScanOutlivesItsTables compacts a database in the middle of a scan that holds
// one table open, so that all others are gone: the scan goes on in the new state,
// forwards and backwards, without losing or repeating a key. Holding all tables
// open, it needs no new state.
func TestScanOutlivesItsTables(t *testing.T) {
	const keys = 3000
	for _, c := range []struct {
		name    string
		pins    int
		reverse bool
		restart bool
	}{
		{"forwards", 1, false, true},
		{"backwards", 1, true, true},
		{"all open", 0, false, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			dir := t.TempDir() + "/db"
			opts := &strata.Options{MemtableBytes: 64 << 10, TableBytes: 32 << 10}
			fill := func(version int) {
				db, err := strata.Open(dir, opts)
				if err != nil {
					t.Fatal(err)
				}
				for i := range keys {
					if err := db.Put(fmt.Appendf(nil, "%06d", i), fmt.Appendf(nil, "%0100d", i*10+version), nil); err != nil {
						t.Fatal(err)
					}
				}
				if err := db.CompactRange(context.Background(), nil, nil); err != nil {
					t.Fatal(err)
				}
				if err := db.Close(); err != nil {
					t.Fatal(err)
				}
			}
			fill(1)
			con := (&Env{}).console(outputFlags{})
			var got []string
			w := &walk{dir: dir, reverse: c.reverse, at: base.SeqNumMax, pins: c.pins}
			st, err := w.run(context.Background(), con, func(ik base.InternalKey, _ []byte) error {
				k := ik.UserKey
				if got = append(got, string(k)); len(got) == 10 {
					fill(2)
				}
				return nil
			})
			if err != nil {
				t.Fatal(err)
			}
			if c.reverse {
				slices.Reverse(got)
			}
			if len(got) != keys || !slices.IsSorted(got) || len(slices.Compact(got)) != keys {
				t.Errorf("%d keys, want %d, each once and in order", len(got), keys)
			}
			if (st.Restarts > 0) != c.restart {
				t.Errorf("went on in a newer state %d times", st.Restarts)
			}
		})
	}
}
