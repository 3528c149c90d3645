package strata

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"runtime"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/strata-db/strata/internal/base"
	"github.com/strata-db/strata/vfs"
)

// A story is the record of what was written to a database, kept outside of it,
// and the judge of what a crash left.
//
// Every batch ends with a marker, a key that nothing else writes, so a scan of
// the database tells which batches are there. As sequence numbers are handed out
// in commit order, one for each entry, the survivors are a prefix of that order
// exactly if their entries add up to the last sequence number.
type story struct {
	mu    sync.Mutex
	clock int64
	batch map[string]*storyBatch // every batch begun, by marker
	acked []*storyBatch          // in the order in which writes returned
	// durable says that the first so many of acked are on disk; synced are
	// further batches that are.
	durable int
	synced  []*storyBatch
	// base is what was there when the database was last looked at.
	base []*storyBatch
	// begun and done are checkpoints.
	begun, done []*storyCheckpoint
}

type storyBatch struct {
	marker       string
	begun, ended int64 // by the story's clock; ended 0: not returned
	entries      []storyEntry
	seq          base.SeqNum // of the marker; set by check
	unsure       bool        // it returned an error: it may be there after a crash, or not
}

type storyEntry struct {
	key, value string
	deleted    bool
}

type storyCheckpoint struct {
	dir   string
	acked int // batches acknowledged when it began
}

// A moment is what was promised at an instant.
type moment struct{ durable, synced, acked, done int }

func newStory() *story { return &story{batch: make(map[string]*storyBatch)} }

func (s *story) now() moment {
	s.mu.Lock()
	defer s.mu.Unlock()
	return moment{s.durable, len(s.synced), len(s.acked), len(s.done)}
}

// write writes b and takes down what its return promises.
func (s *story) write(db *DB, b *storyBatch, sync bool) error {
	var batch Batch
	for _, e := range b.entries {
		if e.deleted {
			batch.Delete([]byte(e.key))
		} else {
			batch.Put([]byte(e.key), []byte(e.value))
		}
	}
	batch.Put([]byte(b.marker), []byte(b.marker))
	s.mu.Lock()
	s.clock++
	b.begun = s.clock
	s.batch[b.marker] = b
	s.mu.Unlock()
	err := db.Write(&batch, &WriteOptions{Sync: sync})
	s.mu.Lock()
	defer s.mu.Unlock()
	s.clock++
	switch {
	case err == nil && sync:
		s.synced = append(s.synced, b)
		fallthrough
	case err == nil || errors.Is(err, ErrNotDurable):
		b.ended = s.clock
		s.acked = append(s.acked, b)
	default:
		b.unsure = true
	}
	return err
}

// barrier calls fn, whose success means that everything acknowledged before is
// on disk.
func (s *story) barrier(fn func() error) error {
	n := s.now().acked
	err := fn()
	s.mu.Lock()
	defer s.mu.Unlock()
	if err == nil {
		s.durable = max(s.durable, n)
	}
	return err
}

func (s *story) checkpoint(db *DB, dir string) error {
	c := &storyCheckpoint{dir: dir}
	s.mu.Lock()
	c.acked = len(s.acked)
	s.begun = append(s.begun, c)
	s.mu.Unlock()
	err := db.Checkpoint(context.Background(), dir)
	s.mu.Lock()
	defer s.mu.Unlock()
	if err == nil {
		s.done = append(s.done, c)
		s.durable = max(s.durable, c.acked) // it flushes
	} else if errors.Is(err, ErrExists) {
		s.begun = slices.DeleteFunc(s.begun, func(x *storyCheckpoint) bool { return x == c })
	}
	return err
}

// promised returns what a crash at m must have left.
func (s *story) promised(m moment, killed bool) []*storyBatch {
	s.mu.Lock()
	defer s.mu.Unlock()
	if killed {
		return s.acked[:m.acked]
	}
	return append(slices.Clone(s.acked[:m.durable]), s.synced[:m.synced]...)
}

// after returns the story of the database that a crash at m left with these
// survivors.
func (s *story) after(survivors []*storyBatch, m moment, killed bool) *story {
	n := newStory()
	n.clock = s.clock
	for _, b := range survivors {
		n.batch[b.marker] = b
	}
	n.acked = slices.Clone(survivors)
	if killed {
		n.synced = s.promised(m, false)
	} else {
		n.durable = len(survivors)
	}
	return n
}

// check compares what db shows with what must be there, and returns the batches
// that survived, in commit order.
func (s *story) check(db *DB, must []*storyBatch) ([]*storyBatch, error) {
	survivors, last, err := s.survivors(db)
	if visible := base.SeqNum(db.commits.visible.Load()); err == nil && visible != last {
		err = fmt.Errorf("visible sequence number %d, that of the last batch is %d", visible, last)
	}
	if err != nil {
		return nil, err
	}
	return survivors, s.judge(db, survivors, last, must)
}

// checkCopy is check for a checkpoint, which may state a higher last sequence
// number than that of what it holds.
func (s *story) checkCopy(db *DB, must []*storyBatch) error {
	survivors, last, err := s.survivors(db)
	if err != nil {
		return err
	}
	return s.judge(db, survivors, last, must)
}

