package strata

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"os"
	"slices"
	"strconv"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/strata-db/strata/vfs"
)

// The model test runs random operations on a database and on a map, and
// compares what both show: point reads, scans in both directions, snapshots and
// iterators kept across flushes, compactions and reopens. STRATA_SEED repeats
// one run.

// modelConfig is one set of options for the model.
type modelConfig struct {
	name string
	opts Options
}

func modelConfigs() []modelConfig {
	small := Options{MemtableBytes: 32 << 10, TableBytes: 32 << 10, BlockBytes: 512, MaxOpenFiles: 16}
	with := func(change func(*Options)) Options {
		o := small
		change(&o)
		return o
	}
	return []modelConfig{
		{"leveled", small},
		{"plain-wal", with(func(o *Options) { o.WAL = WALWrite; o.Compression = NoCompression })},
		{"tiered", with(func(o *Options) { o.Policy = Tiered(TieredOptions{TableBytes: 32 << 10, Runs: 3}) })},
		{"no-cache", with(func(o *Options) { o.CacheBytes = -1; o.FilterBitsPerKey = -1; o.LevelDBFilter = true })},
		{"deep", with(func(o *Options) {
			o.Policy = Leveled(LeveledOptions{TableBytes: 32 << 10, BaseBytes: 64 << 10, FanOut: 2, L0Files: 2})
			o.Workers = 4
		})},
		{"zstd", with(func(o *Options) { o.Compression = Zstd })},
		{"reverse", with(func(o *Options) { o.Comparer = reverseComparer })},
	}
}

var reverseComparer = &Comparer{Name: "strata.test.Reverse", Compare: func(a, b []byte) int { return BytewiseComparer.Compare(b, a) }}

func TestModel(t *testing.T) {
	seeds := 3
	if testing.Short() {
		seeds = 1
	}
	first := rand.Uint64() % 1e9
	if s := os.Getenv("STRATA_SEED"); s != "" {
		first, _ = strconv.ParseUint(s, 10, 64)
		seeds = 1
	}
	for _, c := range modelConfigs() {
		for i := range uint64(seeds) {
			seed := first + i
			t.Run(fmt.Sprintf("%s/seed=%d", c.name, seed), func(t *testing.T) {
				t.Parallel()
				m := newModel(t, c.opts, seed)
				m.run(4000)
			})
		}
	}
}

type model struct {
	t     *testing.T
	r     *rand.Rand
	dir   string
	opts  Options
	db    *DB
	cur   map[string]string
	snaps []modelSnap
	iters []modelIter
	cmp   func(a, b []byte) int
}

type modelSnap struct {
	snap *Snapshot
	want map[string]string
}

type modelIter struct {
	it   *Iterator
	o    *IterOptions
	want map[string]string
}

func newModel(t *testing.T, o Options, seed uint64) *model {
	m := &model{t: t, r: rand.New(rand.NewPCG(seed, 1)), dir: "db", opts: o, cur: map[string]string{}}
	m.opts.FS = vfs.NewMem()
	m.opts.Debug = true
	m.cmp = m.opts.withDefaults().Comparer.Compare
	m.open()
	return m
}

func (m *model) open() {
	db, err := Open(m.dir, &m.opts)
	require.NoError(m.t, err)
	m.db = db
}

func (m *model) run(steps int) {
	for range steps {
		m.step()
	}
	m.reopen()
	m.scan(m.db, m.cur, &IterOptions{})
	r, err := m.db.Verify(context.Background())
	require.NoError(m.t, err)
	require.NoError(m.t, r.Err())
	m.closeReaders()
	require.NoError(m.t, m.db.Close())
}

func (m *model) step() {
	switch n := m.r.IntN(1000); {
	case n < 500:
		k, v := m.key(), m.value()
		require.NoError(m.t, m.db.Put([]byte(k), []byte(v), m.writeOptions()))
		m.cur[k] = v
	case n < 620:
		k := m.key()
		require.NoError(m.t, m.db.Delete([]byte(k), m.writeOptions()))
		delete(m.cur, k)
	case n < 720:
		m.batch()
	case n < 850:
		m.get(m.db, m.cur)
	case n < 880:
		m.scan(m.db, m.cur, m.bounds())
	case n < 900 && len(m.snaps) < 5:
		m.snaps = append(m.snaps, modelSnap{m.db.NewSnapshot(), maps.Clone(m.cur)})
	case n < 930 && len(m.snaps) > 0:
		m.snapshotStep()
	case n < 945 && len(m.iters) < 3:
		o := m.bounds()
		m.iters = append(m.iters, modelIter{m.db.NewIterator(o), o, maps.Clone(m.cur)})
	case n < 960 && len(m.iters) > 0:
		i := m.r.IntN(len(m.iters))
		m.walk(m.iters[i].it, m.iters[i].want, m.iters[i].o)
		require.NoError(m.t, m.iters[i].it.Close())
		m.iters = slices.Delete(m.iters, i, i+1)
	case n < 970:
		require.NoError(m.t, m.db.Flush())
	case n < 976:
		lo, hi := m.bound(), m.bound()
		require.NoError(m.t, m.db.CompactRange(context.Background(), lo, hi))
	case n < 980:
		require.NoError(m.t, m.db.WaitIdle(context.Background()))
	case n < 986:
		m.reopen()
	case n < 990:
		m.checkpoint()
	case n < 993:
		require.NoError(m.t, m.db.Sync())
	}
}

func (m *model) snapshotStep() {
	i := m.r.IntN(len(m.snaps))
	s := m.snaps[i]
	switch m.r.IntN(3) {
	case 0:
		m.get(s.snap, s.want)
	case 1:
		m.scan(s.snap, s.want, m.bounds())
	default:
		require.NoError(m.t, s.snap.Close())
		m.snaps = slices.Delete(m.snaps, i, i+1)
	}
}

