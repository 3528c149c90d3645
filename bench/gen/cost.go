package gen

import (
	"runtime"
	"time"
)

// Cost measures the nanoseconds that it takes to draw the next number of a random
// order and to make its key and value: the part of a benchmark's time that is
// not the engine's. It takes some milliseconds.
func Cost(keys KeyMaker, values *Values) float64 {
	const n, runs = 20_000, 5
	perm := NewPerm(n, 1)
	key := make([]byte, 0, keys.Len())
	least := time.Duration(1 << 62)
	var sink byte // or the compiler leaves out what is measured
	for range runs {
		start := time.Now()
		for i := range uint64(n) {
			k := perm.At(i)
			key = keys.Append(key[:0], k)
			if v := values.At(k); len(v) > 0 {
				sink += key[len(key)-1] ^ v[0]
			}
		}
		least = min(least, time.Since(start))
	}
	runtime.KeepAlive(sink)
	return float64(least.Nanoseconds()) / n
}
