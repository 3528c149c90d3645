package tools

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"io/fs"
	"sync/atomic"

	"github.com/strata-db/strata"
	"github.com/strata-db/strata/internal/base"
	"github.com/strata-db/strata/version"
)

var writeCommands = []*Command{
	{
		Name: "put", Args: "DIR KEY VALUE", Short: "set the value of a key, durably", least: 3, most: 3, Writes: true,
		Example: "strata put db user:17 hello\nstrata put db hex:00ff raw:a\\x00b --create",
		make:    func() action { return new(putCommand) },
	},
	{
		Name: "delete", Args: "DIR KEY...", Short: "remove keys, durably", least: 2, most: -1, Writes: true,
		Long:    "All keys go as one batch. Keys that are not there are no error.",
		Example: "strata delete db user:17 user:18",
		make:    func() action { return new(deleteCommand) },
	},
	{
		Name: "load", Args: "DIR", Short: "write what export or scan --json printed, from standard input", least: 1, most: 1, Writes: true,
		Long: "Reads JSON lines, and the binary form of export --binary, which it knows by its first bytes.\n" +
			"Entries are written in batches of about a megabyte, and are durable when it ends. An interrupt ends it\n" +
			"between two batches and says how many were written; so does damage.",
		Example: "strata export old | strata load new --create\nstrata export --binary old | strata load --binary new --create",
		make:    func() action { return new(loadCommand) },
	},
	{
		Name: "compact", Args: "DIR", Short: "compact a range, or everything", least: 1, most: 1, Writes: true,
		Long:    "What is shadowed or deleted is gone afterwards. An interrupt leaves the database as it was, or partly compacted.",
		Example: "strata compact db\nstrata compact db --from a --to b",
		make:    func() action { return new(compactCommand) },
	},
	{
		Name: "checkpoint", Args: "DIR NEWDIR", Short: "make an openable copy of a database", least: 2, most: 2, Writes: true,
		Long:    "On the same file system tables are hard links. NEWDIR must not exist; it is whole or absent.",
		Example: "strata checkpoint db /backup/db",
		make:    func() action { return new(checkpointCommand) },
	},
	{
		Name: "upgrade", Args: "DIR", Short: "take a database past LevelDB's format, one way", least: 1, most: 1, Writes: true,
		Long: "Afterwards it may hold what LevelDB cannot represent, and LevelDB and goleveldb refuse it. Asks first, unless --yes is\n" +
			"given; without a terminal --yes is needed.",
		Example: "strata upgrade db --yes",
		make:    func() action { return new(upgradeCommand) },
	},
	{
		Name: "destroy", Args: "DIR", Short: "remove a database, and only its files", least: 1, most: 1, Writes: true,
		Long:    "Asks first, unless --yes is given; without a terminal --yes is needed. Files that are no database's stay.",
		Example: "strata destroy db --yes",
		make:    func() action { return new(destroyCommand) },
	},
}

// openFlags are the flags of commands that open a database for writing.
type openFlags struct{ create bool }

func (o *openFlags) flags(fs *flag.FlagSet) {
	fs.BoolVar(&o.create, "create", false, "create the database if there is none")
}

// writer opens the database in dir for writing, in the order it is in.
func (c *console) writer(dir string, create bool) (*strata.DB, error) {
	o := &strata.Options{FS: c.FS, ErrorIfMissing: !create, Events: &strata.Events{CompactionEnd: c.compacted()}}
	switch in, err := version.Inspect(c.FS, dir); {
	case err == nil:
		if o.Comparer = c.order(in.Comparer); o.Comparer == nil {
			_, err := c.comparer(dir, in.Comparer, "")
			return nil, err
		}
	case !errors.Is(err, base.ErrNotExist):
		return nil, err
	}
	return strata.Open(dir, o)
}

// compacted returns a function that shows compactions as progress.
func (c *console) compacted() func(strata.CompactionInfo) {
	var written atomic.Int64
	return func(i strata.CompactionInfo) {
		c.progress("MiB compacted", written.Add(int64(i.BytesWritten))>>20, 0)
	}
}

// write opens dir, calls fn and closes it again.
func (c *console) write(dir string, create bool, fn func(db *strata.DB) error) error {
	db, err := c.writer(dir, create)
	if err != nil {
		return err
	}
	err = fn(db)
	if closeErr := db.Close(); err == nil {
		err = closeErr
	}
	return err
}

// done says so to programs. People see that nothing was said.
func (c *console) done(err error) error {
	if err != nil || !c.json {
		return err
	}
	return c.emit(map[string]bool{"ok": true})
}

