package tools

import (
	"context"
	"errors"
	"flag"
	"io/fs"

	"github.com/strata-db/strata/internal/base"
	"github.com/strata-db/strata/iterator"
)

var readCommands = []*Command{
	{
		Name: "scan", Args: "DIR", Short: "print keys and values in order", least: 1, most: 1,
		Long: "Prints one line a key, as key#seq,SET:value. Works beside a live writer and takes no lock.\n" +
			"With --json the lines can be given to load.",
		Example: "strata scan /var/lib/app/db --prefix user: --limit 10\nstrata scan db --reverse --from hex:00 --keys",
		make:    func() action { return new(scanCommand) },
	},
	{
		Name: "get", Args: "DIR KEY", Short: "print the value of a key", least: 2, most: 2,
		Long:    "Prints the value as it is, and a line feed. A key that has no value makes it fail.",
		Example: "strata get db user:17\nstrata get db hex:00ff --hex",
		make:    func() action { return new(getCommand) },
	},
	{
		Name: "count", Args: "DIR", Short: "count keys, and what lies between them", least: 1, most: 1,
		Long:    "Where damage ends it, what was counted before is printed, marked as partial, and it fails.",
		Example: "strata count db --prefix user:",
		make:    func() action { return new(countCommand) },
	},
	{
		Name: "approxsize", Args: "DIR", Short: "estimate the bytes that a range takes in tables", least: 1, most: 1,
		Long:    "Reads the indexes of the tables at the ends of the range only. What is in the log does not count.",
		Example: "strata approxsize db --from a --to b",
		make:    func() action { return new(approxsizeCommand) },
	},
	{
		Name: "export", Args: "DIR", Short: "print the whole content as JSON lines or in a binary form, for load", least: 1, most: 1,
		Long: `Each line is {"k":"hex","v":"hex"}. The binary form of --binary is less than half as large, and load
notices when a byte of it is wrong or the end is missing.`,
		Example: "strata export db > db.jsonl\nstrata export --binary db > db.strata",
		make:    func() action { return new(exportCommand) },
	},
}

// orderFlag lets a command use another order than the manifest names.
type orderFlag struct{ order string }

func (o *orderFlag) flags(fs *flag.FlagSet) {
	fs.StringVar(&o.order, "comparer", "", "use the order of this `name`, whatever the manifest says")
}

// A walk goes over the visible keys of a database.
type walk struct {
	dir     string
	order   string
	keys    keyRange
	reverse bool
	at      base.SeqNum
	pins    int // see viewOptions
}

// walkStats says what a walk met.
type walkStats struct {
	Keys, KeyBytes, ValueBytes int64
	Skipped                    iterator.SkipStats
	Restarts                   int
}

// errStop ends a walk early, without being an error.
var errStop = errors.New("stop")

// run calls fn with every key, in order. Where a live writer has deleted a table
// that was not yet open, it goes on behind the last key in a newer view.
func (w *walk) run(ctx context.Context, c *console, fn func(k base.InternalKey, value []byte) error) (walkStats, error) {
	var st walkStats
	var last []byte // the last key handed out
	for {
		err := w.pass(ctx, c, &st, &last, fn)
		if errors.Is(err, fs.ErrNotExist) && st.Restarts < maxRestarts && last != nil {
			st.Restarts++
			continue
		}
		if err == errStop {
			err = nil
		}
		return st, err
	}
}

// pass walks over one view.
func (w *walk) pass(ctx context.Context, c *console, st *walkStats, last *[]byte, fn func(k base.InternalKey, value []byte) error) error {
	v, err := c.openView(ctx, viewOptions{dir: w.dir, order: w.order, span: &w.keys, pins: w.pins})
	if err != nil {
		return err
	}
	defer v.close()
	s, err := w.keys.span(v.cmp)
	if err != nil {
		return err
	}
	if *last != nil && w.reverse {
		s.upper = *last
	} else if *last != nil {
		s.lower = *last
	}
	src, err := v.iter(&s, true)
	if err != nil {
		return err
	}
	it := iterator.NewVisible(v.cmp, src, w.at, s.lower, s.upper)
	err = w.steps(ctx, c, it, &s, v, st, last, fn)
	skipped := it.Stats()
	st.Skipped.Tombstones += skipped.Tombstones
	st.Skipped.Dead += skipped.Dead
	st.Skipped.TooNew += skipped.TooNew
	st.Skipped.Seeks += skipped.Seeks
	if closeErr := it.Close(); err == nil {
		err = closeErr
	}
	return err
}

