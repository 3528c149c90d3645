package bench

import (
	"errors"

	"github.com/strata-db/strata"
	"github.com/strata-db/strata/bench/gen"
)

// get reads number k, checks and counts the answer.
func (t *thread) get(k uint64) error {
	value, err := t.db.Append(t.value[:0], t.keyOf(k))
	t.value = value
	found := err == nil
	if err != nil && !errors.Is(err, strata.ErrNotFound) {
		return err
	}
	t.read(t.r.content.right(k, value, found), found)
	t.did(t.entryBytes(found))
	return nil
}

func (t *thread) entryBytes(found bool) int {
	if !found {
		return 0
	}
	return len(t.key) + len(t.value)
}

// read counts a read.
func (t *thread) read(right, found bool) {
	t.wanted++
	if found {
		t.found++
	}
	if !right {
		t.wrong++
	}
}

// gets reads n numbers that pick draws.
func (t *thread) gets(n int, pick func() uint64) error {
	for i := 0; t.more(i, n); i++ {
		if err := t.get(pick()); err != nil {
			return err
		}
	}
	return nil
}

func (t *thread) anyKey() uint64 { return t.rng.Uint64N(uint64(t.cfg.Num)) }

// hotKey draws from one per cent of the keys, which lie scattered.
func (t *thread) hotKey() uint64 {
	return gen.Mix(t.rng.Uint64N(max(1, uint64(t.cfg.Num)/100))) % uint64(t.cfg.Num)
}

func readRandom(t *thread) error      { return t.gets(t.cfg.reads(), t.anyKey) }
func readHot(t *thread) error         { return t.gets(t.cfg.reads(), t.hotKey) }
func readRandomSmall(t *thread) error { return t.gets(max(1, t.cfg.reads()/1000), t.anyKey) }

// readMissing asks for keys that lie between those that are there.
func readMissing(t *thread) error {
	for i := 0; t.more(i, t.cfg.reads()); i++ {
		t.key = append(t.keyOf(t.anyKey()), '.')
		value, err := t.db.Append(t.value[:0], t.key)
		if err != nil && !errors.Is(err, strata.ErrNotFound) {
			return err
		}
		t.value = value
		t.read(err != nil || !t.r.content.known.Load(), err == nil)
		t.did(0)
	}
	return nil
}

// multiReadRandom reads a batch of keys from one snapshot; an operation is a
// key.
func multiReadRandom(t *thread) error {
	for i := 0; t.more(i, t.cfg.reads()); {
		snap := t.db.NewSnapshot()
		n, bytes := 0, 0
		for ; n < t.cfg.BatchSize && (i < t.cfg.reads() || t.timed); n++ {
			k := t.anyKey()
			value, err := snap.Append(t.value[:0], t.keyOf(k))
			t.value = value
			if err != nil && !errors.Is(err, strata.ErrNotFound) {
				return errors.Join(err, snap.Close())
			}
			t.read(t.r.content.right(k, value, err == nil), err == nil)
			bytes += t.entryBytes(err == nil)
			i++
		}
		if err := snap.Close(); err != nil {
			return err
		}
		t.didBatch(n, bytes)
	}
	return nil
}
