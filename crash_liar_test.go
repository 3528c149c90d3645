package strata

import (
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/strata-db/strata/internal/base"
	"github.com/strata-db/strata/vfs"
)

// A checker that never fails proves nothing. Each of these breaks one promise
// that the engine builds on, or one step that it takes, as an engine with a bug
// would; the crash sweep must notice each within some hundred disks.
func TestCrashCheckerFindsBrokenPromises(t *testing.T) {
	disks := envInt("STRATA_CRASH_IMAGES", 0)/10 + 3000
	for _, c := range []struct {
		name string
		lie  func(*liar)
	}{
		{"none", func(*liar) {}},
		{"no directory sync", func(l *liar) { l.skipSyncDir = all }},
		{"no sync of the parent directory", func(l *liar) {
			l.skipSyncDir = func(dir string) bool { return !strings.HasSuffix(dir, "db") }
		}},
		{"no sync of tables", func(l *liar) { l.skipSync = ofType(base.FileTable, base.FileTableUpgr) }},
		{"no sync of the log", func(l *liar) { l.skipSync = ofType(base.FileLog, base.FileLogUpgr) }},
		{"no sync of old segments of the log", func(l *liar) { l.skipSync = l.isOldSegment }},
		{"no sync of the manifest", func(l *liar) { l.skipSync = ofType(base.FileManifest, base.FileManifestUpgr) }},
		{"no sync of the file that becomes CURRENT", func(l *liar) { l.skipSync = ofType(base.FileTemp) }},
		{"every eighth sync is none", func(l *liar) { l.skipSync = l.everyEighth }},
		{"CURRENT before the manifest", func(l *liar) { l.pointerFirst = true }},
		{"the old log goes before the flush is recorded", func(l *liar) { l.logGoesFirst = true }},
		{"an append that comes to nothing", func(l *liar) { l.dropAppend = true }},
		{"appends that reach the kernel late", func(l *liar) { l.lateAppends = true }},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			if testing.Short() && strings.Contains(c.name, "old segments") {
				t.Skip("takes some hundred disks")
			}
			tried, honest, enough := int64(0), c.name == "none", int64(300)
			if testing.Short() {
				enough = 30
			}
			for seed := uint64(0); tried < int64(disks); seed++ {
				r := newSweep(seed)
				r.lie = func(fs vfs.FS) vfs.FS {
					l := &liar{FS: fs}
					c.lie(l)
					return l
				}
				err := r.run()
				for i := range r.images {
					tried += r.images[i].Load()
				}
				require.False(t, honest && err != nil, "found in an honest engine: %v", err)
				if err != nil || honest && tried > enough {
					t.Logf("found at disk %d: %v", tried, err)
					return
				}
			}
			require.Fail(t, "not found", "in %d disks", tried)
		})
	}
}

// The same for the fault sweep: errors that are swallowed, as an engine would that
// syncs again until it succeeds, or does not look at what a call returns.
func TestFaultCheckerFindsSwallowedErrors(t *testing.T) {
	for _, c := range []struct {
		name string
		way  faultKind
		lie  func(*liar)
	}{
		{"a failed sync is done again", faultKind{kind: vfs.OpSync, err: syscall.EIO, times: 1}, func(l *liar) { l.syncAgain = true }},
		{"a failed append counts", faultKind{kind: vfs.OpWrite, err: syscall.EIO, times: 1}, func(l *liar) { l.appendCounts = true }},
		{"files are not closed", faultKind{kind: vfs.OpWrite, err: syscall.EIO, times: 1}, func(l *liar) { l.noClose = true }},
	} {
		t.Run(c.name, func(t *testing.T) {
			for k := int64(1); k < 2000; k++ {
				r := newFaultRun(c.way, 1+k%100, uint64(k))
				l := &liar{FS: r.fs}
				c.lie(l)
				r.o.FS = l
				if err := r.run(); err != nil {
					t.Logf("found in run %d: %v", k, err)
					return
				}
			}
			require.Fail(t, "not found")
		})
	}
}

// A liar is a file system, or an engine upon it, that does not do what it says.
type liar struct {
	vfs.FS

	skipSync     func(name string) bool
	skipSyncDir  func(dir string) bool
	pointerFirst bool
	logGoesFirst bool
	dropAppend   bool
	lateAppends  bool
	syncAgain    bool
	appendCounts bool
	noClose      bool

	mu       sync.Mutex
	newest   string   // log segment
	segments []string // made, oldest first
	unsynced []func() error
	calls    int
}

func all(string) bool { return true }

