package strata

import (
	"fmt"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/strata-db/strata/internal/base"
	"github.com/strata-db/strata/version"
	"github.com/strata-db/strata/vfs"
	"github.com/strata-db/strata/wal/record"
)

// framedBytes collects framed records.
type framedBytes []byte

func (b *framedBytes) Append(p []byte) error { *b = append(*b, p...); return nil }

// writeManifest makes a directory whose manifest states these counters.
func writeManifest(t *testing.T, fs vfs.FS, next base.FileNum, last base.SeqNum) {
	t.Helper()
	var log, prev base.FileNum
	e := version.Edit{LogNum: &log, PrevLogNum: &prev, NextFileNum: &next, LastSeq: &last}
	var b framedBytes
	require.NoError(t, record.NewWriter(&b, 0).Write(e.Encode(nil)))
	require.NoError(t, fs.MkdirAll("db"))
	for name, data := range map[string][]byte{"MANIFEST-000001": b, "CURRENT": []byte("MANIFEST-000001\n")} {
		f, err := fs.Create("db/" + name)
		require.NoError(t, err)
		_, err = f.Write(data)
		require.NoError(t, err)
		require.NoError(t, f.Close())
	}
}

// Counters near their ends, as only damage leaves them: whatever is accepted is
// there after every reopening, and no file is made a second time.
func TestCountersNearTheirEnds(t *testing.T) {
	for _, c := range []struct {
		name string
		next base.FileNum
		last base.SeqNum
	}{
		{"the last file numbers", 1 << 62, 1},
		{"file numbers that a listing does not believe", 1 << 61, 1},
		{"file numbers just below those", 1<<61 - 2, 1},
		{"nearly the last sequence number", 10, base.SeqNumMax - 3},
	} {
		t.Run(c.name, func(t *testing.T) {
			// No flush succeeds, so that no manifest states what was handed out.
			fs := vfs.NewFault(vfs.NewMem())
			fs.Add(&vfs.Rule{Kind: vfs.OpCreate, Match: onFiles(".ldb"), Err: syscall.EIO})
			writeManifest(t, fs, c.next, c.last)
			var want []string
			for round := range 5 {
				db, err := Open("db", &Options{FS: fs})
				if err != nil {
					require.Empty(t, want, "round %d: %v", round, err)
					require.ErrorContains(t, err, "Salvage")
					ro, err := Open("db", &Options{FS: fs, ReadOnly: true})
					require.NoError(t, err)
					require.NoError(t, ro.Close())
					fs.Clear()
					_, err = Salvage("db", "out", &RepairOptions{Options: &Options{FS: fs}})
					require.NoError(t, err)
					db, err := Open("out", &Options{FS: fs})
					require.NoError(t, err)
					require.NoError(t, db.Close())
					return
				}
				for _, key := range want {
					has, err := db.Has([]byte(key))
					require.NoError(t, err)
					require.True(t, has, "round %d: %s is lost", round, key)
				}
				for i := range 2 {
					key := fmt.Sprintf("%d-%d", round, i)
					err := db.Put([]byte(key), nil, nil)
					if err == nil {
						want = append(want, key)
					}
				}
				require.NoError(t, db.Close())
			}
		})
	}
}

// A directory whose sequence numbers are used up was opened, and not a second time
// if the process was killed: a log that begins beyond the last one cannot be read.
func TestLastSequenceNumber(t *testing.T) {
	fs := vfs.NewMem()
	writeManifest(t, fs, 10, base.SeqNumMax)
	before, err := fs.List("db")
	require.NoError(t, err)
	_, err = Open("db", &Options{FS: fs})
	require.ErrorIs(t, err, ErrCorruption)
	require.ErrorContains(t, err, "ReadOnly")
	after, err := fs.List("db")
	require.NoError(t, err)
	require.ElementsMatch(t, append(before, "LOCK"), after)
	db, err := Open("db", &Options{FS: fs, ReadOnly: true})
	require.NoError(t, err)
	require.NoError(t, db.Close())
}
