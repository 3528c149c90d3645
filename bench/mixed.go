package bench

// Benchmarks that read and write. Beside readers that check their answers, only
// keys that are there are overwritten.

// besides makes the last thread a writer, which goes on until the others are
// done, and is not counted among their operations.
func besides(read func(*thread) error) func(*thread) error {
	return func(t *thread) error {
		if t.id < t.cfg.Threads {
			return read(t)
		}
		t.background = true
		for t.ctx.Err() == nil && !t.r.readersDone() {
			if err := t.overwriteLive(); err != nil {
				return err
			}
		}
		return nil
	}
}

// readRandomWriteRandom mixes reads and overwrites in each thread.
func readRandomWriteRandom(t *thread) error {
	for i := 0; t.more(i, t.cfg.reads()); i++ {
		var err error
		if t.rng.IntN(100) < t.cfg.ReadPercent {
			err = t.get(t.anyKey())
		} else {
			err = t.overwriteLive()
			t.did(len(t.key) + t.r.content.values.Size())
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// updateRandom reads a key and writes it back.
func updateRandom(t *thread) error {
	for i := 0; t.more(i, t.cfg.reads()); i++ {
		k := t.anyKey()
		if err := t.get(k); err != nil {
			return err
		}
		if t.r.content.known.Load() && !t.r.content.has(k) {
			continue
		}
		if err := t.db.Put(t.keyOf(k), t.r.content.values.At(k), t.wo); err != nil {
			return err
		}
		t.writes++
		t.bytes += int64(len(t.key) + t.r.content.values.Size())
	}
	return nil
}
