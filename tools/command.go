package tools

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"slices"
	"strings"
)

// A Command is one command of the tool: a description, and what Bind makes of it.
type Command struct {
	Name    string // one or two words, e.g. "sst layout"
	Args    string // what follows, e.g. "DIR KEY"
	Short   string // what it does, in a line
	Long    string // what else there is to know
	Example string // command lines, one a line
	Writes  bool   // it changes the database

	least, most int // number of arguments; most < 0 is any number
	make        func() action
}

// An action is one use of a command.
type action interface {
	// flags declares what the command understands.
	flags(fs *flag.FlagSet)
	// run does it. args are as many as the Command says.
	run(ctx context.Context, c *console, args []string) error
}

// outputFlags are understood by every command.
type outputFlags struct{ json, hex bool }

// Bind declares the flags of the command in fs and returns a function that, after
// fs was parsed, runs the command with the arguments that were no flags.
//
// Errors are for the caller to print; errors.As finds a *UsageError where the
// command line was wrong.
func (c *Command) Bind(fs *flag.FlagSet) func(ctx context.Context, e *Env, args []string) error {
	var o outputFlags
	fs.BoolVar(&o.json, "json", false, "print JSON, keys and values in hex")
	fs.BoolVar(&o.hex, "hex", false, "print keys and values in hex")
	a := c.make()
	a.flags(fs)
	return func(ctx context.Context, e *Env, args []string) error {
		if len(args) < c.least || c.most >= 0 && len(args) > c.most {
			return usagef("usage: %s", strings.TrimSpace(c.Name+" "+c.Args))
		}
		con := e.console(o)
		err := c.explain(con, args, a.run(ctx, con, args))
		if cause := context.Cause(ctx); cause != nil && errors.Is(err, context.Canceled) {
			err = cause // says who ended it
		}
		if flushErr := con.w.Flush(); err == nil {
			err = flushErr
		}
		return err
	}
}

// A UsageError says what is wrong with a command line.
type UsageError struct{ Text string }

// Error returns the text.
func (e *UsageError) Error() string { return e.Text }

func usagef(format string, args ...any) error { return &UsageError{fmt.Sprintf(format, args...)} }

// ErrDamaged is in the error of a command that found damage and has shown what
// can be read in spite of it.
var ErrDamaged = errors.New("damage found")

// Commands returns the commands, in the order in which help lists them.
func Commands() []*Command {
	return slices.Concat(readCommands, treeCommands, inspectCommands, checkCommands, dumpCommands, walCommands, manifestCommands, sstCommands, writeCommands, repairCommands)
}

// Find returns the command that args begin with, and the rest of args.
func Find(args []string) (*Command, []string, bool) {
	for n := min(2, len(args)); n > 0; n-- {
		name := strings.Join(args[:n], " ")
		for _, c := range Commands() {
			if c.Name == name {
				return c, args[n:], true
			}
		}
	}
	return nil, args, false
}

// The results of Main.
const (
	ExitOK     = 0
	ExitFailed = 1 // not found, damaged, or it could not be done
	ExitUsage  = 2
)

// Main runs the command that args name, prints what goes wrong to env.Err, and
// returns the exit status. "help" lists the commands, "help COMMAND" describes one.
func Main(ctx context.Context, env Env, args []string) int {
	con := env.console(outputFlags{})
	stderr := con.Err
	if len(args) > 0 && slices.Contains([]string{"help", "-h", "-help", "--help"}, args[0]) {
		if _, _, ok := Find(args[1:]); !ok {
			printHelp(con.Out)
			return ExitOK
		}
		args = append(slices.Clone(args[1:]), "--help")
	}
	cmd, rest, ok := Find(args)
	if !ok && len(args) > 0 {
		n := 1
		if slices.ContainsFunc(Commands(), func(c *Command) bool { return strings.HasPrefix(c.Name, args[0]+" ") }) {
			n = min(len(args), 2)
		}
		fmt.Fprintf(stderr, "strata: there is no command %q\n", strings.Join(args[:n], " "))
	}
	if !ok {
		printHelp(stderr)
		return ExitUsage
	}
	fs := flag.NewFlagSet(cmd.Name, flag.ContinueOnError)
	fs.SetOutput(stderr)
	fs.Usage = func() { cmd.help(stderr, fs) }
	run := cmd.Bind(fs)
	rest, err := parseMixed(fs, rest)
	switch {
	case errors.Is(err, flag.ErrHelp):
		return ExitOK
	case err != nil:
		return ExitUsage // printed by fs
	}
	return Report(stderr, run(ctx, &env, rest))
}

// Report prints err, if it is one, to w and returns the exit status for it.
func Report(w io.Writer, err error) int {
	if err == nil {
		return ExitOK
	}
	// The causes of an error begin with the package's name, too.
	text := strings.ReplaceAll(err.Error(), ": strata: ", ": ")
	fmt.Fprintln(w, "strata:", strings.TrimPrefix(text, "strata: "))
	if u := (*UsageError)(nil); errors.As(err, &u) {
		return ExitUsage
	}
	return ExitFailed
}

// parseMixed parses flags that may stand before, between and behind arguments,
// which it returns. All behind "--" are arguments.
func parseMixed(fs *flag.FlagSet, args []string) (rest []string, err error) {
	var literal []string
	if i := slices.Index(args, "--"); i >= 0 {
		args, literal = args[:i], args[i+1:]
	}
	for len(args) > 0 {
		if err := fs.Parse(args); err != nil {
			return nil, err
		}
		if args = fs.Args(); len(args) > 0 {
			rest, args = append(rest, args[0]), args[1:]
		}
	}
	return append(rest, literal...), nil
}

func (c *Command) help(w io.Writer, fs *flag.FlagSet) {
	fmt.Fprintf(w, "%s\n\nUsage:\n  %s [flags] %s\n", c.Short, c.Name, c.Args)
	if c.Long != "" {
		fmt.Fprintf(w, "\n%s\n", c.Long)
	}
	if c.Example != "" {
		fmt.Fprintf(w, "\nExample:\n  %s\n", strings.ReplaceAll(c.Example, "\n", "\n  "))
	}
	fmt.Fprintln(w, "\nFlags:")
	fs.PrintDefaults()
}

func printHelp(w io.Writer) {
	fmt.Fprintln(w, "Commands:")
	for _, c := range Commands() {
		fmt.Fprintf(w, "  %-20s %s\n", c.Name, c.Short)
	}
}