// progress shows how far a walk is that has come to key: by the tables it has left
// behind. If there are none, everything is in the logs, and keys are counted.
func (w *walk) progress(c *console, v *view, s *span, keys int64, key []byte) {
	var done, total int64
	for t := range v.tables() {
		m := t.meta
		if !s.meets(v.cmp, m.Smallest.UserKey, m.Largest.UserKey) {
			continue
		}
		total += int64(m.Size)
		behind := v.cmp.Compare(m.Largest.UserKey, key) < 0
		if w.reverse {
			behind = v.cmp.Compare(m.Smallest.UserKey, key) > 0
		}
		if behind && key != nil {
			done += int64(m.Size)
		}
	}
	if total == 0 {
		c.progress("keys", keys, 0)
		return
	}
	c.progress(plural(keys, "key"), done, total)
}

func (w *walk) steps(ctx context.Context, c *console, it *iterator.Visible, s *span, v *view, st *walkStats, last *[]byte, fn func(k base.InternalKey, value []byte) error) error {
	move, ok := it.Next, it.First
	if w.reverse {
		move, ok = it.Prev, it.Last
	}
	resumed := *last != nil && !w.reverse
	for n, more := 0, ok(); more; n, more = n+1, move() {
		if n%1024 == 0 {
			if err := context.Cause(ctx); err != nil {
				return err
			}
			if c.Progress != nil && n%(16*1024) == 0 {
				w.progress(c, v, s, st.Keys, *last)
			}
		}
		if resumed && n == 0 && v.cmp.Compare(it.Key(), *last) == 0 {
			continue
		}
		*last = append((*last)[:0], it.Key()...)
		if !s.wants(it.Key()) {
			continue
		}
		st.Keys++
		st.KeyBytes += int64(len(it.Key()))
		st.ValueBytes += int64(len(it.Value()))
		if err := fn(base.InternalKey{UserKey: it.Key(), Trailer: it.Trailer()}, it.Value()); err != nil {
			return err
		}
	}
	return it.Err()
}

// walkFlags are the flags of commands that walk.
type walkFlags struct {
	keyRange
	orderFlag
	at uint64
}

func (f *walkFlags) flags(fs *flag.FlagSet) {
	f.keyRange.flags(fs)
	f.orderFlag.flags(fs)
	atFlag(fs, &f.at)
}

// atFlag declares the flag for reading as of an earlier state.
func atFlag(fs *flag.FlagSet, at *uint64) {
	fs.Uint64Var(at, "at-seq", uint64(base.SeqNumMax), "as of this sequence `number`, as far as compactions have left it")
	fs.Lookup("at-seq").DefValue = "newest"
}

// limitFlag declares the flag for printing only so much.
func limitFlag(fs *flag.FlagSet, limit *int64, noun string) {
	fs.Int64Var(limit, "limit", -1, "print at most this `many` "+noun)
	fs.Lookup("limit").DefValue = "all"
}

func (f *walkFlags) walk(dir string) (*walk, error) {
	if f.at > uint64(base.SeqNumMax) {
		return nil, usagef("--at-seq is at most %d", base.SeqNumMax)
	}
	return &walk{dir: dir, order: f.order, keys: f.keyRange, at: base.SeqNum(f.at)}, nil
}

// keyValue is a line of scan and export, and of what load reads.
type keyValue struct {
	K hexBytes `json:"k"`
	V hexBytes `json:"v"`
}

type scanCommand struct {
	walkFlags
	limit   int64
	reverse bool
	keys    bool
}

func (s *scanCommand) flags(fs *flag.FlagSet) {
	s.walkFlags.flags(fs)
	limitFlag(fs, &s.limit, "keys")
	fs.BoolVar(&s.reverse, "reverse", false, "from the last key to the first")
	fs.BoolVar(&s.keys, "keys", false, "print keys alone")
}

