package bench

import (
	"time"

	"github.com/strata-db/strata"
	"github.com/strata-db/strata/bench/gen"
)

// put writes number k, and notes and counts it.
func (t *thread) put(k uint64, wo *strata.WriteOptions) error {
	value := t.r.content.write(k)
	if err := t.db.Put(t.keyOf(k), value, wo); err != nil {
		return err
	}
	n := len(t.key) + len(value)
	t.did(n)
	t.pace(n)
	return nil
}

// sequence is the order 0, 1, 2, …; shuffled is an order of the seed, other for
// each thread and run.
func (t *thread) sequence() func(uint64) uint64 { return func(i uint64) uint64 { return i } }

func (t *thread) shuffled() func(uint64) uint64 {
	return gen.NewPerm(uint64(t.cfg.Num), t.cfg.Seed+t.r.round*1000+uint64(t.id)).At
}

// fill writes n entries, numbers 0 to n-1 in the given order, again and again if
// the benchmark has a duration.
func (t *thread) fill(n int, order func(uint64) uint64, wo *strata.WriteOptions) error {
	for i := 0; t.more(i, n); i++ {
		if err := t.put(order(uint64(i%n)), wo); err != nil {
			return err
		}
	}
	return nil
}

func fillSeq(t *thread) error    { return t.fill(t.cfg.Num, t.sequence(), t.wo) }
func fillRandom(t *thread) error { return t.fill(t.cfg.Num, t.shuffled(), t.wo) }

// fillSync and fill100K write a thousandth.
func fillSync(t *thread) error { return t.fill(t.r.thousandth(), t.shuffled(), strata.Sync) }
func fill100K(t *thread) error { return t.fill(t.r.thousandth(), t.shuffled(), t.wo) }

// fillBatch writes batches; an operation is an entry.
func fillBatch(t *thread) error {
	for i := 0; t.more(i, t.cfg.Num); {
		t.batch.Reset()
		bytes := 0
		for ; t.batch.Len() < t.cfg.BatchSize && (i < t.cfg.Num || t.timed); i++ {
			k := uint64(i % t.cfg.Num)
			value := t.r.content.write(k)
			t.batch.Put(t.keyOf(k), value)
			bytes += len(t.key) + len(value)
		}
		if err := t.db.Write(&t.batch, t.wo); err != nil {
			return err
		}
		t.didBatch(t.batch.Len(), bytes)
		t.pace(bytes)
	}
	return nil
}

// didBatch counts n operations that took the time since the last one together.
func (t *thread) didBatch(n, bytes int) {
	if t.hist != nil {
		now := time.Now()
		_ = t.hist.RecordValues(min(int64(now.Sub(t.last))/int64(max(n, 1)), histogramMax), int64(n))
		t.last = now
	}
	t.didMany(int64(n), int64(bytes))
}

// remove deletes n numbers in the given order.
func (t *thread) remove(order func(uint64) uint64) error {
	for i := 0; t.more(i, t.cfg.Num); i++ {
		k := order(uint64(i % t.cfg.Num))
		if err := t.db.Delete(t.keyOf(k), t.wo); err != nil {
			return err
		}
		t.r.content.remove(k)
		t.did(len(t.key))
		t.pace(len(t.key))
	}
	return nil
}

func deleteSeq(t *thread) error    { return t.remove(t.sequence()) }
func deleteRandom(t *thread) error { return t.remove(t.shuffled()) }

// overwriteLive overwrites numbers that are there, drawn evenly, without
// changing which are: it can run beside readers that check.
func (t *thread) overwriteLive() error {
	k := t.rng.Uint64N(uint64(t.cfg.Num))
	if t.r.content.known.Load() && !t.r.content.has(k) {
		return nil
	}
	value := t.r.content.values.At(k)
	if err := t.db.Put(t.keyOf(k), value, t.wo); err != nil {
		return err
	}
	t.writes++
	t.pace(len(t.key) + len(value))
	return nil
}
