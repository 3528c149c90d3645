package strata

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/anishathalye/porcupine"
	"github.com/stretchr/testify/require"

	"github.com/strata-db/strata/vfs"
)

// Every history of parallel clients is linearizable: each call appears to happen
// at one moment between its begin and its end. A few registers are read and
// written by Get, Put, Delete, by batches over several of them, and as a whole by
// snapshots and iterators, whose moment is when they were made, however late they
// are read. Flushes and compactions go on meanwhile. Porcupine looks for an order
// that explains all answers.

// registers is how many keys the model knows.
const registers = 5

// registerState is the value of each register, 0 for none.
type registerState [registers]int

// registerInput is a call: writes, or reads.
type registerInput struct {
	name   string
	writes map[int]int // by register; 0 deletes
	reads  []int
}

// registerOutput are the values read, in the order of reads.
type registerOutput []int

func registerModel(initial registerState) porcupine.Model {
	return porcupine.Model{
		Init: func() any { return initial },
		Step: func(state, input, output any) (bool, any) {
			s, in := state.(registerState), input.(registerInput)
			for i, reg := range in.reads {
				if s[reg] != output.(registerOutput)[i] {
					return false, s
				}
			}
			for reg, v := range in.writes {
				s[reg] = v
			}
			return true, s
		},
		DescribeOperation: func(input, output any) string { return fmt.Sprintf("%+v: %v", input, output) },
	}
}

// The checker finds a stale read, a batch seen in part, and a snapshot of two
// moments.
func TestCheckerOfHistories(t *testing.T) {
	at := func(call, ret int64, in registerInput, out ...int) porcupine.Operation {
		return porcupine.Operation{Call: call, Return: ret, Input: in, Output: registerOutput(out)}
	}
	put := func(writes map[int]int) registerInput { return registerInput{writes: writes} }
	get := func(reads ...int) registerInput { return registerInput{reads: reads} }
	for _, c := range []struct {
		name string
		ops  []porcupine.Operation
		want bool
	}{
		{"read after write", []porcupine.Operation{at(1, 2, put(map[int]int{0: 1})), at(3, 4, get(0), 1)}, true},
		{"read beside write", []porcupine.Operation{at(1, 4, put(map[int]int{0: 1})), at(2, 3, get(0), 0)}, true},
		{"stale read", []porcupine.Operation{at(1, 2, put(map[int]int{0: 1})), at(3, 4, get(0), 0)}, false},
		{"half a batch", []porcupine.Operation{at(1, 5, put(map[int]int{0: 1, 1: 1})), at(2, 3, get(0, 1), 1, 0)}, false},
		{"backwards", []porcupine.Operation{at(1, 9, put(map[int]int{0: 1})), at(2, 3, get(0), 1), at(4, 5, get(0), 0)}, false},
		{"two moments", []porcupine.Operation{
			at(1, 2, put(map[int]int{0: 1})), at(3, 4, put(map[int]int{1: 2})), at(1, 5, get(0, 1), 0, 2),
		}, false},
	} {
		require.Equal(t, c.want, porcupine.CheckOperations(registerModel(registerState{}), c.ops), c.name)
	}
}

func TestLinearizable(t *testing.T) {
	rounds := 12
	switch {
	case os.Getenv("STRATA_LONG") != "":
		rounds = 200
	case testing.Short():
		rounds = 4
	}
	seed := rand.Uint64() % 1e9
	if s := os.Getenv("STRATA_SEED"); s != "" {
		seed, _ = strconv.ParseUint(s, 10, 64)
	}
	for _, c := range []struct {
		name        string
		syncPercent int
		disk        bool
		opts        Options
	}{
		{name: "unsynced", opts: Options{WAL: WALWrite}},
		{name: "mixed", syncPercent: 30, opts: Options{Policy: Tiered(TieredOptions{TableBytes: 32 << 10, Runs: 3})}},
		{name: "synced", syncPercent: 100, opts: Options{Policy: Leveled(LeveledOptions{TableBytes: 32 << 10, BaseBytes: 64 << 10, FanOut: 2, L0Files: 2})}},
		{name: "disk", syncPercent: 20, disk: true, opts: Options{CacheBytes: -1}},
	} {
		t.Run(fmt.Sprintf("%s/seed=%d", c.name, seed), func(t *testing.T) {
			l := &linearizer{t: t, dir: "db", syncPercent: c.syncPercent, opts: c.opts, seed: seed}
			l.opts.MemtableBytes, l.opts.TableBytes, l.opts.BlockBytes = 32<<10, 32<<10, 512
			l.opts.FS = vfs.NewMem()
			if c.disk {
				l.dir, l.opts.FS = t.TempDir(), vfs.OS
			}
			l.open()
			for round := range rounds {
				l.round(round)
			}
			l.close()
			t.Logf("%d calls in %d rounds, %d not decided; flushes %d, compactions %v", l.calls, rounds, l.unknown, l.flushes, l.compactions)
			require.Less(t, l.unknown, rounds/2+1)
			require.Positive(t, l.flushes)
			require.Positive(t, l.compactions)
		})
	}
}

