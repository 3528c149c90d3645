package metamorphic

import (
	"context"
	"fmt"
	"math"
	"math/rand/v2"
	"os"
	"strconv"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/strata-db/strata"
	"github.com/strata-db/strata/vfs"
)

// A window is what FIFO may show: of everything that was written, what is newer
// than one moment, which only moves forwards. So of each key either the newest
// write is seen, or nothing at all: never an older one, and no deleted key comes
// back. And everything dropped is older than everything seen.
type window struct {
	keys    map[string][]fifoWrite // in order of age
	writes  int                    // how many so far: the age of the next one
	bytes   []int64                // written before each, keys and values
	dropped int                    // newest write known to be dropped, -1 for none
	views   int
}

type fifoWrite struct {
	age     int
	value   string
	deleted bool
}

func newWindow() *window {
	return &window{keys: map[string][]fifoWrite{}, bytes: []int64{0}, dropped: -1}
}

func (w *window) add(key, value string, deleted bool) {
	w.keys[key] = append(w.keys[key], fifoWrite{w.writes, value, deleted})
	w.writes++
	w.bytes = append(w.bytes, w.bytes[len(w.bytes)-1]+int64(len(key)+len(value)))
}

// check looks at what a reader has seen of the writes younger than at. since is
// the newest write known to be dropped when the reader was made. It returns the
// newest one that this reader shows to be dropped.
func (w *window) check(seen map[string]string, at, since int) (dropped int, err error) {
	w.views++
	dropped, oldest, oldestKey := -1, math.MaxInt, ""
	known := 0
	for key, list := range w.keys {
		i := len(list) - 1
		for i >= 0 && list[i].age >= at {
			i--
		}
		value, ok := seen[key]
		if ok {
			known++
		}
		switch {
		case i < 0 || list[i].deleted:
			if ok {
				return 0, fmt.Errorf("key %q is %.30q and should not be there", key, value)
			}
		case !ok:
			dropped = max(dropped, list[i].age)
		case value != list[i].value:
			return 0, fmt.Errorf("key %q is %.30q, the newest value is %.30q", key, value, list[i].value)
		case list[i].age < oldest:
			oldest, oldestKey = list[i].age, key
		}
	}
	if known != len(seen) {
		return 0, fmt.Errorf("%d keys were never written", len(seen)-known)
	}
	if max(dropped, since) >= oldest {
		return 0, fmt.Errorf("write %d of %q is there, write %d is not", oldest, oldestKey, max(dropped, since))
	}
	return dropped, nil
}

// FIFO keeps a window of the newest writes whatever else is going on.
func TestFIFOKeepsASuffix(t *testing.T) {
	seed := rand.Uint64() % 1e9
	if s := os.Getenv("STRATA_SEED"); s != "" {
		seed, _ = strconv.ParseUint(s, 10, 64)
	}
	fmt.Printf("fifo: STRATA_SEED=%d\n", seed)
	n, rounds := 5000, uint64(1)
	if os.Getenv("STRATA_LONG") != "" {
		n, rounds = 20000, 4
	}
	for i, f := range []strata.FIFOOptions{
		{MaxBytes: 512 << 10}, {MaxBytes: 512 << 10, MergeFiles: 2}, {MaxBytes: 1 << 20, MergeFiles: 4},
	} {
		for round := range rounds {
			t.Run(fmt.Sprintf("%d/seed=%d", i, seed+round), func(t *testing.T) {
				t.Parallel()
				r := newFIFORun(t, f, rand.New(rand.NewPCG(seed+round, 4)))
				for range n {
					r.step()
				}
				r.finish()
			})
		}
	}
}

type fifoRun struct {
	t    *testing.T
	r    *rand.Rand
	fifo strata.FIFOOptions
	opts strata.Options
	disk *vfs.Crash
	db   *strata.DB
	w    *window
	held []heldReader
	runs map[string]int64
}

// heldReader is a snapshot or an iterator that is kept open.
type heldReader struct {
	snap      *strata.Snapshot
	it        *strata.Iterator
	at, since int
}

func newFIFORun(t *testing.T, f strata.FIFOOptions, rnd *rand.Rand) *fifoRun {
	r := &fifoRun{t: t, r: rnd, fifo: f, disk: vfs.NewCrash(vfs.CrashOptions{}), w: newWindow(), runs: map[string]int64{}}
	r.opts = strata.Options{
		MemtableBytes: smallest, BlockBytes: 1 << 10, Compression: strata.NoCompression,
		Policy: strata.FIFO(f), Workers: 1 + rnd.IntN(4), Debug: true,
	}
	r.open()
	return r
}

