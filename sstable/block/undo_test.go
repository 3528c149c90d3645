package block

import (
	"bytes"
	"encoding/binary"
	"testing"

	"github.com/strata-db/strata/internal/base"
)

// A block in which thousands of entries share one enormous key is walked backwards
// in about the time that its bytes take, and shows what it shows forwards.
func TestBackwardsOverASharedKey(t *testing.T) {
	const long, entries = 1 << 20, 100_000
	key := append(bytes.Repeat([]byte("k"), long), 1, 0, 0, 0, 0, 0, 0, 0)
	var data []byte
	add := func(shared int, own, value string) {
		data = binary.AppendUvarint(data, uint64(shared))
		data = binary.AppendUvarint(data, uint64(len(own)))
		data = binary.AppendUvarint(data, uint64(len(value)))
		data = append(append(data, own...), value...)
	}
	add(0, string(key), "")
	for i := range entries {
		switch i % 1000 {
		case 0: // takes away the trailer and some of the key
			add(long-100, string(key[long-100:]), "v")
		case 500:
			add(len(key), "and more\x00\x00\x00\x00\x00\x00\x00\x00", "")
		case 501:
			add(len(key), "", "w")
		default:
			add(len(key), "", "")
		}
	}
	data = binary.LittleEndian.AppendUint32(data, 0)
	data = binary.LittleEndian.AppendUint32(data, 1)
	if err := Check(data, testWhere); err != nil {
		t.Fatal(err)
	}
	var it Iter
	it.Init(base.Bytewise, data, Index{}, testWhere)
	type shape struct{ key, value int }
	var forwards []shape
	for kv := it.First(); kv != nil; kv = it.Next() {
		forwards = append(forwards, shape{len(kv.K.UserKey), len(kv.V)})
	}
	n := len(forwards)
	for kv := it.Last(); kv != nil; kv = it.Prev() {
		n--
		if got := (shape{len(kv.K.UserKey), len(kv.V)}); got != forwards[n] || kv.K.UserKey[0] != 'k' {
			t.Fatalf("entry %d has the shape %v backwards, %v forwards", n, got, forwards[n])
		}
	}
	if it.Err() != nil || n != 0 || len(forwards) != entries+1 {
		t.Fatalf("%v, %d of %d entries left", it.Err(), n, len(forwards))
	}
	if n := it.MemoryBytes(); n > 6*len(data) {
		t.Fatalf("%d bytes for walking backwards over %d", n, len(data))
	}
}
