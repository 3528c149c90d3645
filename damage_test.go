package strata

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/strata-db/strata/internal/base"
	"github.com/strata-db/strata/vfs"
)

// Files of closed databases of several kinds are damaged: bits flipped, bytes
// zeroed, ends cut off, whole files gone. What opens shows the data as it was, or
// says which file is damaged. Only the end of a log behind its last sync may
// silently be missing in the data, for a crash does that too; Events tell of it.
//
// STRATA_DAMAGES is how many cases there are; default some hundred.
func TestDamage(t *testing.T) {
	cases := 600
	if testing.Short() {
		cases = 150
	}
	cases = envInt("STRATA_DAMAGES", cases)
	originals := damageOriginals(t)
	first := uint64(envInt("STRATA_SEED", int(rand.Uint64()%1e9)))
	t.Logf("first seed %d", first)
	outcomes := make(map[string]int)
	for i := range uint64(cases) {
		o := originals[(first+i)%uint64(len(originals))]
		d := newDamage(o, first+i)
		outcome, err := d.try()
		outcomes[outcome]++
		if err != nil {
			t.Errorf("STRATA_SEED=%d STRATA_DAMAGES=1: %s, %s: %v", first+i, o.name, d.what, err)
			if outcomes[outcome] > 10 {
				break
			}
		}
	}
	t.Logf("%d cases: %v", cases, outcomes)
}

// An original is a closed database and what is in it.
type original struct {
	name  string
	disk  *vfs.Crash
	o     Options
	story *story
	files []string
}

func damageOriginals(t *testing.T) (list []*original) {
	small := Options{MemtableBytes: 32 << 10, TableBytes: 32 << 10, BlockBytes: 512}
	for _, kind := range []struct {
		name   string
		change func(*Options)
		steps  int
	}{
		{"leveled", func(*Options) {}, 250},
		{"log alone", func(o *Options) { o.MemtableBytes = 8 << 20 }, 120},
		{"plain", func(o *Options) { o.Compression, o.FilterBitsPerKey, o.WAL = NoCompression, -1, WALWrite }, 200},
		{"upgraded", func(o *Options) { o.Compression = Zstd }, 200},
		{"leveldb's filter", func(o *Options) { o.LevelDBFilter = true; o.BlockBytes = 4 << 10 }, 200},
		{"manifests", func(o *Options) { o.testing.manifestMinRewrite = 200 }, 150},
		{"level 0", func(o *Options) { o.testing.disableAuto = true; o.testing.l0Stop = 1000 }, 150},
	} {
		o := small
		kind.change(&o)
		list = append(list, newOriginal(t, kind.name, o, kind.steps))
	}
	return list
}

// newOriginal makes a database with a fixed seed. Its last writes are in the log,
// most of them synced.
func newOriginal(t *testing.T, name string, o Options, steps int) *original {
	disk := vfs.NewCrash(vfs.CrashOptions{MappedAppends: o.WAL != WALWrite})
	o.FS = disk
	s, w := newStory(), &storyteller{rnd: rand.New(rand.NewPCG(7, uint64(len(name)))), name: "d"}
	db, err := Open("db", &o)
	require.NoError(t, err)
	for i := range steps {
		require.NoError(t, s.write(db, w.next(), i%40 == 39))
		if i == steps/2 && !o.testing.disableAuto {
			require.NoError(t, db.WaitIdle(context.Background()))
		}
	}
	require.NoError(t, s.barrier(db.Sync))
	for range 3 {
		require.NoError(t, s.write(db, w.next(), false))
	}
	require.NoError(t, db.Close())
	names, err := disk.List("db")
	require.NoError(t, err)
	slices.Sort(names)
	names = slices.DeleteFunc(names, func(name string) bool {
		return name == base.LockName || name == base.CurrentName && o.Compression == Zstd
	})
	return &original{name, disk, o, s, names}
}

// A damage is one case.
type damage struct {
	*original
	rnd   *rand.Rand
	image *vfs.Crash
	file  string
	what  string
	// short says that more than one bit is wrong: both a batch and the mark behind
	// it that says that it was on disk may be gone.
	short bool
	torn  RecoveryInfo
}

func newDamage(o *original, seed uint64) *damage {
	d := &damage{original: o, rnd: rand.New(rand.NewPCG(seed, 77)), image: o.disk.KillImage()}
	d.file = o.files[d.rnd.IntN(len(o.files))]
	path := "db/" + d.file
	b, err := readFile(d.image, path)
	if err != nil || len(b) == 0 {
		d.what = "none to an empty file"
		return d
	}
	at := d.rnd.IntN(len(b))
	switch d.rnd.IntN(8) {
	case 0:
		b, d.short = b[:at], true
		d.what = fmt.Sprintf("cut to %d", at)
	case 1:
		n := min(1+d.rnd.IntN(600), len(b)-at)
		clear(b[at : at+n])
		d.short = true
		d.what = fmt.Sprintf("%d zeros at %d", n, at)
	case 2:
		for i := range b[at:min(at+16, len(b))] {
			b[at+i] = byte(d.rnd.Uint32())
		}
		d.short = true
		d.what = fmt.Sprintf("16 random bytes at %d", at)
	case 3:
		if d.rnd.IntN(4) == 0 {
			d.what, d.short = d.file+": removed", true
			_ = d.image.Remove(path)
			return d
		}
		fallthrough
	default:
		b[at] ^= 1 << d.rnd.IntN(8)
		d.what = fmt.Sprintf("bit flipped at %d", at)
	}
	f, err := d.image.Create(path)
	if err == nil {
		_, err = f.Write(b)
	}
	if err != nil {
		panic(err)
	}
	_ = f.Close()
	d.what = d.file + ": " + d.what
	return d
}

