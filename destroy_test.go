package strata

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/strata-db/strata/vfs"
)

// Destroy takes away a database's files and nothing else, in both formats, and a
// Destroy that was cut short at any call can be done again.
func TestDestroy(t *testing.T) {
	for _, c := range []Compression{Snappy, Zstd} {
		for k := int64(1); ; k++ {
			fs := vfs.NewFault(vfs.NewMem())
			db, err := Open("db", &Options{FS: fs, Compression: c})
			require.NoError(t, err)
			mustPut(t, db, "a", "1")
			require.NoError(t, db.Flush())
			require.NoError(t, db.Close())
			f, err := fs.Create("db/mine.txt")
			require.NoError(t, err)
			require.NoError(t, f.Close())

			cut := fs.Add(&vfs.Rule{Kind: vfs.OpRemove, After: k - 1, Times: 1 << 30, Err: vfs.ErrHalted})
			first := Destroy("db", &Options{FS: fs})
			hit := cut.Hits() > 0
			fs.Clear()
			require.Equal(t, hit, first != nil)
			if db, err := Open("db", &Options{FS: fs, ErrorIfMissing: true}); err == nil {
				v, err := db.Get([]byte("a"))
				require.NoError(t, err, "a half destroyed database opens, cut at removal %d", k)
				require.Equal(t, "1", string(v))
				require.NoError(t, db.Close())
			}
			var again error
			if first != nil {
				again = Destroy("db", &Options{FS: fs})
			}
			names, err := fs.List("db")
			require.NoError(t, err)
			if again != nil {
				require.ElementsMatch(t, []string{"mine.txt", "LOCK"}, names, "cut at removal %d: %v", k, again)
			} else {
				require.Equal(t, []string{"mine.txt"}, names)
			}
			if !hit {
				break
			}
		}
	}
}

// A directory that only looks a little like a database's was destroyed: the file
// names of others begin like those of a manifest, or are CURRENT.
func TestDestroyWantsAManifest(t *testing.T) {
	for _, name := range []string{"CURRENT", "STRATA", "MANIFEST-old.txt", "STRATA-notes", "LOCK", "LOG"} {
		fs := vfs.NewMem()
		require.NoError(t, fs.MkdirAll("dir"))
		for _, name := range []string{name, "2026.log", "1.tmp"} {
			f, err := fs.Create("dir/" + name)
			require.NoError(t, err)
			_, err = f.Write([]byte("mine\n"))
			require.NoError(t, err)
			require.NoError(t, f.Close())
		}
		require.ErrorIs(t, Destroy("dir", &Options{FS: fs}), ErrNotDatabase, name)
		names, err := fs.List("dir")
		require.NoError(t, err)
		require.ElementsMatch(t, []string{name, "2026.log", "1.tmp"}, names)
	}
}