func (r *fifoRun) open() {
	r.opts.FS = r.disk
	db, err := strata.Open("db", &r.opts)
	require.NoError(r.t, err)
	r.db = db
}

func (r *fifoRun) step() {
	switch n := r.r.IntN(1000); {
	case n < 900:
		r.write()
	case n < 910:
		r.look(r.db.NewIterator(nil), r.w.writes, r.w.dropped, true)
	case n < 920 && len(r.held) < 4:
		r.held = append(r.held, heldReader{snap: r.db.NewSnapshot(), at: r.w.writes})
	case n < 930 && len(r.held) < 4:
		r.held = append(r.held, heldReader{it: r.db.NewIterator(nil), at: r.w.writes, since: r.w.dropped})
	case n < 960 && len(r.held) > 0:
		r.lookHeld(r.r.IntN(len(r.held)))
	case n < 970:
		require.NoError(r.t, r.db.Flush())
	case n < 975:
		require.NoError(r.t, r.db.WaitIdle(context.Background()))
	case n < 977:
		r.reopen()
	}
}

// write is a batch of a few writes.
func (r *fifoRun) write() {
	var b strata.Batch
	for range 1 + r.r.IntN(4) {
		key := fmt.Sprintf("key%05d", r.r.IntN(6000))
		if r.r.IntN(8) == 0 {
			b.Delete([]byte(key))
			r.w.add(key, "", true)
			continue
		}
		value := fmt.Sprintf("%d:%0*d", r.w.writes, 100+r.r.IntN(300), 0)
		b.Put([]byte(key), []byte(value))
		r.w.add(key, value, false)
	}
	require.NoError(r.t, r.db.Write(&b, nil))
}

// look walks it, closes it if last, and checks what it showed.
func (r *fifoRun) look(it *strata.Iterator, at, since int, last bool) {
	r.t.Helper()
	seen := map[string]string{}
	for k, v := range it.All() {
		seen[string(k)] = string(v)
	}
	require.NoError(r.t, it.Err())
	back := 0
	for k, v := range it.Backward() {
		require.Equal(r.t, seen[string(k)], string(v))
		back++
	}
	require.Len(r.t, seen, back)
	if last {
		require.NoError(r.t, it.Close())
	}
	dropped, err := r.w.check(seen, at, since)
	require.NoError(r.t, err)
	r.w.dropped = max(r.w.dropped, dropped)
}

// lookHeld reads through a reader that was kept, and closes it half of the time.
// A snapshot sees what is dropped go, an iterator does not.
func (r *fifoRun) lookHeld(i int) {
	r.t.Helper()
	h := r.held[i]
	done := r.r.IntN(2) == 0
	if h.snap != nil {
		r.look(h.snap.NewIterator(nil), h.at, r.w.dropped, true)
	} else {
		r.look(h.it, h.at, h.since, done)
	}
	if done {
		require.NoError(r.t, closeIf(h.snap))
		r.held = append(r.held[:i:i], r.held[i+1:]...)
	}
}

func (r *fifoRun) closeDB() {
	for _, h := range r.held {
		require.NoError(r.t, closeIf(h.snap))
		require.NoError(r.t, closeIf(h.it))
	}
	r.held = nil
	for reason, n := range r.db.Metrics().Compaction.Count {
		r.runs[reason] += n
	}
	require.NoError(r.t, r.db.Close())
}

// reopen closes the database, or kills its process.
func (r *fifoRun) reopen() {
	disk := r.disk
	if r.r.IntN(2) == 0 {
		disk = disk.KillImage()
	}
	r.closeDB()
	r.disk = disk
	r.open()
}

// finish checks that the policy did its work: the size is kept, and no more is
// dropped for it than has to be.
func (r *fifoRun) finish() {
	require.NoError(r.t, r.db.WaitIdle(context.Background()))
	r.look(r.db.NewIterator(nil), r.w.writes, r.w.dropped, true)
	m := r.db.Metrics()
	require.LessOrEqual(r.t, m.Levels[0].Bytes, r.fifo.MaxBytes)
	total := r.w.bytes[r.w.writes]
	require.Less(r.t, r.w.bytes[r.w.dropped+1], total-int64(r.fifo.MaxBytes/2), "newer data was dropped than the limit demands")
	r.closeDB()
	require.Positive(r.t, r.runs["fifo-drop"])
	if r.fifo.MergeFiles > 0 {
		require.Positive(r.t, r.runs["fifo-merge"])
	}
	require.GreaterOrEqual(r.t, r.w.dropped, 0)
	r.t.Logf("%d writes, %d looks, compactions %v", r.w.writes, r.w.views, r.runs)
}
