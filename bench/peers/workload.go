package main

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/strata-db/strata/bench/gen"
)

// What a workload finds in its directory.
type source int

const (
	fresh     source = iota // nothing
	compacted               // all keys in random order, compacted fully
	raw                     // all keys in random order, waited for, not compacted
	crashed                 // keys in the log only: the process that wrote them was killed
	bigValues               // as compacted, with values of 4 KiB
)

// loads are the workloads that make the sources.
var loads = map[source]string{compacted: "load", raw: "load-uncompacted", crashed: "load-wal", bigValues: "load4k"}

type workload struct {
	name        string
	source      source
	mutates     bool // needs a copy of its source
	big         bool // values of 4 KiB
	opensItself bool
	synced      bool // every write
	hidden      bool // a load, not for choosing
	run         func(*env) error
}

func (w workload) valueBytes() int {
	if w.big || w.source == bigValues {
		return 4096
	}
	return 100
}

var workloads = []workload{
	{name: "fillseq", run: func(e *env) error { return e.fill(1, func(i uint64) uint64 { return i }) }},
	{name: "fillrandom", run: func(e *env) error { return e.fill(1, e.perm.At) }},
	{name: "overwrite", source: compacted, mutates: true, run: func(e *env) error {
		return e.fill(1, gen.NewPerm(uint64(e.Num), e.Seed+1000).At)
	}},
	{name: "fillbatch100", run: (*env).fillBatch},
	{name: "fillrandom4", run: func(e *env) error { return e.fill(4, e.perm.At) }},
	{name: "fillsync", synced: true, run: func(e *env) error { return e.fillSync(1, max(1, e.Num/1000)) }},
	{name: "fillsync16", synced: true, run: func(e *env) error { return e.fillSync(16, max(16, e.Num/250)) }},
	{name: "fill4k", big: true, run: func(e *env) error { return e.fill(1, e.perm.At) }},
	{name: "latency", run: (*env).latency},

	{name: "readrandom", source: compacted, run: func(e *env) error { return e.readRandom(1) }},
	{name: "readrandom-uncompacted", source: raw, mutates: true, run: func(e *env) error { return e.readRandom(1) }},
	{name: "readmissing", source: compacted, run: (*env).readMissing},
	{name: "readhot", source: compacted, run: (*env).readHot},
	{name: "readrandom2", source: compacted, run: func(e *env) error { return e.readRandom(2) }},
	{name: "read4k", source: bigValues, run: func(e *env) error { return e.readRandom(1) }},
	{name: "readseq", source: compacted, run: func(e *env) error { return e.scanAll(false, true) }},
	{name: "readseq-cold", source: compacted, run: func(e *env) error { return e.scanAll(false, false) }},
	{name: "readreverse", source: compacted, run: func(e *env) error { return e.scanAll(true, true) }},
	{name: "seekrandom", source: compacted, run: func(e *env) error { return e.seekRandom(false) }},
	{name: "seekrandom-reuse", source: compacted, run: func(e *env) error { return e.seekRandom(true) }},
	{name: "readwhilewriting", source: compacted, mutates: true, run: (*env).readWhileWriting},
	{name: "deleterandom", source: compacted, mutates: true, run: (*env).deleteRandom},
	{name: "compact", source: raw, mutates: true, run: (*env).compact},
	{name: "reopen-wal", source: crashed, mutates: true, opensItself: true, run: func(e *env) error { return e.reopen(1) }},
	{name: "open", source: compacted, opensItself: true, run: func(e *env) error { return e.reopen(9) }},
	{name: "ycsba", source: compacted, mutates: true, run: func(e *env) error { return e.ycsb(50, 0) }},
	{name: "ycsbb", source: compacted, mutates: true, run: func(e *env) error { return e.ycsb(5, 0) }},
	{name: "ycsbc", source: compacted, mutates: true, run: func(e *env) error { return e.ycsb(0, 0) }},
	{name: "ycsbd", source: compacted, mutates: true, run: func(e *env) error { return e.ycsbGrowing(false) }},
	{name: "ycsbe", source: compacted, mutates: true, run: func(e *env) error { return e.ycsbGrowing(true) }},
	{name: "ycsbf", source: compacted, mutates: true, run: func(e *env) error { return e.ycsb(0, 50) }},
	{name: "queue", run: (*env).queue},

	{name: "load", hidden: true, run: func(e *env) error { return e.load(true) }},
	{name: "load-uncompacted", hidden: true, run: func(e *env) error { return e.load(false) }},
	{name: "load-wal", hidden: true, run: (*env).loadWAL},
	{name: "load4k", hidden: true, big: true, run: func(e *env) error { return e.load(true) }},
}

