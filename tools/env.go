package tools

import (
	"bufio"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"sync"
	"time"

	"github.com/strata-db/strata"
	"github.com/strata-db/strata/internal/base"
	"github.com/strata-db/strata/tools/comparers"
	"github.com/strata-db/strata/vfs"
)

// An Env is the world that commands run in. The zero value of each field is its
// default. One Env may serve several commands, one after the other.
type Env struct {
	// FS is where databases are. Default vfs.OS.
	FS vfs.FS

	// Comparers are orders of keys beside LevelDB's own and those of package
	// tools/comparers, found by name.
	Comparers []*strata.Comparer

	// Out gets results, Err notes for people that are no result. Default: they are
	// dropped.
	Out, Err io.Writer

	// In is what load reads from. Default: nothing.
	In io.Reader

	// Color marks what matters with the escape codes of terminals.
	Color bool

	// Progress, if set, is called now and then during long work, by one goroutine
	// at a time.
	Progress func(Progress)

	// Confirm asks a person whether to do what cannot be undone. Default: nobody is
	// there, and the commands that would ask want --yes.
	Confirm func(question string) (yes bool, err error)

	// Clock is what durations are taken with. Default: none are measured or shown.
	Clock func() time.Time
}

// Progress says how far a command has come.
type Progress struct {
	What        string // being worked at, e.g. a file name
	Done, Total int64  // bytes, or entries if Total is 0; Total 0 is unknown
}

// console is an Env in use by one command.
type console struct {
	Env
	outputFlags
	w *bufio.Writer

	progressMu sync.Mutex
}

func (e *Env) console(o outputFlags) *console {
	c := &console{Env: *e, outputFlags: o}
	if c.FS == nil {
		c.FS = vfs.OS
	}
	if c.Out == nil {
		c.Out = io.Discard
	}
	if c.Err == nil {
		c.Err = io.Discard
	}
	c.w = bufio.NewWriterSize(c.Out, 64<<10)
	return c
}

// order returns the order of that name, nil if it is not known.
func (c *console) order(name string) *base.Comparer {
	for _, o := range append([]*base.Comparer{base.Bytewise}, append(c.Comparers, comparers.All()...)...) {
		if o.Name == name {
			return o
		}
	}
	return nil
}

// printf writes to the result. A failed write shows at the end: see finish.
func (c *console) printf(format string, args ...any) { fmt.Fprintf(c.w, format, args...) }

// notef writes a line for people that is no result.
func (c *console) notef(format string, args ...any) {
	_ = c.w.Flush() // keeps the two in order on a terminal; finish reports a failure
	fmt.Fprintf(c.Err, format+"\n", args...)
}

// emit writes v as one line of JSON.
func (c *console) emit(v any) error {
	b, err := json.Marshal(v)
	if err != nil {
		return err
	}
	_, err = c.w.Write(append(b, '\n'))
	return err
}

func (c *console) progress(what string, done, total int64) {
	if c.Progress != nil {
		c.progressMu.Lock()
		defer c.progressMu.Unlock()
		c.Progress(Progress{What: what, Done: done, Total: total})
	}
}

// key returns a user key as this command prints it.
func (c *console) key(b []byte) string {
	if c.hex {
		return hex.EncodeToString(b)
	}
	return base.FormatKey(b)
}

// value returns a value as this command prints it.
func (c *console) value(b []byte) string {
	if c.hex {
		return hex.EncodeToString(b)
	}
	return formatText(b)
}

// internalKey returns k as this command prints it: key#seq,KIND.
func (c *console) internalKey(k base.InternalKey) string {
	if c.hex {
		return fmt.Sprintf("%x#%d,%s", k.UserKey, k.SeqNum(), k.Kind())
	}
	return k.String()
}

// entry returns an entry as this command prints it: key#seq,KIND:value.
func (c *console) entry(k base.InternalKey, value []byte) string {
	if k.Kind() == base.KindDelete && len(value) == 0 {
		return c.internalKey(k)
	}
	return c.internalKey(k) + ":" + c.value(value)
}

// The marks of terminals.
const (
	bold   = "1"
	red    = "31"
	green  = "32"
	yellow = "33"
)

// paint marks s for terminals, if colour is wanted.
func (c *console) paint(code, s string) string {
	if !c.Color || c.json {
		return s
	}
	return "\x1b[" + code + "m" + s + "\x1b[0m"
}
