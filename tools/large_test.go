package tools_test

import (
	"context"
	"encoding/binary"
	"math/rand/v2"
	"os"
	"runtime"
	"runtime/debug"
	"testing"
	"time"

	"github.com/strata-db/strata"
	"github.com/strata-db/strata/tools"
)

// heapWatch notes how much heap is in use while something is written to it.
type heapWatch struct{ written, next, peak int64 }

// heapStep is how many bytes pass between two looks at the heap.
const heapStep = 8 << 20

func (h *heapWatch) Write(b []byte) (int, error) {
	if h.written += int64(len(b)); h.written >= h.next {
		h.next = h.written + heapStep
		h.look()
	}
	return len(b), nil
}

func (h *heapWatch) look() {
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	h.peak = max(h.peak, int64(m.HeapInuse))
}

// TestScanOfLargeDatabaseIsBounded walks over 2 GB on disk, with values that do
// not compress, with count and with export --binary: the heap in use stays under
// heapLimit, whatever the size. It takes STRATA_LONG=1, and 4 GB of disk.
func TestScanOfLargeDatabaseIsBounded(t *testing.T) {
	if os.Getenv("STRATA_LONG") == "" {
		t.Skip("STRATA_LONG=1 builds and reads 2 GB")
	}
	const (
		heapLimit  = 256 << 20
		valueBytes = 8 << 10
		entries    = 2_000_000_000/valueBytes + 1
	)
	dir := t.TempDir() + "/db"
	start := time.Now()
	fillLarge(t, dir, entries, valueBytes)
	debug.FreeOSMemory()
	var before heapWatch
	before.look()
	size := int64(0)
	files, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range files {
		info, err := f.Info()
		if err != nil {
			t.Fatal(err)
		}
		size += info.Size()
	}
	if size < 2_000_000_000 {
		t.Errorf("%d bytes on disk", size)
	}
	t.Logf("%d entries, %d bytes in %d files, built in %v; heap in use %d MiB", entries, size, len(files), time.Since(start).Round(time.Second), before.peak>>20)

	for _, args := range [][]string{{"count", dir}, {"export", "--binary", dir}} {
		w, start := new(heapWatch), time.Now()
		env := tools.Env{Out: w, Progress: func(tools.Progress) { w.look() }}
		if status := tools.Main(context.Background(), env, args); status != tools.ExitOK {
			t.Errorf("%v: status %d", args, status)
		}
		if w.peak > heapLimit {
			t.Errorf("%v: %d bytes of heap in use, at most %d", args, w.peak, heapLimit)
		}
		t.Logf("%s: %d bytes printed in %v; heap in use at most %d MiB", args[0], w.written, time.Since(start).Round(100*time.Millisecond), w.peak>>20)
		if args[0] == "export" && w.written < entries*valueBytes {
			t.Errorf("%v: %d bytes printed, want at least %d", args, w.written, entries*valueBytes)
		}
	}
}

// fillLarge writes the even keys and then the odd ones, so that tables of several
// levels overlap.
func fillLarge(t *testing.T, dir string, entries, valueBytes int) {
	t.Helper()
	db, err := strata.Open(dir, &strata.Options{Compression: strata.NoCompression, MemtableBytes: 16 << 20, Workers: 1})
	if err != nil {
		t.Fatal(err)
	}
	random := rand.NewChaCha8([32]byte{1})
	value := make([]byte, valueBytes)
	for first := range 2 {
		for i := first; i < entries; i += 2 {
			_, _ = random.Read(value) // never fails
			if err := db.Put(binary.BigEndian.AppendUint64(nil, uint64(i)), value, nil); err != nil {
				t.Fatal(err)
			}
		}
	}
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
}
