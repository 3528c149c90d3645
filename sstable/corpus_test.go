package sstable

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/strata-db/strata/internal/base"
	"github.com/strata-db/strata/internal/cache"
	"github.com/strata-db/strata/internal/testcorpus"
)

// tables returns the names of the tables in a case's directory.
func tables(t *testing.T, c *testcorpus.Case) []string {
	t.Helper()
	files, err := os.ReadDir(c.DB())
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, f := range files {
		if typ, _ := base.ParseFileName(f.Name()); typ == base.FileTable || typ == base.FileTableOld {
			names = append(names, f.Name())
		}
	}
	return names
}

func openCorpus(t *testing.T, c *testcorpus.Case, file string) (*Reader, error) {
	t.Helper()
	f, err := os.Open(filepath.Join(c.DB(), file))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { f.Close() })
	fi, err := f.Stat()
	if err != nil {
		t.Fatal(err)
	}
	size := fi.Size()
	if c.ID == "table-trailing-garbage-cpp" {
		size -= 10 // the manifest knows
	}
	cmp, ok := testcorpus.Comparer(c.Comparator)
	if !ok {
		t.Fatalf("no comparer %q", c.Comparator)
	}
	return NewReader(f, size, ReaderOptions{Cmp: cmp, Cache: cache.New(8 << 20), Name: file})
}

// Every undamaged table of every writer must be walked whole in both directions,
// hold what Get finds, and verify.
func TestCorpusTables(t *testing.T) {
	cases, _ := testcorpus.Load(t)
	for _, c := range cases {
		for _, file := range tables(t, c) {
			if file == c.DamagedFile() && c.Outcome() != testcorpus.Exact || file == "000900.ldb" {
				continue
			}
			t.Run(c.ID+"/"+file, func(t *testing.T) {
				r, err := openCorpus(t, c, file)
				if err != nil {
					t.Fatal(err)
				}
				forward := 0
				it := r.NewIter(IterOptions{FillCache: true})
				for kv := it.First(); kv != nil; kv = it.Next() {
					forward++
					v, tr, ok, err := r.Get(kv.K.UserKey, kv.K.SeqNum(), HashKey(kv.K.UserKey))
					if err != nil || !ok || tr != kv.K.Trailer || string(v) != string(kv.V) {
						t.Fatalf("Get(%v): %v %v %v", kv.K, tr, ok, err)
					}
				}
				back := 0
				for kv := it.Last(); kv != nil; kv = it.Prev() {
					back++
				}
				if it.Err() != nil || back != forward || forward == 0 {
					t.Errorf("%d entries forwards, %d back: %v", forward, back, it.Err())
				}
				stats, problems := r.Verify(context.Background())
				if len(problems) != 0 || stats.Entries != uint64(forward) {
					t.Errorf("verified %d of %d: %v", stats.Entries, forward, problems)
				}
			})
		}
	}
}

// A damaged table must give, from the open or from the read that meets the
// damage, an error that names it, and nothing that was not written. Verify must
// find every damage that touches something we use.
func TestCorpusDamage(t *testing.T) {
	cases, _ := testcorpus.Load(t)
	for _, c := range cases {
		file := c.DamagedFile()
		if !strings.HasPrefix(c.ID, "table-") || file == "" || c.Outcome() == testcorpus.Exact || c.ID == "table-missing-cpp" {
			continue
		}
		t.Run(c.ID, func(t *testing.T) {
			want := map[string]testcorpus.Entry{}
			for _, e := range c.Content(t) {
				want[string(e.Key)] = e
			}
			noticed := false
			notice := func(err error) {
				var ce *base.CorruptionError
				if !errors.As(err, &ce) || ce.File != file || ce.Offset < 0 {
					t.Errorf("not a corruption of %s: %v", file, err)
				}
				noticed = true
			}
			r, err := openCorpus(t, c, file)
			if err != nil {
				notice(err)
			} else {
				checkDamaged(t, r, want, c.Outcome() != testcorpus.Verify, notice)
				_, problems := r.Verify(context.Background())
				for _, p := range problems {
					notice(p)
				}
				// A filter under the name whose meaning depends on the writer is not used.
				if len(problems) == 0 && c.ID != "table-filter-zero-crcok-go" {
					t.Error("Verify found nothing")
				}
			}
			if !noticed && c.Outcome() == testcorpus.Error {
				t.Error("nobody noticed")
			}
		})
	}
}

// checkDamaged walks a damaged table both ways and looks all keys up.
func checkDamaged(t *testing.T, r *Reader, want map[string]testcorpus.Entry, truth bool, notice func(error)) {
	t.Helper()
	for _, back := range []bool{false, true} {
		it := r.NewIter(IterOptions{FillCache: true})
		kv, step := it.First(), it.Next
		if back {
			kv, step = it.Last(), it.Prev
		}
		for ; kv != nil; kv = step() {
			if truth && !want[string(kv.K.UserKey)].Match(kv.V) {
				t.Errorf("shows %v, which nobody wrote", kv.K)
			}
		}
		if it.Err() != nil {
			notice(it.Err())
			for range 3 {
				if it.Next() != nil || it.Prev() != nil || it.Err() == nil {
					t.Error("went on after the damage")
				}
			}
		}
		it.Close()
	}
	if !truth {
		return
	}
	silent := 0
	for k, e := range want {
		v, _, ok, err := r.Get([]byte(k), base.SeqNumMax, HashKey([]byte(k)))
		switch {
		case err != nil:
			notice(err)
		case ok && !e.Match(v):
			t.Errorf("Get(%q) shows what nobody wrote", k)
		case !ok:
			silent++
		}
	}
	if silent > 1 {
		t.Errorf("%d keys missing without an error; one is in the log", silent)
	}
}
