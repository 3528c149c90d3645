// Command strata looks into databases in LevelDB's format, checks, repairs and
// measures them. "strata help" lists what it can do.
package main

import (
	"context"
	"fmt"
	"os"
	"os/signal"
	"runtime/debug"
	"syscall"

	"github.com/spf13/cobra"

	"github.com/strata-db/strata/tools"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	context.AfterFunc(ctx, stop) // a second interrupt ends the process
	env := newEnv()
	err := unknownCommand(newRootCmd(env).ExecuteContext(ctx))
	fmt.Fprint(env.Err) // takes progress away
	os.Exit(tools.Report(env.Err, err))
}

func newRootCmd(env *tools.Env) *cobra.Command {
	root := &cobra.Command{
		Use:           "strata",
		Short:         "look into databases in LevelDB's format, check, repair and measure them",
		SilenceErrors: true,
		SilenceUsage:  true,
		Version:       version(),
	}
	root.AddGroup(groups()...)
	root.SetFlagErrorFunc(usage)
	root.AddCommand(newToolCmds(env)...)
	root.AddCommand(newBenchCmd(env), newManCmd())
	return root
}

// version is that of the module, or "(devel)" where it was built in a checkout
// that knows none.
func version() string {
	if info, ok := debug.ReadBuildInfo(); ok && info.Main.Version != "" {
		return info.Main.Version
	}
	return "(devel)"
}
