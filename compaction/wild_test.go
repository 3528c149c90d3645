package compaction

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"flag"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strconv"
	"testing"

	"github.com/strata-db/strata/internal/base"
	"github.com/strata-db/strata/iterator"
	"github.com/strata-db/strata/version"
	"github.com/stretchr/testify/require"
)

var (
	wildSeed  = flag.Uint64("wildseed", 0, "the first seed of TestWild")
	wildSeeds = flag.Uint("wildseeds", 70, "how many seeds TestWild plays")
)

// TestWild protects the same promises as TestSimulation where more is left to
// chance: order, policy and its options, and a tree that another engine could have
// left, with versions of every key anywhere in it that their age allows. Flushes
// and compactions have moments of their own for being planned, carried out,
// published and forgotten, and some fail; snapshots come and go in between, and
// tables become known when somebody opens them.
func TestWild(t *testing.T) {
	seeds := uint64(*wildSeeds)
	if testing.Short() {
		seeds = min(seeds, 20)
	}
	for seed := *wildSeed; seed < *wildSeed+seeds && !t.Failed(); seed++ {
		t.Run(strconv.FormatUint(seed, 10), func(t *testing.T) { newWild(t, seed).play() })
	}
}

// Orders of user keys. Bytes that differ are equal in foldOrder.
var (
	reverseOrder = &base.Comparer{Name: "test.reverse", EqualIsIdentical: true, Compare: func(a, b []byte) int { return bytes.Compare(b, a) }}
	lengthOrder  = &base.Comparer{Name: "test.length", EqualIsIdentical: true, Compare: func(a, b []byte) int {
		return cmp.Or(cmp.Compare(len(a), len(b)), bytes.Compare(a, b))
	}}
	foldOrder = &base.Comparer{Name: "test.fold", Compare: func(a, b []byte) int { return bytes.Compare(bytes.ToLower(a), bytes.ToLower(b)) }}
)

type wild struct {
	t      *testing.T
	rng    *rand.Rand
	cmp    *base.Comparer
	policy Policy
	keys   int

	shuffled bool // level 0 was not numbered by age
	drops    bool // FIFO: keys may be missing, never wrong

	maxSpares int // with each memtable

	levels   [version.NumLevels][]*version.FileMeta
	tables   map[base.FileNum][]iterator.KV
	next     base.FileNum
	spares   []base.FileNum
	jobs     []*wildJob
	pointers [version.NumLevels][]byte
	damaged  map[*version.FileMeta]bool // left alone for now

	seq       base.SeqNum
	history   map[string][]iterator.KV // by lower-case key, newest first
	mem       []iterator.KV
	imm       []wildImm // oldest first
	snapshots []base.SeqNum
}

// A wildImm is a sealed memtable and the number its table will have.
type wildImm struct {
	num base.FileNum
	kvs []iterator.KV
}

// A wildJob is a running plan.
type wildJob struct {
	plan    *Plan
	version *version.Version // pinned when it was planned
	spare   base.FileNum     // taken then
	state   jobState
	outputs []*version.FileMeta
}

type jobState int

const (
	jobPlanned jobState = iota
	jobRan
	jobPublished // but the scheduler has not heard of it yet
)

func newWild(t *testing.T, seed uint64) *wild {
	w := &wild{
		t: t, rng: rand.New(rand.NewPCG(seed, 11)), next: 1,
		tables: make(map[base.FileNum][]iterator.KV), history: make(map[string][]iterator.KV),
	}
	w.cmp = []*base.Comparer{base.Bytewise, reverseOrder, lengthOrder, foldOrder}[w.rng.IntN(4)]
	w.keys = 1 + w.rng.IntN(80)
	w.maxSpares = w.rng.IntN(4)
	w.policy = w.randomPolicy()
	_, w.drops = w.policy.(*fifo)
	if w.rng.IntN(3) > 0 {
		w.makeForeign()
	}
	return w
}

