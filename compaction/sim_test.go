package compaction

import (
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/strata-db/strata/internal/base"
	"github.com/strata-db/strata/iterator"
	"github.com/strata-db/strata/version"
	"github.com/stretchr/testify/require"
)

// A sim is a database of lists: tables are slices, a flush is a sorted history,
// compactions start and end in any order. It is read after every change, at every
// snapshot, as this engine reads and as LevelDB does, and compared with the
// history.
type sim struct {
	t      *testing.T
	rng    *rand.Rand
	policy Policy
	o      simOptions

	levels  [version.NumLevels][]*version.FileMeta
	tables  map[base.FileNum][]iterator.KV
	next    base.FileNum
	spares  []base.FileNum
	running []*job

	seq       base.SeqNum
	history   map[string][]iterator.KV // newest first
	mem       []iterator.KV
	snapshots []base.SeqNum
	pointers  [version.NumLevels][]byte

	place     int
	drops     bool // FIFO: keys may be missing, never wrong
	plans     [NumReasons]int
	rewritten uint64
}

type simOptions struct {
	keys       int
	forget     bool // bounds and counts of flushed tables are unknown
	shuffled   bool // the first level 0 files are not numbered by age
	foreign    bool // begin with levels whose files share user keys
	noSpare    bool
	local      bool // each table touches a few neighbouring keys
	sequential bool // no key is written twice
}

type job struct {
	plan    *Plan
	version *version.Version
}

func newSim(t *testing.T, seed uint64, p Policy, o simOptions) *sim {
	s := &sim{
		t: t, rng: rand.New(rand.NewPCG(seed, 7)), policy: p, o: o, next: 1,
		tables: make(map[base.FileNum][]iterator.KV), history: make(map[string][]iterator.KV),
	}
	_, s.drops = p.(*fifo)
	if o.foreign {
		s.makeForeign()
	}
	if o.shuffled {
		s.makeShuffled()
	}
	return s
}

func (s *sim) key() string {
	switch {
	case s.o.local:
		// A few neighbours, now here, now there, and sometimes two places at once.
		if s.rng.IntN(12) == 0 {
			s.place = s.rng.IntN(s.o.keys)
		}
		return fmt.Sprintf("k%03d", (s.place+s.rng.IntN(4))%s.o.keys)
	case s.o.sequential:
		s.place++
		return fmt.Sprintf("k%05d", s.place)
	}
	return fmt.Sprintf("k%03d", s.rng.IntN(s.o.keys))
}

// write adds one random entry to the history and to the memtable.
func (s *sim) write(key string, kind base.Kind) iterator.KV {
	s.seq++
	kv := iterator.KV{K: base.MakeKey([]byte(key), s.seq, kind)}
	if kind == base.KindSet {
		kv.V = fmt.Appendf(nil, "v%d", s.seq)
	}
	s.history[key] = append([]iterator.KV{kv}, s.history[key]...)
	s.mem = append(s.mem, kv)
	return kv
}

func (s *sim) writeSome(n int) {
	for range n {
		kind := base.KindSet
		if s.rng.IntN(3) == 0 {
			kind = base.KindDelete
		}
		s.write(s.key(), kind)
	}
}

// makeForeign fills L6, then L3, then L1 with every version of some keys, cut
// into files anywhere, between versions of one key too.
func (s *sim) makeForeign() {
	for _, level := range []int{6, 3, 1} {
		s.writeSome(60)
		s.put(level, s.takeMem(), true)
	}
}

func (s *sim) takeMem() []iterator.KV {
	kvs := s.mem
	s.mem = nil
	sortKVs(base.Bytewise, kvs)
	return kvs
}

// put adds kvs to a level as files of one to six entries.
func (s *sim) put(level int, kvs []iterator.KV, bare bool) {
	for len(kvs) > 0 {
		n := min(1+s.rng.IntN(6), len(kvs))
		s.addFile(level, s.newNum(), kvs[:n], bare)
		kvs = kvs[n:]
	}
}

