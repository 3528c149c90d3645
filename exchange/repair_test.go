package exchange

import (
	"bytes"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/strata-db/strata"
	"github.com/strata-db/strata/internal/testcorpus"
)

// TestRepairedForPeers repairs every damaged database of the corpus and has the peers
// read the result, before Strata has opened it: they must find what Strata finds. They
// read level 0 by file number, and know nothing of sequence bounds.
func TestRepairedForPeers(t *testing.T) {
	cases, _ := testcorpus.Load(t)
	for _, c := range cases {
		if c.Outcome() == testcorpus.Exact || c.OpenComparator != "" {
			continue
		}
		t.Run(c.ID, func(t *testing.T) {
			t.Parallel()
			dir := c.Copy(t)
			repairForPeers(t, dir, c.Comparer(t))
		})
	}
}

// TestRepairedLevel0ForPeers hurts tables and manifests of databases whose level 0 holds
// many versions of the same keys.
func TestRepairedLevel0ForPeers(t *testing.T) {
	rounds := 12
	if testing.Short() {
		rounds = 3
	}
	for seed := range rounds {
		rng := rand.New(rand.NewPCG(uint64(seed), 5))
		dir := filepath.Join(t.TempDir(), "db")
		o := &strata.Options{MemtableBytes: 32 << 10, TableBytes: 32 << 10, BlockBytes: 512, Policy: strata.FIFO(strata.FIFOOptions{})}
		if seed%2 == 0 {
			o.Policy = nil
		}
		withStrata(t, dir, o, func(db *strata.DB) {
			for i := range 4000 {
				k := []byte{'k', byte(rng.IntN(200))}
				if err := db.Put(k, bytes.Repeat([]byte{byte(i), byte(i >> 8)}, 20), nil); err != nil {
					t.Fatal(err)
				}
			}
		})
		hurtOne(t, dir, "*.ldb", rng)
		switch rng.IntN(4) {
		case 0:
			hurtOne(t, dir, "MANIFEST-*", rng)
		case 1:
			hurtOne(t, dir, "*.log", rng)
		case 2:
			hurtOne(t, dir, "*.ldb", rng)
		}
		repairForPeers(t, dir, strata.BytewiseComparer)
		if t.Failed() {
			t.Fatalf("seed %d", seed)
		}
	}
}

// hurtOne flips a bit in one of the files that match.
func hurtOne(t *testing.T, dir, pattern string, rng *rand.Rand) {
	t.Helper()
	names, err := filepath.Glob(filepath.Join(dir, pattern))
	if err != nil || len(names) == 0 {
		t.Fatalf("no %s: %v", pattern, err)
	}
	slices.Sort(names)
	name := names[rng.IntN(len(names))]
	b, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	b[rng.IntN(len(b))] ^= 1 << rng.IntN(8)
	if err := os.WriteFile(name, b, 0o644); err != nil {
		t.Fatal(err)
	}
}

func repairForPeers(t *testing.T, dir string, order *strata.Comparer) {
	t.Helper()
	report, err := strata.Repair(dir, &strata.RepairOptions{Options: &strata.Options{Comparer: order}})
	if err != nil {
		t.Fatalf("%v\n%s", err, report)
	}
	if report.Sound {
		return // as it was: what the peers make of it is not of the repair
	}
	var entries []testcorpus.Entry
	db, err := strata.Open(dir, &strata.Options{Comparer: order, ReadOnly: true})
	if err != nil {
		t.Fatal(err)
	}
	for it := db.NewIterator(nil); ; {
		if !it.Next() {
			if err := it.Close(); err != nil {
				t.Fatal(err)
			}
			break
		}
		entries = append(entries, testcorpus.EntryOf(bytes.Clone(it.Key()), bytes.Clone(it.Value())))
	}
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	for _, p := range peers(t) {
		copied := filepath.Join(t.TempDir(), "db")
		testcorpus.CopyDir(t, dir, copied)
		p.read(t, copied, order, entries)
	}
	if t.Failed() {
		t.Logf("%s", report)
	}
}
