package exchange

import (
	"errors"
	"testing"

	"github.com/strata-db/strata"
	"github.com/strata-db/strata/internal/testcorpus"
)

// TestStrataKeepsPeersOut: while Strata has a directory open, no peer opens it,
// and a refused one does not end Strata's lock.
func TestStrataKeepsPeersOut(t *testing.T) {
	eachPeer(t, func(t *testing.T, p peer) {
		dir := t.TempDir()
		withStrata(t, dir, nil, func(db *strata.DB) {
			if err := db.Put([]byte("k"), []byte("v"), strata.Sync); err != nil {
				t.Fatal(err)
			}
			for attempt := range 2 {
				if err := p.open(dir, strata.BytewiseComparer); err == nil {
					t.Fatalf("attempt %d: opened what Strata has open", attempt)
				}
			}
			if _, err := strata.Open(dir, nil); !errors.Is(err, strata.ErrLocked) {
				t.Fatalf("second handle: %v, want ErrLocked", err)
			}
			if err := p.open(dir, strata.BytewiseComparer); err == nil {
				t.Fatal("a refused second handle of this process ended the lock")
			}
		})
		p.read(t, dir, strata.BytewiseComparer, []testcorpus.Entry{testcorpus.EntryOf([]byte("k"), []byte("v"))})
	})
}

// TestPeersKeepStrataOut: while a peer has a directory open, Strata's Open gives
// ErrLocked, for writing and for reading, and changes nothing.
func TestPeersKeepStrataOut(t *testing.T) {
	eachPeer(t, func(t *testing.T, p peer) {
		dir := t.TempDir()
		p.write(t, dir, strata.BytewiseComparer, []op{{key: []byte("k"), value: []byte("v")}})
		release := p.hold(t, dir)
		before := testcorpus.Snap(t, dir)
		for _, o := range []*strata.Options{nil, {ReadOnly: true}} {
			if db, err := strata.Open(dir, o); !errors.Is(err, strata.ErrLocked) {
				if err == nil {
					db.Close()
				}
				t.Errorf("options %+v: %v, want ErrLocked", o, err)
			}
		}
		if d := before.Diff(testcorpus.Snap(t, dir)); len(d) > 0 {
			t.Errorf("the refused openings changed %q", d)
		}
		if err := p.open(dir, strata.BytewiseComparer); err == nil {
			t.Error("the refused openings ended the peer's lock")
		}
		release()
		withStrata(t, dir, nil, func(db *strata.DB) {
			check(t, db, modelOf(strata.BytewiseComparer, []testcorpus.Entry{testcorpus.EntryOf([]byte("k"), []byte("v"))}))
		})
	})
}