// makeShuffled leaves a level 0 as a repair does: numbers say nothing.
func (s *sim) makeShuffled() {
	nums := []base.FileNum{s.newNum(), s.newNum(), s.newNum(), s.newNum(), s.newNum(), s.newNum()}
	s.rng.Shuffle(len(nums), func(i, j int) { nums[i], nums[j] = nums[j], nums[i] })
	for _, n := range nums {
		s.writeSome(15)
		s.addFile(0, n, s.takeMem(), true)
	}
}

func (s *sim) newNum() base.FileNum { s.next++; return s.next - 1 }

// addFile adds a table; bare is one of which nobody knows bounds and counts.
func (s *sim) addFile(level int, num base.FileNum, kvs []iterator.KV, bare bool) {
	f := fileOf(num, kvs)
	if bare {
		f = &version.FileMeta{Num: f.Num, Type: f.Type, Size: f.Size, Smallest: f.Smallest, Largest: f.Largest}
	}
	s.tables[num] = kvs
	s.levels[level] = append(s.levels[level], f)
}

func (s *sim) version() *version.Version {
	var levels [version.NumLevels][]*version.FileMeta
	for i, files := range s.levels {
		levels[i] = slices.Clone(files)
	}
	return version.NewVersion(base.Bytewise, levels)
}

func (s *sim) tree() *Tree {
	t := &Tree{
		Version: s.version(), Cmp: base.Bytewise, OldestSnapshot: base.SeqNumMax,
		Pointer: func(level int) []byte { return s.pointers[level] },
		Spare:   func(lo, hi base.FileNum) bool { return s.spareIndex(lo, hi) >= 0 },
	}
	for _, at := range s.snapshots {
		t.OldestSnapshot = min(t.OldestSnapshot, at)
	}
	for _, j := range s.running {
		t.Running = append(t.Running, j.plan)
	}
	return t
}

func (s *sim) spareIndex(lo, hi base.FileNum) int {
	return slices.IndexFunc(s.spares, func(n base.FileNum) bool { return lo < n && n < hi })
}

// run merges and returns the outputs' entries.
func (s *sim) run(p *Plan, v *version.Version, num func() base.FileNum, extra ...iterator.Iterator) *Result {
	var mems []*memTable
	res, err := Run(context.Background(), p, Env{
		Cmp: base.Bytewise, Snapshots: s.snapshots, Version: v,
		OpenTable: func(f *version.FileMeta) (iterator.Iterator, error) {
			return iterator.NewSlice(base.Bytewise, s.tables[f.Num]), nil
		},
		NewOutput: func() (Output, error) {
			m := &memTable{}
			mems = append(mems, m)
			return Output{Num: num(), Type: base.FileTable, File: m, Writer: m}, nil
		},
	}, extra...)
	require.NoError(s.t, err)
	require.Len(s.t, res.Outputs, len(mems))
	for i, f := range res.Outputs {
		require.True(s.t, mems[i].synced && mems[i].closed)
		s.tables[f.Num] = mems[i].kvs
	}
	return res
}

func (s *sim) flush() {
	if len(s.mem) == 0 {
		return
	}
	num := s.newNum()
	if !s.o.noSpare {
		s.spares = append(s.spares, s.newNum())
	}
	res := s.run(FlushPlan(), s.version(), func() base.FileNum { return num }, iterator.NewSlice(base.Bytewise, s.takeMem()))
	for _, f := range res.Outputs {
		if s.o.forget {
			f = &version.FileMeta{Num: f.Num, Type: f.Type, Size: f.Size, Smallest: f.Smallest, Largest: f.Largest}
		}
		s.levels[0] = append(s.levels[0], f)
	}
}

// start picks a plan and lets it run.
func (s *sim) start() bool {
	t := s.tree()
	p := s.policy.Pick(t)
	if p == nil {
		return false
	}
	s.begin(t, p)
	return true
}

