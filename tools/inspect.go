package tools

import (
	"bytes"
	"context"
	_ "embed"
	"encoding/hex"
	"flag"
	"fmt"
	"html/template"
	"io"
	"path/filepath"
	"strings"

	"github.com/strata-db/strata/internal/base"
	"github.com/strata-db/strata/version"
)

var inspectCommands = []*Command{
	{
		Name: "inspect", Args: "DIR", Short: "draw the tree and its history as a page to look at", least: 1, most: 1,
		Long: "Shows levels and tables by key, size, age and share of tombstones, the history as far as the manifest\n" +
			"goes back, write amplification, the largest tables and where the bytes are. --html writes one file that\n" +
			"needs nothing else; --serve shows it to browsers on this machine and reads again at each reload. Without\n" +
			"either, the numbers are printed.\n" +
			"Tables of other engines do not count their tombstones: --count reads them through.",
		Example: "strata inspect db --html tree.html\nstrata inspect db --serve 127.0.0.1:8080\nstrata inspect db",
		make:    func() action { return new(inspectCommand) },
	},
}

type inspectCommand struct {
	html, serve string
	count       bool
}

func (x *inspectCommand) flags(fs *flag.FlagSet) {
	fs.StringVar(&x.html, "html", "", "write the page to `file`; - is the output")
	fs.StringVar(&x.serve, "serve", "", "show the page at this `address` of the loopback interface, e.g. 127.0.0.1:8080, until interrupted")
	fs.BoolVar(&x.count, "count", false, "read tables without properties through")
}

func (x *inspectCommand) run(ctx context.Context, c *console, args []string) error {
	dir := args[0]
	switch {
	case x.html != "" && x.serve != "":
		return usagef("--html and --serve exclude each other")
	case x.serve != "":
		return x.listen(ctx, c, dir)
	}
	r, err := x.read(ctx, c, dir)
	if err != nil {
		return err
	}
	label := c.keyLabel
	if c.json && x.html == "" {
		label = hex.EncodeToString // whole keys
	}
	p := r.page(label)
	switch {
	case x.html != "":
		err = c.writePage(dir, x.html, p)
	case c.json:
		err = c.emit(p)
	default:
		c.printTree(p)
	}
	if err == nil && len(r.damage) > 0 {
		err = fmt.Errorf("%s: %w: %s", dir, ErrDamaged, plural(len(r.damage), "table"))
	}
	return err
}

// keyLabel returns a key as short text. Of a long one the middle is left out, as
// neighbours differ at the end.
func (c *console) keyLabel(key []byte) string {
	const head, tail = 14, 14
	text := base.FormatKey
	if c.hex {
		text = hex.EncodeToString
	}
	if len(key) <= head+tail {
		return text(key)
	}
	return text(key[:head]) + "..." + text(key[len(key)-tail:])
}

// printTree prints the page's numbers.
func (c *console) printTree(p *treePage) {
	for _, f := range p.Findings {
		c.finding(f)
	}
	c.printf("\n%s, %s, %s, read amplification %d\n", p.Manifest, plural(p.Edits, "edit"), p.Comparer, p.ReadAmp)
	last := p.Frames[len(p.Frames)-1]
	g := newGrid("level", "tables", "bytes", "written", "amplification")
	for level := range version.NumLevels {
		g.add(level, last.Tables[level], formatBytes(last.Bytes[level]), formatBytes(last.Written[level]), ratio(last.Written[level], last.Flushed))
	}
	c.grid(g)
	if len(p.Largest) == 0 {
		return
	}
	c.printf("\n")
	g = newGrid("largest ", "level", "bytes", "tombstones", "keys ")
	for _, t := range p.Largest {
		g.add(t.Name, t.Level, formatBytes(t.Bytes), percent(t.Tombs), t.From+" .. "+t.To)
	}
	c.grid(g)
}

func ratio(a, b uint64) string {
	if b == 0 {
		return "-"
	}
	return fmt.Sprintf("%.2f", float64(a)/float64(b))
}

func percent(share float64) string {
	if share < 0 {
		return "-"
	}
	return fmt.Sprintf("%.0f %%", 100*share)
}

// writePage writes the page to a file, which must not be in the database's
// directory.
func (c *console) writePage(dir, name string, p *treePage) error {
	var b bytes.Buffer
	if err := renderPage(&b, p); err != nil {
		return err
	}
	if name == "-" {
		_, err := c.w.Write(b.Bytes())
		return err
	}
	inside, err := isBelow(dir, name)
	if err != nil {
		return err
	}
	if inside {
		return usagef("%s is in the database's directory, where nothing is written", name)
	}
	f, err := c.FS.Create(name)
	if err != nil {
		return err
	}
	_, err = f.Write(b.Bytes())
	if closeErr := f.Close(); err == nil {
		err = closeErr
	}
	if err == nil {
		c.notef("wrote %s, %s", name, formatBytes(uint64(b.Len())))
	}
	return err
}

// isBelow reports whether name is in dir or a directory in there.
func isBelow(dir, name string) (bool, error) {
	absDir, err := filepath.Abs(dir)
	if err != nil {
		return false, err
	}
	absName, err := filepath.Abs(name)
	if err != nil {
		return false, err
	}
	rel, err := filepath.Rel(absDir, absName)
	return err == nil && rel != ".." && !strings.HasPrefix(rel, ".."+string(filepath.Separator)), nil
}

//go:embed inspect.html
var inspectPage string

var inspectTemplate = template.Must(template.New("inspect").Funcs(template.FuncMap{
	"bytes": func(n any) string {
		if signed, ok := n.(int64); ok {
			return formatBytes(uint64(max(0, signed)))
		}
		return formatBytes(n.(uint64))
	},
	"percent": percent,
	"plural":  plural[int],
}).Parse(inspectPage))

// renderPage writes the page. Whatever is in keys and names stays text: it is
// encoded as JSON that contains no <, and the page's script makes text nodes of it.
func renderPage(w io.Writer, p *treePage) error { return inspectTemplate.Execute(w, p) }