func (w *wild) entries(n int) uint64 { return uint64(1+w.rng.IntN(n)) * entryBytes }

func (w *wild) randomPolicy() Policy {
	switch w.rng.IntN(5) {
	case 0, 1, 2:
		return Leveled(LeveledOptions{
			TableBytes: w.entries(12), BaseBytes: w.entries(80), FanOut: 2 + w.rng.IntN(6),
			L0Files: 1 + w.rng.IntN(6), TombstonePercent: w.rng.IntN(100) - 5,
		})
	case 3:
		return Tiered(TieredOptions{
			TableBytes: w.entries(12), Runs: 2 + w.rng.IntN(9), SizeRatioPercent: 1 + w.rng.IntN(100),
			MaxSpaceAmpPercent: 1 + w.rng.IntN(400),
		})
	default:
		return FIFO(FIFOOptions{MaxBytes: w.entries(600), MergeFiles: []int{0, 2, 4}[w.rng.IntN(3)]})
	}
}

// spelled is one way to write the n-th key.
func (w *wild) spelled(n int) []byte {
	key := []byte(strconv.FormatInt(int64(n*n), 36))
	if w.cmp == foldOrder && w.rng.IntN(2) == 0 {
		return bytes.ToUpper(key)
	}
	return key
}

// entry makes the next version of a random key.
func (w *wild) entry() iterator.KV {
	w.seq++
	kv := iterator.KV{K: base.MakeKey(w.spelled(w.rng.IntN(w.keys)), w.seq, base.KindDelete)}
	if w.rng.IntN(3) > 0 {
		kv.K = base.MakeKey(kv.K.UserKey, w.seq, base.KindSet)
		kv.V = fmt.Appendf(nil, "v%d", w.seq)
	}
	name := string(bytes.ToLower(kv.K.UserKey))
	w.history[name] = slices.Insert(w.history[name], 0, kv)
	return kv
}

// write enters an entry into the memtable.
func (w *wild) write() {
	kv := w.entry()
	i, _ := slices.BinarySearchFunc(w.mem, kv, func(a, b iterator.KV) int { return w.cmp.CompareInternal(a.K, b.K) })
	w.mem = slices.Insert(w.mem, i, kv)
}

// makeForeign fills a tree with all versions of the keys, those of each key as
// deep as their age, but files cut anywhere.
func (w *wild) makeForeign() {
	for range w.rng.IntN(250) {
		w.entry()
	}
	l0 := make([][]iterator.KV, 1+w.rng.IntN(5)) // newest first
	var deep [version.NumLevels][]iterator.KV
	for _, name := range slices.Sorted(maps.Keys(w.history)) {
		place := 0 // in l0, then in the levels
		for _, kv := range w.history[name] {
			for w.rng.IntN(3) > 0 && place < len(l0)+lastLevel-1 {
				place++
			}
			if place < len(l0) {
				l0[place] = append(l0[place], kv)
			} else {
				level := place - len(l0) + 1
				deep[level] = append(deep[level], kv)
			}
		}
	}
	for level := lastLevel; level > 0; level-- {
		kvs := deep[level]
		sortKVs(w.cmp, kvs)
		for len(kvs) > 0 {
			n := min(1+w.rng.IntN(6), len(kvs))
			w.addForeign(level, w.newNum(), kvs[:n])
			kvs = kvs[n:]
		}
	}
	var nums []base.FileNum
	for range l0 {
		nums = append(nums, w.newNum())
		if w.rng.IntN(2) == 0 {
			w.spares = append(w.spares, w.newNum())
		}
	}
	slices.Reverse(nums)
	if w.shuffled = !w.drops && w.rng.IntN(3) == 0; w.shuffled {
		w.rng.Shuffle(len(nums), func(i, j int) { nums[i], nums[j] = nums[j], nums[i] })
	}
	for i, kvs := range l0 {
		if len(kvs) > 0 {
			sortKVs(w.cmp, kvs)
			w.addForeign(0, nums[i], kvs)
		}
	}
}

