package version

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/strata-db/strata/internal/base"
)

// reverse orders keys by descending bytes: an order for which prefix tricks are wrong.
var reverse = &base.Comparer{Name: "test.reverse", Compare: func(a, b []byte) int { return bytes.Compare(b, a) }}

func mustParse(t testing.TB, text string) *Version {
	t.Helper()
	v, err := ParseDebug(base.Bytewise, text)
	if err != nil {
		t.Fatal(err)
	}
	return v
}

func mustFile(t testing.TB, text string) *FileMeta {
	t.Helper()
	f, err := ParseFile(text)
	if err != nil {
		t.Fatal(err)
	}
	return f
}

// randomLevel returns a sorted level of n files over short keys of a small alphabet, so
// that prefixes collide and neighbours share user keys.
func randomLevel(rng *rand.Rand, cmp *base.Comparer, n int, shared string) []*FileMeta {
	alphabet := []byte{0, 1, 'a', 'b', 0xff}
	var keys []base.InternalKey
	for len(keys) < 2*n {
		k := []byte(shared)
		for range rng.IntN(12) {
			k = append(k, alphabet[rng.IntN(len(alphabet))])
		}
		keys = append(keys, base.MakeKey(k, base.SeqNum(rng.IntN(50)), base.KindSet))
	}
	slices.SortFunc(keys, cmp.CompareInternal)
	keys = slices.CompactFunc(keys, func(a, b base.InternalKey) bool { return cmp.CompareInternal(a, b) == 0 })
	var files []*FileMeta
	for i := 0; i+1 < len(keys); i += 2 {
		files = append(files, &FileMeta{Num: base.FileNum(i + 1), Smallest: keys[i], Largest: keys[i+1]})
	}
	return files
}

// TestFindMatchesLinearSearch compares Find and Overlaps, with and without prefix
// arrays, with searches that cannot be wrong.
func TestFindMatchesLinearSearch(t *testing.T) {
	for seed := range uint64(300) {
		rng := rand.New(rand.NewPCG(seed, 1))
		cmp := base.Bytewise
		if seed%3 == 0 {
			cmp = reverse
		}
		shared := strings.Repeat("p", rng.IntN(10))
		files := randomLevel(rng, cmp, rng.IntN(40), shared)
		v := NewVersion(cmp, [NumLevels][]*FileMeta{1: slices.Clone(files)})
		if err := v.CheckOrder(cmp); err != nil {
			t.Fatalf("seed %d: %v", seed, err)
		}
		key := func() base.InternalKey {
			f := randomLevel(rng, cmp, 1, shared[:rng.IntN(len(shared)+1)])
			if len(f) == 0 || rng.IntN(2) == 0 && len(files) > 0 {
				return files[rng.IntN(len(files))].Largest
			}
			return f[0].Smallest
		}
		for range 50 {
			if len(files) == 0 {
				break
			}
			k := key()
			want := slices.IndexFunc(files, func(f *FileMeta) bool { return cmp.CompareInternal(f.Largest, k) >= 0 })
			if want < 0 {
				want = len(files)
			}
			if got := v.Find(1, k); got != want {
				t.Fatalf("seed %d: Find(%s) = %d, want %d\n%s", seed, k, got, want, v)
			}
			checkOverlaps(t, cmp, v, files, k.UserKey, key().UserKey)
			checkOverlaps(t, cmp, v, files, nil, k.UserKey)
			checkOverlaps(t, cmp, v, files, k.UserKey, nil)
		}
		checkOverlaps(t, cmp, v, files, nil, nil)
	}
}

func checkOverlaps(t *testing.T, cmp *base.Comparer, v *Version, files []*FileMeta, lower, upper []byte) {
	t.Helper()
	var want []*FileMeta
	for _, f := range files {
		if (upper == nil || cmp.Compare(f.Smallest.UserKey, upper) <= 0) && (lower == nil || cmp.Compare(f.Largest.UserKey, lower) >= 0) {
			want = append(want, f)
		}
	}
	if got := v.Overlaps(1, lower, upper); !slices.Equal(got, want) {
		t.Fatalf("Overlaps(%q, %q) = %v, want %v\n%s", lower, upper, got, want, v)
	}
}

