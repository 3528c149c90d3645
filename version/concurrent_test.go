package version_test

import (
	"sync"
	"testing"

	"github.com/strata-db/strata/internal/base"
	"github.com/strata-db/strata/version"
	"github.com/strata-db/strata/vfs"
)

// TestConcurrent pins versions and takes numbers from several goroutines while edits are
// applied: each obsolete table is handed over once, after nobody can see it. Run it with
// -race.
func TestConcurrent(t *testing.T) {
	var mu sync.Mutex
	gone := map[base.FileNum]int{}
	o := version.Options{FS: vfs.NewMem(), Dir: "db", MinRewriteBytes: 2000, Obsolete: func(files []*version.FileMeta) {
		mu.Lock()
		defer mu.Unlock()
		for _, f := range files {
			gone[f.Num]++
		}
	}}
	s := mustCreate(t, o, false)
	const writers, edits = 3, 200
	var wg, readers sync.WaitGroup
	stop := make(chan struct{})
	for range 3 {
		readers.Go(func() {
			for {
				select {
				case <-stop:
					return
				default:
				}
				v := s.Current()
				for _, f := range v.Files(0) {
					mu.Lock()
					if gone[f.Num] > 0 {
						t.Errorf("%s is obsolete and visible", f.Num)
					}
					mu.Unlock()
				}
				s.Metrics()
				s.ReserveSpare(s.NewFileNum())
				s.TakeSpare(0, 10)
				v.Unref()
			}
		})
	}
	for range writers {
		wg.Go(func() {
			last := base.FileNum(0)
			for i := range edits {
				n := s.NewFileNum()
				e := &version.Edit{}
				e.Add(0, &version.FileMeta{Num: n, Type: base.FileTable,
					Smallest: base.MakeKey([]byte("a"), base.SeqNum(i), 1), Largest: base.MakeKey([]byte("b"), base.SeqNum(i), 1)})
				if last != 0 {
					e.Delete(0, last)
				}
				if err := s.Apply(e); err != nil {
					t.Error(err)
				}
				last = n
			}
		})
	}
	wg.Wait()
	close(stop)
	readers.Wait()
	if len(gone) != writers*(edits-1) {
		t.Errorf("%d obsolete tables, want %d", len(gone), writers*(edits-1))
	}
	for n, times := range gone {
		if times != 1 {
			t.Errorf("%s was handed over %d times", n, times)
		}
	}
	if v := s.Current(); len(v.Files(0)) != writers {
		t.Errorf("tree\n%s", v)
	}
}
