package exchange

import (
	"context"
	"path/filepath"
	"testing"

	"github.com/strata-db/strata"
	"github.com/strata-db/strata/internal/testcorpus"
)

// TestPeersReadStrata: what Strata wrote, other engines read after a clean
// Close; what they add, Strata reads; and what Strata adds to that, they read
// again. Every shape, every peer.
func TestPeersReadStrata(t *testing.T) {
	eachPeer(t, func(t *testing.T, p peer) {
		for _, s := range shapes {
			t.Run(s.name, func(t *testing.T) {
				t.Parallel()
				dir := filepath.Join(t.TempDir(), "db")
				m := &model{order: s.comparer()}
				strataWrite(t, dir, &s, m, 0)
				p.read(t, dir, m.order, m.entries)
				peerWrite(t, p, dir, &s, m, 1)
				strataRead(t, dir, &s, m)
				strataWrite(t, dir, &s, m, 2)
				p.read(t, dir, m.order, m.entries)
			})
		}
	})
}

// TestStrataReadsPeers: the reverse. The peer makes the database, Strata takes
// it over, and every peer reads the result.
func TestStrataReadsPeers(t *testing.T) {
	eachPeer(t, func(t *testing.T, p peer) {
		for _, s := range shapes {
			t.Run(s.name, func(t *testing.T) {
				t.Parallel()
				dir := filepath.Join(t.TempDir(), "db")
				m := &model{order: s.comparer()}
				peerWrite(t, p, dir, &s, m, 3)
				strataRead(t, dir, &s, m)
				strataWrite(t, dir, &s, m, 4)
				for _, reader := range peers(t) {
					reader.read(t, dir, m.order, m.entries)
				}
				strataRead(t, dir, &s, m)
			})
		}
	})
}

func peerWrite(t *testing.T, p peer, dir string, s *shape, m *model, round uint64) {
	t.Helper()
	ops := s.seeded(round)
	p.write(t, dir, m.order, ops)
	m.apply(ops)
}

// strataWrite opens the directory, applies the shape's operations, and closes.
func strataWrite(t *testing.T, dir string, s *shape, m *model, round uint64) {
	t.Helper()
	withStrata(t, dir, s.strataOptions(), func(db *strata.DB) {
		ops := s.seeded(round)
		half := len(ops) / 2
		applyToStrata(t, db, ops[:half])
		var before func()
		if s.during != nil {
			before = s.during(t, db)
		}
		applyToStrata(t, db, ops[half:])
		m.apply(ops)
		if before != nil {
			before()
		}
		check(t, db, m)
	})
}

// strataRead opens the directory read-only and for writing, and checks it.
func strataRead(t *testing.T, dir string, s *shape, m *model) {
	t.Helper()
	o := s.strataOptions()
	o.ReadOnly = true
	withStrata(t, dir, o, func(db *strata.DB) { check(t, db, m) })
	withStrata(t, dir, s.strataOptions(), func(db *strata.DB) {
		check(t, db, m)
		if report, err := db.Verify(context.Background()); err != nil || len(report.Problems) > 0 {
			t.Fatalf("verify: %v, %+v", err, report)
		}
	})
}

func withStrata(t *testing.T, dir string, o *strata.Options, fn func(db *strata.DB)) {
	t.Helper()
	db, err := strata.Open(dir, o)
	if err != nil {
		t.Fatalf("strata: open: %v", err)
	}
	defer func() {
		if err := db.Close(); err != nil {
			t.Errorf("strata: close: %v", err)
		}
	}()
	fn(db)
}

func applyToStrata(t *testing.T, db *strata.DB, ops []op) {
	t.Helper()
	var b strata.Batch
	for i, o := range ops {
		switch {
		case o.compact:
		case o.delete:
			b.Delete(o.key)
		default:
			b.Put(o.key, o.value)
		}
		if i%3 != 0 && !o.compact && i != len(ops)-1 {
			continue
		}
		if err := db.Write(&b, nil); err != nil {
			t.Fatalf("strata: write: %v", err)
		}
		b.Reset()
		if o.compact {
			if err := db.CompactRange(context.Background(), nil, nil); err != nil {
				t.Fatalf("strata: compact: %v", err)
			}
		}
	}
}

// check wants exactly the model's content from Strata.
func check(t *testing.T, r strata.Reader, m *model) {
	t.Helper()
	it := r.NewIterator(nil)
	defer it.Close()
	n := 0
	for ok := it.First(); ok; ok = it.Next() {
		if n >= len(m.entries) || string(it.Key()) != string(m.entries[n].Key) || !m.entries[n].Match(it.Value()) {
			t.Fatalf("strata: forwards: entry %d is %x = %.40x, want %v", n, it.Key(), it.Value(), at(m.entries, n))
		}
		n++
	}
	if it.Err() != nil || n != len(m.entries) {
		t.Fatalf("strata: forwards: %d of %d entries, error %v", n, len(m.entries), it.Err())
	}
	for ok := it.Last(); ok; ok = it.Prev() {
		if n--; n < 0 || string(it.Key()) != string(m.entries[n].Key) || !m.entries[n].Match(it.Value()) {
			t.Fatalf("strata: backwards: entry %d is %x = %.40x, want %v", n, it.Key(), it.Value(), at(m.entries, n))
		}
	}
	if it.Err() != nil || n != 0 {
		t.Fatalf("strata: backwards: %d entries missing, error %v", n, it.Err())
	}
	for _, e := range m.entries {
		if v, err := r.Get(e.Key); err != nil || !e.Match(v) {
			t.Fatalf("strata: Get(%x) = %.40x, %v, want %v", e.Key, v, err, e)
		}
	}
}

// modelOf is a model that holds entries, which it keeps.
func modelOf(order *strata.Comparer, entries []testcorpus.Entry) *model {
	return &model{order: order, entries: entries}
}