func (w *wild) newNum() base.FileNum { w.next++; return w.next - 1 }

func (w *wild) addForeign(level int, num base.FileNum, kvs []iterator.KV) {
	w.tables[num] = kvs
	w.levels[level] = append(w.levels[level], bareFile(num, kvs))
}

func (w *wild) version() *version.Version {
	var levels [version.NumLevels][]*version.FileMeta
	for i, files := range w.levels {
		levels[i] = slices.Clone(files)
	}
	return version.NewVersion(w.cmp, levels)
}

func (w *wild) tree() *Tree {
	t := &Tree{
		Version: w.version(), Cmp: w.cmp, OldestSnapshot: base.SeqNumMax,
		Pointer: func(level int) []byte { return w.pointers[level] },
		Spare:   func(lo, hi base.FileNum) bool { return w.spare(lo, hi) >= 0 },
		Damaged: func(f *version.FileMeta) bool { return w.damaged[f] },
	}
	for _, at := range w.snapshots {
		t.OldestSnapshot = min(t.OldestSnapshot, at)
	}
	for _, j := range w.jobs {
		t.Running = append(t.Running, j.plan)
	}
	return t
}

func (w *wild) spare(lo, hi base.FileNum) int {
	return slices.IndexFunc(w.spares, func(n base.FileNum) bool { return lo < n && n < hi })
}

// run carries out a plan as the tree is now.
func (w *wild) run(p *Plan, v *version.Version, num func() base.FileNum, extra ...iterator.Iterator) []*version.FileMeta {
	var mems []*memTable
	res, err := Run(context.Background(), p, Env{
		Cmp: w.cmp, Snapshots: w.snapshots, Version: v,
		OpenTable: func(f *version.FileMeta) (iterator.Iterator, error) {
			return iterator.NewSlice(w.cmp, w.tables[f.Num]), nil
		},
		NewOutput: func() (Output, error) {
			m := &memTable{cmp: w.cmp}
			mems = append(mems, m)
			return Output{Num: num(), Type: base.FileTable, File: m, Writer: m}, nil
		},
	}, extra...)
	require.NoError(w.t, err, "%s", p)
	if p.SingleOutput {
		require.LessOrEqual(w.t, len(res.Outputs), 1)
	}
	for i, f := range res.Outputs {
		require.NotContains(w.t, w.tables, f.Num, "a number is used twice")
		w.tables[f.Num] = mems[i].kvs
	}
	return res.Outputs
}

// seal begins a new memtable.
func (w *wild) seal() {
	if len(w.mem) == 0 {
		return
	}
	w.imm = append(w.imm, wildImm{w.newNum(), w.mem})
	w.mem = nil
	for range w.rng.IntN(w.maxSpares + 1) {
		w.spares = append(w.spares, w.newNum())
	}
}

// flush makes the oldest sealed memtable a table.
func (w *wild) flush() {
	if len(w.imm) == 0 {
		return
	}
	m := w.imm[0]
	out := w.run(FlushPlan(), w.version(), func() base.FileNum { return m.num }, iterator.NewSlice(w.cmp, m.kvs))
	w.imm = w.imm[1:]
	w.levels[0] = append(w.levels[0], out...)
	w.published("flush", 0, out, false)
}

func (w *wild) flushAll() {
	for w.seal(); len(w.imm) > 0; {
		w.flush()
	}
}

func (w *wild) begin(t *Tree, p *Plan) {
	checkPlan(w.t, t, p)
	require.Equal(w.t, p.Drop, p.Drop && w.drops)
	w.t.Logf("plan %s snapshots %v", p, w.snapshots)
	j := &wildJob{plan: p, version: t.Version}
	if p.NumHi != 0 {
		i := w.spare(p.NumLo, p.NumHi)
		require.GreaterOrEqual(w.t, i, 0, "no spare for %s", p)
		j.spare = w.spares[i]
		w.spares = slices.Delete(w.spares, i, i+1)
	}
	w.jobs = append(w.jobs, j)
}

