package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/strata-db/strata/bench"
	"github.com/strata-db/strata/tools"
)

// newBenchCmd returns "strata bench". Its flags are db_bench's, which begin with
// one dash or two, so they are parsed by package flag and not by cobra.
func newBenchCmd(env *tools.Env) *cobra.Command {
	return &cobra.Command{
		Use:   "bench [flags]",
		Short: "measure the engine, in the manner of db_bench",
		Long:  benchLong(),
		Example: "  strata bench\n" +
			"  strata bench --benchmarks=fillrandom,readrandom[X3-W1] --num=1000000 --histogram=1\n" +
			"  strata bench --benchmarks=fillseq,ycsba,ycsbb --threads=4 --histogram=1 --html=report.html\n" +
			"  strata bench --html=report.html",
		DisableFlagParsing: true,
		RunE: func(cmd *cobra.Command, args []string) error {
			return runBench(cmd, env, args)
		},
	}
}

func benchLong() string {
	var b strings.Builder
	b.WriteString(`Without arguments, or with --html, --json and --csv alone: a short tour of a
temporary database (load, read, scan, mix) in 15 to 25 seconds, as a table. The
directory is removed at the end.

With flags: LevelDB's db_bench, its names, flags and output, with RocksDB's
fields behind the line. Flags are written -name=v or --name=v.

Every answer is checked; a wrong one makes the exit status 1.

Benchmarks:
`)
	for _, e := range bench.Catalog() {
		fmt.Fprintf(&b, "  %-23s %s\n", e[0], e[1])
	}
	b.WriteString("\nFlags:\n")
	fs, _, _ := benchFlags()
	fs.SetOutput(&b)
	fs.PrintDefaults()
	return strings.TrimSpace(b.String())
}

// exports are the files that the report is written to; "-" is standard output.
type exports struct{ json, csv, html string }

func benchFlags() (*flag.FlagSet, *bench.Config, *exports) {
	fs := flag.NewFlagSet("bench", flag.ContinueOnError)
	fs.SetOutput(io.Discard)
	c := bench.DefaultConfig()
	c.Flags(fs)
	x := new(exports)
	fs.StringVar(&x.json, "json", "", "`file` for the results as JSON; - is standard output")
	fs.StringVar(&x.csv, "csv", "", "`file` for the results as CSV")
	fs.StringVar(&x.html, "html", "", "`file` for a report with plots, in one page; of latencies, too, with --histogram")
	return fs, &c, x
}

func runBench(cmd *cobra.Command, env *tools.Env, args []string) error {
	fs, cfg, x := benchFlags()
	err := fs.Parse(args)
	switch {
	case errors.Is(err, flag.ErrHelp):
		return cmd.Help()
	case err != nil:
		return &tools.UsageError{Text: flagError(fs, err)}
	case fs.NArg() > 0:
		return &tools.UsageError{Text: fmt.Sprintf("%q is no flag; benchmarks are named with --benchmarks=", fs.Arg(0))}
	}
	files, err := x.create(env.Out)
	if err != nil {
		return err
	}
	defer files.close()
	rep, err := benchmarks(cmd.Context(), env, onlyExports(fs), cfg)
	if rep == nil {
		return err
	}
	return errors.Join(err, files.write(rep))
}

// flagError says what is wrong with the flags, and which one is near.
func flagError(fs *flag.FlagSet, err error) string {
	text := err.Error()
	name, unknown := strings.CutPrefix(text, "flag provided but not defined: -")
	if !unknown {
		return text
	}
	var names []string
	fs.VisitAll(func(f *flag.Flag) { names = append(names, f.Name) })
	text = fmt.Sprintf("no flag --%s; strata bench --help lists them", name)
	if near := bench.Nearest(name, names); near != "" {
		text = fmt.Sprintf("no flag --%s, did you mean --%s?", name, near)
	}
	return text
}

// onlyExports reports whether no flag was given but those that name files for the
// report.
func onlyExports(fs *flag.FlagSet) bool {
	only := true
	fs.Visit(func(f *flag.Flag) { only = only && slices.Contains([]string{"html", "json", "csv"}, f.Name) })
	return only
}

func benchmarks(ctx context.Context, env *tools.Env, quick bool, cfg *bench.Config) (*bench.Report, error) {
	if quick {
		*cfg = bench.QuickConfig()
	}
	cfg.Progress = isTerminal(os.Stderr)
	if quick {
		return bench.Quick(ctx, *cfg, env.Out, env.Err)
	}
	return bench.Run(ctx, *cfg, env.Out, env.Err)
}

// exportFiles are the files of an exports, open. They are created before anything
// runs: hours later would be a bad time to learn that it cannot be done.
type exportFiles struct{ json, csv, html io.Writer }

// create opens the files; a form without a name has none.
func (x *exports) create(stdout io.Writer) (*exportFiles, error) {
	files := new(exportFiles)
	for _, f := range []struct {
		name string
		w    *io.Writer
	}{{x.json, &files.json}, {x.csv, &files.csv}, {x.html, &files.html}} {
		switch f.name {
		case "":
		case "-":
			*f.w = stdout
		default:
			file, err := os.Create(f.name)
			if err != nil {
				return nil, errors.Join(err, files.close())
			}
			*f.w = file
		}
	}
	return files, nil
}

func (e *exportFiles) write(rep *bench.Report) (err error) {
	for _, form := range []struct {
		w     io.Writer
		write func(io.Writer) error
	}{{e.json, rep.WriteJSON}, {e.csv, rep.WriteCSV}, {e.html, rep.WriteHTML}} {
		if form.w != nil {
			err = errors.Join(err, form.write(form.w))
		}
	}
	return errors.Join(err, e.close())
}

// close closes the files; a second time it does nothing.
func (e *exportFiles) close() (err error) {
	for _, w := range []*io.Writer{&e.json, &e.csv, &e.html} {
		if f, ok := (*w).(*os.File); ok && f != os.Stdout {
			err = errors.Join(err, f.Close())
		}
		*w = nil
	}
	return err
}