func (s *sim) begin(t *Tree, p *Plan) {
	checkPlan(s.t, t, p)
	s.plans[p.Reason]++
	s.running = append(s.running, &job{p, t.Version})
}

// finish ends a running plan and applies its edit.
func (s *sim) finish(i int) {
	j := s.running[i]
	p := j.plan
	s.running = slices.Delete(s.running, i, i+1)
	var added []*version.FileMeta
	switch {
	case p.Move:
		for _, f := range p.Files() {
			added = append(added, f)
		}
	case p.Drop:
		require.True(s.t, s.drops)
	default:
		num := s.newNum
		if p.NumHi != 0 {
			num = func() base.FileNum {
				i := s.spareIndex(p.NumLo, p.NumHi)
				require.GreaterOrEqual(s.t, i, 0, "no spare for %s", p)
				n := s.spares[i]
				s.spares = slices.Delete(s.spares, i, i+1)
				return n
			}
		}
		added = s.run(p, j.version, num).Outputs
		s.rewritten += p.Bytes()
	}
	if p.SingleOutput {
		require.LessOrEqual(s.t, len(added), 1)
	}
	for level, f := range p.Files() {
		n := len(s.levels[level])
		s.levels[level] = slices.DeleteFunc(s.levels[level], func(g *version.FileMeta) bool { return g == f })
		require.Len(s.t, s.levels[level], n-1, "input %s is gone", f)
	}
	s.levels[p.OutputLevel] = append(s.levels[p.OutputLevel], added...)
	if p.Pointer != nil {
		s.pointers[p.PointerLevel] = p.Pointer
	}
	v := s.version()
	require.NoError(s.t, v.CheckOrder(base.Bytewise), "after %s", p)
	if !p.Move && p.OutputLevel > 0 {
		// No user key is spread over outputs or their neighbours.
		files := v.Files(p.OutputLevel)
		for i := 1; i < len(files); i++ {
			if slices.Contains(added, files[i]) || slices.Contains(added, files[i-1]) {
				require.NotEqual(s.t, files[i-1].Largest.UserKey, files[i].Smallest.UserKey, "after %s", p)
			}
		}
	}
}

func (s *sim) finishAll() {
	for len(s.running) > 0 {
		s.finish(s.rng.IntN(len(s.running)))
	}
}

// find returns the newest entry of a table visible at a sequence number.
func find(kvs []iterator.KV, key string, at base.SeqNum) (iterator.KV, bool) {
	for _, kv := range kvs {
		if string(kv.K.UserKey) == key && kv.K.SeqNum() <= at {
			return kv, true
		}
	}
	return iterator.KV{}, false
}

// get reads like the engine: in level 0 the highest sequence number wins, below
// it the first answer. With byNumber it reads like LevelDB, which stops at the
// first level 0 file that knows the key.
func (s *sim) get(v *version.Version, key string, at base.SeqNum, byNumber bool) (iterator.KV, bool) {
	best, ok := find(s.mem, key, at)
	if ok {
		slices.Reverse(s.mem) // newest first for find
		best, _ = find(s.mem, key, at)
		slices.Reverse(s.mem)
		return best, true
	}
	for _, f := range v.Files(0) {
		kv, found := find(s.tables[f.Num], key, at)
		if found && byNumber {
			return kv, true
		}
		if found && (!ok || kv.K.SeqNum() > best.K.SeqNum()) {
			best, ok = kv, true
		}
	}
	for level := 1; level < version.NumLevels && !ok; level++ {
		for _, f := range v.Files(level) {
			if best, ok = find(s.tables[f.Num], key, at); ok {
				break
			}
		}
	}
	return best, ok
}

