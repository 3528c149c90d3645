package tools

import (
	"errors"
	"io/fs"
	"strings"

	"github.com/strata-db/strata"
)

// An explained error has another text than its cause: one that says what is wrong
// with the argument.
type explained struct {
	text  string
	cause error
}

// Error returns the text.
func (e *explained) Error() string { return e.text }

// Unwrap returns the cause.
func (e *explained) Unwrap() error { return e.cause }

// explain says of an error what a person has to know, where the error of the system
// tells less: that the argument is not there, or is a file and not a directory, or is
// a directory with something else in it; of damage, in which database it is and what to
// do. err comes back as it is otherwise.
func (cmd *Command) explain(c *console, args []string, err error) error {
	if err == nil || len(args) == 0 || errors.As(err, new(*UsageError)) {
		return err
	}
	dir, create := args[0], ""
	if strings.HasPrefix(cmd.Args, "FILE|DIR") && errors.Is(err, strata.ErrNotExist) && len(args) == 1 {
		return &explained{dir + ": there is no database in this directory", err}
	}
	if !strings.HasPrefix(strings.Trim(cmd.Args, "[]"), "DIR") {
		return err
	}
	if cmd.Name == "put" || cmd.Name == "load" {
		create = "; --create makes one"
	}
	var input *strata.CorruptionError
	if errors.As(err, &input) && input.File == "" {
		return err // what load was given is damaged, no file of the database
	}
	info, statErr := c.FS.Stat(dir)
	switch {
	case dir == "":
		return &explained{"the name of the directory is empty", err}
	case errors.Is(statErr, fs.ErrNotExist):
		return &explained{dir + ": there is no such directory" + create, err}
	case statErr == nil && !info.IsDir():
		return &explained{dir + " is a file, and this wants the directory of a database; dump, wal, manifest and sst look into files", err}
	case statErr == nil && errors.Is(err, strata.ErrNotExist):
		return &explained{dir + ": there is no database in this directory" + create, err}
	case errors.Is(err, strata.ErrLocked):
		return &explained{dir + ": another program has it open; close it there, or use the commands that only look, which work beside it", err}
	case errors.Is(err, strata.ErrCorruption) || errors.Is(err, ErrDamaged):
		return &explained{withDir(dir, err) + cmd.afterDamage(dir), err}
	case errors.Is(err, strata.ErrNotDatabase):
		return &explained{withDir(dir, err), err}
	}
	return err
}

// withDir returns the text of err with the directory in it.
func withDir(dir string, err error) string {
	text := err.Error()
	if strings.Contains(" "+text, " "+dir+":") {
		return text
	}
	return dir + ": " + text
}

// afterDamage returns lines that say what to do about damage that ended a command.
// Those that look for damage, or mend it, have said more themselves.
func (cmd *Command) afterDamage(dir string) string {
	const next = "\n         -> strata "
	switch cmd.Name {
	case "doctor", "repair", "salvage":
		return ""
	case "verify":
		return next + "repair " + dir + " --dry-run"
	}
	return next + "verify " + dir + next + "repair " + dir + " --dry-run"
}