func readFile(fs vfs.FS, path string) ([]byte, error) {
	f, err := fs.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	n, err := f.Size()
	if err != nil {
		return nil, err
	}
	b := make([]byte, n)
	if _, err = f.ReadAt(b, 0); errors.Is(err, io.EOF) {
		err = nil
	}
	return b, err
}

// try opens the damaged database and judges what it shows.
func (d *damage) try() (outcome string, err error) {
	defer watchdog("damage "+d.what, time.Minute)()
	defer func() {
		if p := recover(); p != nil {
			outcome, err = "PANIC", fmt.Errorf("panic: %v", p)
		}
	}()
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	outcome, err = d.open()
	runtime.ReadMemStats(&after)
	if n := after.TotalAlloc - before.TotalAlloc; err == nil && n > 256<<20 {
		return "HUGE", fmt.Errorf("%d bytes allocated", n)
	}
	return outcome, err
}

func (d *damage) open() (string, error) {
	o := d.o
	o.FS, o.ErrorIfMissing = d.image, true
	o.Events = &Events{Recovered: func(i RecoveryInfo) { d.torn = i }}
	db, err := Open("db", &o)
	if err != nil {
		return d.refused(err)
	}
	defer db.Close()
	list, _, err := d.story.survivors(db)
	if err == nil {
		err = compare(db, contentOf(list))
	}
	switch {
	case err != nil:
		return d.refused(err)
	case len(list) == len(d.story.acked):
		return d.verified(db)
	case !d.isLog():
		return "SILENT", fmt.Errorf("%d of %d batches are there, without an error", len(list), len(d.story.acked))
	}
	if err := d.isEnd(list); err != nil {
		return "LOST", err
	}
	return "end of the log gone", nil
}

func (d *damage) isLog() bool {
	t, _ := base.ParseFileName(d.file)
	return t == base.FileLog || t == base.FileLogUpgr
}

// isEnd checks that what is missing is the end of what was written, and not
// before the last sync, unless its mark is gone too: nothing outside a log says
// how long it was.
func (d *damage) isEnd(list []*storyBatch) error {
	for i, b := range list {
		if b != d.story.acked[i] {
			return fmt.Errorf("batch %d is %s", i, b.marker)
		}
	}
	if len(list) < d.story.durable && !d.short {
		return fmt.Errorf("%d batches are there, %d were synced; torn %q at %d", len(list), d.story.durable, d.torn.TornFile, d.torn.TornOffset)
	}
	return nil
}

// refused checks that an error is of the right kind and names the file.
func (d *damage) refused(err error) (string, error) {
	var ce *CorruptionError
	switch {
	case errors.As(err, &ce) && (ce.File == d.file || d.file == base.CurrentName || d.file == base.MarkerName):
		return "refused", nil
	case errors.As(err, &ce) && (strings.Contains(err.Error(), d.file) || d.isLog() && strings.Contains(d.what, "removed")):
		return "refused", nil // a missing file that the damaged manifest names; a gap between two logs
	case errors.As(err, &ce):
		return "WRONG NAME", fmt.Errorf("the error names %s: %w", ce.File, err)
	}
	return "WRONG KIND", fmt.Errorf("not a CorruptionError: %w", err)
}

// verified checks that Verify, too, finds nothing or the damaged file.
func (d *damage) verified(db *DB) (string, error) {
	report, err := db.Verify(context.Background())
	if err != nil {
		return d.refused(err)
	}
	for _, p := range report.Problems {
		if _, err := d.refused(p); err != nil {
			return "WRONG PROBLEM", err
		}
	}
	if len(report.Problems) > 0 {
		return "found by Verify", nil
	}
	return "harmless", nil
}

// A manifest cut behind its first record opened as the database was at its
// creation, with the newest log alone, and its tables were removed as garbage.
func TestCutManifestIsNotAnOlderDatabase(t *testing.T) {
	disk := vfs.NewCrash(vfs.CrashOptions{})
	db, err := Open("db", &Options{FS: disk})
	require.NoError(t, err)
	created, err := readFile(disk, "db/MANIFEST-000001")
	require.NoError(t, err)
	mustPut(t, db, "a", "1")
	require.NoError(t, db.Flush())
	mustPut(t, db, "b", "2")
	require.NoError(t, db.Close())
	require.NoError(t, disk.Truncate("db/MANIFEST-000001", int64(len(created))))
	before, err := disk.List("db")
	require.NoError(t, err)
	err = hasKey(disk, "db", "b")
	require.ErrorIs(t, err, ErrCorruption)
	require.ErrorContains(t, err, "MANIFEST-000001")
	after, err := disk.List("db")
	require.NoError(t, err)
	require.ElementsMatch(t, before, after)
}

// The first log was cut inside its signature and taken for another engine's, and
// the next one went on behind the hole.
func TestLogCutInsideItsSignatureLeavesNoHole(t *testing.T) {
	disk := vfs.NewCrash(vfs.CrashOptions{})
	o := Options{FS: disk}
	db, err := Open("db", &o)
	require.NoError(t, err)
	for i := range 2 {
		mustPut(t, db, fmt.Sprint("key", i), "")
		require.NoError(t, db.Close())
		db, err = Open("db", &o)
		require.NoError(t, err)
	}
	first := db.mu.segments[0].num
	disk = disk.KillImage()
	require.NoError(t, db.Close())
	require.NoError(t, disk.Truncate("db/"+base.FileName(base.FileLog, first), 33))
	err = hasKey(disk, "db", "key1")
	if !errors.Is(err, ErrNotFound) {
		require.ErrorIs(t, err, ErrCorruption)
	}
}