// check compares keys, all if they are few, at every snapshot and at the end with
// the history.
func (s *sim) check(what string) {
	v := s.version()
	for _, at := range append(slices.Clone(s.snapshots), s.seq) {
		left := 60
		for key, versions := range s.history {
			if left--; left < 0 {
				break // another sample next time
			}
			want, wok := find(versions, key, at)
			wok = wok && want.K.Kind() == base.KindSet
			for _, byNumber := range []bool{false, true} {
				if byNumber && (s.o.shuffled || s.drops) {
					continue
				}
				got, ok := s.get(v, key, at, byNumber)
				ok = ok && got.K.Kind() == base.KindSet
				if s.drops && !ok {
					continue // dropped
				}
				if ok != wok || ok && string(got.V) != string(want.V) {
					s.t.Fatalf("%s: %s at %d (by number: %v): got %v %s, want %v %s\n%s", what, key, at, byNumber,
						ok, formatKV(got), wok, formatKV(want), v)
				}
			}
		}
	}
}

// checkPlan checks what every plan must keep.
func checkPlan(t *testing.T, tree *Tree, p *Plan) {
	require.Greater(t, p.FileCount(), 0)
	in := make(map[*version.FileMeta]bool)
	for level, f := range p.Files() {
		require.False(t, tree.busy(f), "%s: %s is busy", p, f)
		require.False(t, in[f], "%s: %s twice", p, f)
		require.Contains(t, tree.Version.Files(level), f)
		in[f] = true
	}
	for _, r := range tree.Running {
		if r.OutputLevel == p.OutputLevel && p.OutputLevel > 0 && !p.Drop && !r.Drop {
			require.False(t, r.span.overlaps(tree.Cmp, p.span), "%s writes where %s does", p, r)
		}
	}
	require.Equal(t, p.SingleOutput, p.NumHi != 0)
	for _, input := range p.Inputs {
		if input.Level == 0 {
			continue
		}
		files := tree.Version.Files(input.Level)
		for i := 1; i < len(files); i++ {
			if tree.shared(files[i-1], files[i]) {
				require.Equal(t, in[files[i-1]], in[files[i]], "%s: no clean cut", p)
			}
		}
	}
	if p.Drop {
		return
	}
	if p.OutputLevel > 0 {
		for _, f := range tree.Version.Files(p.OutputLevel) {
			if p.Move {
				for _, g := range p.Files() {
					require.False(t, fileSpan(g).overlaps(tree.Cmp, fileSpan(f)), "%s: %s lies in the way", p, f)
				}
				continue
			}
			require.True(t, in[f] || !p.span.overlaps(tree.Cmp, fileSpan(f)), "%s: %s lies in the way", p, f)
		}
		return
	}
	// Inside level 0: neighbours, and a window between what is left.
	files := tree.Version.Files(0)
	first := slices.IndexFunc(files, func(f *version.FileMeta) bool { return in[f] })
	for i, f := range files {
		require.Equal(t, i >= first && i < first+len(in), in[f], "%s: no neighbours", p)
		if i < first {
			require.LessOrEqual(t, p.NumHi, f.Num)
		} else if !in[f] {
			require.GreaterOrEqual(t, p.NumLo, f.Num)
		}
	}
}

// step does something at random.
func (s *sim) step() {
	switch n := s.rng.IntN(20); {
	case n < 6:
		s.writeSome(1 + s.rng.IntN(30))
		s.flush()
	case n < 8:
		s.writeSome(s.rng.IntN(5))
	case n < 9 && len(s.snapshots) < 4:
		s.snapshots = append(s.snapshots, s.seq)
	case n < 11 && len(s.snapshots) > 0:
		i := s.rng.IntN(len(s.snapshots))
		s.snapshots = slices.Delete(s.snapshots, i, i+1)
	case n < 16 && len(s.running) < 4:
		s.start()
	case len(s.running) > 0:
		s.finish(s.rng.IntN(len(s.running)))
	}
}

// settle runs what is due until nothing is; it must come to an end.
func (s *sim) settle() {
	s.finishAll()
	for n := 0; s.start(); n++ {
		s.finishAll()
		s.check("settling")
		require.Less(s.t, n, 500, "does not come to rest:\n%s", s.version())
	}
}

