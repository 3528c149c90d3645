package memtable

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"testing"

	"github.com/strata-db/strata/internal/base"
	"github.com/strata-db/strata/iterator"
)

// checkBooked fails if a table uses more of its arena than is booked.
func checkBooked(t *testing.T, m *Table) {
	t.Helper()
	if worst := worstBytes(m.entries, m.kvBytes); m.Bytes() > worst {
		t.Fatalf("%d entries of %d bytes use %d bytes of the arena, more than the %d booked", m.entries, m.kvBytes, m.Bytes(), worst)
	}
}

// TestBookedIsEnough inserts keys of every shape and values of all sizes, in
// orders chosen to split badly, and compares the arena's use with the booking
// after each.
func TestBookedIsEnough(t *testing.T) {
	sizes := []func(r *rand.Rand) int{
		func(*rand.Rand) int { return 0 },
		func(r *rand.Rand) int { return r.IntN(9) },
		func(r *rand.Rand) int { return 127 + r.IntN(3) - 30 },
		func(r *rand.Rand) int { return 16383 + r.IntN(3) },
	}
	for _, mk := range keyMakers {
		for i, size := range sizes {
			r := rand.New(rand.NewPCG(uint64(i), 3))
			m := New(base.Bytewise, 64<<20)
			for i := range 1000 {
				add(t, m, iterator.KV{K: base.MakeKey(mk.key(r, i), base.SeqNum(i+1), base.KindSet), V: make([]byte, size(r))})
				checkBooked(t, m)
			}
			m.Unref()
		}
	}
}

// TestBookedIsEnoughForHalfNodes makes as many half-filled nodes as can be: it
// inserts every key directly before the one inserted last.
func TestBookedIsEnoughForHalfNodes(t *testing.T) {
	m := New(base.Bytewise, 64<<20)
	defer m.Unref()
	add(t, m, iterator.KV{K: base.MakeKey(nil, 1, base.KindSet)})
	for i := range 50_000 {
		add(t, m, iterator.KV{K: base.MakeKey(fmt.Appendf(nil, "%05d", 99999-i), 1, base.KindSet)})
		checkBooked(t, m)
	}
	// Several streams, so that no node is the last or first of its level.
	for i := range 100_000 {
		add(t, m, iterator.KV{K: base.MakeKey(fmt.Appendf(nil, "%c%05d", 'a'+i%7, i/7), 1, base.KindSet)})
		if i%97 == 0 {
			checkBooked(t, m)
		}
	}
	checkTree(t, m)
}

// FuzzBooked lets the fuzzer choose keys, sizes and order.
func FuzzBooked(f *testing.F) {
	f.Add([]byte("a\x00b\x00c\xff"), uint64(1))
	f.Add(bytes.Repeat([]byte{0, 1, 2, 3, 200, 128}, 100), uint64(2))
	f.Fuzz(func(t *testing.T, data []byte, seed uint64) {
		m := New(base.Bytewise, 1<<20)
		defer m.Unref()
		var kvs []iterator.KV
		for seq := base.SeqNum(1); len(data) > 0; seq++ {
			n := min(int(data[0]%23), len(data)-1)
			kv := iterator.KV{K: base.MakeKey(data[1:1+n], seq, base.KindSet), V: make([]byte, int(data[0])*3)}
			data = data[1+n:]
			if !m.Reserve(1, int64(n+len(kv.V))) {
				break
			}
			m.Insert(kv.K.UserKey, kv.K.Trailer, kv.V)
			checkBooked(t, m)
			kvs = append(kvs, kv)
		}
		if len(kvs) > 0 {
			checkTree(t, m)
			checkGets(t, m, sorted(kvs, base.Bytewise), base.Bytewise, seed)
		}
	})
}

// TestFullMeansFull fills tables by single entries and by batches booked ahead
// of their inserts: full is near the limit in bytes of memory, neither far
// before nor beyond.
func TestFullMeansFull(t *testing.T) {
	const limit = 1 << 20
	for _, mk := range keyMakers[:4] {
		for _, value := range []int{0, 10, 100, 1000} {
			for _, batch := range []int{1, 50} {
				r := rand.New(rand.NewPCG(1, 1))
				m := New(base.Bytewise, limit)
				for i, full := 0, false; !full; {
					var kvs []iterator.KV
					var kv int64
					for range batch {
						k := mk.key(r, i)
						kvs = append(kvs, iterator.KV{K: base.MakeKey(k, base.SeqNum(i+1), base.KindSet), V: make([]byte, value)})
						kv += int64(len(k) + value)
						i++
					}
					if full = !m.Reserve(batch, kv); full {
						break
					}
					for _, kv := range kvs {
						m.Insert(kv.K.UserKey, kv.K.Trailer, kv.V)
					}
				}
				if b := m.Bytes(); b < limit*3/4 || b > limit*17/16 {
					t.Errorf("%s, values of %d, batches of %d: full at %d of %d bytes, %d entries", mk.name, value, batch, b, limit, m.Len())
				}
				m.Unref()
			}
		}
	}
}

// TestReserve covers what is said about empty tables, and taking back.
func TestReserve(t *testing.T) {
	m := New(base.Bytewise, 64<<10)
	defer m.Unref()
	if m.Reserve(1, maxArenaBytes) {
		t.Fatal("a batch beyond any arena was accepted")
	}
	it := m.NewIter()
	if !m.Reserve(10, 1000) || !it.(*iter).ready() {
		t.Fatal("an empty table refused a small batch")
	}
	m.Unreserve(10, 1000)
	if !m.Reserve(2, 8<<20) {
		t.Fatal("a table with nothing booked refused a large batch")
	}
	if it.First() != nil {
		t.Fatal("an iterator opened before has entries")
	}
	v := bytes.Repeat([]byte("v"), 4<<20)
	m.Insert([]byte("a"), base.MakeTrailer(1, base.KindSet), v[:4<<20-1])
	m.Insert([]byte("b"), base.MakeTrailer(2, base.KindSet), v[:4<<20-1])
	if got, _, ok := m.Get([]byte("b"), 2); !ok || !bytes.Equal(got, v[:4<<20-1]) {
		t.Fatal("the large batch is not there")
	}
	if m.Reserve(1, 1) {
		t.Fatal("a full table accepted more")
	}
	if m.Bytes() < 8<<20 || m.MemoryBytes() < m.Bytes() {
		t.Fatalf("Bytes %d, MemoryBytes %d", m.Bytes(), m.MemoryBytes())
	}
}

// TestInsertWithoutReserve: a caller's bug is a panic, not damage.
func TestInsertWithoutReserve(t *testing.T) {
	m := New(base.Bytewise, 64<<10)
	defer m.Unref()
	defer func() {
		if recover() == nil {
			t.Fatal("no panic")
		}
	}()
	m.Reserve(1, 1)
	for i := range 100_000 {
		m.Insert(fmt.Appendf(nil, "%d", i), base.MakeTrailer(1, base.KindSet), make([]byte, 100))
	}
}
