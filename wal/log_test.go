package wal_test

import (
	"errors"
	"fmt"
	"runtime"
	"slices"
	"sync"
	"syscall"
	"testing"

	"github.com/strata-db/strata/internal/base"
	"github.com/strata-db/strata/internal/batch"
	"github.com/strata-db/strata/vfs"
	"github.com/strata-db/strata/wal"
)

// newLog returns a Log with segment 1 begun at sequence number 1.
func newLog(tb testing.TB, fs vfs.FS, mode vfs.AppendMode) *wal.Log {
	tb.Helper()
	l := wal.New(wal.Options{FS: fs, Dir: ".", Append: vfs.AppendOptions{Mode: mode}})
	must(tb, l.Rotate(1, 1))
	tb.Cleanup(func() { _ = l.Close() })
	return l
}

func must(tb testing.TB, err error) {
	tb.Helper()
	if err != nil {
		tb.Fatal(err)
	}
}

// put appends batches of one entry, with the sequence numbers lo to hi.
func put(tb testing.TB, l *wal.Log, lo, hi base.SeqNum) {
	tb.Helper()
	for s := lo; s <= hi; s++ {
		must(tb, l.Append(makeBatch(s, 1)))
	}
}

func wantOutcome(t *testing.T, fs vfs.FS, want string) {
	t.Helper()
	if got := outcome(wal.ReplayOptions{FS: fs, Dir: ".", Segments: logs(t, fs, ".")}); got != want {
		t.Fatalf("replay gives\n got  %s\n want %s", got, want)
	}
}

// The bytes of a segment are those of the package comment's drawing, and what a
// mapped one has behind them is gone after Close.
func TestSegmentBytes(t *testing.T) {
	for _, mode := range []vfs.AppendMode{vfs.AppendWrite, vfs.AppendMapped} {
		fs := vfs.NewMem()
		l := newLog(t, fs, mode)
		put(t, l, 1, 2)
		must(t, l.Sync())
		put(t, l, 3, 3)
		must(t, l.Append(makeBatch(4, 0))) // not logged
		if got := l.Size(); got != 38+2*26+19+26 {
			t.Fatalf("Size %d", got)
		}
		must(t, l.Close())
		f, err := fs.Open("000001.log")
		must(t, err)
		size, _ := f.Size()
		got := make([]byte, size)
		_, _ = f.ReadAt(got, 0)
		if want := build(t, "S1 B1 B2 M3 B3"); !slices.Equal(got, want) {
			t.Fatalf("segment is\n%x\nwant\n%x", got, want)
		}
	}
}

// Marks stand where the disk was known to hold everything, never two in a row,
// and under load at the latest every few bytes.
func TestMarks(t *testing.T) {
	fs := vfs.NewFault(vfs.NewMem())
	l := wal.New(wal.Options{FS: fs, Dir: ".", MarkEveryBytes: 1000})
	must(t, l.Rotate(1, 1))
	put(t, l, 1, 1)
	must(t, l.Sync())
	size, syncs := l.Size(), fs.Count(vfs.OpSync)
	must(t, l.Sync())
	must(t, l.Sync())
	if l.Size() != size || fs.Count(vfs.OpSync) != syncs {
		t.Fatalf("a second mark or sync with nothing to sync: %d bytes, were %d", l.Size(), size)
	}

	// An append during the sync: no mark.
	seq := base.SeqNum(2)
	during := fs.Add(&vfs.Rule{Kind: vfs.OpSync, Delay: func(vfs.Op) { put(t, l, seq, seq); seq++ }})
	put(t, l, seq, seq)
	seq++
	size = l.Size()
	must(t, l.Sync())
	if l.Size() != size+26 {
		t.Fatalf("%d bytes after an append during a sync, want %d", l.Size(), size+26)
	}
	during.Remove()

	// The same with much appended since the last mark: the append has to wait.
	put(t, l, seq, seq+50)
	seq += 51
	var wg sync.WaitGroup
	waiting := fs.Add(&vfs.Rule{Kind: vfs.OpSync, Times: 1, Delay: func(vfs.Op) {
		wg.Add(1)
		go func() { defer wg.Done(); put(t, l, seq, seq) }()
	}})
	size = l.Size()
	must(t, l.Sync())
	wg.Wait()
	waiting.Remove()
	if want := size + 19 + 7 + int64(len(makeBatch(seq, 1))); l.Size() != want {
		t.Fatalf("%d bytes, want a mark and a batch, that is %d", l.Size(), want)
	}
	must(t, l.Close())
	res, err := wal.Replay(wal.ReplayOptions{FS: fs, Dir: ".", Segments: logs(t, fs, ".")},
		func(wal.Segment, int64, []byte) error { return nil })
	if err != nil || res.LastSeq != seq || res.Batches != int64(seq) {
		t.Fatalf("replay: %+v, %v", res, err)
	}
}

