package vfs_test

import (
	"path/filepath"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/strata-db/strata/vfs"
)

// calls makes at least one call of every kind and returns what each gave.
func calls(f vfs.FS) map[vfs.OpKind]error {
	got := make(map[vfs.OpKind]error)
	note := func(k vfs.OpKind, err error) {
		if got[k] == nil {
			got[k] = err
		}
	}
	note(vfs.OpMkdir, f.MkdirAll("d"))
	if file, err := f.Create("d/a"); err != nil {
		note(vfs.OpCreate, err)
	} else {
		note(vfs.OpWrite, second(file.Write([]byte("text"))))
		note(vfs.OpSync, file.Sync())
		note(vfs.OpClose, file.Close())
	}
	if file, err := f.CreateAppend("d/log", vfs.AppendOptions{}); err != nil {
		note(vfs.OpCreateAppend, err)
	} else {
		note(vfs.OpWrite, file.Append([]byte("record")))
		note(vfs.OpSync, file.Sync())
		note(vfs.OpClose, file.Close())
	}
	if file, err := f.Open("d/log"); err != nil {
		note(vfs.OpOpen, err)
	} else {
		note(vfs.OpRead, second(file.ReadAt(make([]byte, 0), 0)))
		note(vfs.OpStat, second(file.Size()))
		note(vfs.OpClose, file.Close())
	}
	note(vfs.OpStat, second(f.Stat("d/log")))
	note(vfs.OpTruncate, f.Truncate("d/log", 1))
	note(vfs.OpLink, f.Link("d/log", "d/link"))
	note(vfs.OpRename, f.Rename("d/link", "d/renamed"))
	note(vfs.OpRemove, f.Remove("d/renamed"))
	note(vfs.OpList, second(f.List("d")))
	note(vfs.OpSyncDir, f.SyncDir("d"))
	note(vfs.OpUsage, second(f.Usage("d")))
	if l, err := f.Lock("d/LOCK", false); err != nil {
		note(vfs.OpLock, err)
	} else {
		note(vfs.OpClose, l.Close())
	}
	return got
}

// Every kind of call can be failed, the failure reaches the caller with its
// cause, and nothing stays open.
func TestFaultEveryKind(t *testing.T) {
	for k := vfs.OpCreate; k <= vfs.OpUsage; k++ {
		t.Run(k.String(), func(t *testing.T) {
			f := vfs.NewFault(vfs.NewMem())
			rule := f.FailAll(k, syscall.EMFILE)
			require.ErrorIs(t, calls(f)[k], syscall.EMFILE)
			require.Positive(t, rule.Hits())
			require.Equal(t, rule.Hits(), f.Count(k))
			require.Empty(t, f.OpenFiles())
		})
	}
}

// The sweep that the documentation shows ends, and meets each call once.
func TestFaultSweep(t *testing.T) {
	clean := vfs.NewFault(vfs.NewMem())
	for k, err := range calls(clean) {
		if k != vfs.OpRead { // of nothing: EOF or not
			require.NoError(t, err, k)
		}
	}
	total := clean.Count(vfs.OpAny)
	for n := int64(1); ; n++ {
		f := vfs.NewFault(vfs.NewMem())
		rule := f.FailNth(vfs.OpAny, n, nil)
		failed := 0
		for _, err := range calls(f) {
			if err != nil {
				failed++
			}
		}
		if rule.Hits() == 0 {
			require.Equal(t, total+1, n)
			break
		}
		require.EqualValues(t, 1, rule.Hits())
		require.Positive(t, failed, "call %d", n)
		require.Empty(t, f.OpenFiles(), "call %d", n)
	}
}

// A rule waits, fails so many calls of the files it names, and can be removed.
func TestFaultRules(t *testing.T) {
	f := vfs.NewFault(vfs.NewMem())
	rule := f.Add(&vfs.Rule{
		Kind:  vfs.OpCreate,
		Match: func(op vfs.Op) bool { return filepath.Ext(op.Name) == ".ldb" },
		After: 1, Times: 2, Err: syscall.ENOSPC,
	})
	create := func(name string) error {
		file, err := f.Create(name)
		if err == nil {
			require.NoError(t, file.Close())
		}
		return err
	}
	require.NoError(t, create("1.ldb"))
	require.NoError(t, create("2.log"))
	require.ErrorIs(t, create("3.ldb"), syscall.ENOSPC)
	require.NoError(t, create("4.log"))
	require.ErrorIs(t, create("5.ldb"), syscall.ENOSPC)
	require.NoError(t, create("6.ldb"))
	require.EqualValues(t, 2, rule.Hits())

	rule = f.FailAll(vfs.OpCreate, nil)
	require.ErrorIs(t, create("7"), syscall.EIO)
	rule.Remove()
	require.NoError(t, create("7"))
	f.FailAll(vfs.OpCreate, nil)
	f.Clear()
	require.NoError(t, create("8"))
}

// A short write leaves half of its bytes; an append handle that it happens to is
// broken and does not count them.
func TestFaultShort(t *testing.T) {
	m := vfs.NewMem()
	f := vfs.NewFault(m)
	file, err := f.Create("f")
	require.NoError(t, err)
	log, err := f.CreateAppend("log", vfs.AppendOptions{})
	require.NoError(t, err)
	require.NoError(t, log.Append([]byte("abc")))
	require.Equal(t, []string{"f", "log"}, f.OpenFiles())
	f.Add(&vfs.Rule{Kind: vfs.OpWrite, Err: syscall.ENOSPC, Short: true})

	n, err := file.Write([]byte("123456"))
	require.ErrorIs(t, err, syscall.ENOSPC)
	require.Equal(t, 3, n)
	require.ErrorIs(t, log.Append([]byte("defg")), syscall.ENOSPC)
	require.True(t, log.Broken())
	require.EqualValues(t, 3, log.Size())
	f.Clear()
	require.ErrorIs(t, log.Append([]byte("x")), vfs.ErrBroken)
	require.NoError(t, file.Close())
	require.NoError(t, log.Close())
	require.Equal(t, "123", read(t, m, "f"))
	require.Equal(t, "abcde", read(t, m, "log"))
}

// A failed append that is not short leaves nothing, and the next one succeeds.
func TestFaultAppend(t *testing.T) {
	f := vfs.NewFault(vfs.NewMem())
	log, err := f.CreateAppend("log", vfs.AppendOptions{})
	require.NoError(t, err)
	f.FailNth(vfs.OpWrite, 2, syscall.ENOSPC)
	require.NoError(t, log.Append([]byte("a")))
	require.ErrorIs(t, log.Append([]byte("b")), syscall.ENOSPC)
	require.False(t, log.Broken())
	require.NoError(t, log.Append([]byte("c")))
	require.NoError(t, log.Close())
	require.Equal(t, "ac", read(t, f, "log"))
}

// A delayed call waits for the test, while others go on, and then succeeds.
func TestFaultDelay(t *testing.T) {
	f := vfs.NewFault(vfs.NewMem())
	entered, release := make(chan vfs.Op), make(chan struct{})
	f.Add(&vfs.Rule{Kind: vfs.OpSync, Times: 1, Delay: func(op vfs.Op) {
		entered <- op
		<-release
	}})
	file, err := f.Create("f")
	require.NoError(t, err)
	done := make(chan error)
	go func() { done <- file.Sync() }()
	require.Equal(t, "f", (<-entered).Name)
	require.Equal(t, []string{"f"}, f.OpenFiles())
	_, err = file.Write([]byte("meanwhile"))
	require.NoError(t, err)
	close(release)
	require.NoError(t, <-done)
	require.NoError(t, file.Close())
}
