package main

import (
	"fmt"
	"io"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

// newManCmd prints the manual page, made of what help says.
func newManCmd() *cobra.Command {
	return &cobra.Command{
		Use:     "man",
		Short:   "print the manual page",
		Example: "  strata man | man -l -\n  strata man > /usr/local/share/man/man1/strata.1",
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return writeMan(cmd.OutOrStdout(), cmd.Root())
		},
	}
}

// writeMan writes one page in the roff macros of man(7) for root and all below it.
func writeMan(w io.Writer, root *cobra.Command) error {
	m := &manPage{}
	m.macro("TH", "STRATA", "1", "", "strata", "User Commands")
	m.macro("SH", "NAME")
	m.text("strata - " + root.Short)
	m.macro("SH", "SYNOPSIS")
	m.text("strata COMMAND [--flag...] [argument...]")
	m.macro("SH", "DESCRIPTION")
	m.text("Commands that look take no lock, write nothing, and work beside a live writer. " +
		"Keys and values are text in which \\xNN is a byte; hex:6162 is bytes in hex, raw:text is text as it stands. " +
		"With --json each command prints JSON, keys and values in hex.")
	m.macro("SH", "COMMANDS")
	m.commands(root)
	m.macro("SH", "EXIT STATUS")
	m.text("0 if all went well, 1 if something was not found, is damaged or could not be done, 2 if the command line is wrong.")
	_, err := io.WriteString(w, m.b.String())
	return err
}

type manPage struct{ b strings.Builder }

// macro writes a request with quoted arguments.
func (m *manPage) macro(name string, args ...string) {
	m.b.WriteString("." + name)
	for _, a := range args {
		m.b.WriteString(` "` + strings.ReplaceAll(escapeRoff(a), `"`, `\(dq`) + `"`)
	}
	m.b.WriteByte('\n')
}

// text writes lines of text.
func (m *manPage) text(s string) {
	for line := range strings.Lines(s) {
		line = escapeRoff(strings.TrimRight(line, "\n"))
		if strings.HasPrefix(line, ".") || strings.HasPrefix(line, "'") {
			line = `\&` + line
		}
		m.b.WriteString(line + "\n")
	}
}

func escapeRoff(s string) string {
	return strings.NewReplacer(`\`, `\e`, "-", `\-`).Replace(s)
}

// commands writes a section for every command that does something itself.
func (m *manPage) commands(c *cobra.Command) {
	for _, sub := range c.Commands() {
		if sub.Hidden || sub.Name() == "help" || sub.Name() == "completion" {
			continue
		}
		if sub.Runnable() && !sub.HasSubCommands() {
			m.command(sub)
		}
		m.commands(sub)
	}
}

func (m *manPage) command(c *cobra.Command) {
	_, rest, _ := strings.Cut(c.Use, " ")
	m.macro("SS", strings.TrimSpace(c.CommandPath()+" "+rest))
	text := c.Long
	if text == "" {
		text = c.Short
	}
	m.text(text)
	c.LocalFlags().VisitAll(func(f *pflag.Flag) {
		if f.Hidden || f.Name == "help" {
			return
		}
		kind, usage := pflag.UnquoteUsage(f)
		m.macro("TP")
		m.text(strings.TrimSpace(fmt.Sprintf("--%s %s", f.Name, kind)))
		m.text(usage)
	})
	if c.Example != "" {
		m.macro("PP")
		m.text("Example:")
		m.macro("nf")
		m.text(c.Example)
		m.macro("fi")
	}
}
