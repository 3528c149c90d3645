package main

import (
	"bytes"
	"context"
	"embed"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
)

// cppSources are LevelDB's and RocksDB's side of the comparison: a program that
// runs the same workloads. It is compiled when it is wanted, against the
// system's libraries (Debian: libleveldb-dev, librocksdb-dev).
//
//go:embed cpp
var cppSources embed.FS

// A native is the compiled program of an engine in C++.
type native struct {
	path    string
	version string // of the library
}

// compile builds the program name from files of cpp, with libraries, into dir and
// returns its path. All of it is done before anything is timed.
func compile(ctx context.Context, dir, name string, files []string, libraries ...string) (string, error) {
	gxx, err := exec.LookPath("g++")
	if err != nil {
		return "", err
	}
	src := filepath.Join(dir, "cpp")
	if _, err := os.Stat(src); err != nil {
		if err := os.CopyFS(dir, cppSources); err != nil {
			return "", err
		}
	}
	path := filepath.Join(dir, name)
	args := []string{"-std=c++17", "-O2", "-DNDEBUG", "-o", path}
	for _, f := range files {
		args = append(args, filepath.Join(src, f))
	}
	for _, l := range libraries {
		args = append(args, "-l"+l)
	}
	if out, err := exec.CommandContext(ctx, gxx, append(args, "-pthread")...).CombinedOutput(); err != nil {
		return "", fmt.Errorf("g++: %w: %s", err, lastLines(string(out), 1))
	}
	return path, nil
}

var errNoEngine = errors.New("no engine is left to run")

// buildNatives compiles the programs of the chosen engines that need one. An
// engine that cannot be built is left out, with a note: its library is missing.
func (c *config) buildNatives() error {
	c.natives = make(map[string]native)
	c.engines = slices.DeleteFunc(c.engines, func(e engine) bool {
		if !e.native {
			return false
		}
		path, err := compile(c.ctx, c.dir, e.name, []string{"main.cc", e.name + ".cc"}, e.name)
		if err != nil {
			fmt.Fprintf(c.log, "%s is left out (it needs g++ and %s): %v\n", e.name, e.module, err)
			return true
		}
		version, err := exec.CommandContext(c.ctx, path, "version").Output()
		if err != nil {
			fmt.Fprintf(c.log, "%s is left out: %v\n", e.name, err)
			return true
		}
		c.natives[e.name] = native{path, string(bytes.TrimSpace(version))}
		return false
	})
	if len(c.engines) == 0 {
		return errNoEngine
	}
	return nil
}

// command is the child that runs s: this program again, or that of an engine in
// C++.
func (c *config) command(ctx context.Context, s spec, arg string) (*exec.Cmd, error) {
	if n, ok := c.natives[s.Engine]; ok {
		return exec.CommandContext(ctx, n.path, s.Workload, s.Dir, strconv.Itoa(s.Num), strconv.Itoa(s.Reads),
			strconv.FormatUint(s.Seed, 10), strconv.Itoa(s.Repeat)), nil
	}
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	cmd := exec.CommandContext(ctx, self)
	cmd.Env = append(os.Environ(), childEnv+"="+arg)
	return cmd, nil
}

// versions returns the versions of the engines, by name.
func (c *config) versions() map[string]string {
	out := make(map[string]string)
	modules := moduleVersions()
	for _, e := range c.engines {
		out[e.name] = modules[e.module]
		if n, ok := c.natives[e.name]; ok {
			out[e.name] = n.version + ", C++, " + strings.TrimSuffix(e.module, "-dev")
		}
	}
	return out
}
