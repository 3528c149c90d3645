package block

import (
	"errors"
	"math/rand/v2"
	"testing"

	"github.com/strata-db/strata/internal/base"
)

// Any bytes must give an error or entries, never a panic; what passes the strict
// walk must be shown alike forwards and backwards; and a block in order must be
// searched alike with and without prefixes.
func FuzzIter(f *testing.F) {
	for seed := range uint64(4) {
		f.Add(build(makeEntries(base.Bytewise, 1+int(seed)*10, rand.New(rand.NewPCG(seed, 1))), 1+int(seed)), []byte("key/1/"))
	}
	f.Add([]byte{0, 0, 0, 0, 1, 0, 0, 0}, []byte{})
	f.Fuzz(func(t *testing.T, data, ukey []byte) {
		if err := Check(data, testWhere); err != nil {
			if !errors.Is(err, base.ErrCorruption) {
				t.Fatal(err)
			}
			return
		}
		ordered, n := true, 0
		var last []byte
		sound := Walk(data, testWhere, base.TrailerLen, func(key, _ []byte) error {
			k, _ := base.ParseInternalKey(key)
			if l, ok := base.ParseInternalKey(last); ok && base.Bytewise.CompareInternal(l, k) >= 0 {
				ordered = false
			}
			if !k.Kind().Known() {
				return base.Corruptf("", 0, "kind")
			}
			last = append(last[:0], key...)
			n++
			return nil
		}) == nil
		var plain, fast Iter
		plain.Init(base.Bytewise, data, Index{}, testWhere)
		fast.Init(base.Bytewise, data, NewIndex(data), testWhere)
		forward, back := 0, 0
		for kv := fast.First(); kv != nil; kv = fast.Next() {
			forward++
		}
		err := fast.Err()
		for kv := fast.Last(); kv != nil; kv = fast.Prev() {
			back++
		}
		if sound && (err != nil || fast.Err() != nil || forward != n || back != n) {
			t.Fatalf("%d entries, %d forwards, %d back: %v %v", n, forward, back, err, fast.Err())
		}
		if !sound && err == nil && forward != n && ordered {
			t.Logf("the strict walk alone noticed")
		}
		target := base.SeekKey(ukey, base.SeqNum(n))
		a, b := plain.SeekGE(target), fast.SeekGE(target)
		if sound && ordered && !sameKV(a, b) {
			t.Fatalf("SeekGE(%v): %v plain, %v by prefixes", target, a, b)
		}
		hit := a != nil && string(a.K.UserKey) == string(ukey)
		plain.SeekLT(target)
		fast.SeekLT(target)
		fast.Next()
		_, _, ok, _, err := Get(base.Bytewise, data, NewIndex(data), testWhere, target)
		if sound && ordered && (err != nil || ok != hit) {
			t.Fatalf("Get(%v): %v %v, SeekGE says %v", target, ok, err, hit)
		}
	})
}