func (s *story) judge(db *DB, survivors []*storyBatch, last base.SeqNum, must []*storyBatch) error {
	there := make(map[*storyBatch]bool, len(survivors))
	sum := base.SeqNum(0)
	for _, b := range survivors {
		there[b] = true
		sum += base.SeqNum(len(b.entries) + 1)
	}
	for _, b := range must {
		if !there[b] {
			return fmt.Errorf("lost: batch %s was promised; %d survived", b.marker, len(survivors))
		}
	}
	if sum != last {
		return fmt.Errorf("hole: %d batches of %d entries survived, the last sequence number is %d", len(survivors), sum, last)
	}
	if err := inOrder(survivors); err != nil {
		return err
	}
	return compare(db, contentOf(survivors))
}

// survivors returns the batches whose markers db holds, in order of sequence
// numbers, and the last of these.
func (s *story) survivors(db *DB) (list []*storyBatch, last base.SeqNum, err error) {
	rs := holdState(db)
	defer rs.unref()
	it := db.newInternalIterator(new(iterParts), rs, &IterOptions{})
	defer it.Close()
	s.mu.Lock()
	defer s.mu.Unlock()
	for kv := it.First(); kv != nil; kv = it.Next() {
		k := kv.K
		if !strings.HasPrefix(string(k.UserKey), "marker") {
			continue
		}
		b := s.batch[string(k.UserKey)]
		if b == nil {
			return nil, 0, fmt.Errorf("batch %s was never written", k.UserKey)
		}
		if slices.Contains(list, b) {
			// A recovery that was cut off may have flushed what the log still holds.
			if b.seq != k.Trailer.SeqNum() {
				return nil, 0, fmt.Errorf("batch %s is there at %d and at %d", k.UserKey, b.seq, k.Trailer.SeqNum())
			}
			continue
		}
		b.seq = k.Trailer.SeqNum()
		list = append(list, b)
		last = max(last, b.seq)
	}
	slices.SortFunc(list, func(a, b *storyBatch) int { return int(a.seq) - int(b.seq) })
	return list, last, it.Err()
}

// inOrder checks that a batch that had returned before another one began has the
// lower sequence number, and that no two share one.
func inOrder(list []*storyBatch) error {
	latest, last := &storyBatch{}, base.SeqNum(0)
	for _, b := range list {
		if b.seq-base.SeqNum(len(b.entries)) <= last {
			return fmt.Errorf("batch %s ends at %d and overlaps the one before, which ends at %d", b.marker, b.seq, last)
		}
		last = b.seq
		if b.ended != 0 && b.ended < latest.begun {
			return fmt.Errorf("order: batch %s had returned before %s began, and comes behind it", b.marker, latest.marker)
		}
		if b.begun > latest.begun {
			latest = b
		}
	}
	return nil
}

// contentOf returns what these batches, in this order, leave.
func contentOf(list []*storyBatch) map[string]string {
	m := make(map[string]string)
	for _, b := range list {
		for _, e := range b.entries {
			if e.deleted {
				delete(m, e.key)
			} else {
				m[e.key] = e.value
			}
		}
		m[b.marker] = b.marker
	}
	return m
}

// compare reads everything forwards, backwards and key by key.
func compare(r Reader, want map[string]string) error {
	it := r.NewIterator(nil)
	defer it.Close()
	keys := slices.Sorted(maps.Keys(want))
	i := 0
	for k, v := range it.All() {
		if i >= len(keys) || string(k) != keys[i] || string(v) != want[keys[i]] {
			return fmt.Errorf("scan: entry %d is %q:%.40q, want %q", i, k, v, keys[min(i, len(keys)-1):][:min(1, len(keys))])
		}
		i++
	}
	if err := it.Err(); err != nil || i != len(keys) {
		return fmt.Errorf("scan: %d entries, want %d: %w", i, len(keys), err)
	}
	for k := range it.Backward() {
		if i--; i < 0 || string(k) != keys[i] {
			return fmt.Errorf("backward scan: entry %d is %q", i, k)
		}
	}
	if err := it.Err(); err != nil || i != 0 {
		return fmt.Errorf("backward scan: %d entries missing: %w", i, err)
	}
	for i := range storyKeys {
		if _, ok := want[storyKey(i)]; !ok {
			keys = append(keys, storyKey(i))
		}
	}
	for _, k := range keys {
		got, err := r.Get([]byte(k))
		v, ok := want[k]
		if !ok && !errors.Is(err, ErrNotFound) || ok && (err != nil || string(got) != v) {
			return fmt.Errorf("get %q: %.40q, %w; a scan shows %.40q, %v", k, got, err, v, ok)
		}
	}
	return nil
}

// storyKeys is how many keys the batches share.
const storyKeys = 60

func storyKey(i int) string { return fmt.Sprintf("key%02d", i) }

// A storyteller is one writer.
type storyteller struct {
	rnd  *rand.Rand
	name string
	n    int
}

