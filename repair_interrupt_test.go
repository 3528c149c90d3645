package strata_test

import (
	"context"
	"errors"
	"maps"
	"testing"

	"github.com/strata-db/strata"
	"github.com/strata-db/strata/vfs"
)

// interruptAt runs a repair or salvage of a copy of old that is interrupted at call k
// of its file system. It returns the copy, the error, and whether the call came.
func interruptAt(t *testing.T, old vfs.FS, k int64, salvage bool) (fs vfs.FS, err error, came bool) {
	t.Helper()
	fs = vfs.NewMem()
	copyTree(t, old, fs, "db")
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	watched := vfs.NewFault(fs)
	moved := func() int64 { return watched.Count(vfs.OpRead) + watched.Count(vfs.OpWrite) }
	var before int64
	rule := watched.Add(&vfs.Rule{After: k - 1, Times: 1, Delay: func(vfs.Op) { before = moved(); cancel() }})
	o := &strata.RepairOptions{Options: &strata.Options{FS: watched}}
	if salvage {
		_, err = strata.SalvageContext(ctx, "db", "out", o)
	} else {
		_, err = strata.RepairContext(ctx, "db", o)
	}
	if came = rule.Hits() > 0; came && err != nil && moved() > before+1 {
		t.Errorf("interrupted at call %d: %d reads and writes of files afterwards", k, moved()-before)
	}
	if open := watched.OpenFiles(); len(open) > 0 {
		t.Errorf("interrupted at call %d: %v are still open", k, open)
	}
	return fs, err, came
}

// TestRepairInterrupted interrupts a repair and a salvage at each call. Either it was
// too late, and they ended well, or the directory is what it was, there is no other
// one, and hardly anything was done after the interrupt.
func TestRepairInterrupted(t *testing.T) {
	old := vfs.NewMem()
	copyTree(t, smallPasts(t)[0].fs, old, "db")
	flipIn(t, old, ".ldb", 100)
	flipIn(t, old, ".log", 300)
	want := contentsOf(t, old, "db")
	for _, salvage := range []bool{false, true} {
		stopped := 0
		for k := int64(1); ; k++ {
			fs, err, came := interruptAt(t, old, k, salvage)
			if !came {
				break
			}
			if err == nil && !salvage {
				continue
			}
			if got := contentsOf(t, fs, "db"); !maps.Equal(got, want) {
				t.Fatalf("salvage %v, interrupted at call %d: the directory changed", salvage, k)
			}
			if err == nil {
				continue
			}
			if stopped++; !errors.Is(err, context.Canceled) {
				t.Fatalf("interrupted at call %d: %v", k, err)
			}
			if names, err := fs.List("."); err != nil || len(names) != 1 {
				t.Fatalf("interrupted at call %d: %v %v", k, names, err)
			}
		}
		if stopped < 20 {
			t.Errorf("salvage %v: only %d interrupts ended it", salvage, stopped)
		}
	}
}
