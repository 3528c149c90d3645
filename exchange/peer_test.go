package exchange

import (
	"errors"
	"fmt"
	"testing"

	"github.com/strata-db/strata"
	"github.com/strata-db/strata/internal/testcorpus"
	"github.com/syndtr/goleveldb/leveldb"
	"github.com/syndtr/goleveldb/leveldb/opt"
	"github.com/syndtr/goleveldb/leveldb/util"
)

// A peer is another engine of the format.
type peer interface {
	name() string
	// read opens the directory and checks that it holds exactly want, forwards,
	// backwards and by Get.
	read(t *testing.T, dir string, order *strata.Comparer, want []testcorpus.Entry)
	// write opens the directory, making it if it is missing, and applies ops.
	write(t *testing.T, dir string, order *strata.Comparer, ops []op)
	// open opens and closes the directory.
	open(dir string, order *strata.Comparer) error
	// hold opens the directory and keeps it open until release.
	hold(t *testing.T, dir string) (release func())
	// repair runs the engine's repair.
	repair(dir string) error
}

// peers returns the engines at their strictest, and goleveldb as most programs
// run it too.
func peers(t *testing.T) []peer {
	t.Helper()
	all := []peer{
		goleveldb{"goleveldb", opt.DefaultStrict},
		goleveldb{"goleveldb strict", opt.StrictAll},
	}
	if tool := leveldbTool(t); tool != "" {
		all = append(all, cpp{tool})
	}
	return all
}

// eachPeer runs fn as a subtest for every peer.
func eachPeer(t *testing.T, fn func(t *testing.T, p peer)) {
	for _, p := range peers(t) {
		t.Run(p.name(), func(t *testing.T) { fn(t, p) })
	}
}

type goleveldb struct {
	title  string
	strict opt.Strict
}

func (g goleveldb) name() string { return g.title }

func (g goleveldb) options(order *strata.Comparer) *opt.Options {
	o := &opt.Options{
		Comparer:            goOrder{order},
		Strict:              g.strict,
		WriteBuffer:         64 << 10,
		CompactionTableSize: 64 << 10,
	}
	if order != strata.BytewiseComparer {
		// goleveldb compares with bytes.Compare when it looks for overlapping
		// tables below level 0, so under another order its compactions lose
		// keys. They are kept from happening.
		o.WriteBuffer = 16 << 20
		o.CompactionL0Trigger = 1000
		o.DisableSeeksCompaction = true
	}
	return o
}

func (g goleveldb) open(dir string, order *strata.Comparer) error {
	db, err := leveldb.OpenFile(dir, g.options(order))
	if err != nil {
		return err
	}
	return db.Close()
}

func (g goleveldb) read(t *testing.T, dir string, order *strata.Comparer, want []testcorpus.Entry) {
	t.Helper()
	db, err := leveldb.OpenFile(dir, g.options(order))
	if err != nil {
		t.Fatalf("%s: open: %v", g.title, err)
	}
	defer db.Close()
	it := db.NewIterator(nil, nil)
	defer it.Release()
	n := 0
	for ; it.Next(); n++ {
		if n >= len(want) || string(it.Key()) != string(want[n].Key) || !want[n].Match(it.Value()) {
			t.Fatalf("%s: forwards: entry %d is %x = %.40x, want %v", g.title, n, it.Key(), it.Value(), at(want, n))
		}
	}
	if it.Error() != nil || n != len(want) {
		t.Fatalf("%s: forwards: %d of %d entries, error %v", g.title, n, len(want), it.Error())
	}
	for ok := it.Last(); ok; ok = it.Prev() {
		n--
		if n < 0 || string(it.Key()) != string(want[n].Key) || !want[n].Match(it.Value()) {
			t.Fatalf("%s: backwards: entry %d is %x = %.40x, want %v", g.title, n, it.Key(), it.Value(), at(want, n))
		}
	}
	if it.Error() != nil || n != 0 {
		t.Fatalf("%s: backwards: %d entries missing, error %v", g.title, n, it.Error())
	}
	for _, e := range want {
		if v, err := db.Get(e.Key, nil); err != nil || !e.Match(v) {
			t.Fatalf("%s: Get(%x) = %.40x, %v, want %v", g.title, e.Key, v, err, e)
		}
	}
}

// at is the entry at index i for messages; a note if there is none.
func at(entries []testcorpus.Entry, i int) any {
	if i < 0 || i >= len(entries) {
		return fmt.Sprintf("none of %d", len(entries))
	}
	return entries[i]
}

func (g goleveldb) write(t *testing.T, dir string, order *strata.Comparer, ops []op) {
	t.Helper()
	db, err := leveldb.OpenFile(dir, g.options(order))
	if err != nil {
		t.Fatalf("%s: open for writing: %v", g.title, err)
	}
	defer func() {
		if err := db.Close(); err != nil {
			t.Errorf("%s: close: %v", g.title, err)
		}
	}()
	var b leveldb.Batch
	for i, o := range ops {
		switch {
		case o.compact:
		case o.delete:
			b.Delete(o.key)
		default:
			b.Put(o.key, o.value)
		}
		if i%3 != 0 && !o.compact && i != len(ops)-1 {
			continue
		}
		if err := db.Write(&b, nil); err != nil {
			t.Fatalf("%s: write: %v", g.title, err)
		}
		b.Reset()
		if o.compact {
			if err := db.CompactRange(util.Range{}); err != nil {
				t.Fatalf("%s: compact: %v", g.title, err)
			}
		}
	}
}

func (g goleveldb) hold(t *testing.T, dir string) func() {
	t.Helper()
	db, err := leveldb.OpenFile(dir, g.options(strata.BytewiseComparer))
	if err != nil {
		t.Fatalf("%s: open: %v", g.title, err)
	}
	return func() {
		if err := db.Close(); err != nil && !errors.Is(err, leveldb.ErrClosed) {
			t.Errorf("%s: close: %v", g.title, err)
		}
	}
}

func (g goleveldb) repair(dir string) error {
	db, err := leveldb.RecoverFile(dir, g.options(strata.BytewiseComparer))
	if err != nil {
		return err
	}
	return db.Close()
}

// goOrder is one of our orders as goleveldb wants it, without shortened keys.
type goOrder struct{ *strata.Comparer }

func (o goOrder) Compare(a, b []byte) int           { return o.Comparer.Compare(a, b) }
func (o goOrder) Name() string                      { return o.Comparer.Name }
func (o goOrder) Separator(dst, a, b []byte) []byte { return nil }
func (o goOrder) Successor(dst, b []byte) []byte    { return nil }
