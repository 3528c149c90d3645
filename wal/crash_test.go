package wal_test

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"syscall"
	"testing"

	"github.com/strata-db/strata/internal/base"
	"github.com/strata-db/strata/internal/batch"
	"github.com/strata-db/strata/vfs"
	"github.com/strata-db/strata/wal"
)

// story is a run of a log over several crashes, and what it must keep.
type story struct {
	t   *testing.T
	rnd *rand.Rand
	fs  *vfs.Crash
	l   *wal.Log

	num     base.FileNum
	batches [][]byte     // acknowledged, in order; what was lost is taken out again
	synced  int          // of the first so many a sync said that they are on disk
	oldest  base.FileNum // segment needed, as a manifest would name it
	flushed int          // batches that are in segments before that one, or were
	steps   []string

	// lie breaks a rule of the log now and then; found is then how a failure
	// ends the story.
	lie func(*story)
}

// found is what a story panics with that was to fail.
type found string

func (s *story) note(format string, args ...any) {
	s.steps = append(s.steps, fmt.Sprintf(format, args...))
}

func (s *story) next() base.SeqNum {
	if len(s.batches) == 0 {
		return 1
	}
	return batch.LastSeqNum(s.batches[len(s.batches)-1]) + 1
}

// write does something at random.
func (s *story) write() {
	if s.lie != nil && s.rnd.IntN(20) == 0 {
		s.lie(s)
	}
	switch p := s.rnd.IntN(100); {
	case p < 80:
		b := batch.AppendEmpty(nil, s.next())
		n := 1 + s.rnd.IntN(3)
		for range n {
			size := s.rnd.IntN(200)
			if s.rnd.IntN(30) == 0 {
				size = s.rnd.IntN(50000)
			}
			b = batch.AppendSet(b, fmt.Appendf(nil, "%d", s.rnd.Uint64()), make([]byte, size))
		}
		batch.SetCount(b, uint32(n))
		must(s.t, s.l.Append(b))
		s.batches = append(s.batches, b)
	case p < 90:
		must(s.t, s.l.Sync())
		s.note("sync %d", s.next())
		s.synced = len(s.batches)
	case p < 97:
		s.rotate()
	case p < 98:
		s.retire()
	default:
		s.num++
		s.l.Prepare(s.num)
	}
}

func (s *story) rotate() {
	s.num++
	must(s.t, s.l.Rotate(s.num, s.next()))
	s.note("segment %d at %d", s.num, s.next())
}

// retire does what a flush does to the log: all but a new segment is needed no
// more, and a synced manifest names that as the oldest.
func (s *story) retire() {
	s.rotate()
	must(s.t, s.l.Anchor(s.num))
	s.oldest, s.flushed = s.num, len(s.batches)
	s.synced = s.flushed
	for _, num := range s.l.Retire(s.num) {
		must(s.t, s.fs.Remove(base.FileName(base.FileLog, num)))
	}
	s.note("retired up to segment %d", s.num)
}

// crash cuts the power or kills the process, and opens what is left.
func (s *story) crash() {
	kept := s.synced
	old := s.l
	if s.rnd.IntN(3) == 0 {
		s.note("kill")
		s.fs, kept = s.fs.KillImage(), len(s.batches)
	} else {
		s.note("power cut")
		s.fs = s.fs.Image(s.rnd.Uint64(), vfs.ImageOptions{Reorder: s.rnd.IntN(2) == 0})
	}
	must(s.t, old.Close()) // of a file system that nobody looks at any more
	s.open(kept)
}