func (s *scanCommand) run(ctx context.Context, c *console, args []string) error {
	w, err := s.walk(args[0])
	if err != nil {
		return err
	}
	w.reverse = s.reverse
	n := int64(0)
	st, err := w.run(ctx, c, func(k base.InternalKey, value []byte) error {
		if n == s.limit {
			return errStop
		}
		n++
		return s.print(c, k, value)
	})
	if st.Restarts > 0 {
		c.notef("note: tables were deleted during the scan; it went on in newer states of the database, %d times", st.Restarts)
	}
	return err
}

func (s *scanCommand) print(c *console, k base.InternalKey, value []byte) error {
	switch {
	case c.json && s.keys:
		return c.emit(struct {
			K hexBytes `json:"k"`
		}{k.UserKey})
	case c.json:
		return c.emit(keyValue{k.UserKey, value})
	case s.keys:
		c.printf("%s\n", c.key(k.UserKey))
	default:
		c.printf("%s\n", c.entry(k, value))
	}
	return nil
}

type exportCommand struct {
	walkFlags
	binary bool
}

func (x *exportCommand) flags(fs *flag.FlagSet) {
	x.walkFlags.flags(fs)
	fs.BoolVar(&x.binary, "binary", false, "print a binary form with checksums instead of JSON lines")
}

func (x *exportCommand) run(ctx context.Context, c *console, args []string) error {
	if x.binary && c.json {
		return usagef("--binary and --json are two forms; say one")
	}
	w, err := x.walk(args[0])
	if err != nil {
		return err
	}
	write := x.lines
	if x.binary {
		write = x.stream
	}
	st, err := write(ctx, c, w)
	if err == nil {
		c.notef("%s, %s", plural(st.Keys, "key"), formatBytes(uint64(st.KeyBytes+st.ValueBytes)))
	}
	return err
}

func (x *exportCommand) lines(ctx context.Context, c *console, w *walk) (walkStats, error) {
	return w.run(ctx, c, func(k base.InternalKey, value []byte) error { return c.emit(keyValue{k.UserKey, value}) })
}

// stream prints the binary form. It has no end frame if anything went wrong.
func (x *exportCommand) stream(ctx context.Context, c *console, w *walk) (walkStats, error) {
	s, err := newStreamWriter(c.w)
	if err != nil {
		return walkStats{}, err
	}
	st, err := w.run(ctx, c, func(k base.InternalKey, value []byte) error { return s.add(k.UserKey, value) })
	if err == nil {
		err = s.finish()
	}
	return st, err
}

type countCommand struct{ walkFlags }

func (x *countCommand) run(ctx context.Context, c *console, args []string) error {
	w, err := x.walk(args[0])
	if err != nil {
		return err
	}
	var last []byte
	st, err := w.run(ctx, c, func(k base.InternalKey, _ []byte) error {
		last = append(last[:0], k.UserKey...)
		return nil
	})
	if err != nil && st == (walkStats{}) {
		return err
	}
	n := counted{
		Keys: st.Keys, KeyBytes: st.KeyBytes, ValueBytes: st.ValueBytes,
		Tombstones: st.Skipped.Tombstones, Versions: st.Skipped.Dead,
		Partial: err != nil,
	}
	if c.json {
		return errors.Join(err, c.emit(n))
	}
	if n.Partial && st.Keys > 0 {
		c.printf("%s            only up to the key %s\n", c.paint(yellow, "partial"), c.key(last))
	} else if n.Partial {
		c.printf("%s            no key could be read\n", c.paint(yellow, "partial"))
	}
	c.printf("keys               %d\n", n.Keys)
	c.printf("bytes of keys      %s\n", formatBytes(uint64(n.KeyBytes)))
	c.printf("bytes of values    %s\n", formatBytes(uint64(n.ValueBytes)))
	c.printf("skipped: deleted   %d\n", n.Tombstones)
	c.printf("skipped: old       %d\n", n.Versions)
	return err
}

// counted is what count has counted.
type counted struct {
	Keys       int64 `json:"keys"`
	KeyBytes   int64 `json:"key_bytes"`
	ValueBytes int64 `json:"value_bytes"`
	Tombstones int64 `json:"skipped_tombstones"`
	Versions   int64 `json:"skipped_versions"`
	// Partial says that something kept it from reading to the end.
	Partial bool `json:"partial"`
}
