package block

import (
	"encoding/binary"
	"math/rand/v2"
	"testing"

	"github.com/strata-db/strata/internal/base"
	"github.com/strata-db/strata/iterator"
)

// rawBlock makes a block of any entries, not in order: keys share bytes up to and
// into the trailer of the one before, by lengths on both sides of what prefixes
// are copied by. It returns what a plain decoding shows.
func rawBlock(rng *rand.Rand) (data []byte, want []iterator.KV) {
	var restarts []uint32
	var key []byte
	interval := 1 + rng.IntN(40)
	for i := range 1 + rng.IntN(120) {
		shared := min(len(key), []int{0, 1, 7, 8, 9, 63, 64, 65, 1 << 20}[rng.IntN(9)])
		if i%interval == 0 {
			shared = 0
			restarts = append(restarts, uint32(len(data)))
		}
		own := []int{0, 1, 8, 20, 60, 300}[rng.IntN(6)]
		if rng.IntN(60) == 0 {
			own = backlogKeyBytes - 100 + rng.IntN(200)
		}
		own = max(own, base.TrailerLen-shared)
		value := make([]byte, rng.IntN(3)*rng.IntN(100))
		data = binary.AppendUvarint(data, uint64(shared))
		data = binary.AppendUvarint(data, uint64(own))
		data = binary.AppendUvarint(data, uint64(len(value)))
		key = append([]byte{}, key[:shared]...)
		for range own {
			key = append(key, byte(rng.IntN(2))) // any of them may be a kind
		}
		data = append(append(data, key[shared:]...), value...)
		k, _ := base.ParseInternalKey(key)
		want = append(want, iterator.KV{K: k, V: value})
	}
	for _, r := range restarts {
		data = binary.LittleEndian.AppendUint32(data, r)
	}
	return binary.LittleEndian.AppendUint32(data, uint32(len(restarts))), want
}

// Backwards and with turns, an Iter shows the entries that are there forwards,
// whatever they share; and one Iter does for block after block.
func TestPrevOfAnyEntries(t *testing.T) {
	var it Iter
	for seed := range uint64(60) {
		rng := rand.New(rand.NewPCG(seed, 5))
		data, want := rawBlock(rng)
		if err := Check(data, testWhere); err != nil {
			t.Fatal(err)
		}
		it.Init(base.Bytewise, data, indexFor([]*base.Comparer{base.Bytewise, reverseCmp}[seed%2], data), testWhere)
		i := len(want) - 1
		kv := it.Last()
		for range 4 * len(want) {
			if i < 0 || i == len(want) {
				if kv != nil || it.Err() != nil {
					t.Fatalf("seed %d: %v (%v) at %d of %d", seed, kv, it.Err(), i, len(want))
				}
			} else if !sameKV(kv, &want[i]) {
				t.Fatalf("seed %d: entry %d of %d is %v (%v), want %v", seed, i, len(want), kv, it.Err(), want[i].K)
			}
			if i < 0 || i < len(want) && rng.IntN(4) == 0 {
				kv, i = it.Next(), i+1
			} else {
				kv, i = it.Prev(), i-1
			}
		}
	}
}

// Whatever the restarts and lengths of a block are changed to, walking ends, and
// with an error or with entries that lie in the block.
func TestWalksOfDamagedBlocksEnd(t *testing.T) {
	var it Iter
	for seed := range uint64(1000) {
		rng := rand.New(rand.NewPCG(seed, 6))
		data := build(makeEntries(base.Bytewise, 1+rng.IntN(40), rng), 1+rng.IntN(5))
		for range 1 + rng.IntN(3) {
			at := rng.IntN(len(data) - 4)
			if rng.IntN(2) == 0 { // a restart, made like another or any
				limit, n, _ := layout(data)
				r := uint32(restartAt(data, limit, rng.IntN(n)))
				if rng.IntN(2) == 0 {
					r = rng.Uint32N(uint32(limit + 2))
				}
				binary.LittleEndian.PutUint32(data[limit+4*rng.IntN(n):], r)
				continue
			}
			data[at] = byte(rng.IntN(256))
		}
		if Check(data, testWhere) != nil {
			continue
		}
		it.Init(base.Bytewise, data, Index{}, testWhere)
		steps := 0
		step := func(kv *iterator.KV) bool {
			if steps++; steps > 10*len(data) {
				t.Fatalf("seed %d: no end", seed)
			}
			if kv != nil && it.Err() != nil {
				t.Fatalf("seed %d: an entry and %v", seed, it.Err())
			}
			return kv != nil
		}
		for ok := step(it.Last()); ok; ok = step(it.Prev()) {
		}
		for ok := step(it.First()); ok; ok = step(it.Next()) {
		}
		for ok := step(it.Prev()); ok; ok = step(it.Prev()) {
			if rng.IntN(4) == 0 && step(it.Next()) {
				step(it.Prev())
			}
		}
	}
}