// Sync makes every live segment durable, the older one first, and its name; what
// another process left too.
func TestSyncCoversAllSegments(t *testing.T) {
	fs := vfs.NewCrash(vfs.CrashOptions{MappedAppends: true})
	l := newLog(t, fs, vfs.AppendAuto)
	put(t, l, 1, 100)
	must(t, l.Rotate(2, 101))
	put(t, l, 101, 200)
	must(t, l.Rotate(3, 201))
	put(t, l, 201, 210)
	must(t, l.Sync())
	lost := vfs.ImageOptions{Bytes: vfs.FateLost, Names: vfs.FateLost}
	after := fs.Image(1, lost)
	res, err := wal.Replay(wal.ReplayOptions{FS: after, Dir: ".", Segments: logs(t, after, ".")},
		func(wal.Segment, int64, []byte) error { return nil })
	if err != nil || res.Batches != 210 {
		t.Fatalf("after the cut %d batches, %v", res.Batches, err)
	}

	killed := fs.KillImage()
	m := wal.New(wal.Options{FS: killed, Dir: "."})
	put(t, l, 211, 220) // not in the image
	for _, s := range logs(t, killed, ".") {
		m.AddReplayed(s.Num)
	}
	must(t, m.Rotate(4, 211))
	put(t, m, 211, 212)
	must(t, m.Sync())
	for _, info := range m.LiveSegments() {
		if !info.Synced || info.Replayed != (info.Num < 4) {
			t.Fatalf("%+v", info)
		}
	}
	after = killed.Image(1, lost)
	res, err = wal.Replay(wal.ReplayOptions{FS: after, Dir: ".", Segments: logs(t, after, ".")},
		func(wal.Segment, int64, []byte) error { return nil })
	if err != nil || res.Batches != 212 {
		t.Fatalf("after the second cut %d batches, %v", res.Batches, err)
	}
	if got := m.Retire(4); !slices.Equal(got, []base.FileNum{1, 2, 3}) || len(m.LiveSegments()) != 1 {
		t.Fatalf("retired %v", got)
	}
}

// Concurrent callers share syncs.
func TestGroupSync(t *testing.T) {
	const callers = 8
	fs := vfs.NewFault(vfs.NewMem())
	l := newLog(t, fs, vfs.AppendWrite)
	put(t, l, 1, 1)
	entered, release := make(chan struct{}), make(chan struct{})
	fs.Add(&vfs.Rule{Kind: vfs.OpSync, Times: 1, Delay: func(vfs.Op) { close(entered); <-release }})
	before := fs.Count(vfs.OpSync)
	var wg sync.WaitGroup
	errs := make(chan error, callers+1)
	wg.Go(func() { errs <- l.Sync() })
	<-entered
	put(t, l, 2, 2)
	for range callers {
		wg.Go(func() { errs <- l.Sync() })
	}
	close(release)
	wg.Wait()
	for range callers + 1 {
		must(t, <-errs)
	}
	// Callers may arrive late, but not all of them one by one.
	if n := fs.Count(vfs.OpSync) - before; n > 4 {
		t.Fatalf("%d syncs for %d callers", n, callers+1)
	}
}

// After a failed sync nothing is reported as durable until the segment is
// retired, the file is not synced again, and the error says all of it.
func TestFailedSync(t *testing.T) {
	for _, kind := range []vfs.OpKind{vfs.OpSync, vfs.OpSyncDir} {
		fs := vfs.NewFault(vfs.NewMem())
		l := newLog(t, fs, vfs.AppendWrite)
		if kind == vfs.OpSyncDir { // the first segment's name is on disk already
			must(t, l.Rotate(2, 1))
		}
		put(t, l, 1, 3)
		rule := fs.FailNth(kind, 1, syscall.EIO)
		err := l.Sync()
		if !errors.Is(err, wal.ErrSyncFailed) || !errors.Is(err, base.ErrNotDurable) || !errors.Is(err, syscall.EIO) {
			t.Fatalf("%s: got %v", kind, err)
		}
		if num, bad := l.Unsynced(); num > 2 || !bad || !l.NeedsRotate() {
			t.Fatalf("%s: Unsynced %d %v, NeedsRotate %v", kind, num, bad, l.NeedsRotate())
		}
		rule.Remove()
		if err := l.Append(makeBatch(4, 1)); !errors.Is(err, wal.ErrSegmentRetired) {
			t.Fatalf("%s: append to the failed segment: %v", kind, err)
		}
		must(t, l.Rotate(3, 4))
		put(t, l, 4, 4)
		syncs := fs.Count(vfs.OpSync)
		for range 2 {
			if err := l.Sync(); !errors.Is(err, wal.ErrSyncFailed) {
				t.Fatalf("%s: with the failed segment live: %v", kind, err)
			}
		}
		if n := fs.Count(vfs.OpSync) - syncs; n > 1 { // one is the new signature's
			t.Fatalf("%s: synced again %d times", kind, n)
		}
		l.Retire(3)
		if _, bad := l.Unsynced(); bad {
			t.Fatalf("%s: still unsynced", kind)
		}
		must(t, l.Sync())
		must(t, l.Close())
		if open := fs.OpenFiles(); len(open) > 0 {
			t.Fatalf("%s: left open: %v", kind, open)
		}
	}
}