// TestOverlapsLevel0 looks at files whose ranges overlap.
func TestOverlapsLevel0(t *testing.T) {
	v := mustParse(t, "L0: 9:[a#5,SET-c#9,DEL] 7:[b#1,SET-z#1,SET] 5:[x#1,SET-y#1,SET]")
	got := fmt.Sprint(v.Overlaps(0, []byte("d"), []byte("w")))
	if want := "[000007:[b#1,SET-z#1,SET]]"; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
	if n := len(v.Overlaps(0, nil, nil)); n != 3 {
		t.Errorf("%d files overlap everything, want 3", n)
	}
}

// TestDraw checks that a drawn tree is read back as the same tree, whatever bytes its
// keys have.
func TestDraw(t *testing.T) {
	text := `L0: 000009:[a#5,SET-z#9,DEL]=65536 000007:[b-]:[ \x23\x5c\x00#1,SET-b-]:[ \x23\x5c\x00#0,SET]=0
L2: 000003:[#2,SET-c d#1,KIND9]=7 000004:[e#72057594037927935,SEEK-f#1,SET]=3145728
`
	v := mustParse(t, text)
	if got := v.DebugString(); got != text {
		t.Errorf("got\n%swant\n%s", got, text)
	}
	if v2 := mustParse(t, v.String()); v2.String() != v.String() {
		t.Errorf("got\n%swant\n%s", v2, v)
	}
	units := mustParse(t, "// sizes\n\nL6: 1:[a#1,SET-a#1,SET]=1K 2:[b#1,SET-b#1,SET]=2M 3:[c#1,SET-c#1,SET]=3G")
	if got, want := units.Bytes(6), uint64(1<<10+2<<20+3<<30); got != want {
		t.Errorf("%d bytes, want %d", got, want)
	}
	if units.NumFiles() != 3 || units.TotalBytes() != units.Bytes(6) {
		t.Errorf("%d files of %d bytes", units.NumFiles(), units.TotalBytes())
	}
	for _, bad := range []string{"x", "L7: 1:[a#1,SET-a#1,SET]", "L1: 1", "L1: 1:[a#1,SET]", "L1: 1:[a#1,SET-b#x,SET]",
		"L1: 1:[a#1,FOO-b#1,SET]", `L1: 1:[\x0#1,SET-b#1,SET]`, "L1: 1:[a#1,SET-b#1,SET]=", "L1: 1:[a#1,SET-b#1,SET]=x", "L-1: "} {
		if v, err := ParseDebug(base.Bytewise, bad); err == nil {
			t.Errorf("ParseDebug(%q) = %s", bad, v)
		}
	}
}

// TestCheckOrder breaks each rule once.
func TestCheckOrder(t *testing.T) {
	for _, bad := range []string{
		"L1: 1:[b#1,SET-a#1,SET]",
		"L0: 1:[a#1,SET-a#2,SET]",
		"L1: 1:[a#1,SET-c#1,SET] 2:[b#1,SET-d#1,SET]",
		"L1: 1:[a#1,SET-c#1,SET] 2:[c#1,SET-d#1,SET]",
		"L0: 1:[a#1,SET-c#1,SET] 1:[a#1,SET-c#1,SET]",
	} {
		if mustParse(t, bad).CheckOrder(base.Bytewise) == nil {
			t.Errorf("%s passes", bad)
		}
	}
	// Neighbours may share a user key.
	good := mustParse(t, "L1: 1:[a#1,SET-c#5,SET] 2:[c#4,SET-d#1,SET]")
	if err := good.CheckOrder(base.Bytewise); err != nil {
		t.Error(err)
	}
}

