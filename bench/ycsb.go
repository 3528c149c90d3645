package bench

import (
	"runtime"
	"sync/atomic"

	"github.com/strata-db/strata/bench/gen"
)

// A ycsbMix is one of the core workloads of the Yahoo! Cloud Serving Benchmark,
// in per cent of the operations. Source: Cooper et al., Benchmarking Cloud
// Serving Systems with YCSB, SoCC 2010, table 2.
type ycsbMix struct {
	read, update, insert, scan, rmw int
	latest                          bool // reads prefer what was inserted last
}

var ycsbMixes = map[string]ycsbMix{
	"ycsba": {read: 50, update: 50},
	"ycsbb": {read: 95, update: 5},
	"ycsbc": {read: 100},
	"ycsbd": {read: 95, insert: 5, latest: true},
	"ycsbe": {scan: 95, insert: 5},
	"ycsbf": {read: 50, rmw: 50},
}

const (
	ycsbTheta    = 0.99
	ycsbScanMost = 100 // entries; lengths are even from 1
)

// ycsbKeys hands out the numbers of inserts to all threads.
type ycsbKeys struct {
	next  atomic.Uint64 // number of the next insert
	ready atomic.Uint64 // all below were inserted
}

// ycsb runs the mix of that name. Inserted keys follow the loaded ones.
func ycsb(name string) func(*thread) error {
	mix := ycsbMixes[name]
	return func(t *thread) error {
		y := &ycsbThread{thread: t, mix: mix, zipf: gen.NewZipf(t.rng, t.r.inserts.ready.Load(), ycsbTheta)}
		t.restart()
		for i := 0; t.more(i, t.cfg.reads()); i++ {
			if err := y.step(); err != nil {
				return err
			}
		}
		return nil
	}
}

type ycsbThread struct {
	*thread
	mix  ycsbMix
	zipf *gen.Zipf
}

// pick draws a key by popularity.
func (y *ycsbThread) pick() uint64 {
	if y.mix.latest {
		y.zipf.Grow(y.r.inserts.ready.Load())
		return y.zipf.NextLatest()
	}
	return y.zipf.NextScrambled()
}

func (y *ycsbThread) step() error {
	m, what := y.mix, y.rng.IntN(100)
	switch {
	case what < m.read:
		return y.get(y.pick())
	case what < m.read+m.update:
		return y.update(y.pick(), true)
	case what < m.read+m.update+m.insert:
		return y.insert()
	case what < m.read+m.update+m.insert+m.scan:
		return y.scanFrom(y.pick(), 1+y.rng.IntN(ycsbScanMost))
	}
	k := y.pick()
	if err := y.get(k); err != nil {
		return err
	}
	return y.update(k, false)
}

// update overwrites number k, if it is there; a part of a read-modify-write is
// not counted again.
func (y *ycsbThread) update(k uint64, count bool) error {
	bytes := 0
	if !y.r.content.known.Load() || y.r.content.has(k) {
		value := y.r.content.values.At(k)
		if err := y.db.Put(y.keyOf(k), value, y.wo); err != nil {
			return err
		}
		y.writes++
		bytes = len(y.key) + len(value)
	}
	if count {
		y.did(bytes)
	} else {
		y.bytes += int64(bytes)
	}
	return nil
}

// insert adds the next number. Numbers become drawable in their order, each when
// those before it are in: a reader never draws one that is on its way.
func (y *ycsbThread) insert() error {
	in := &y.r.inserts
	k := in.next.Add(1) - 1
	value := y.r.content.write(k)
	err := y.db.Put(y.keyOf(k), value, y.wo)
	for !in.ready.CompareAndSwap(k, k+1) {
		runtime.Gosched() // an earlier one is on its way
	}
	y.did(len(y.key) + len(value))
	return err
}