// pick begins what the policy wants, or what is allowed while it is paused.
func (w *wild) pick() bool {
	t := w.tree()
	p := w.policy.Pick(t)
	if p != nil {
		w.begin(t, p)
	}
	return p != nil
}

func (w *wild) relieve(from base.FileNum) {
	t := w.tree()
	t.Busy = func(f *version.FileMeta) bool { return f.Num < from }
	if p := RelieveLevel0(t, 2, w.entries(100)); p != nil {
		w.begin(t, p)
	}
}

// advance brings a job one state further.
func (w *wild) advance(i int) {
	j := w.jobs[i]
	switch p := j.plan; {
	case j.state == jobPublished || j.state == jobRan && w.rng.IntN(30) == 0: // it may fail
		w.jobs = slices.Delete(w.jobs, i, i+1)
		return
	case j.state == jobRan:
		w.publish(j)
	case p.Move:
		for _, f := range p.Files() {
			j.outputs = append(j.outputs, f)
		}
	case p.Drop:
	default:
		num := w.newNum
		if p.NumHi != 0 {
			num = func() base.FileNum { return j.spare }
		}
		if w.rng.IntN(2) == 0 {
			j.version = w.version() // a later one is as good
		}
		j.outputs = w.run(p, j.version, num)
	}
	j.state++
}

func (w *wild) publish(j *wildJob) {
	p := j.plan
	for level, f := range p.Files() {
		n := len(w.levels[level])
		w.levels[level] = slices.DeleteFunc(w.levels[level], func(g *version.FileMeta) bool { return g == f })
		require.Len(w.t, w.levels[level], n-1, "input %s is gone", f)
	}
	w.levels[p.OutputLevel] = append(w.levels[p.OutputLevel], j.outputs...)
	if p.Pointer != nil {
		w.pointers[p.PointerLevel] = p.Pointer
	}
	w.published(p.String(), p.OutputLevel, j.outputs, p.Move)
}

// published checks the tree and that no user key is spread over an added file and
// its neighbours, but for keys that were so spread before a move.
func (w *wild) published(what string, level int, added []*version.FileMeta, move bool) {
	v := w.version()
	w.t.Logf("done %s: %v", what, added)
	require.NoError(w.t, v.CheckOrder(w.cmp), "after %s", what)
	w.prune(v)
	if level == 0 {
		return
	}
	files := v.Files(level)
	for i := 1; i < len(files); i++ {
		a, b := slices.Contains(added, files[i-1]), slices.Contains(added, files[i])
		if (a || b) && !(move && a && b) {
			require.Less(w.t, w.cmp.Compare(files[i-1].Largest.UserKey, files[i].Smallest.UserKey), 0, "after %s", what)
		}
	}
}

// prune forgets spares as version.Set does.
func (w *wild) prune(v *version.Version) {
	if l0 := v.Files(0); len(l0) > 0 {
		w.spares = slices.DeleteFunc(w.spares, func(n base.FileNum) bool { return n < l0[len(l0)-1].Num })
	}
}

// find returns the newest entry of a sorted list visible at a sequence number.
func (w *wild) find(kvs []iterator.KV, key []byte, at base.SeqNum) (iterator.KV, bool) {
	i, _ := slices.BinarySearchFunc(kvs, base.SeekKey(key, at), func(kv iterator.KV, k base.InternalKey) int {
		return w.cmp.CompareInternal(kv.K, k)
	})
	if i < len(kvs) && w.cmp.Compare(kvs[i].K.UserKey, key) == 0 {
		return kvs[i], true
	}
	return iterator.KV{}, false
}