// open replays and checks what is there: a prefix, with at least kept batches.
func (s *story) open(kept int) {
	segs := logs(s.t, s.fs, ".")
	segs = slices.DeleteFunc(segs, func(seg wal.Segment) bool { return seg.Num < s.oldest })
	got := s.flushed
	res, err := wal.Replay(wal.ReplayOptions{FS: s.fs, Dir: ".", Segments: segs}, func(seg wal.Segment, off int64, rec []byte) error {
		if got >= len(s.batches) || !slices.Equal(rec, s.batches[got]) {
			return fmt.Errorf("batch %d, in %s at %d, is not what was written", got, seg.Name(), off)
		}
		got++
		return nil
	})
	if err != nil || got < kept {
		s.fatalf("replayed %d of %d, %d must be there: %v\n%+v", got, len(s.batches), kept, err, res)
	}
	s.batches = s.batches[:got]
	s.synced = min(s.synced, got)
	if got > 0 && res.LastSeq+1 != s.next() || got == 0 && res.LastSeq != 0 {
		s.fatalf("LastSeq %d, the next number is %d", res.LastSeq, s.next())
	}
	s.note("opened with %d batches, next %d, dropped %v", got, s.next(), res.Dropped)
	s.l = wal.New(wal.Options{FS: s.fs, Dir: ".", MarkEveryBytes: 3000})
	s.keep(segs, res)
	s.rotate()
}

// keep takes the replayed segments over. What does not count is removed, or not:
// both must do.
func (s *story) keep(segs []wal.Segment, res wal.Result) {
	definite := s.rnd.IntN(2) == 0
	for _, seg := range segs {
		dropped := slices.Contains(res.Dropped, seg)
		if dropped && definite {
			must(s.t, s.fs.Remove(seg.Name()))
		}
		if !dropped {
			s.l.AddReplayed(seg.Num)
		}
	}
	for _, sr := range res.Segments {
		if definite && sr.End < sr.Size {
			must(s.t, s.fs.Truncate(sr.Name(), sr.End))
		}
	}
	s.note("definite %v", definite)
}

func (s *story) fatalf(format string, args ...any) {
	s.t.Helper()
	if s.lie != nil {
		panic(found(fmt.Sprintf(format, args...)))
	}
	for _, step := range s.steps {
		s.t.Log(step)
	}
	s.t.Fatalf(format, args...)
}

// Whatever a crash leaves, a replay gives a prefix of what was acknowledged, with
// all that was synced, after a kill everything, and never a false corruption;
// and so again after further crashes, with old segments still live or retired,
// whether their ends were cut or not.
func TestCrashes(t *testing.T) {
	rounds := 150
	if testing.Short() {
		rounds = 40
	}
	for seed := range uint64(rounds) {
		for _, mapped := range []bool{false, true} {
			s := newStory(t, seed, mapped)
			s.tell()
		}
	}
}

func newStory(t *testing.T, seed uint64, mapped bool) *story {
	s := &story{t: t, rnd: rand.New(rand.NewPCG(seed, 11)), fs: vfs.NewCrash(vfs.CrashOptions{MappedAppends: mapped})}
	s.note("seed %d, mapped %v", seed, mapped)
	return s
}

func (s *story) tell() {
	s.open(0)
	for range 4 {
		for range s.rnd.IntN(80) {
			s.write()
		}
		s.crash()
	}
	must(s.t, s.l.Close())
}

// The stories notice a log that breaks its rules: one that places marks while
// appends go on, and one that gives the sequence numbers of a failed batch to the
// next although its bytes are there.
func TestStoriesFindBrokenRules(t *testing.T) {
	for name, lie := range map[string]func(*story){
		"a mark without a quiet log": func(s *story) { must(s.t, s.l.MarkNow()) },
		"the sequence number of a failed batch again": func(s *story) {
			b := batch.AppendEmpty(nil, s.next())
			b = batch.AppendSet(b, []byte("failed"), nil)
			batch.SetCount(b, 1)
			must(s.t, s.l.Append(b)) // and the caller was told that it failed
			s.l.Rewind(s.next())
		},
	} {
		t.Run(name, func(t *testing.T) {
			for seed := range uint64(500) {
				if what := tellLie(t, seed, lie); what != "" {
					t.Logf("found in story %d: %.200s", seed, what)
					return
				}
			}
			t.Fatal("not found in 500 stories")
		})
	}
}

