package block

import (
	"encoding/binary"
	"fmt"
	"testing"

	"github.com/strata-db/strata/internal/base"
)

// salvageBlock returns a block of n entries with a restart every fourth.
func salvageBlock(n int) []byte {
	var w Writer
	w.Init(4)
	for i := range n {
		w.Add(base.MakeKey(fmt.Appendf(nil, "key%04d", i), base.SeqNum(i+1), base.KindSet), fmt.Appendf(nil, "value%d", i))
	}
	return append([]byte(nil), w.Finish()...)
}

// TestSalvage damages blocks in the ways that a right checksum cannot exclude,
// and wants every entry that can still be told, never another one.
func TestSalvage(t *testing.T) {
	const n = 20
	sound := salvageBlock(n)
	limit, restarts, _ := layout(sound)
	for _, c := range []struct {
		name   string
		damage func(b []byte)
		want   int
	}{
		{"nothing", func(b []byte) {}, n},
		{"restart past the block", func(b []byte) { binary.LittleEndian.PutUint32(b[limit+4:], 1<<20) }, n},
		{"no restarts counted", func(b []byte) { binary.LittleEndian.PutUint32(b[len(b)-4:], 0) }, n},
		{"too many restarts counted", func(b []byte) { binary.LittleEndian.PutUint32(b[len(b)-4:], 1<<24) }, n},
		{"first entry shares too much", func(b []byte) { b[0] = 99 }, n - 4},
		{"first lengths are nonsense", func(b []byte) { b[0], b[1], b[2] = 0xff, 0xff, 0xff }, n - 4},
		{"a middle length is off", func(b []byte) { b[restartAt(b, limit, 2)+2]++ }, n - 4},
		{"unknown kind", func(b []byte) { b[3+7] = 9 }, n - 1},
		{"all zeros", func(b []byte) { clear(b) }, 0},
	} {
		b := append([]byte(nil), sound...)
		c.damage(b)
		got := 0
		Salvage(b, func(k base.InternalKey, v []byte) {
			got++
			var i int
			if _, err := fmt.Sscanf(string(k.UserKey), "key%d", &i); err != nil || string(v) != fmt.Sprintf("value%d", i) || int(k.SeqNum()) != i+1 {
				t.Errorf("%s: delivers %v = %q", c.name, k, v)
			}
		})
		if got != c.want {
			t.Errorf("%s: %d entries of %d (%d restarts), want %d", c.name, got, n, restarts, c.want)
		}
	}
}

// FuzzSalvage: no bytes make it panic, and a sound block gives what Walk gives.
func FuzzSalvage(f *testing.F) {
	f.Add(salvageBlock(9))
	f.Add([]byte{0, 0, 0, 0})
	f.Fuzz(func(t *testing.T, b []byte) {
		got := 0
		Salvage(b, func(base.InternalKey, []byte) { got++ })
		want := 0
		err := Walk(b, Where{}, base.TrailerLen, func(key, _ []byte) error {
			if k, _ := base.ParseInternalKey(key); k.Kind().Known() {
				want++
			}
			return nil
		})
		if err == nil && got != want {
			t.Errorf("%d entries, Walk finds %d", got, want)
		}
	})
}