func (m *model) batch() {
	var b Batch
	for range m.r.IntN(20) {
		k := m.key()
		if m.r.IntN(4) == 0 {
			b.Delete([]byte(k))
			delete(m.cur, k)
		} else {
			v := m.value()
			if m.r.IntN(200) == 0 {
				v = string(make([]byte, 40<<10)) // larger than a memtable
			}
			b.Put([]byte(k), []byte(v))
			m.cur[k] = v
		}
	}
	require.NoError(m.t, m.db.Write(&b, m.writeOptions()))
}

func (m *model) closeReaders() {
	for _, s := range m.snaps {
		require.NoError(m.t, s.snap.Close())
	}
	for _, it := range m.iters {
		require.NoError(m.t, it.it.Close())
	}
	m.snaps, m.iters = nil, nil
}

func (m *model) reopen() {
	m.closeReaders()
	require.NoError(m.t, m.db.Close())
	m.open()
}

func (m *model) checkpoint() {
	m.t.Helper()
	dir := fmt.Sprintf("checkpoint-%d", m.r.Uint64())
	require.NoError(m.t, m.db.Checkpoint(context.Background(), dir))
	o := m.opts
	o.ReadOnly = true
	db, err := Open(dir, &o)
	require.NoError(m.t, err)
	m.scan(db, m.cur, &IterOptions{})
	require.NoError(m.t, db.Close())
	require.NoError(m.t, Destroy(dir, &m.opts))
}

func (m *model) writeOptions() *WriteOptions {
	return []*WriteOptions{nil, NoSync, NoSync, NoSync, Sync}[m.r.IntN(5)]
}

func (m *model) key() string {
	if m.r.IntN(50) == 0 {
		return ""
	}
	return fmt.Sprintf("key%0*d", 1+m.r.IntN(2)*5, m.r.IntN(400))
}

func (m *model) value() string {
	n := m.r.IntN(120)
	b := make([]byte, n)
	for i := range b {
		b[i] = byte('a' + m.r.IntN(4))
	}
	return string(b)
}

func (m *model) bound() []byte {
	if m.r.IntN(3) == 0 {
		return nil
	}
	return []byte(m.key())
}

func (m *model) bounds() *IterOptions {
	return &IterOptions{LowerBound: m.bound(), UpperBound: m.bound(), NoCacheFill: m.r.IntN(2) == 0}
}

func (m *model) get(r Reader, want map[string]string) {
	m.t.Helper()
	k := m.key()
	got, err := r.Get([]byte(k))
	v, ok := want[k]
	if !ok {
		require.ErrorIs(m.t, err, ErrNotFound, "key %q is %q", k, got)
		return
	}
	require.NoError(m.t, err, "key %q", k)
	require.Equal(m.t, v, string(got), "key %q", k)
	require.NoError(m.t, r.View([]byte(k), func(b []byte) error {
		if string(b) != v {
			return errors.New("View differs from Get")
		}
		return nil
	}))
}

// shown returns the keys of want within o, in order.
func (m *model) shown(want map[string]string, o *IterOptions) []string {
	var keys []string
	if o.UpperBound != nil && len(o.UpperBound) == 0 {
		return nil // an empty range in every order
	}
	for k := range want {
		if (o.LowerBound == nil || m.cmp([]byte(k), o.LowerBound) >= 0) && (o.UpperBound == nil || m.cmp([]byte(k), o.UpperBound) < 0) {
			keys = append(keys, k)
		}
	}
	slices.SortFunc(keys, func(a, b string) int { return m.cmp([]byte(a), []byte(b)) })
	return keys
}

func (m *model) scan(r Reader, want map[string]string, o *IterOptions) {
	m.t.Helper()
	it := r.NewIterator(o)
	m.walk(it, want, o)
	require.NoError(m.t, it.Close())
}

// walk compares a full walk forwards and backwards, and a random one.
func (m *model) walk(it *Iterator, want map[string]string, o *IterOptions) {
	m.t.Helper()
	keys := m.shown(want, o)
	var got []string
	for k, v := range it.All() {
		got = append(got, string(k))
		require.Equal(m.t, want[string(k)], string(v), "value of %q", k)
	}
	require.NoError(m.t, it.Err())
	require.Equal(m.t, keys, got)
	got = nil
	for k, v := range it.Backward() {
		got = append(got, string(k))
		require.Equal(m.t, want[string(k)], string(v), "value of %q", k)
	}
	require.NoError(m.t, it.Err())
	slices.Reverse(got)
	require.Equal(m.t, keys, got)
	m.wander(it, keys)
}

// wander moves it at random beside an index into keys.
func (m *model) wander(it *Iterator, keys []string) {
	m.t.Helper()
	at := -1
	for range 30 {
		var ok bool
		switch m.r.IntN(6) {
		case 0:
			k := m.key()
			ok = it.SeekGE([]byte(k))
			at, _ = slices.BinarySearchFunc(keys, k, func(a, b string) int { return m.cmp([]byte(a), []byte(b)) })
		case 1:
			k := m.key()
			ok = it.SeekLT([]byte(k))
			at, _ = slices.BinarySearchFunc(keys, k, func(a, b string) int { return m.cmp([]byte(a), []byte(b)) })
			at--
		case 2, 3:
			if at >= len(keys) {
				continue
			}
			ok = it.Next()
			at++
		default:
			if at < 0 {
				continue
			}
			ok = it.Prev()
			at--
		}
		require.NoError(m.t, it.Err())
		require.Equal(m.t, at >= 0 && at < len(keys), ok)
		if ok {
			require.Equal(m.t, keys[at], string(it.Key()))
		}
	}
}