// parseKeys reads keys or values of the command line.
func parseKeys(args []string) ([][]byte, error) {
	keys := make([][]byte, len(args))
	for i, a := range args {
		var err error
		if keys[i], err = parseKey(a); err != nil {
			return nil, err
		}
	}
	return keys, nil
}

type putCommand struct{ openFlags }

func (p *putCommand) run(_ context.Context, c *console, args []string) error {
	kv, err := parseKeys(args[1:])
	if err != nil {
		return err
	}
	return c.done(c.write(args[0], p.create, func(db *strata.DB) error { return db.Put(kv[0], kv[1], strata.Sync) }))
}

type deleteCommand struct{}

func (*deleteCommand) flags(*flag.FlagSet) {}

func (*deleteCommand) run(_ context.Context, c *console, args []string) error {
	keys, err := parseKeys(args[1:])
	if err != nil {
		return err
	}
	var b strata.Batch
	for _, k := range keys {
		b.Delete(k)
	}
	return c.done(c.write(args[0], false, func(db *strata.DB) error { return db.Write(&b, strata.Sync) }))
}

// loadBatchBytes is how much load writes at once.
const loadBatchBytes = 1 << 20

type loadCommand struct {
	openFlags
	binary bool
}

func (l *loadCommand) flags(fs *flag.FlagSet) {
	l.openFlags.flags(fs)
	fs.BoolVar(&l.binary, "binary", false, "refuse all but a whole stream of export --binary, also an empty input")
}

func (l *loadCommand) run(ctx context.Context, c *console, args []string) error {
	if c.In == nil {
		return usagef("there is nothing to read from")
	}
	ld := &loader{c: c, noun: "line", total: sizeOf(c.In)}
	in := bufio.NewReaderSize(io.TeeReader(c.In, (*byteCount)(&ld.read)), 64<<10)
	binary, err := isStream(in)
	if err != nil {
		return err
	}
	from := ld.lines
	if binary || l.binary {
		ld.noun, from = "record", ld.stream
	}
	err = c.write(args[0], l.create, func(db *strata.DB) error {
		ld.db = db
		if err := from(ctx, in); err != nil {
			return err
		}
		return db.Sync()
	})
	if err != nil {
		return fmt.Errorf("after %s: %w", plural(ld.written, ld.noun), err)
	}
	if c.json {
		return c.emit(map[string]int64{ld.noun + "s": ld.written})
	}
	c.notef("%s written", plural(ld.written, ld.noun))
	return nil
}

// A loader writes entries in batches.
type loader struct {
	c       *console
	db      *strata.DB
	b       strata.Batch
	noun    string // what an entry is called
	read    int64  // bytes of the input
	total   int64  // its size, 0 if it is not known
	pending int64  // entries given to b, and perhaps refused by it
	written int64  // entries that are in the database
}

// byteCount counts what is written to it.
type byteCount int64

// Write implements io.Writer.
func (n *byteCount) Write(b []byte) (int, error) {
	*n += byteCount(len(b))
	return len(b), nil
}

// sizeOf returns the size of an input that is a file, and 0 of others.
func sizeOf(in io.Reader) int64 {
	f, ok := in.(interface{ Stat() (fs.FileInfo, error) })
	if !ok {
		return 0
	}
	info, err := f.Stat()
	if err != nil || !info.Mode().IsRegular() {
		return 0
	}
	return info.Size()
}

// put takes an entry, and now and then writes what it has.
func (l *loader) put(ctx context.Context, key, value []byte) error {
	l.b.Put(key, value)
	l.pending++
	if len(l.b.Bytes()) < loadBatchBytes {
		return nil
	}
	if err := l.flush(); err != nil {
		return err
	}
	if l.total > 0 {
		l.c.progress(plural(l.written, l.noun), l.read, l.total)
	} else {
		l.c.progress(l.noun+"s", l.written, 0)
	}
	return context.Cause(ctx)
}

func (l *loader) flush() error {
	if l.pending == 0 {
		return nil
	}
	if err := l.db.Write(&l.b, strata.NoSync); err != nil {
		return err
	}
	l.written += l.pending
	l.pending = 0
	l.b.Reset()
	return nil
}