// While a sync of a segment is failing, another one of it must not succeed: the
// kernel tells of lost pages once, to whoever asks first. The background sync of a
// new segment's signature may be that one.
func TestSyncBesideAFailingOne(t *testing.T) {
	for _, kind := range []vfs.OpKind{vfs.OpSync, vfs.OpSyncDir} {
		fs := vfs.NewFault(vfs.NewMem())
		l := newLog(t, fs, vfs.AppendWrite)
		inside, release := make(chan struct{}), make(chan struct{})
		fs.Add(&vfs.Rule{Kind: kind, Times: 1, Err: syscall.EIO, Delay: func(vfs.Op) { close(inside); <-release }})
		must(t, l.Rotate(2, 1))
		put(t, l, 1, 1)
		anchored := make(chan error, 1)
		go func() { anchored <- l.Anchor(2) }()
		<-inside
		done := make(chan error, 1)
		go func() { done <- l.Sync() }()
		for i := 0; i < 10000 && len(done) == 0; i++ {
			runtime.Gosched()
		}
		close(release)
		if err := <-done; !errors.Is(err, wal.ErrSyncFailed) {
			t.Errorf("%s: Sync beside a failing one gives %v", kind, err)
		}
		<-anchored
	}
}

// A failed append takes no sequence number and leaves nothing behind; if the
// file could not be cut back, the log goes on in a new segment.
func TestFailedAppend(t *testing.T) {
	for _, short := range []bool{false, true} {
		fs := vfs.NewFault(vfs.NewMem())
		l := newLog(t, fs, vfs.AppendWrite)
		put(t, l, 1, 2)
		rule := fs.Add(&vfs.Rule{Kind: vfs.OpWrite, Times: 1, Err: syscall.ENOSPC, Short: short})
		if err := l.Append(makeBatch(3, 2)); !errors.Is(err, syscall.ENOSPC) || l.NeedsRotate() != short {
			t.Fatalf("short %v: %v, NeedsRotate %v", short, err, l.NeedsRotate())
		}
		rule.Remove()
		if short {
			must(t, l.Rotate(2, 3))
		}
		put(t, l, 3, 4)
		must(t, l.Sync())
		must(t, l.Close())
		want := "1 2 3 4 last=4 end=1:161"
		if short {
			want = "1 2 3 4 last=4 end=2:109"
		}
		wantOutcome(t, fs, want)
	}
}

// A segment that cannot be begun changes nothing, and leaves no file or handle.
func TestFailedRotate(t *testing.T) {
	for _, kind := range []vfs.OpKind{vfs.OpCreateAppend, vfs.OpWrite, vfs.OpSync, vfs.OpSyncDir} {
		fs := vfs.NewFault(vfs.NewMem())
		l := wal.New(wal.Options{FS: fs, Dir: "."})
		if err := l.Append(makeBatch(1, 1)); err == nil || !l.NeedsRotate() {
			t.Fatalf("append without a segment: %v", err)
		}
		rule := fs.FailNth(kind, 1, syscall.ENOSPC)
		if err := l.Rotate(1, 1); !errors.Is(err, syscall.ENOSPC) || !l.NeedsRotate() {
			t.Fatalf("%s: %v", kind, err)
		}
		rule.Remove()
		if names, _ := fs.List("."); len(names) > 0 || len(fs.OpenFiles()) > 0 {
			t.Fatalf("%s: left %v, open %v", kind, names, fs.OpenFiles())
		}
		must(t, l.Rotate(2, 1))
		put(t, l, 1, 1)
		if kind != vfs.OpSync && kind != vfs.OpSyncDir { // those of a later one are not waited for
			fs.FailNth(kind, 1, syscall.ENOSPC)
			if err := l.Rotate(3, 2); !errors.Is(err, syscall.ENOSPC) {
				t.Fatalf("%s: %v", kind, err)
			}
		}
		put(t, l, 2, 2)
		must(t, l.Close())
		wantOutcome(t, fs, "1 2 last=2 end=2:90")
	}
}