// TestWithShares checks that an edit rebuilds only the levels it touches, in order, and
// refuses what contradicts the version.
func TestWithShares(t *testing.T) {
	v := mustParse(t, "L0: 9:[a#5,SET-z#9,SET]\nL1: 3:[c#1,SET-d#1,SET] 4:[k#1,SET-m#1,SET]\nL2: 1:[a#1,SET-b#1,SET]")
	e := &Edit{}
	e.Delete(1, 4)
	e.Add(2, v.Files(1)[1])
	e.Add(1, mustFile(t, "12:[a#8,SET-b#8,SET]"))
	e.Add(1, mustFile(t, "13:[e#8,SET-f#8,SET]"))
	n, err := v.with(&Options{}, e)
	if err != nil {
		t.Fatal(err)
	}
	want := `L0: 000009:[a#5,SET-z#9,SET]
L1: 000012:[a#8,SET-b#8,SET] 000003:[c#1,SET-d#1,SET] 000013:[e#8,SET-f#8,SET]
L2: 000001:[a#1,SET-b#1,SET] 000004:[k#1,SET-m#1,SET]
`
	if n.String() != want {
		t.Errorf("got\n%swant\n%s", n, want)
	}
	if n.levels[0] != v.levels[0] || n.levels[6] != v.levels[6] || n.levels[1] == v.levels[1] {
		t.Error("levels are not shared as they should be")
	}
	for name, bad := range map[string]*Edit{
		"unknown file":   {Deleted: []DeletedFile{{1, 77}}},
		"overlap":        {Added: []AddedFile{{1, mustFile(t, "20:[d#2,SET-e#1,SET]")}}},
		"overlap, left":  {Added: []AddedFile{{1, mustFile(t, "20:[a#0,SET-c#1,SET]")}}},
		"backwards":      {Added: []AddedFile{{1, mustFile(t, "20:[f#0,SET-e#1,SET]")}}},
		"same number":    {Added: []AddedFile{{0, mustFile(t, "9:[f#1,SET-f#1,SET]")}}},
		"already named":  {Added: []AddedFile{{3, v.Files(2)[0]}}},
		"another meta":   {Deleted: []DeletedFile{{2, 1}}, Added: []AddedFile{{3, mustFile(t, "1:[a#1,SET-b#1,SET]")}}},
		"each other":     {Added: []AddedFile{{4, mustFile(t, "20:[a#1,SET-c#1,SET]")}, {4, mustFile(t, "21:[b#1,SET-d#1,SET]")}}},
		"twice the same": {Added: []AddedFile{{0, mustFile(t, "20:[a#1,SET-c#1,SET]")}, {0, mustFile(t, "20:[a#1,SET-c#1,SET]")}}},
	} {
		if n, err := v.with(&Options{}, bad); err == nil {
			t.Errorf("%s: accepted\n%s", name, n)
		}
	}
}

// TestRefs checks that a file is handed over as obsolete exactly when the last version
// that names it goes, and a moved file not at all.
func TestRefs(t *testing.T) {
	var dead []string
	o := &Options{Obsolete: func(files []*FileMeta) {
		for _, f := range files {
			dead = append(dead, f.Num.String())
		}
	}}
	v1 := mustParse(t, "L0: 2:[a#5,SET-z#9,SET] 1:[a#1,SET-b#1,SET]")
	v1.obsolete = o.Obsolete
	e := &Edit{}
	e.Delete(0, 1)
	e.Delete(0, 2)
	e.Add(1, v1.Files(0)[1])
	v2, err := v1.with(o, e)
	if err != nil {
		t.Fatal(err)
	}
	v2.install()
	v1.Ref()
	v1.Unref()
	if dead != nil {
		t.Fatalf("%v obsolete while a version names them", dead)
	}
	v1.Unref()
	if got := fmt.Sprint(dead); got != "[000002]" {
		t.Fatalf("obsolete: %s, want [000002]", got)
	}
	v2.Unref()
	if got := fmt.Sprint(dead); got != "[000002 000001]" {
		t.Fatalf("obsolete: %s, want [000002 000001]", got)
	}
}

func BenchmarkFind(b *testing.B) {
	for _, cmp := range []*base.Comparer{base.Bytewise, {Name: "test.plain", Compare: bytes.Compare}} {
		b.Run(cmp.Name, func(b *testing.B) {
			var files []*FileMeta
			for i := range 10000 {
				k := fmt.Appendf(nil, "user%012d", i*10)
				files = append(files, &FileMeta{Num: base.FileNum(i), Smallest: base.MakeKey(k, 1, 1), Largest: base.MakeKey(append(k, 'x'), 1, 1)})
			}
			v := NewVersion(cmp, [NumLevels][]*FileMeta{1: files})
			rng := rand.New(rand.NewPCG(1, 1))
			keys := make([]base.InternalKey, 1024)
			for i := range keys {
				keys[i] = base.SeekKey(fmt.Appendf(nil, "user%012d", rng.IntN(100000)), base.SeqNumMax)
			}
			i := 0
			for b.Loop() {
				v.Find(1, keys[i&1023])
				i++
			}
		})
	}
}
