package main

import (
	"bytes"
	"errors"
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

// ycsbScanMost is how many entries a scan of YCSB's E reads at most; lengths are
// even from 1.
const ycsbScanMost = 100

// ycsbGrowing is YCSB's D and E: five of a hundred operations insert the next key
// behind the loaded ones. The others of D read keys, those inserted last the
// most often; those of E scan from a Zipfian key on.
func (e *env) ycsbGrowing(scans bool) error {
	if err := e.warmUp(); err != nil {
		return err
	}
	rng := rand.New(rand.NewPCG(e.Seed, 83))
	z := gen.NewZipf(rng, uint64(e.Num), 0.99)
	n, ops := uint64(e.Num), e.Reads/2
	if scans {
		ops = max(1, e.Reads/20)
	}
	return e.timed(ops, func() error {
		var key, value []byte
		for range ops {
			if rng.Uint64N(100) < 5 {
				key = e.keys.Append(key[:0], n)
				if err := e.db.Put(key, e.values.At(n), false); err != nil {
					return err
				}
				n++
				z.Grow(n)
				continue
			}
			e.res.Want++
			right, err := false, error(nil)
			if scans {
				k := z.NextScrambled()
				key = e.keys.Append(key[:0], k)
				right, err = e.scanFrom(key, k, min(1+rng.Uint64N(ycsbScanMost), n-k))
			} else {
				k := z.NextLatest()
				key = e.keys.Append(key[:0], k)
				value, right, err = e.get(value, key, k)
			}
			if err != nil {
				return err
			}
			if right {
				e.res.Hits++
			}
		}
		return nil
	})
}

// scanFrom reads want entries with a new iterator and reports whether they were
// there, the first one being number k and the last one its distance behind.
func (e *env) scanFrom(key []byte, k, want uint64) (bool, error) {
	it, err := e.db.NewIter(false)
	if err != nil {
		return false, err
	}
	right := it.SeekGE(key) && bytes.Equal(it.Key(), key) && bytes.Equal(it.Value(), e.values.At(k))
	seen := uint64(1)
	for ; right && seen < want && it.Next(); seen++ {
		_, _ = it.Key(), it.Value()
	}
	if right && seen == want {
		var last [keyBytes]byte
		right = bytes.Equal(it.Key(), e.keys.Append(last[:0], k+want-1))
	}
	return right && seen == want, errors.Join(it.Error(), it.Close())
}