// get reads like the engine: in level 0 the highest sequence number wins. With
// byNumber it reads like LevelDB: in level 0 the first file that knows the key.
func (w *wild) get(v *version.Version, key []byte, at base.SeqNum, byNumber bool) (iterator.KV, bool) {
	if kv, ok := w.find(w.mem, key, at); ok {
		return kv, true
	}
	for _, m := range slices.Backward(w.imm) {
		if kv, ok := w.find(m.kvs, key, at); ok {
			return kv, true
		}
	}
	var best iterator.KV
	found := false
	for _, f := range v.Files(0) {
		kv, ok := w.find(w.tables[f.Num], key, at)
		if ok && byNumber {
			return kv, true
		}
		if ok && (!found || kv.K.SeqNum() > best.K.SeqNum()) {
			best, found = kv, true
		}
	}
	for level := 1; level < version.NumLevels && !found; level++ {
		if i := v.Find(level, base.SeekKey(key, at)); i < len(v.Files(level)) {
			best, found = w.find(w.tables[v.Files(level)[i].Num], key, at)
		}
	}
	return best, found
}

// check compares every key, at every snapshot and now, with the history.
func (w *wild) check(what string) {
	v := w.version()
	for _, at := range append(slices.Clone(w.snapshots), w.seq) {
		for name, versions := range w.history {
			want, wok := iterator.KV{}, false
			for _, kv := range versions {
				if kv.K.SeqNum() <= at {
					want, wok = kv, kv.K.Kind() == base.KindSet
					break
				}
			}
			for _, byNumber := range []bool{false, true} {
				if byNumber && (w.shuffled || w.drops || at != w.seq) {
					continue
				}
				got, ok := w.get(v, []byte(name), at, byNumber)
				ok = ok && got.K.Kind() == base.KindSet
				if w.drops && !ok {
					continue
				}
				if ok != wok || ok && string(got.V) != string(want.V) {
					w.t.Fatalf("%s: %s at %d (by number: %v): got %v %s, want %v %s\n%s", what, name, at, byNumber,
						ok, formatKV(got), wok, formatKV(want), v)
				}
			}
		}
	}
}

// step does something at random.
func (w *wild) step() {
	switch n := w.rng.IntN(30); {
	case n < 5:
		for range 1 + w.rng.IntN(25) {
			w.write()
		}
	case n < 8:
		w.seal()
	case n < 12:
		w.flush()
	case n < 14 && len(w.snapshots) < 4:
		w.snapshots = append(w.snapshots, w.seq)
	case n < 16 && len(w.snapshots) > 0:
		i := w.rng.IntN(len(w.snapshots))
		w.snapshots = slices.Delete(w.snapshots, i, i+1)
	case n < 17:
		w.open()
		w.damage()
	case n < 20 && len(w.jobs) < 4:
		w.relieve(base.FileNum(max(0, w.rng.IntN(2*int(w.next))-int(w.next))))
	case n < 24 && len(w.jobs) < 4:
		w.pick()
	case len(w.jobs) > 0:
		w.advance(w.rng.IntN(len(w.jobs)))
	}
}

// open makes some tables known.
func (w *wild) open() {
	for _, files := range w.levels {
		for _, f := range files {
			if w.rng.IntN(3) == 0 {
				learn(w.cmp, f, w.tables[f.Num])
			}
		}
	}
}

// damage makes policies leave some tables alone, until the next call.
func (w *wild) damage() {
	w.damaged = make(map[*version.FileMeta]bool)
	if w.drops || w.rng.IntN(3) > 0 {
		return
	}
	for _, files := range w.levels {
		for _, f := range files {
			w.damaged[f] = w.rng.IntN(8) == 0
		}
	}
}