// next makes a batch.
func (w *storyteller) next() *storyBatch {
	b := &storyBatch{marker: fmt.Sprintf("marker/%s/%04d", w.name, w.n)}
	w.n++
	for i := range w.rnd.IntN(5) {
		e := storyEntry{key: storyKey(w.rnd.IntN(storyKeys)), deleted: w.rnd.IntN(4) == 0}
		if !e.deleted {
			e.value = fmt.Sprintf("%s/%d ", b.marker, i) + strings.Repeat(string(rune('a'+w.n%26)), w.size())
		}
		b.entries = append(b.entries, e)
	}
	return b
}

func (w *storyteller) size() int {
	switch w.rnd.IntN(60) {
	case 0:
		return 40 << 10 // more than a memtable
	case 1, 2, 3, 4:
		return w.rnd.IntN(9000)
	}
	return w.rnd.IntN(400)
}

// step does one thing at random.
func (w *storyteller) step(s *story, db *DB) error {
	ctx := context.Background()
	switch n := w.rnd.IntN(1000); {
	case n < 900:
		return s.write(db, w.next(), w.rnd.IntN(5) == 0)
	case n < 925:
		return s.barrier(db.Sync)
	case n < 955:
		return s.barrier(db.Flush)
	case n < 970:
		lo, hi := []byte(storyKey(w.rnd.IntN(storyKeys))), []byte(storyKey(w.rnd.IntN(storyKeys)))
		if w.rnd.IntN(2) == 0 {
			lo, hi = nil, nil
		}
		return db.CompactRange(ctx, lo, hi)
	case n < 985:
		err := s.checkpoint(db, fmt.Sprintf("top/copies/%d", w.rnd.IntN(9)))
		if errors.Is(err, ErrExists) {
			return nil
		}
		return err
	default:
		snap := db.NewSnapshot()
		defer snap.Close()
		return s.write(db, w.next(), false)
	}
}

// tell runs writers at once, each for that many steps. It stops at errors, which
// it returns.
func (s *story) tell(db *DB, rnd *rand.Rand, name string, writers, steps int) error {
	var wg sync.WaitGroup
	errs := make([]error, writers)
	for i := range writers {
		w := &storyteller{rnd: rand.New(rand.NewPCG(rnd.Uint64(), uint64(i))), name: fmt.Sprintf("%s.%d", name, i)}
		wg.Go(func() {
			for range steps {
				if errs[i] = w.step(s, db); errs[i] != nil {
					return
				}
			}
		})
	}
	wg.Wait()
	return errors.Join(errs...)
}

// storyOptions makes small databases that do much.
func storyOptions(rnd *rand.Rand) Options {
	o := Options{MemtableBytes: 32 << 10, TableBytes: 32 << 10, BlockBytes: 512, MaxOpenFiles: 16, CacheBytes: 1 << 20}
	o.MaxMemtables = 2 + rnd.IntN(3)
	o.Workers = 1 + rnd.IntN(2)
	o.WAL = []WALMode{WALAuto, WALAuto, WALWrite}[rnd.IntN(3)]
	o.testing.manifestMinRewrite = []int64{200, 2000, 0}[rnd.IntN(3)]
	switch rnd.IntN(5) {
	case 0:
		o.Policy = Tiered(TieredOptions{TableBytes: 32 << 10, Runs: 3})
	case 1:
		o.Policy = Leveled(LeveledOptions{TableBytes: 32 << 10, BaseBytes: 64 << 10, FanOut: 2, L0Files: 2})
	}
	if rnd.IntN(5) == 0 {
		o.Compression = Zstd
	}
	return o
}

// orphans returns the names of files in the directory of db that nothing needs,
// once the last jobs have had time to remove theirs.
func orphans(db *DB) (list []string, err error) {
	if err := db.WaitIdle(context.Background()); err != nil {
		return nil, err
	}
	for end := time.Now().Add(10 * time.Second); time.Now().Before(end); runtime.Gosched() {
		if list, err = unneeded(db); err != nil || len(list) == 0 {
			break
		}
	}
	return list, err
}

func unneeded(db *DB) ([]string, error) {
	names, err := db.fs.List(db.dir)
	return slices.DeleteFunc(names, func(name string) bool { return !db.isGarbage(name) }), err
}

// hooked wraps fs so that hook is called before every call that changes or
// syncs something, by one goroutine at a time.
func hooked(fs vfs.FS, hook func(vfs.Op)) *vfs.Fault {
	f := vfs.NewFault(fs)
	if hook != nil {
		var mu sync.Mutex
		f.Add(&vfs.Rule{Match: func(op vfs.Op) bool { return changes(op.Kind) }, Delay: func(op vfs.Op) {
			mu.Lock()
			defer mu.Unlock()
			hook(op)
		}})
	}
	return f
}

func changes(k vfs.OpKind) bool {
	switch k {
	case vfs.OpCreate, vfs.OpCreateAppend, vfs.OpWrite, vfs.OpSync, vfs.OpTruncate, vfs.OpRemove,
		vfs.OpRename, vfs.OpLink, vfs.OpMkdir, vfs.OpSyncDir:
		return true
	}
	return false
}
