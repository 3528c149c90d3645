package metamorphic

import (
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// The same operations give the same answers under every set of options.
//
// STRATA_SEED repeats one list. STRATA_LONG=1 runs longer lists, one after the
// other, for STRATA_META_TIME (5m if not given).
func TestMetamorphic(t *testing.T) {
	seed, n := rand.Uint64()%1e9, 6000
	repeat := os.Getenv("STRATA_SEED")
	if repeat != "" {
		var err error
		seed, err = strconv.ParseUint(repeat, 10, 64)
		require.NoError(t, err)
	}
	if testing.Short() {
		n = 2000
	}
	if os.Getenv("STRATA_LONG") == "" {
		runSeed(t, seed, n)
		return
	}
	limit := 5 * time.Minute
	if s := os.Getenv("STRATA_META_TIME"); s != "" {
		var err error
		limit, err = time.ParseDuration(s)
		require.NoError(t, err)
	}
	lists := 0
	for end := time.Now().Add(limit); time.Now().Before(end) && !t.Failed(); seed++ {
		runSeed(t, seed, 10000+int(seed%3)*10000)
		if lists++; repeat != "" {
			break
		}
	}
	t.Logf("%d lists under %d sets of options", lists, len(Sets()))
}

// runSeed runs one list under every set.
func runSeed(t *testing.T, seed uint64, n int) {
	fmt.Printf("metamorphic: STRATA_SEED=%d, %d operations\n", seed, n)
	t.Run(fmt.Sprintf("seed=%d", seed), func(t *testing.T) {
		ops := Generate(seed, n)
		sets := Sets()
		want := runSet(t, sets[0], ops)
		for _, set := range sets[1:] {
			t.Run(set.Name, func(t *testing.T) {
				t.Parallel()
				if err := compare(ops, want, runSet(t, set, ops)); err != nil {
					t.Errorf("STRATA_SEED=%d: %s and %s: %v", seed, sets[0].Name, set.Name, err)
				}
			})
		}
	})
}

func runSet(t *testing.T, set Set, ops []Op) []string {
	t.Helper()
	dir := "db"
	if set.OnDisk {
		dir = filepath.Join(t.TempDir(), dir)
	}
	r, err := Start(set, dir)
	require.NoError(t, err)
	if err := r.Do(ops); err != nil {
		t.Errorf("set %s: %v", set.Name, err)
		_ = r.Close()
		return r.History
	}
	require.NoError(t, r.Close())
	for _, reason := range set.Wants {
		if r.Compactions[reason] == 0 && !testing.Short() { // such a list is too short for some
			t.Errorf("set %s is there for %s compactions, and none ran: %v", set.Name, reason, r.Compactions)
		}
	}
	t.Logf("compactions of %s: %v", set.Name, r.Compactions)
	return r.History
}

// compare names the first answer in which two histories differ.
func compare(ops []Op, want, got []string) error {
	for i := range min(len(want), len(got)) {
		if want[i] != got[i] {
			return fmt.Errorf("answer %d of %d differs\noperation: %s\nwant: %s\ngot:  %s", i, len(ops), ops[i], want[i], got[i])
		}
	}
	if len(want) != len(got) {
		return fmt.Errorf("%d answers, want %d", len(got), len(want))
	}
	return nil
}

// The comparison finds a single write that is missing, and the list depends on
// the seed alone.
func TestMissingWriteIsFound(t *testing.T) {
	ops := Generate(5, 2000)
	require.Equal(t, ops, Generate(5, 2000))
	require.NotEqual(t, ops, Generate(6, 2000))
	want := runSet(t, Set{Options: small(nil)}, ops)
	wiped := map[string]bool{}
	tries := 0
	for i, op := range slices.Backward(ops) {
		for _, e := range op.Entries {
			wiped[string(e.Key)] = wiped[string(e.Key)] || e.Delete
		}
		if op.Kind != OpFill || wiped[string(op.Entries[0].Key)] {
			continue
		}
		lossy := slices.Clone(ops)
		lossy[i].Entries = op.Entries[1:]
		require.Error(t, compare(ops, want, runSet(t, Set{Options: small(nil)}, lossy)), "operation %d", i)
		if tries++; tries == 3 {
			return
		}
	}
	t.Fatalf("only %d writes were tried", tries)
}