// ofType matches the names of files of these types.
func ofType(types ...base.FileType) func(string) bool {
	return func(name string) bool {
		t, _ := base.ParseFileName(filepath.Base(name))
		return slices.Contains(types, t)
	}
}

var isLogName = ofType(base.FileLog, base.FileLogUpgr)

func (l *liar) isOldSegment(name string) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return isLogName(name) && name != l.newest
}

func (l *liar) everyEighth(string) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.calls++
	return l.calls%8 == 0
}

func (l *liar) sync(name string, sync func() error) error {
	if l.skipSync != nil && l.skipSync(name) {
		return nil
	}
	if l.pointerFirst && ofType(base.FileManifest, base.FileManifestUpgr)(name) {
		l.mu.Lock()
		defer l.mu.Unlock()
		l.unsynced = append(l.unsynced, sync)
		return nil
	}
	err := sync()
	if err != nil && l.syncAgain {
		err = sync()
	}
	return err
}

func (l *liar) SyncDir(dir string) error {
	if l.skipSyncDir != nil && l.skipSyncDir(dir) {
		return nil
	}
	return l.FS.SyncDir(dir)
}

// Rename syncs what was put off until the pointer is there.
func (l *liar) Rename(from, to string) error {
	err := l.FS.Rename(from, to)
	if l.pointerFirst {
		_ = l.FS.SyncDir(filepath.Dir(to))
		l.mu.Lock()
		defer l.mu.Unlock()
		for _, sync := range l.unsynced {
			_ = sync()
		}
		l.unsynced = nil
	}
	return err
}

func (l *liar) Create(name string) (vfs.File, error) {
	f, err := l.FS.Create(name)
	if err != nil {
		return nil, err
	}
	return &lyingFile{f, l, name}, nil
}

func (l *liar) CreateAppend(name string, o vfs.AppendOptions) (vfs.AppendFile, error) {
	f, err := l.FS.CreateAppend(name, o)
	if err != nil {
		return nil, err
	}
	if isLogName(name) {
		l.mu.Lock()
		l.newest = name
		l.segments = append(l.segments, name)
		l.mu.Unlock()
	}
	return &lyingAppend{AppendFile: f, liar: l, name: name}, nil
}

type lyingFile struct {
	vfs.File
	liar *liar
	name string
}

// Sync of a table removes the log it was flushed from, if that is the lie.
func (f *lyingFile) Sync() error {
	err := f.liar.sync(f.name, f.File.Sync)
	if f.liar.logGoesFirst && ofType(base.FileTable, base.FileTableUpgr)(f.name) {
		f.liar.removeOldLog()
	}
	return err
}

func (f *lyingFile) Close() error {
	if f.liar.noClose {
		return nil
	}
	return f.File.Close()
}

func (l *liar) removeOldLog() {
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.segments) > 1 {
		_ = l.FS.Remove(l.segments[0])
		l.segments = l.segments[1:]
	}
}

type lyingAppend struct {
	vfs.AppendFile
	liar *liar
	name string
	n    int
	gone int64 // bytes of appends that came to nothing
	held []byte
}

func (f *lyingAppend) Append(p []byte) error {
	if !isLogName(f.name) {
		return f.AppendFile.Append(p)
	}
	f.n++
	switch {
	case f.liar.dropAppend && f.n%16 == 0:
		f.gone += int64(len(p))
		return nil
	case f.liar.lateAppends && f.n > 1:
		f.liar.mu.Lock()
		defer f.liar.mu.Unlock()
		f.held = append(f.held, p...)
		if len(f.held) < 2000 {
			return nil
		}
		return f.flush()
	}
	err := f.AppendFile.Append(p)
	if err != nil && f.liar.appendCounts {
		f.gone += int64(len(p))
		return nil
	}
	return err
}

// flush appends what was held back.
func (f *lyingAppend) flush() error {
	err := f.AppendFile.Append(f.held)
	f.held = nil
	return err
}

func (f *lyingAppend) Size() int64 {
	return f.AppendFile.Size() + f.gone + int64(len(f.held))
}

func (f *lyingAppend) Sync() error {
	f.liar.mu.Lock()
	if len(f.held) > 0 {
		_ = f.flush()
	}
	f.liar.mu.Unlock()
	return f.liar.sync(f.name, f.AppendFile.Sync)
}

func (f *lyingAppend) Close() error {
	f.liar.mu.Lock()
	if len(f.held) > 0 {
		_ = f.flush()
	}
	f.liar.mu.Unlock()
	return f.AppendFile.Close()
}