type linearizer struct {
	t           *testing.T
	dir         string
	opts        Options
	syncPercent int
	seed        uint64
	db          *DB

	calls, unknown       int
	flushes, compactions int64
}

func (l *linearizer) open() {
	db, err := Open(l.dir, &l.opts)
	require.NoError(l.t, err)
	l.db = db
}

func (l *linearizer) close() {
	m := l.db.Metrics()
	l.flushes += m.Flush.Count
	for _, n := range m.Compaction.Count {
		l.compactions += n
	}
	require.NoError(l.t, l.db.Close())
}

// round lets clients work on the database, checks what they saw, and reopens.
func (l *linearizer) round(n int) {
	initial, err := readRegisters(l.db, nil)
	require.NoError(l.t, err)
	var state registerState
	copy(state[:], initial)
	stop := l.disturb()
	const clients = 6
	histories := make([][]porcupine.Operation, clients)
	var wg sync.WaitGroup
	start := time.Now()
	for i := range clients {
		c := &lineClient{
			db: l.db, id: i, start: start, syncPercent: l.syncPercent,
			rnd: rand.New(rand.NewPCG(l.seed, uint64(n*clients+i))), next: (n*clients + i + 1) * 1000,
		}
		wg.Go(func() {
			for range 60 {
				if err := c.step(); err != nil {
					l.t.Errorf("client %d: %v", i, err)
					return
				}
			}
			if err := c.readHeld(); err != nil {
				l.t.Errorf("client %d, snapshots: %v", i, err)
			}
			histories[i] = c.history
		})
	}
	wg.Wait()
	stop()
	l.check(n, state, histories)
	if n%4 == 3 {
		l.close()
		l.open()
	}
}

func (l *linearizer) check(round int, initial registerState, histories [][]porcupine.Operation) {
	l.t.Helper()
	var all []porcupine.Operation
	for _, h := range histories {
		all = append(all, h...)
	}
	l.calls += len(all)
	switch porcupine.CheckOperationsTimeout(registerModel(initial), all, 20*time.Second) {
	case porcupine.Illegal:
		var b strings.Builder
		for _, op := range all {
			fmt.Fprintf(&b, "%d..%d client %d: %+v %v\n", op.Call, op.Return, op.ClientId, op.Input, op.Output)
		}
		l.t.Fatalf("round %d from %v is not linearizable:\n%s", round, initial, b.String())
	case porcupine.Unknown:
		l.unknown++
	}
}

// disturb writes other keys and flushes and compacts, until stop is called.
func (l *linearizer) disturb() (stop func()) {
	ctx, cancel := context.WithCancel(context.Background())
	var wg sync.WaitGroup
	wg.Go(func() {
		for i := 0; ctx.Err() == nil; i++ {
			key := fmt.Appendf(nil, "other%03d", i%500)
			if err := l.db.Put(key, make([]byte, 300), nil); err != nil {
				l.t.Error(err)
				return
			}
		}
	})
	wg.Go(func() {
		for i := 0; i < 8 || ctx.Err() == nil; i++ {
			err := l.db.Flush()
			switch {
			case err != nil:
			case i == 7: // one comes to its end in any case
				err = l.db.CompactRange(context.Background(), nil, nil)
			case i%8 == 7:
				err = l.db.CompactRange(ctx, nil, nil)
			}
			if err != nil && !errors.Is(err, context.Canceled) {
				l.t.Error(err)
				return
			}
		}
	})
	return func() { cancel(); wg.Wait() }
}

func registerKey(reg int) []byte { return fmt.Appendf(nil, "register%d", reg) }

func registerValue(v int) []byte { return fmt.Appendf(nil, "%d %0200d", v, 0) }

// readRegister returns the value of a register. way chooses how to ask.
func readRegister(r Reader, reg, way int) (int, error) {
	var b []byte
	var err error
	if way%2 == 0 {
		b, err = r.Get(registerKey(reg))
	} else {
		err = r.View(registerKey(reg), func(v []byte) error { b = append(b, v...); return nil })
	}
	if errors.Is(err, ErrNotFound) {
		return 0, nil
	}
	if err != nil {
		return 0, err
	}
	return parseRegister(b)
}

