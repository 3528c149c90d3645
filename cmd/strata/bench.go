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
		return &tools.UsageError{Text: err.Error()}
	case fs.NArg() > 0:
		return &tools.UsageError{Text: fmt.Sprintf("%q is no flag; benchmarks are named with --benchmarks=", fs.Arg(0))}
	}
	rep, err := benchmarks(cmd.Context(), env, onlyExports(fs), cfg)
	if rep == nil {
		return err
	}
	return errors.Join(err, x.write(rep, env.Out))
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

func (x *exports) write(rep *bench.Report, stdout io.Writer) error {
	return errors.Join(
		writeTo(x.json, stdout, rep.WriteJSON),
		writeTo(x.csv, stdout, rep.WriteCSV),
		writeTo(x.html, stdout, rep.WriteHTML))
}

// writeTo lets write fill the file of that name; none if it is empty.
func writeTo(name string, stdout io.Writer, write func(io.Writer) error) error {
	switch name {
	case "":
		return nil
	case "-":
		return write(stdout)
	}
	f, err := os.Create(name)
	if err != nil {
		return err
	}
	return errors.Join(write(f), f.Close())
}
