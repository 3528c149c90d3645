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
// a directory with something else in it. err comes back as it is otherwise.
func (cmd *Command) explain(c *console, args []string, err error) error {
	if err == nil || len(args) == 0 || errors.As(err, new(*UsageError)) || !strings.HasPrefix(strings.Trim(cmd.Args, "[]"), "DIR") {
		return err
	}
	dir, create := args[0], ""
	if cmd.Name == "put" || cmd.Name == "load" {
		create = "; --create makes one"
	}
	info, statErr := c.FS.Stat(dir)
	switch {
	case errors.Is(statErr, fs.ErrNotExist):
		return &explained{dir + ": there is no such directory" + create, err}
	case statErr == nil && !info.IsDir():
		return &explained{dir + " is a file, and this wants the directory of a database; dump, wal, manifest and sst look into files", err}
	case statErr == nil && errors.Is(err, strata.ErrNotExist):
		return &explained{dir + ": there is no database in this directory" + create, err}
	}
	return err
}
