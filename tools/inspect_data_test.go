package tools_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"testing"

	"github.com/strata-db/strata"
)

// pictures are databases in three states, each of which the page must show at
// first glance.
var pictures = map[string]func(t *testing.T, d *picture){
	"healthy": func(t *testing.T, d *picture) {
		r := rand.New(rand.NewPCG(1, 2))
		for range 38 {
			d.write(t, 300, func(int) int { return r.IntN(20000) })
		}
	},
	"tombstones": func(t *testing.T, d *picture) {
		r := rand.New(rand.NewPCG(1, 2))
		for range 30 {
			d.write(t, 300, func(int) int { return r.IntN(20000) })
		}
		for i := 0; i < 5000; i += 1250 {
			d.erase(t, 9000+i, 9000+i+1250)
		}
	},
	"backlog": func(t *testing.T, d *picture) {
		r := rand.New(rand.NewPCG(1, 2))
		for range 10 {
			d.write(t, 300, func(int) int { return r.IntN(20000) })
		}
		d.close(t)
		d.open(t, strata.FIFO(strata.FIFOOptions{})) // keeps everything in level 0
		for range 18 {
			d.write(t, 150, func(int) int { return r.IntN(20000) })
		}
	},
}

// picture is a database being written.
type picture struct {
	dir string
	db  *strata.DB
}

// paint makes one of the pictures and returns its directory.
func paint(t *testing.T, name string) string {
	t.Helper()
	dir := t.TempDir() + "/" + name
	paintAt(t, name, dir)
	return dir
}

// paintAt makes one of the pictures in a directory.
func paintAt(t *testing.T, name, dir string) {
	t.Helper()
	d := &picture{dir: dir}
	d.open(t, strata.Leveled(strata.LeveledOptions{TableBytes: 32 << 10, BaseBytes: 160 << 10, FanOut: 8, TombstonePercent: -1}))
	pictures[name](t, d)
	d.close(t)
}

func (d *picture) open(t *testing.T, p strata.Policy) {
	t.Helper()
	var err error
	if d.db, err = strata.Open(d.dir, &strata.Options{Policy: p, Workers: 1, Compression: strata.NoCompression}); err != nil {
		t.Fatal(err)
	}
}

func (d *picture) close(t *testing.T) {
	t.Helper()
	if err := d.db.Close(); err != nil {
		t.Fatal(err)
	}
}

func userKey(n int) []byte { return fmt.Appendf(nil, "user:%06d", n) }

// write puts n keys, flushes, and waits for compactions.
func (d *picture) write(t *testing.T, n int, key func(i int) int) {
	t.Helper()
	var b strata.Batch
	for i := range n {
		b.Put(userKey(key(i)), fmt.Appendf(nil, "%0120d", i))
	}
	d.apply(t, &b)
}

// erase deletes the keys from lo to hi.
func (d *picture) erase(t *testing.T, lo, hi int) {
	t.Helper()
	var b strata.Batch
	for i := lo; i < hi; i++ {
		b.Delete(userKey(i))
	}
	d.apply(t, &b)
}

func (d *picture) apply(t *testing.T, b *strata.Batch) {
	t.Helper()
	if err := d.db.Write(b, nil); err != nil {
		t.Fatal(err)
	}
	if err := d.db.Flush(); err != nil {
		t.Fatal(err)
	}
	if err := d.db.WaitIdle(context.Background()); err != nil {
		t.Fatal(err)
	}
}
