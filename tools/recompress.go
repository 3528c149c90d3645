package tools

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"time"

	"github.com/golang/snappy"
	"github.com/klauspost/compress/zstd"

	"github.com/strata-db/strata/internal/base"
	"github.com/strata-db/strata/sstable"
)

// A layoutCommand is sst layout.
type layoutCommand struct {
	recompress bool
	tables     int
	total      []codecCost
	codecs     []codec
}

func newSSTLayout() action {
	l := new(layoutCommand)
	return &sstCommand{one: l.table, more: l.flags, end: l.end}
}

func (l *layoutCommand) flags(fs *flag.FlagSet) {
	fs.BoolVar(&l.recompress, "recompress", false, "compress the data blocks anew, and show what they would take")
}

func (l *layoutCommand) table(ctx context.Context, c *console, t *tableFile) error {
	if !l.recompress {
		return sstLayout(ctx, c, t)
	}
	if l.codecs == nil {
		var err error
		if l.codecs, err = newCodecs(); err != nil {
			return err
		}
		l.total = make([]codecCost, len(l.codecs))
	}
	costs, now, err := l.measure(ctx, c, t)
	if err != nil && !errors.Is(err, ErrDamaged) {
		return err
	}
	l.tables++
	for i := range costs {
		l.total[i].add(costs[i])
	}
	title := fmt.Sprintf("%s, %s in %s", t.name, formatBytes(now), plural(costs[0].blocks, "data block"))
	if printErr := printCosts(c, title, t.name, l.codecs, costs); printErr != nil {
		return printErr
	}
	return err
}

// end prints what all tables together would take.
func (l *layoutCommand) end(c *console) error {
	if l.tables < 2 {
		return nil
	}
	return printCosts(c, plural(l.tables, "table"), "", l.codecs, l.total)
}

// measure tries every codec on every data block. Damaged blocks are noted and left
// out. now is the size of the others as they are stored.
func (l *layoutCommand) measure(ctx context.Context, c *console, t *tableFile) (costs []codecCost, now uint64, failed error) {
	costs = make([]codecCost, len(l.codecs))
	for i, b := range t.layout.Blocks {
		if b.Kind != "data" {
			continue
		}
		if err := context.Cause(ctx); err != nil {
			return nil, 0, err
		}
		c.progress(t.name, int64(i), int64(len(t.layout.Blocks)))
		raw, _, err := t.layout.Read(b.Handle)
		if errors.Is(err, base.ErrCorruption) {
			c.notef("%v", err)
			failed = fmt.Errorf("%s: %w", t.name, ErrDamaged)
			continue
		}
		if err != nil {
			return nil, 0, err
		}
		now += b.Size
		for i := range l.codecs {
			cost, err := l.codecs[i].try(c.Clock, raw)
			if err != nil {
				return nil, 0, err
			}
			costs[i].add(cost)
		}
	}
	return costs, now, failed
}

// A codec is a way to store a block, as the engine does it.
type codec struct {
	kind       sstable.Compression
	compress   func(dst, raw []byte) []byte
	decompress func(dst, stored []byte) ([]byte, error)
	in, out    []byte // memory to use again
}

// newCodecs returns all codecs; zstd at the level that the engine uses.
func newCodecs() ([]codec, error) {
	enc, err := zstd.NewWriter(nil, zstd.WithEncoderLevel(zstd.SpeedFastest), zstd.WithEncoderConcurrency(1),
		zstd.WithEncoderCRC(false), zstd.WithSingleSegment(true))
	if err != nil {
		return nil, err
	}
	dec, err := zstd.NewReader(nil, zstd.WithDecoderConcurrency(1))
	if err != nil {
		return nil, err
	}
	return []codec{
		{kind: sstable.NoCompression},
		{
			kind:       sstable.Snappy,
			compress:   func(dst, raw []byte) []byte { return snappy.Encode(dst[:cap(dst)], raw) },
			decompress: func(dst, stored []byte) ([]byte, error) { return snappy.Decode(dst[:cap(dst)], stored) },
		},
		{
			kind:       sstable.Zstd,
			compress:   func(dst, raw []byte) []byte { return enc.EncodeAll(raw, dst[:0]) },
			decompress: func(dst, stored []byte) ([]byte, error) { return dec.DecodeAll(stored, dst[:0]) },
		},
	}, nil
}