// manual runs a whole CompactRange, several plans at once.
func (s *sim) manual(lower, upper []byte) {
	m := NewManual(s.tree(), s.policy, lower, upper)
	for n := 0; ; n++ {
		require.Less(s.t, n, 2000, "does not come to an end:\n%s", s.version())
		t := s.tree()
		p, done := m.Next(t)
		if done {
			break
		}
		if p == nil {
			require.NotEmpty(s.t, s.running, "waits for nothing")
			s.finish(s.rng.IntN(len(s.running)))
			continue
		}
		s.begin(t, p)
	}
	s.finishAll()
	s.check("after manual")
}

var simPolicies = []struct {
	name string
	p    Policy
}{
	{"leveled", Leveled(LeveledOptions{TableBytes: 8 * entryBytes, BaseBytes: 40 * entryBytes, FanOut: 3})},
	{"leveled-few", Leveled(LeveledOptions{TableBytes: 4 * entryBytes, BaseBytes: 8 * entryBytes, FanOut: 2, L0Files: 2, TombstonePercent: 10})},
	{"tiered", Tiered(TieredOptions{TableBytes: 8 * entryBytes, Runs: 4})},
	{"tiered-wide", Tiered(TieredOptions{TableBytes: 8 * entryBytes, Runs: 10, SizeRatioPercent: 50, MaxSpaceAmpPercent: 1000})},
	{"fifo", FIFO(FIFOOptions{MaxBytes: 200 * entryBytes})},
	{"fifo-merge", FIFO(FIFOOptions{MaxBytes: 600 * entryBytes, MergeFiles: 4})},
}

var simOptionSets = map[string]simOptions{
	"plain":    {keys: 60},
	"few":      {keys: 8},
	"forget":   {keys: 40, forget: true},
	"foreign":  {keys: 30, foreign: true},
	"shuffled": {keys: 30, shuffled: true},
	"nospare":  {keys: 40, noSpare: true},
	"local":    {keys: 300, local: true},
	"inserts":  {sequential: true},
}

// TestSimulation protects every promise of a plan and of a merge at once: after
// each change every snapshot reads what was written, no plan takes a busy file
// or writes over another's output, and all policies come to rest.
func TestSimulation(t *testing.T) {
	seeds, steps := 5, 120
	if testing.Short() {
		seeds, steps = 3, 100
	}
	for _, p := range simPolicies {
		for name, o := range simOptionSets {
			if _, drops := p.p.(*fifo); drops && o.shuffled {
				continue // without an age there is no oldest file
			}
			t.Run(p.name+"/"+name, func(t *testing.T) {
				for seed := range seeds {
					s := newSim(t, uint64(seed), p.p, o)
					s.check("begin")
					for i := range steps {
						s.step()
						s.check(fmt.Sprintf("seed %d, step %d", seed, i))
					}
					s.settle()
					for level, score := range p.p.Scores(s.tree()) {
						require.LessOrEqual(t, score, 1.0, "level %d", level)
					}
					require.Zero(t, p.p.Debt(s.tree()))
					s.finishManually()
				}
			})
		}
	}
}

// finishManually checks that one manual compaction leaves nothing that may go.
func (s *sim) finishManually() {
	if s.rng.IntN(2) == 0 {
		s.manual([]byte("k003"), []byte("k010"))
	}
	s.flush()
	s.manual(nil, nil)
	s.snapshots = nil
	s.flush()
	s.manual(nil, nil)
	if s.drops {
		return
	}
	seen := make(map[string]bool)
	for level, files := range s.levels {
		for _, f := range files {
			for _, kv := range s.tables[f.Num] {
				require.False(s.t, seen[string(kv.K.UserKey)], "L%d holds a second %s", level, kv.K)
				require.Equal(s.t, base.KindSet, kv.K.Kind(), "L%d holds %s", level, kv.K)
				seen[string(kv.K.UserKey)] = true
			}
		}
	}
}