// tellLie tells one story with a lie in it and returns how it was found out.
func tellLie(t *testing.T, seed uint64, lie func(*story)) (what string) {
	defer func() {
		switch p := recover().(type) {
		case nil:
		case found:
			what = string(p)
		default:
			panic(p)
		}
	}()
	s := newStory(t, seed, seed%2 == 1)
	s.lie = lie
	s.tell()
	return ""
}

// What one bit, a cut or a hole in a synced log does is seen: an error, or all
// that was synced is there.
func TestDamageBeforeMark(t *testing.T) {
	fs := vfs.NewMem()
	l := newLog(t, fs, vfs.AppendWrite)
	put(t, l, 1, 30)
	must(t, l.Sync())
	must(t, l.Rotate(2, 31))
	put(t, l, 31, 60)
	must(t, l.Sync())
	put(t, l, 61, 65)
	must(t, l.Close())
	var files [][]byte
	for _, seg := range logs(t, fs, ".") {
		f, err := fs.Open(seg.Name())
		must(t, err)
		size, _ := f.Size()
		b := make([]byte, size)
		_, _ = f.ReadAt(b, 0)
		files = append(files, b)
	}
	try := func(what string, i int, damaged []byte) {
		both := slices.Clone(files)
		both[i] = damaged
		fs, segs := store(t, both...)
		n := int64(0)
		_, err := wal.Replay(wal.ReplayOptions{FS: fs, Segments: segs}, func(_ wal.Segment, _ int64, rec []byte) error {
			if n++; batch.SeqNum(rec) != base.SeqNum(n) {
				return fmt.Errorf("sequence number %d, want %d", batch.SeqNum(rec), n)
			}
			return nil
		})
		if err == nil && n < 60 {
			t.Errorf("segment %d, %s: %d batches without an error", i+1, what, n)
		}
	}
	for i, b := range files {
		mark := len(b)
		if i == 1 {
			mark -= 5*26 + 5 // behind the mark nothing is promised
		}
		for at := range mark {
			damaged := slices.Clone(b)
			damaged[at] ^= 1 << (at % 8)
			try(fmt.Sprintf("bit flipped at %d", at), i, damaged)
			damaged = slices.Clone(b)
			clear(damaged[at:max(at, min(at+64, mark-19))])
			try(fmt.Sprintf("64 zeros at %d", at), i, damaged)
			if i == 0 {
				try(fmt.Sprintf("cut to %d", at), i, b[:at])
			}
		}
	}
}

// Each operation that fails, once, in turn: what was acknowledged is there after
// a kill, and a batch that failed is not, or is cut off by what came after it.
func TestFaults(t *testing.T) {
	for _, short := range []bool{false, true} {
		for k := int64(1); ; k++ {
			fs := vfs.NewFault(vfs.NewMem())
			rule := fs.Add(&vfs.Rule{After: k - 1, Times: 1, Err: syscall.EIO, Short: short})
			l := wal.New(wal.Options{FS: fs, Dir: "."})
			num, seq := base.FileNum(0), base.SeqNum(1)
			for i := range 60 {
				if l.NeedsRotate() || i%20 == 19 {
					num++
					if err := l.Rotate(num, seq); err != nil {
						continue
					}
				}
				if l.Append(makeBatch(seq, 1)) == nil {
					seq++
				}
				if i%7 == 0 {
					_ = l.Sync()
				}
			}
			_ = l.Close()
			fs.Clear()
			if open := fs.OpenFiles(); len(open) > 0 {
				t.Fatalf("call %d fails: left open: %v", k, open)
			}
			n := base.SeqNum(1)
			res, err := wal.Replay(wal.ReplayOptions{FS: fs, Dir: ".", Segments: logs(t, fs, ".")}, func(_ wal.Segment, _ int64, rec []byte) error {
				if batch.SeqNum(rec) != n {
					return fmt.Errorf("sequence number %d, want %d", batch.SeqNum(rec), n)
				}
				n++
				return nil
			})
			if err != nil || n != seq {
				t.Fatalf("call %d fails, short %v: replayed to %d, want %d, %v\n%+v", k, short, n, seq, err, res)
			}
			if rule.Hits() == 0 {
				break
			}
		}
	}
}
