package tools

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"slices"

	"github.com/strata-db/strata/internal/base"
	"github.com/strata-db/strata/sstable"
	"github.com/strata-db/strata/version"
	"github.com/strata-db/strata/wal"
)

type findCommand struct{ orderFlag }

// A place is an entry of the key that find looks for.
type place struct {
	File   string `json:"file"`
	Where  string `json:"where"` // "L2", "log", or "left over"
	Offset int64  `json:"offset"`
	walEntry
	Live    bool   `json:"live"`
	History string `json:"history,omitempty"`

	key   base.InternalKey
	value []byte
}

// finder is one run of find.
type finder struct {
	c       *console
	dir     string
	key     []byte
	cmp     *base.Comparer
	in      *version.Inspection
	history map[base.FileNum]string
	places  []place
	damaged []error
	notes   []string
}

func (x *findCommand) run(ctx context.Context, c *console, args []string) error {
	key, err := parseKey(args[1])
	if err != nil {
		return err
	}
	f, err := restarting(ctx, c, args[0], func() (*finder, error) {
		f := &finder{c: c, dir: args[0], key: key}
		return f, f.search(ctx, x.order)
	})
	if err != nil {
		return err
	}
	for _, note := range f.notes {
		c.notef("%s", note)
	}
	for _, err := range f.damaged {
		c.notef("%v", err)
	}
	answer, found := f.answer()
	if c.json {
		err = c.emit(map[string]any{"k": hexBytes(key), "places": f.places, "found": found, "answer": answer})
	} else {
		f.print(answer, found)
	}
	if err == nil && len(f.damaged) > 0 {
		err = fmt.Errorf("%s: %w, so there may be more", args[0], ErrDamaged)
	}
	return err
}

