package memtable

import (
	"bytes"
	"testing"
	"unsafe"

	"github.com/strata-db/strata/internal/base"
)

// TestLayout pins what the package comment draws: the sizes nodes are allocated
// by, the alignment of 64-bit words on every platform, and an entry's bytes.
func TestLayout(t *testing.T) {
	var n inner
	for _, c := range []struct {
		what      string
		got, want uintptr
	}{
		{"leaf size", unsafe.Sizeof(n.node), leafBytes},
		{"inner size", unsafe.Sizeof(n), innerBytes},
		{"perm", unsafe.Offsetof(n.perm), 0},
		{"meta", unsafe.Offsetof(n.meta), 8},
		{"next", unsafe.Offsetof(n.next), 12},
		{"prev", unsafe.Offsetof(n.prev), 16},
		{"low", unsafe.Offsetof(n.low), 20},
		{"words", unsafe.Offsetof(n.word), 24},
		{"entries", unsafe.Offsetof(n.ent), 136},
		{"children", unsafe.Offsetof(n.child), 192},
		{"node alignment in granules", nodeAlign / granule % maxLevels, 0},
	} {
		if c.got != c.want {
			t.Errorf("%s: %d, want %d", c.what, c.got, c.want)
		}
	}
	want := []byte{1, 'a', 1, 17, 0, 0, 0, 0, 0, 0, 2, 'x', 'y', 0xee, 0xee, 0xee}
	got := bytes.Repeat([]byte{0xee}, 16)
	if n := entryBytes([]byte("a"), []byte("xy")); n != 16 {
		t.Errorf("entry takes %d bytes, want 16", n)
	}
	putEntry(got, []byte("a"), base.MakeTrailer(17, base.KindSet), []byte("xy"))
	if !bytes.Equal(got, want) {
		t.Errorf("entry % x, want % x", got, want)
	}
}
