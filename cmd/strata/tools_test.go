package main

import (
	"bytes"
	"context"
	"errors"
	"strings"
	"testing"

	"github.com/spf13/cobra"

	"github.com/strata-db/strata/tools"
)

// strata runs a command line and returns what it printed.
func strata(args ...string) (stdout string, err error) {
	var out bytes.Buffer
	env := &tools.Env{Out: &out, Err: &out}
	root := newRootCmd(env)
	root.SetOut(&out)
	root.SetErr(&out)
	root.SetArgs(args)
	err = unknownCommand(root.ExecuteContext(context.Background()))
	return out.String(), err
}

// TestToolsAreThere runs commands of both depths, with flags before and behind
// their arguments, and with arguments that are wrong.
func TestToolsAreThere(t *testing.T) {
	dir := t.TempDir() + "/db"
	for _, c := range []struct {
		args, want string
		usage      bool
	}{
		{"put " + dir + " --create k v", "", false},
		{"get " + dir + " k", "v\n", false},
		{"scan --json " + dir, `{"k":"6b","v":"76"}` + "\n", false},
		{"wal dump --keys " + dir, "k#1,SET", false},
		{"verify " + dir, "ok", false},
		{"help sst layout", "strata sst layout db/000005.ldb", false},
		{"help scan", "(default newest)", false}, // was the number behind it
		{"help scan", "(default all)", false},
		{"--version", "strata version ", false},
		{"sst", "strata sst [command]", false},
		{"sst frobnicate", "", true},
		{"frobnicate", "", true},
		{"scan", "", true},
		{"scan " + dir + " --nonsense", "", true},
		{"destroy " + dir, "", true},
	} {
		out, err := strata(strings.Fields(c.args)...)
		var u *tools.UsageError
		if !strings.Contains(out, c.want) || errors.As(err, &u) != c.usage || !c.usage && err != nil {
			t.Errorf("%s: %q, %v", c.args, out, err)
		}
	}
}

// TestEveryCommandHelps wants a short text and an example of each command.
func TestEveryCommandHelps(t *testing.T) {
	var walk func(c *cobra.Command)
	walk = func(c *cobra.Command) {
		for _, sub := range c.Commands() {
			if sub.Name() == "completion" || sub.Name() == "help" {
				continue
			}
			if sub.Short == "" || !sub.HasSubCommands() && sub.Example == "" {
				t.Errorf("%s has no example or no short text", sub.CommandPath())
			}
			walk(sub)
		}
	}
	walk(newRootCmd(&tools.Env{}))
}

// TestManAndCompletion checks that the manual has every command, in valid roff
// lines, and that completions can be made.
func TestManAndCompletion(t *testing.T) {
	man, err := strata("man")
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range tools.Commands() {
		if !strings.Contains(man, `.SS "strata `+strings.ReplaceAll(c.Name, "-", `\-`)+" ") {
			t.Errorf("%s is not in the manual", c.Name)
		}
	}
	for _, shell := range []string{"bash", "zsh", "fish", "powershell"} {
		if out, err := strata("completion", shell); err != nil || !strings.Contains(out, "strata") {
			t.Errorf("completion %s: %v", shell, err)
		}
	}
}
