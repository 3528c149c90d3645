package exchange

import (
	"fmt"
	"slices"
	"testing"

	"github.com/strata-db/strata"
	"github.com/strata-db/strata/internal/testcorpus"
)

// TestCorpusAfterStrata takes over a copy of every readable database of the
// corpus, writes to it, and has every peer read the result: after a plain close
// and after a compaction of everything.
func TestCorpusAfterStrata(t *testing.T) {
	cases, full := testcorpus.Load(t)
	ran := 0
	t.Run("case", func(t *testing.T) {
		for _, c := range cases {
			if c.Outcome() != testcorpus.Exact {
				continue
			}
			if slices.Contains(c.Writer.Options, "compression=zstd") {
				continue // these two peers do not know zstd
			}
			ran++
			t.Run(c.ID, func(t *testing.T) {
				t.Parallel()
				for _, compact := range []bool{false, true} {
					m := modelOf(c.Comparer(t), c.Content(t))
					dir := c.Copy(t)
					takeOver(t, dir, m, compact)
					for _, p := range peers(t) {
						t.Run(fmt.Sprintf("%s/compacted=%v", p.name(), compact), func(t *testing.T) {
							copied := t.TempDir() + "/db"
							testcorpus.CopyDir(t, dir, copied)
							p.read(t, copied, m.order, m.entries)
						})
					}
				}
			})
		}
	})
	if full && ran < 70 {
		t.Errorf("%d cases ran, want at least 70", ran)
	}
}

// takeOver writes a few new keys, overwrites and deletes a few old ones.
func takeOver(t *testing.T, dir string, m *model, compact bool) {
	t.Helper()
	var ops []op
	for i := range 20 {
		ops = append(ops, op{key: testcorpus.NewKey(m.order, i), value: fmt.Appendf(nil, "value %d", i)})
	}
	for i, e := range m.entries {
		switch i % 10 {
		case 3:
			ops = append(ops, op{key: e.Key, value: []byte("again")})
		case 7:
			ops = append(ops, op{key: e.Key, delete: true})
		}
	}
	if compact {
		ops = append(ops, op{compact: true})
	}
	withStrata(t, dir, &strata.Options{Comparer: m.order}, func(db *strata.DB) {
		check(t, db, m)
		applyToStrata(t, db, ops)
		m.apply(ops)
		check(t, db, m)
	})
}