func parseRegister(b []byte) (int, error) {
	v, _, _ := strings.Cut(string(b), " ")
	return strconv.Atoi(v)
}

// readRegisters returns all registers as an iterator shows them; nil makes one.
func readRegisters(r Reader, it *Iterator) (registerOutput, error) {
	if it == nil {
		it = r.NewIterator(nil)
	}
	out := make(registerOutput, registers)
	for ok := it.SeekGE([]byte("register")); ok; ok = it.Next() {
		reg, err := strconv.Atoi(strings.TrimPrefix(string(it.Key()), "register"))
		if err != nil {
			return nil, err
		}
		if out[reg], err = parseRegister(it.Value()); err != nil {
			return nil, err
		}
	}
	return out, it.Close()
}

// lineClient is one client and its history.
type lineClient struct {
	db          *DB
	id          int
	start       time.Time
	rnd         *rand.Rand
	syncPercent int
	next        int // values are never written twice

	history []porcupine.Operation
	held    []heldView
}

// heldView is a snapshot or iterator that is read later. Its place in the history
// is known, its output is not.
type heldView struct {
	snap *Snapshot
	it   *Iterator
	op   int
}

// do runs fn and adds it to the history.
func (c *lineClient) do(in registerInput, fn func() (registerOutput, error)) error {
	call := time.Since(c.start).Nanoseconds()
	out, err := fn()
	ret := time.Since(c.start).Nanoseconds()
	c.history = append(c.history, porcupine.Operation{ClientId: c.id, Input: in, Call: call, Output: out, Return: ret})
	return err
}

func (c *lineClient) value() int {
	c.next++
	return c.next
}

func (c *lineClient) step() error {
	wo := NoSync
	if c.rnd.IntN(100) < c.syncPercent {
		wo = Sync
	}
	reg := c.rnd.IntN(registers)
	switch n := c.rnd.IntN(100); {
	case n < 25:
		return c.do(registerInput{name: "get", reads: []int{reg}}, func() (registerOutput, error) {
			v, err := readRegister(c.db, reg, n)
			return registerOutput{v}, err
		})
	case n < 50:
		v := c.value()
		return c.do(registerInput{name: "put", writes: map[int]int{reg: v}}, func() (registerOutput, error) {
			return nil, c.db.Put(registerKey(reg), registerValue(v), wo)
		})
	case n < 60:
		return c.do(registerInput{name: "delete", writes: map[int]int{reg: 0}}, func() (registerOutput, error) {
			return nil, c.db.Delete(registerKey(reg), wo)
		})
	case n < 75:
		return c.write(wo)
	case n < 95:
		return c.view(n)
	}
	return c.readHeld()
}

// write is a batch over some registers, some of them twice.
func (c *lineClient) write(wo *WriteOptions) error {
	var b Batch
	writes := map[int]int{}
	for range 2 + c.rnd.IntN(4) {
		reg := c.rnd.IntN(registers)
		if c.rnd.IntN(4) == 0 {
			writes[reg] = 0
			b.Delete(registerKey(reg))
			continue
		}
		writes[reg] = c.value()
		b.Put(registerKey(reg), registerValue(writes[reg]))
	}
	return c.do(registerInput{name: "write", writes: writes}, func() (registerOutput, error) {
		return nil, c.db.Write(&b, wo)
	})
}

// view makes a snapshot or an iterator and keeps it.
func (c *lineClient) view(n int) error {
	h := heldView{op: len(c.history)}
	in := registerInput{name: "snapshot", reads: []int{0, 1, 2, 3, 4}}
	c.held = append(c.held, h)
	last := &c.held[len(c.held)-1]
	return c.do(in, func() (registerOutput, error) {
		if n%2 == 0 {
			last.snap = c.db.NewSnapshot()
		} else {
			last.it = c.db.NewIterator(nil)
		}
		return nil, nil
	})
}

// readHeld reads what was kept, and lets it go.
func (c *lineClient) readHeld() error {
	for _, h := range c.held {
		out, err := c.readView(h)
		if err != nil {
			return err
		}
		c.history[h.op].Output = out
	}
	c.held = nil
	return nil
}

func (c *lineClient) readView(h heldView) (registerOutput, error) {
	if h.it != nil {
		return readRegisters(nil, h.it)
	}
	out, err := readRegisters(h.snap, nil)
	if err != nil {
		return nil, err
	}
	for reg, want := range out {
		v, err := readRegister(h.snap, reg, reg)
		if err != nil {
			return nil, err
		}
		if v != want {
			return nil, fmt.Errorf("register %d of a snapshot is %d by Get and %d by an iterator", reg, v, want)
		}
	}
	return out, h.snap.Close()
}
