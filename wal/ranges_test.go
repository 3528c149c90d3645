package wal

import (
	"math/rand/v2"
	"testing"

	"github.com/strata-db/strata/internal/base"
)

// A set of ranges agrees with a set of numbers.
func TestRanges(t *testing.T) {
	for seed := range uint64(200) {
		rnd := rand.New(rand.NewPCG(seed, 1))
		var r ranges
		set := map[base.SeqNum]bool{}
		next := base.SeqNum(1)
		for range 100 {
			lo := next
			if rnd.IntN(3) == 0 {
				lo = base.SeqNum(1 + rnd.IntN(300))
			}
			hi := lo + base.SeqNum(rnd.IntN(5))
			free := true
			for s := lo; s <= hi; s++ {
				free = free && !set[s]
			}
			if got := r.add(lo, hi); got != free {
				t.Fatalf("seed %d: add %d-%d gives %v, want %v: %+v", seed, lo, hi, got, free, r)
			}
			if free {
				for s := lo; s <= hi; s++ {
					set[s] = true
				}
				next = hi + 1
			}
		}
	}
}