// codecCost is what some blocks take with a codec.
type codecCost struct {
	blocks, compressed int
	raw, stored        uint64 // bytes, without the trailers of blocks
	in, out            time.Duration
}

func (a *codecCost) add(b codecCost) {
	a.blocks += b.blocks
	a.compressed += b.compressed
	a.raw += b.raw
	a.stored += b.stored
	a.in += b.in
	a.out += b.out
}

// try stores a block and reads it back. clock may be nil.
func (x *codec) try(clock func() time.Time, raw []byte) (codecCost, error) {
	size := uint64(len(raw))
	cost := codecCost{blocks: 1, raw: size, stored: size}
	if x.compress == nil {
		return cost, nil
	}
	cost.in = timed(clock, func() { x.in = x.compress(x.in, raw) })
	n := uint64(len(x.in))
	if n >= size-size/8 {
		return cost, nil // stored as it is: nothing to decompress
	}
	cost.stored, cost.compressed = n, 1
	var err error
	cost.out = timed(clock, func() { x.out, err = x.decompress(x.out, x.in) })
	return cost, err
}

func timed(clock func() time.Time, fn func()) time.Duration {
	if clock == nil {
		fn()
		return 0
	}
	start := clock()
	fn()
	return clock().Sub(start)
}

// costJSON is a line of sst layout --recompress.
type costJSON struct {
	File             string   `json:"file,omitempty"` // empty for all of them together
	Compression      string   `json:"compression"`
	Blocks           int      `json:"blocks"`
	CompressedBlocks int      `json:"compressed_blocks"`
	RawSize          uint64   `json:"raw_size"`
	Size             uint64   `json:"size"`
	Ratio            float64  `json:"ratio"`
	CompressMs       *float64 `json:"compress_ms_per_mb,omitempty"`
	DecompressMs     *float64 `json:"decompress_ms_per_mb,omitempty"`
}

// describe fills in what can be derived. A megabyte is a million bytes before
// compression.
func (a *codecCost) describe(file string, x *codec, timed bool) costJSON {
	j := costJSON{
		File: file, Compression: x.kind.String(), Blocks: a.blocks, CompressedBlocks: a.compressed,
		RawSize: a.raw, Size: a.stored, Ratio: 1,
	}
	if a.raw == 0 {
		return j
	}
	j.Ratio = float64(a.stored) / float64(a.raw)
	if timed && x.compress != nil {
		in, out := msPerMB(a.in, a.raw), msPerMB(a.out, a.raw)
		j.CompressMs, j.DecompressMs = &in, &out
	}
	return j
}

func msPerMB(d time.Duration, bytes uint64) float64 { return d.Seconds() * 1e9 / float64(bytes) }

func printCosts(c *console, title, file string, codecs []codec, costs []codecCost) error {
	titles := []string{"stored ", "compressed", "size", "ratio"}
	if c.Clock != nil {
		titles = append(titles, "ms/MB to write", "ms/MB to read")
	}
	g := newGrid(titles...)
	for i := range codecs {
		j := costs[i].describe(file, &codecs[i], c.Clock != nil)
		if c.json {
			if err := c.emit(j); err != nil {
				return err
			}
			continue
		}
		row := []any{j.Compression, j.CompressedBlocks, formatBytes(j.Size), fmt.Sprintf("%.3f", j.Ratio)}
		if c.Clock != nil {
			row = append(row, orNone(j.CompressMs), orNone(j.DecompressMs))
		}
		g.add(row...)
	}
	if !c.json {
		c.printf("%s\n", c.paint(bold, title))
		c.grid(g)
	}
	return nil
}

func orNone(f *float64) string {
	if f == nil {
		return "-"
	}
	return fmt.Sprintf("%.2f", *f)
}
