package main

import (
	"errors"
	"flag"
	"strings"

	"github.com/spf13/cobra"

	"github.com/strata-db/strata/tools"
)

// newToolCmds returns the commands of package tools for the command line. Those of
// two words are put below a command of their first one.
func newToolCmds(env *tools.Env) []*cobra.Command {
	var cmds []*cobra.Command
	groups := make(map[string]*cobra.Command)
	for _, t := range tools.Commands() {
		first, second, nested := strings.Cut(t.Name, " ")
		if !nested {
			cmds = append(cmds, newToolCmd(t, first, env))
			continue
		}
		g := groups[first]
		if g == nil {
			g = &cobra.Command{
				Use: first, Short: groupShort[first], GroupID: groupOf(t), Args: cobra.NoArgs,
				RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
			}
			groups[first] = g
			cmds = append(cmds, g)
		}
		sub := newToolCmd(t, second, env)
		sub.GroupID = ""
		g.AddCommand(sub)
	}
	return cmds
}

// groupShort describes the commands that only hold others.
var groupShort = map[string]string{
	"manifest": "look into manifests",
	"sst":      "look into tables",
	"wal":      "look into logs",
}

// The groups in which help lists the commands.
const (
	groupLook  = "look"
	groupWrite = "write"
)

func groups() []*cobra.Group {
	return []*cobra.Group{
		{ID: groupLook, Title: "Commands that look, without lock and without writing:"},
		{ID: groupWrite, Title: "Commands that write:"},
	}
}

func groupOf(t *tools.Command) string {
	if t.Writes {
		return groupWrite
	}
	return groupLook
}

func newToolCmd(t *tools.Command, name string, env *tools.Env) *cobra.Command {
	fs := flag.NewFlagSet(t.Name, flag.ContinueOnError)
	run := t.Bind(fs)
	cmd := &cobra.Command{
		Use:     strings.TrimSpace(name + " " + t.Args),
		Short:   t.Short,
		Long:    strings.TrimSpace(t.Short + "\n\n" + t.Long),
		Example: "  " + strings.ReplaceAll(t.Example, "\n", "\n  "),
		GroupID: groupOf(t),
		RunE: func(cmd *cobra.Command, args []string) error {
			return run(cmd.Context(), env, args)
		},
	}
	cmd.Flags().AddGoFlagSet(fs)
	// Help shows a default as the command words it, not the number behind it.
	fs.VisitAll(func(f *flag.Flag) { cmd.Flags().Lookup(f.Name).DefValue = f.DefValue })
	return cmd
}

// usage makes an error of the command line one that gives exit status 2.
func usage(_ *cobra.Command, err error) error {
	if err == nil || errors.As(err, new(*tools.UsageError)) {
		return err
	}
	return &tools.UsageError{Text: err.Error()}
}

// unknownCommand does the same for a command that there is not, which cobra
// reports by its text alone.
func unknownCommand(err error) error {
	if err != nil && strings.HasPrefix(err.Error(), "unknown command") {
		return usage(nil, err)
	}
	return err
}
