package testcorpus

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestContentIsAscending checks every comparer of the corpus against the order
// in which the writers of the cases themselves kept their keys.
func TestContentIsAscending(t *testing.T) {
	cases, full := Load(t)
	if full && len(cases) != FullCount {
		t.Errorf("the full corpus has %d cases, want %d", len(cases), FullCount)
	}
	for _, c := range cases {
		order, ok := Comparer(c.Comparator)
		if !ok {
			t.Errorf("%s: no comparer %q", c.ID, c.Comparator)
			continue
		}
		content := c.Content(t)
		for i := 1; i < len(content); i++ {
			if order.Compare(content[i-1].Key, content[i].Key) >= 0 {
				t.Errorf("%s: entry %d (%x) does not sort before %x", c.ID, i-1, content[i-1].Key, content[i].Key)
				break
			}
		}
		for i := range 3 {
			if order.Compare(NewKey(order, i), NewKey(order, i+1)) == 0 {
				t.Errorf("%s: new keys %d and %d are equal", c.ID, i, i+1)
			}
		}
	}
}

// TestDamagedFileIsNamed checks that a damaged case can say which file an error
// must name.
func TestDamagedFileIsNamed(t *testing.T) {
	cases, full := Load(t)
	if !full {
		t.Skip("the subset has healthy cases only")
	}
	for _, c := range cases {
		if c.Outcome() == Exact || len(c.Derivation) == 0 {
			continue
		}
		name := c.DamagedFile()
		if strings.HasPrefix(name, "CURRENT") || strings.HasPrefix(name, "MANIFEST-") || strings.Contains(name, ".") {
			continue
		}
		t.Errorf("%s: damaged file %q from %q", c.ID, name, c.Derivation)
	}
}

// TestSnapshotSeesEveryChange checks the comparison that "nothing on disk
// changes" rests on.
func TestSnapshotSeesEveryChange(t *testing.T) {
	dir := t.TempDir()
	write := func(name, text string) {
		t.Helper()
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	write("same", "1")
	write("changes", "1")
	write("goes", "1")
	before := Snap(t, dir)
	write("changes", "2")
	write("comes", "1")
	if err := os.Remove(filepath.Join(dir, "goes")); err != nil {
		t.Fatal(err)
	}
	after := Snap(t, dir)
	diff := strings.Join(before.Diff(after), "\n")
	for _, want := range []string{"changes changed", "comes appeared", "goes vanished"} {
		if !strings.Contains(diff, want) {
			t.Errorf("diff lacks %q:\n%s", want, diff)
		}
	}
	if d := before.Diff(after, "changes", "comes", "goes"); len(d) != 0 {
		t.Errorf("ignored paths are reported: %q", d)
	}
	if d := after.Diff(Snap(t, dir)); len(d) != 0 {
		t.Errorf("equal trees differ: %q", d)
	}
}