func findWorkload(name string) (workload, error) {
	var known []string
	for _, w := range workloads {
		if w.name == name {
			return w, nil
		}
		if !w.hidden {
			known = append(known, w.name)
		}
	}
	return workload{}, fmt.Errorf("no workload %q; there are %s", name, strings.Join(known, ", "))
}

// together runs fn in n goroutines and joins their errors.
func together(n int, fn func(g int) error) error {
	errs := make([]error, n)
	var wg sync.WaitGroup
	for g := range n {
		wg.Go(func() { errs[g] = fn(g) })
	}
	wg.Wait()
	return errors.Join(errs...)
}

// fill writes every key once, in the given order, and then checks that all are
// there.
func (e *env) fill(writers int, order func(uint64) uint64) error {
	err := e.timed(e.Num, func() error {
		return together(writers, func(g int) error { return e.writeShare(g, writers, order) })
	})
	if err != nil {
		return err
	}
	if err := e.background(); err != nil {
		return err
	}
	return e.checkAll()
}

// writeShare writes every n-th key from the g-th on.
func (e *env) writeShare(g, n int, order func(uint64) uint64) error {
	l := newLoader(e.engine, e.db)
	key := make([]byte, 0, keyBytes)
	for i := uint64(g); i < uint64(e.Num); i += uint64(n) {
		k := order(i)
		key = e.keys.Append(key[:0], k)
		if err := l.put(key, e.values.At(k)); err != nil {
			return err
		}
	}
	return l.flush()
}

func (e *env) fillBatch() error {
	const size = 100
	err := e.timed(e.Num, func() error {
		b := e.db.NewBatch()
		key := make([]byte, 0, keyBytes)
		for i := range uint64(e.Num) {
			k := e.perm.At(i)
			key = e.keys.Append(key[:0], k)
			if err := b.Put(key, e.values.At(k)); err != nil {
				return err
			}
			if (i+1)%size == 0 || i+1 == uint64(e.Num) {
				if err := b.Commit(false); err != nil {
					return err
				}
			}
		}
		return nil
	})
	if err != nil {
		return err
	}
	if err := e.background(); err != nil {
		return err
	}
	return e.checkAll()
}

func (e *env) fillSync(writers, ops int) error {
	e.Num = ops
	e.perm = gen.NewPerm(uint64(ops), e.Seed)
	err := e.timed(ops, func() error {
		return together(writers, func(g int) error {
			var key []byte
			for i := g; i < ops; i += writers {
				k := e.perm.At(uint64(i))
				key = e.keys.Append(key[:0], k)
				if err := e.db.Put(key, e.values.At(k), true); err != nil {
					return err
				}
			}
			return nil
		})
	})
	if err != nil {
		return err
	}
	return e.checkAll()
}

// latency is fillrandom with the clock read around every write.
func (e *env) latency() error {
	ns := make([]uint32, e.Num)
	err := e.timed(e.Num, func() error {
		l := newLoader(e.engine, e.db)
		key := make([]byte, 0, keyBytes)
		last := time.Now()
		for i := range uint64(e.Num) {
			k := e.perm.At(i)
			key = e.keys.Append(key[:0], k)
			if err := l.put(key, e.values.At(k)); err != nil {
				return err
			}
			now := time.Now()
			ns[i] = uint32(min(now.Sub(last), 4*time.Second))
			last = now
		}
		return l.flush()
	})
	if err != nil {
		return err
	}
	e.percentiles(ns)
	return e.checkAll()
}

// get reads key number k and reports whether the value is the right one.
func (e *env) get(dst, key []byte, k uint64) ([]byte, bool, error) {
	v, found, err := e.db.Get(dst[:0], key)
	return v, found && bytes.Equal(v, e.values.At(k)), err
}

// readers runs ops gets in each of n goroutines. pick draws a key.
func (e *env) readers(n, ops int, pick func(*rand.Rand) uint64) error {
	var hits atomic.Int64
	err := e.timed(n*ops, func() error {
		return together(n, func(g int) error {
			rng := rand.New(rand.NewPCG(e.Seed, uint64(g)+77))
			var key, value []byte
			found := 0
			for range ops {
				k := pick(rng)
				key = e.keys.Append(key[:0], k)
				v, ok, err := e.get(value, key, k)
				if err != nil {
					return err
				}
				if ok {
					found++
				}
				value = v
			}
			hits.Add(int64(found))
			return nil
		})
	})
	e.res.Hits, e.res.Want = int(hits.Load()), n*ops
	return err
}

// warmUp gets every key once, in order.
func (e *env) warmUp() error {
	var key, value []byte
	for k := range uint64(e.Num) {
		key = e.keys.Append(key[:0], k)
		v, ok, err := e.get(value, key, k)
		if err != nil {
			return err
		}
		if !ok {
			return fmt.Errorf("key %s is lost or has a wrong value", key)
		}
		value = v
	}
	return nil
}

