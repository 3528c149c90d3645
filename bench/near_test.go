package bench

import "testing"

// TestNearest: a slip of the finger finds its name, and what is like nothing
// finds none.
func TestNearest(t *testing.T) {
	names := []string{"fillseq", "fillrandom", "readrandom", "readseq"}
	for word, want := range map[string]string{
		"fillrandm": "fillrandom", "readsq": "readseq", "filseq": "fillseq", "fill_random": "fillrandom", "fillseq": "fillseq",
		"read": "readseq", "what": "", "": "", "compaction": "",
	} {
		if got := Nearest(word, names); got != want {
			t.Errorf("near %q is %q, want %q", word, got, want)
		}
	}
	for _, c := range []struct {
		a, b string
		want int
	}{{"", "", 0}, {"abc", "", 3}, {"", "ab", 2}, {"kitten", "sitting", 3}, {"same", "same", 0}} {
		if got := distance(c.a, c.b); got != c.want {
			t.Errorf("distance of %q and %q is %d, want %d", c.a, c.b, got, c.want)
		}
	}
}