// lines loads JSON lines.
func (l *loader) lines(ctx context.Context, in io.Reader) error {
	d := json.NewDecoder(in)
	d.DisallowUnknownFields()
	for {
		var kv struct {
			K *hexBytes `json:"k"`
			V *hexBytes `json:"v"`
		}
		switch err := d.Decode(&kv); {
		case err == io.EOF:
			return l.flush()
		case err != nil:
			return fmt.Errorf("line %d: %w", l.written+l.pending+1, err)
		case kv.K == nil || kv.V == nil:
			return fmt.Errorf(`line %d: want {"k":"hex","v":"hex"}`, l.written+l.pending+1)
		}
		if err := l.put(ctx, *kv.K, *kv.V); err != nil {
			return err
		}
	}
}

// stream loads the binary form.
func (l *loader) stream(ctx context.Context, in io.Reader) error {
	s, err := newStreamReader(in)
	for err == nil {
		err = s.next(func(key, value []byte) error { return l.put(ctx, key, value) })
	}
	if err == io.EOF {
		err = l.flush()
	}
	return err
}

type compactCommand struct{ from, to string }

func (x *compactCommand) flags(fs *flag.FlagSet) {
	fs.StringVar(&x.from, "from", "", "first `key` of the range")
	fs.StringVar(&x.to, "to", "", "last `key` of the range")
}

func (x *compactCommand) run(ctx context.Context, c *console, args []string) error {
	var lower, upper []byte
	for _, f := range []struct {
		text string
		dst  *[]byte
	}{{x.from, &lower}, {x.to, &upper}} {
		if f.text == "" {
			continue
		}
		var err error
		if *f.dst, err = parseKey(f.text); err != nil {
			return err
		}
	}
	before, err := c.treeBytes(ctx, args[0])
	if err != nil {
		return err
	}
	err = c.write(args[0], false, func(db *strata.DB) error { return db.CompactRange(ctx, lower, upper) })
	if err != nil {
		return err
	}
	after, err := c.treeBytes(ctx, args[0])
	if err != nil {
		return err
	}
	if c.json {
		return c.emit(map[string]uint64{"before_bytes": before, "after_bytes": after})
	}
	c.printf("%s -> %s\n", formatBytes(before), formatBytes(after))
	return nil
}

// treeBytes returns the bytes of the live tables and logs.
func (c *console) treeBytes(ctx context.Context, dir string) (uint64, error) {
	in, l, err := c.inspect(ctx, dir)
	if err != nil {
		return 0, err
	}
	st := &dirStats{Dir: dir}
	if err := st.countFiles(c, in, l); err != nil {
		return 0, err
	}
	return uint64(st.Files[0].Bytes + st.Files[1].Bytes), nil
}

type checkpointCommand struct{}

func (*checkpointCommand) flags(*flag.FlagSet) {}

func (*checkpointCommand) run(ctx context.Context, c *console, args []string) error {
	return c.done(c.write(args[0], false, func(db *strata.DB) error { return db.Checkpoint(ctx, args[1]) }))
}

// yesFlag stands before what cannot be undone.
type yesFlag struct{ yes bool }

func (y *yesFlag) flags(fs *flag.FlagSet) {
	fs.BoolVar(&y.yes, "yes", false, "do it, and do not ask")
}

// errDeclined ends a command to whose question the answer was no.
var errDeclined = errors.New("nothing was done")

// check asks, unless --yes was given.
func (y *yesFlag) check(ctx context.Context, c *console, what string) error {
	switch {
	case y.yes:
		return nil
	case c.Confirm == nil:
		return usagef("this %s, and cannot be undone; say --yes", what)
	}
	yes, err := c.Confirm("This " + what + ", and cannot be undone. Go on?")
	switch {
	case err != nil:
		return err
	case !yes:
		return errDeclined
	}
	return context.Cause(ctx)
}

type upgradeCommand struct{ yesFlag }

func (u *upgradeCommand) run(ctx context.Context, c *console, args []string) error {
	if err := u.check(ctx, c, "makes the database unreadable for LevelDB and goleveldb"); err != nil {
		return err
	}
	in, _, err := c.inspect(ctx, args[0])
	if err != nil {
		return err
	}
	cmp, err := c.comparer(args[0], in.Comparer, "")
	if err != nil {
		return err
	}
	return c.done(strata.Upgrade(args[0], &strata.Options{FS: c.FS, Comparer: cmp}))
}

type destroyCommand struct{ yesFlag }

func (d *destroyCommand) run(ctx context.Context, c *console, args []string) error {
	if _, err := c.FS.Stat(args[0]); err != nil {
		return err
	}
	if err := d.check(ctx, c, "removes the database in "+args[0]); err != nil {
		return err
	}
	return c.done(strata.Destroy(args[0], &strata.Options{FS: c.FS}))
}