func (e *env) readRandom(readers int) error {
	if err := e.warmUp(); err != nil {
		return err
	}
	return e.readers(readers, e.Reads, func(rng *rand.Rand) uint64 { return rng.Uint64N(uint64(e.Num)) })
}

func (e *env) readHot() error {
	if err := e.warmUp(); err != nil {
		return err
	}
	hot := max(1, uint64(e.Num)/100)
	return e.readers(1, e.Reads, func(rng *rand.Rand) uint64 { return gen.Mix(rng.Uint64N(hot)) % uint64(e.Num) })
}

// readMissing asks for keys that lie between those that are there.
func (e *env) readMissing() error {
	if err := e.warmUp(); err != nil {
		return err
	}
	missed := 0
	err := e.timed(e.Reads, func() error {
		rng := rand.New(rand.NewPCG(e.Seed, 78))
		var key, value []byte
		for range e.Reads {
			key = append(e.keys.Append(key[:0], rng.Uint64N(uint64(e.Num))), '.')
			v, found, err := e.db.Get(value[:0], key)
			if err != nil {
				return err
			}
			if !found {
				missed++
			}
			value = v
		}
		return nil
	})
	e.res.Hits, e.res.Want = missed, e.Reads
	return err
}

// sum mixes an entry into a checksum that does not depend on the order.
func sum(key, value []byte) uint64 {
	return binary.LittleEndian.Uint64(key[8:16])*31 + binary.LittleEndian.Uint64(value)
}

// wantSum is the checksum of all entries.
func (e *env) wantSum() (s uint64) {
	var key []byte
	for k := range uint64(e.Num) {
		key = e.keys.Append(key[:0], k)
		s += sum(key, e.values.At(k))
	}
	return s
}

// walk iterates over everything and counts and sums the entries.
func (e *env) walk(reverse bool) (n int, s uint64, err error) {
	it, err := e.db.NewIter(reverse)
	if err != nil {
		return 0, 0, err
	}
	if reverse {
		for ok := it.Last(); ok; ok = it.Prev() {
			s += sum(it.Key(), it.Value())
			n++
		}
	} else {
		for ok := it.First(); ok; ok = it.Next() {
			s += sum(it.Key(), it.Value())
			n++
		}
	}
	return n, s, errors.Join(it.Error(), it.Close())
}

// checkAll fails unless exactly the keys of this run are there, with their
// values.
func (e *env) checkAll() error {
	n, s, err := e.walk(false)
	if err != nil {
		return err
	}
	e.res.Hits, e.res.Want = n, e.Num
	if n == e.Num && s != e.wantSum() {
		return errors.New("the database holds other bytes than were written")
	}
	return nil
}

// scanAll times scans over everything: the median of five after a warm-up, for
// a scan is short, or a single one of a cold cache.
func (e *env) scanAll(reverse, warm bool) error {
	want, passes := e.wantSum(), 1
	if warm {
		passes = 5
		if _, _, err := e.walk(reverse); err != nil {
			return err
		}
	}
	var seconds []float64
	err := e.timed(passes*e.Num, func() error {
		for range passes {
			start := time.Now()
			n, s, err := e.walk(reverse)
			seconds = append(seconds, time.Since(start).Seconds())
			e.res.Hits, e.res.Want = n, e.Num
			switch {
			case err != nil:
				return err
			case n != e.Num:
				return fmt.Errorf("the scan saw %d entries of %d", n, e.Num)
			case s != want:
				return errors.New("the scan saw other bytes than were written")
			}
		}
		return nil
	})
	e.res.Ops, e.res.Seconds = e.Num, median(seconds)
	return err
}

// seekRandom seeks and takes ten steps; with reuse all on one iterator.
func (e *env) seekRandom(reuse bool) error {
	if err := e.warmUp(); err != nil {
		return err
	}
	ops, good := e.Reads/4, 0
	err := e.timed(ops, func() error {
		rng := rand.New(rand.NewPCG(e.Seed, 79))
		var key []byte
		var it Iter
		var err error
		for i := range ops {
			if it == nil || !reuse {
				if it, err = e.db.NewIter(false); err != nil {
					return err
				}
			}
			k := rng.Uint64N(uint64(e.Num))
			key = e.keys.Append(key[:0], k)
			if e.seekOne(it, key, k) {
				good++
			}
			if !reuse || i == ops-1 {
				if err := errors.Join(it.Error(), it.Close()); err != nil {
					return err
				}
			}
		}
		return nil
	})
	e.res.Hits, e.res.Want = good, ops
	return err
}

// seekOne reports whether the seek found key and ten steps, fewer at the end,
// were there to take.
func (e *env) seekOne(it Iter, key []byte, k uint64) bool {
	if !it.SeekGE(key) || !bytes.Equal(it.Key(), key) || !bytes.Equal(it.Value(), e.values.At(k)) {
		return false
	}
	steps := uint64(0)
	for range 10 {
		if !it.Next() {
			break
		}
		steps++
		_, _ = it.Key(), it.Value()
	}
	return steps == min(10, uint64(e.Num)-1-k)
}

