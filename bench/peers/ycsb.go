package main

import (
	"math/rand/v2"

	"github.com/strata-db/strata/bench/gen"
)

// ycsb runs a mix of reads, updates and read-modify-writes (the percentages) on
// keys of a Zipfian distribution.
func (e *env) ycsb(updates, rmws uint64) error {
	if err := e.warmUp(); err != nil {
		return err
	}
	rng := rand.New(rand.NewPCG(e.Seed, 82))
	z := gen.NewZipf(rng, uint64(e.Num), 0.99)
	ops := e.Reads / 2
	err := e.timed(ops, func() error {
		var key, value []byte
		for range ops {
			k := z.NextScrambled()
			key = e.keys.Append(key[:0], k)
			what := rng.Uint64N(100)
			if what >= updates {
				v, ok, err := e.get(value, key, k)
				if err != nil {
					return err
				}
				e.res.Want++
				if ok {
					e.res.Hits++
				}
				value = v
			}
			if what < updates+rmws {
				if err := e.db.Put(key, e.values.At(k), false); err != nil {
					return err
				}
			}
		}
		return nil
	})
	return err
}