func (w *wild) play() {
	w.prune(w.version())
	for range w.rng.IntN(3) * w.rng.IntN(5) {
		w.open()
	}
	w.t.Logf("%s %+v, order %s, shuffled %v\n%s", w.policy.Name(), w.policy, w.cmp.Name, w.shuffled, w.version())
	w.check("begin")
	for i := range 60 + w.rng.IntN(120) {
		w.step()
		w.check(fmt.Sprint("step ", i))
	}
	w.settle()
	for range w.rng.IntN(40) {
		w.step()
	}
	w.compactRange()
}

// settle runs what is due until nothing is; it must come to an end.
func (w *wild) settle() {
	w.damaged = nil
	files := w.version().NumFiles()
	for n := 0; ; n++ {
		for len(w.jobs) > 0 {
			w.advance(w.rng.IntN(len(w.jobs)))
		}
		if !w.pick() {
			break
		}
		for w.rng.IntN(2) == 0 && w.pick() {
		}
		require.Less(w.t, n, 200+10*files, "does not come to rest:\n%s", w.version())
	}
	w.check("settled")
	for level, score := range w.policy.Scores(w.tree()) {
		require.LessOrEqual(w.t, score, 1.0, "level %d", level)
	}
}

var errWild = errors.New("a job of the manual compaction failed")

// compactRange compacts a range while what was running goes on. Nothing that the
// snapshots left do not need may then be in the range: checked where there is
// none.
func (w *wild) compactRange() {
	if w.rng.IntN(2) == 0 {
		w.snapshots = nil
	}
	w.damaged = nil
	w.flushAll()
	var lower, upper []byte
	if w.rng.IntN(2) == 0 {
		lower, upper = w.spelled(w.rng.IntN(w.keys)), w.spelled(w.rng.IntN(w.keys))
	}
	if w.rng.IntN(2) == 0 {
		w.open()
	}
	from, quiet := w.next, w.rng.IntN(2) == 0
	for w.manual(lower, upper, from, quiet) != nil {
	}
	w.check("after manual")
	if len(w.snapshots) > 0 || w.drops {
		return
	}
	seen := make(map[string]bool)
	for level, files := range w.levels {
		for _, f := range files {
			for _, kv := range w.tables[f.Num] {
				key := kv.K.UserKey
				if f.Num >= from && level == 0 && !quiet ||
					lower != nil && (w.cmp.Compare(key, lower) < 0 || w.cmp.Compare(key, upper) > 0) {
					continue
				}
				name := string(bytes.ToLower(key))
				require.False(w.t, seen[name], "L%d holds a second %s\n%s", level, kv.K, w.version())
				require.Equal(w.t, base.KindSet, kv.K.Kind(), "L%d holds %s\n%s", level, kv.K, w.version())
				seen[name] = true
			}
		}
	}
}

func (w *wild) manual(lower, upper []byte, from base.FileNum, quiet bool) error {
	m := NewManual(w.tree(), w.policy, lower, upper)
	mine := make(map[*Plan]bool)
	failed := func() bool {
		i := w.rng.IntN(len(w.jobs))
		j := w.jobs[i]
		state := j.state
		w.advance(i)
		return mine[j.plan] && state == jobRan && !slices.Contains(w.jobs, j)
	}
	for n := 0; ; n++ {
		require.Less(w.t, n, 5000, "does not come to an end:\n%s", w.version())
		if !quiet && n < 50 && w.rng.IntN(8) == 0 {
			w.write()
			w.flushAll()
			w.relieve(from)
		}
		if len(w.jobs) > 0 && w.rng.IntN(2) == 0 && failed() {
			return errWild
		}
		t := w.tree()
		p, done := m.Next(t)
		if p != nil {
			w.begin(t, p)
			mine[p] = true
			continue
		}
		if done && !slices.ContainsFunc(w.jobs, func(j *wildJob) bool { return mine[j.plan] }) {
			return nil
		}
		require.NotEmpty(w.t, w.jobs, "waits for nothing:\n%s", w.version())
		if failed() {
			return errWild
		}
		w.check("during manual")
	}
}