func (f *finder) search(ctx context.Context, order string) error {
	before := fingerprint(f.c.FS, f.dir)
	in, l, err := f.c.inspect(ctx, f.dir)
	if err != nil {
		return err
	}
	f.in = in
	if f.cmp, err = f.c.comparer(f.dir, in.Comparer, order); err != nil {
		return err
	}
	f.readHistory()
	levels := live(in)
	for i, file := range l.Files {
		f.c.progress(file.Name, int64(i), int64(len(l.Files)))
		if err := context.Cause(ctx); err != nil {
			return err
		}
		level, isLive := levels[file.Num]
		err = nil
		switch {
		case isTable(file.Type):
			isLive = isLive && file.Type == tableType(l, in.Upgraded, file.Num)
			err = f.table(file, level, isLive)
		case isLog(file.Type):
			err = f.log(file)
		}
		if errors.Is(err, base.ErrCorruption) && !isLive {
			f.notes = append(f.notes, fmt.Sprintf("left out, and not live: %v", err)) // perhaps it is being written
		} else if errors.Is(err, base.ErrCorruption) {
			f.damaged = append(f.damaged, err)
		} else if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
	for num, level := range levels {
		if name := base.FileName(tableType(l, in.Upgraded, num), num); !slices.ContainsFunc(l.Files, func(x version.ListedFile) bool { return x.Name == name }) {
			f.damaged = append(f.damaged, base.Corruptf(name, -1, "table of level %d is missing", level))
		}
	}
	if err := f.checkLogs(ctx); err != nil {
		return err
	}
	if len(f.damaged) > 0 && fingerprint(f.c.FS, f.dir) != before {
		return f.damaged[0] // it may be the change: look again
	}
	slices.SortStableFunc(f.places, func(a, b place) int { return cmp.Compare(b.key.Trailer, a.key.Trailer) })
	return nil
}

// readHistory collects what the manifest did with each table. It is a help for
// people: of a damaged manifest, the part before the damage.
func (f *finder) readHistory() {
	f.history = make(map[base.FileNum]string)
	_, _ = version.ReadManifest(f.c.FS, path(f.dir, f.in.Manifest), func(off int64, e *version.Edit) error {
		for _, d := range e.Deleted {
			f.history[d.Num] += fmt.Sprintf(", left L%d at %d", d.Level, off)
		}
		for _, a := range e.Added {
			f.history[a.Meta.Num] += fmt.Sprintf(", in L%d since %d", a.Level, off)
		}
		return nil
	})
}

func (f *finder) table(file version.ListedFile, level int, isLive bool) error {
	size := int64(-1)
	p := place{File: file.Name, Where: "left over", Live: isLive, Offset: -1}
	if isLive {
		m := f.in.Contents.Files[level][file.Num]
		if f.cmp.Compare(f.key, m.Smallest.UserKey) < 0 || f.cmp.Compare(f.key, m.Largest.UserKey) > 0 {
			return nil
		}
		size, p.Where = int64(m.Size), fmt.Sprintf("L%d", level)
	}
	if h := f.history[file.Num]; h != "" {
		p.History = f.in.Manifest + ": " + h[2:]
	}
	src, err := f.c.FS.Open(path(f.dir, file.Name))
	if err != nil {
		return err
	}
	defer src.Close()
	if size < 0 {
		if size, err = src.Size(); err != nil {
			return err
		}
	}
	r, err := sstable.NewReader(src, size, sstable.ReaderOptions{Cmp: f.cmp, Name: file.Name})
	if err != nil {
		return err
	}
	defer r.Close()
	it := r.NewIter(sstable.IterOptions{SameGoroutine: true})
	for kv := it.SeekGE(base.SeekKey(f.key, base.SeqNumMax)); kv != nil && f.cmp.Compare(kv.K.UserKey, f.key) == 0; kv = it.Next() {
		f.add(p, kv.K, kv.V)
	}
	return it.Close()
}

// checkLogs replays the live logs as an opening would: log passes over damage.
func (f *finder) checkLogs(ctx context.Context) error {
	segments, err := liveLogs(f.c.FS, f.dir, f.in)
	if err == nil {
		_, err = wal.Replay(wal.ReplayOptions{FS: f.c.FS, Dir: f.dir, Segments: segments, Lockless: true},
			func(wal.Segment, int64, []byte) error { return context.Cause(ctx) })
	}
	if errors.Is(err, base.ErrCorruption) {
		f.damaged, err = append(f.damaged, err), nil
	}
	if errors.Is(err, fs.ErrNotExist) {
		err = nil // flushed meanwhile
	}
	return err
}

// log reads a log as far as it can be read, behind damage too.
func (f *finder) log(file version.ListedFile) error {
	src, err := f.c.FS.Open(path(f.dir, file.Name))
	if err != nil {
		return err
	}
	defer src.Close()
	p := place{File: file.Name, Where: "left over"}
	if p.Live = isLiveLog(f.in, file); p.Live {
		p.Where = "log"
	}
	r := &resyncReader{src: src, report: func(int, string) {}}
	for {
		rec, off, ok, err := r.next()
		if err != nil || !ok {
			return err
		}
		if len(rec) < 12 {
			continue
		}
		p.Offset = off
		seq := base.SeqNum(le64(rec)) & base.SeqNumMax
		walkBatch(rec, func(kind base.Kind, key, value []byte) {
			if f.cmp.Compare(key, f.key) == 0 {
				f.add(p, base.MakeKey(key, seq, kind), value)
			}
			seq++
		})
	}
}

func (f *finder) add(p place, k base.InternalKey, value []byte) {
	p.key, p.value = k.Clone(), append([]byte{}, value...)
	p.walEntry = walEntry{uint64(k.SeqNum()), k.Kind().String(), p.key.UserKey, p.value}
	f.places = append(f.places, p)
}

// answer is the newest live entry: what a read finds.
func (f *finder) answer() (place, bool) {
	for _, p := range f.places {
		if p.Live {
			return p, p.key.Kind() == base.KindSet
		}
	}
	return place{}, false
}

func (f *finder) print(answer place, found bool) {
	c := f.c
	g := newGrid("file ", "where ", "offset", "entry ", "history ")
	for _, p := range f.places {
		off := ""
		if p.Offset >= 0 {
			off = fmt.Sprint(p.Offset)
		}
		g.add(p.File, p.Where, off, shortenEntry(c.entry(p.key, p.value)), p.History)
	}
	if len(f.places) > 0 {
		c.grid(g)
	}
	switch {
	case found:
		c.printf("%s has the value in %s\n", c.key(f.key), answer.File)
	case answer.File != "":
		c.printf("%s is deleted, by the tombstone in %s\n", c.key(f.key), answer.File)
	default:
		c.printf("%s is nowhere\n", c.key(f.key))
	}
}

// shortenEntry cuts a long value off.
func shortenEntry(s string) string {
	const most = 120
	if len(s) <= most {
		return s
	}
	return s[:most-3] + "..."
}