// A prepared file is used by the Rotate that wants it, and removed otherwise.
func TestPrepare(t *testing.T) {
	fs := vfs.NewFault(vfs.NewMem())
	l := newLog(t, fs, vfs.AppendMapped)
	put(t, l, 1, 1)
	l.Prepare(2)
	l.Prepare(3) // there is one already
	must(t, l.Rotate(2, 2))
	if n := fs.Count(vfs.OpCreateAppend); n != 2 {
		t.Fatalf("%d files were made, want 2", n)
	}
	put(t, l, 2, 2)
	l.Prepare(3)
	must(t, l.Rotate(4, 3))
	put(t, l, 3, 3)
	l.Prepare(5)
	must(t, l.Close())
	must(t, l.Close())
	wantOutcome(t, fs, "1 2 3 last=3 end=4:64")
	if got := fmt.Sprint(logs(t, fs, ".")); got != "[{000001 5} {000002 5} {000004 5}]" {
		t.Fatalf("files %s", got)
	}
	for name, err := range map[string]error{
		"Append": l.Append(makeBatch(9, 1)), "Sync": l.Sync(), "Rotate": l.Rotate(9, 9), "Anchor": l.Anchor(4),
	} {
		if !errors.Is(err, base.ErrClosed) {
			t.Errorf("%s after Close: %v", name, err)
		}
	}
}

// The caller's mistakes are errors: a gap between segments would read as a loss.
func TestWrongSequence(t *testing.T) {
	l := newLog(t, vfs.NewMem(), vfs.AppendWrite)
	put(t, l, 1, 5)
	if err := l.Append(makeBatch(5, 1)); err == nil {
		t.Fatal("a number twice")
	}
	if err := l.Append(makeBatch(6, 1)[:8]); err == nil {
		t.Fatal("half a header")
	}
	for _, next := range []base.SeqNum{5, 7} {
		if err := l.Rotate(2, next); err == nil {
			t.Fatalf("segment at %d, the next number is 6", next)
		}
	}
}

// After Anchor the segment's name and signature survive anything.
func TestAnchor(t *testing.T) {
	fs := vfs.NewCrash(vfs.CrashOptions{MappedAppends: true})
	l := newLog(t, fs, vfs.AppendAuto)
	put(t, l, 1, 10)
	must(t, l.Rotate(2, 11))
	put(t, l, 11, 20)
	must(t, l.Anchor(2))
	after := fs.Image(1, vfs.ImageOptions{Bytes: vfs.FateLost, Names: vfs.FateLost})
	res, err := wal.Replay(wal.ReplayOptions{FS: after, Dir: ".", Segments: []wal.Segment{{Num: 2, Type: base.FileLog}}},
		func(wal.Segment, int64, []byte) error { return nil })
	if err != nil || len(res.Segments) != 1 || !res.Segments[0].Signed || res.LastSeq < 10 {
		t.Fatalf("%+v, %v", res, err)
	}
	if err := l.Anchor(7); err == nil {
		t.Fatal("a segment that is not live")
	}
}

// A reader beside a writer sees a prefix, and never damage.
func TestLocklessReplay(t *testing.T) {
	for _, mode := range []vfs.AppendMode{vfs.AppendWrite, vfs.AppendMapped} {
		dir := t.TempDir()
		l := wal.New(wal.Options{FS: vfs.OS, Dir: dir, Append: vfs.AppendOptions{Mode: mode}})
		must(t, l.Rotate(1, 1))
		stop := make(chan struct{})
		var wg sync.WaitGroup
		wg.Go(func() {
			num := base.FileNum(1)
			for seq := base.SeqNum(1); ; seq++ {
				select {
				case <-stop:
					return
				default:
				}
				if seq%2000 == 0 {
					if num++; l.Rotate(num, seq) != nil {
						return
					}
				}
				if l.Append(makeBatch(seq, 1)) != nil || seq%300 == 0 && l.Sync() != nil {
					return
				}
			}
		})
		last := int64(0)
		for range 30 {
			next := base.SeqNum(1)
			res, err := wal.Replay(wal.ReplayOptions{FS: vfs.OS, Dir: dir, Segments: logs(t, vfs.OS, dir), Lockless: true},
				func(_ wal.Segment, _ int64, rec []byte) error {
					if batch.SeqNum(rec) != next {
						return fmt.Errorf("sequence number %d, want %d", batch.SeqNum(rec), next)
					}
					next++
					return nil
				})
			if err != nil || res.Batches < last || len(res.Dropped) > 0 {
				t.Errorf("mode %d: %d batches after %d, dropped %v, %v", mode, res.Batches, last, res.Dropped, err)
				break
			}
			last = res.Batches
		}
		close(stop)
		wg.Wait()
		must(t, l.Close())
	}
}
