package strata

import (
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"
)

// Keys written beside an iterator, before the key it shows, do not make it show
// that key again when it turns from backwards to forwards.
func TestTurnBesideWrites(t *testing.T) {
	for name, flushed := range map[string]bool{"memtable alone": false, "memtable over a table": true} {
		t.Run(name, func(t *testing.T) {
			db := openMem(t, nil)
			mustPut(t, db, "b", "1", "d", "1", "f", "1")
			if flushed {
				require.NoError(t, db.Flush())
				mustPut(t, db, "c", "1", "e", "1")
			}
			want := collect(t, db, nil)
			its := make([]*Iterator, len(want))
			for i := range its {
				its[i] = db.NewIterator(nil)
				require.True(t, its[i].Last())
				for range i {
					require.True(t, its[i].Prev())
				}
			}
			mustPut(t, db, "a", "2", "b", "2", "b1", "2", "c1", "2", "d", "2", "d1", "2", "e1", "2")
			for i, it := range its {
				at := len(want) - 1 - i
				require.Equal(t, want[at], string(it.Key()))
				for _, key := range want[at+1:] {
					require.True(t, it.Next())
					require.Equal(t, key, string(it.Key()), "from %s", want[at])
					require.Equal(t, "1", string(it.Value()))
				}
				require.False(t, it.Next(), "%s after the last", it.Key())
				require.NoError(t, it.Close())
			}
		})
	}
}

// Many keys written there are passed over, too.
func TestTurnBesideManyWrites(t *testing.T) {
	db := openMem(t, nil)
	mustPut(t, db, "x", "1", "y", "1")
	it := db.NewIterator(nil)
	require.True(t, it.SeekLT([]byte("y")))
	for i := range 1000 {
		mustPut(t, db, fmt.Sprintf("b%d", i%300), "2")
	}
	require.True(t, it.Next())
	require.Equal(t, "y", string(it.Key()))
	require.True(t, it.Prev())
	require.Equal(t, "x", string(it.Key()))
	require.NoError(t, it.Close())
}

// The same from forwards to backwards, with keys written behind the one that is
// shown: one of them often, so that its versions are jumped over, and many.
func TestTurnBackBesideWrites(t *testing.T) {
	for name, key := range map[string]func(i int) string{
		"one key": func(int) string { return "g" },
		"many":    func(i int) string { return fmt.Sprintf("g%02d", i) },
		"its own": func(int) string { return "f" },
	} {
		t.Run(name, func(t *testing.T) {
			db := openMem(t, nil)
			mustPut(t, db, "b", "1", "d", "1", "f", "1")
			require.NoError(t, db.Flush())
			mustPut(t, db, "c", "1", "e", "1")
			it := db.NewIterator(nil)
			require.True(t, it.SeekGE([]byte("f")))
			for i := range 30 {
				mustPut(t, db, key(i), "2")
			}
			for _, key := range []string{"e", "d", "c", "b"} {
				require.True(t, it.Prev())
				require.Equal(t, key, string(it.Key()))
			}
			require.False(t, it.Prev())
			require.NoError(t, it.Close())
		})
	}
}

// collect returns the keys of db.
func collect(t *testing.T, r Reader, o *IterOptions) []string {
	t.Helper()
	var keys []string
	var err error
	for k := range r.Range(o, &err) {
		keys = append(keys, string(k))
	}
	require.NoError(t, err)
	return keys
}