// readWhileWriting measures one reader while one writer overwrites as fast as it
// can, for a fixed time.
func (e *env) readWhileWriting() error {
	if err := e.warmUp(); err != nil {
		return err
	}
	length := min(5*time.Second, max(time.Second/5, time.Duration(e.Num)*5*time.Microsecond))
	var reads, hits, writes int
	var done atomic.Bool
	err := e.timed(0, func() error {
		return together(2, func(g int) (err error) {
			if g == 0 {
				reads, hits, err = e.readFor(length)
				done.Store(true)
			} else {
				writes, err = e.overwriteUntil(&done)
			}
			return err
		})
	})
	e.res.Ops, e.res.Hits, e.res.Want = reads, hits, reads
	e.more("writer ops/s", float64(writes)/e.res.Seconds)
	return err
}

func (e *env) readFor(length time.Duration) (ops, hits int, err error) {
	rng := rand.New(rand.NewPCG(e.Seed, 80))
	var key, value []byte
	for start := time.Now(); ops%64 != 0 || time.Since(start) < length; ops++ {
		k := rng.Uint64N(uint64(e.Num))
		key = e.keys.Append(key[:0], k)
		v, ok, err := e.get(value, key, k)
		if err != nil {
			return ops, hits, err
		}
		if ok {
			hits++
		}
		value = v
	}
	return ops, hits, nil
}

func (e *env) overwriteUntil(done *atomic.Bool) (ops int, err error) {
	l := newLoader(e.engine, e.db)
	rng := rand.New(rand.NewPCG(e.Seed, 81))
	var key []byte
	for ; !done.Load(); ops++ {
		k := rng.Uint64N(uint64(e.Num))
		key = e.keys.Append(key[:0], k)
		if err := l.put(key, e.values.At(k)); err != nil {
			return ops, err
		}
	}
	return ops, l.flush()
}

// deleteRandom deletes everything and then times a scan over the remains.
func (e *env) deleteRandom() error {
	err := e.timed(e.Num, func() error {
		l := newLoader(e.engine, e.db)
		var key []byte
		for i := range uint64(e.Num) {
			key = e.keys.Append(key[:0], e.perm.At(i))
			if err := l.delete(key); err != nil {
				return err
			}
		}
		return l.flush()
	})
	if err != nil {
		return err
	}
	start := time.Now()
	n, _, err := e.walk(false)
	e.more("scan after ms", time.Since(start).Seconds()*1e3)
	e.res.Hits, e.res.Want = n, 0
	if err != nil {
		return err
	}
	return e.background()
}

func (e *env) compact() error {
	if err := e.timed(1, e.db.Compact); err != nil {
		return err
	}
	return e.checkAll()
}

// reopen times Open; the median of several where the directory stays the same.
func (e *env) reopen(times int) error {
	best := make([]float64, 0, times)
	for i := range times {
		err := e.timed(1, func() (err error) {
			e.db, err = e.engine.open(e.Dir)
			return err
		})
		if err != nil {
			return err
		}
		best = append(best, e.res.Seconds)
		if i < times-1 {
			if err := e.db.Close(); err != nil {
				return err
			}
		}
	}
	e.res.Seconds = median(best)
	if times == 1 {
		e.Num = walNum(e.Num)
	}
	n, _, err := e.walk(false)
	e.res.Hits, e.res.Want = n, e.Num
	return err
}

// load fills the directory that read workloads start from.
func (e *env) load(compact bool) error {
	if err := e.fill(1, e.perm.At); err != nil || !compact {
		return err
	}
	start := time.Now()
	if err := e.db.Compact(); err != nil {
		return err
	}
	_, err := e.db.WaitIdle()
	e.more("compact ms", time.Since(start).Seconds()*1e3)
	return err
}

// walNum is how many entries the log of load-wal holds: less than a memtable,
// or an engine would have flushed.
func walNum(num int) int { return max(1, num*7/20) }

// loadWAL writes keys and is killed, so that they are in the log alone. What is
// not synced at the end may be in the process's memory only, with some engines.
func (e *env) loadWAL() error {
	e.Num = walNum(e.Num)
	e.perm = gen.NewPerm(uint64(e.Num), e.Seed)
	if err := e.writeShare(0, 1, e.perm.At); err != nil {
		return err
	}
	if err := e.db.Sync(); err != nil {
		return err
	}
	p, err := os.FindProcess(os.Getpid())
	if err != nil {
		return err
	}
	if err := p.Kill(); err != nil {
		return err
	}
	select {} // the signal is on its way
}
