package lint

import (
	"os/exec"
	"slices"
	"strings"
	"testing"
)

// rows is the layer table, top row first. A package may import packages of
// lower rows only. An entry covers the packages below its directory that have no
// entry of their own. docs/design.md draws the same table.
var rows = [][]string{
	{"cmd", "examples"},
	{"server", "bench", "tools", "internal/metamorphic"},
	{"."},
	{"compaction", "internal/tablecache"},
	{"version", "memtable", "sstable", "wal"},
	{"sstable/block", "internal/batch", "wal/record"},
	{"iterator"},
	{"internal/base"},
	{"vfs", "internal/cache", "internal/checksum"},
}

// everyone may be imported from anywhere.
var everyone = []string{"internal/invariant"}

// testHelpers are imported by test files only, and may import anything.
var testHelpers = []string{"internal/testcorpus", "internal/lint", "iterator/itertest"}

// publicOnly are packages that use the engine as a user would: the root and the
// public file system, nothing else of the module.
var publicOnly = []string{"server", "bench", "examples"}

// rowOf returns the entry of the table that covers pkg and its height.
func rowOf(pkg string) (entry string, height int, ok bool) {
	for i, row := range rows {
		for _, e := range row {
			covers := e == pkg || (e != "." && within(pkg, e))
			if covers && (!ok || len(e) > len(entry)) {
				entry, height, ok = e, len(rows)-1-i, true
			}
		}
	}
	return entry, height, ok
}

// covered reports whether one of dirs is pkg or holds it.
func covered(pkg string, dirs []string) bool {
	return slices.ContainsFunc(dirs, func(d string) bool { return within(pkg, d) })
}

// modulePackage returns the directory of an import path of this module.
func modulePackage(importPath string) (pkg string, ok bool) {
	if importPath == module {
		return ".", true
	}
	return strings.CutPrefix(importPath, module+"/")
}

// wrongArrow says what is wrong with from importing to, empty if nothing is.
func wrongArrow(from, to string) string {
	fromRow, fromHeight, ok := rowOf(from)
	if !ok {
		return "package " + from + " is in no row of the layer table: give it one in internal/lint and docs/design.md"
	}
	toRow, toHeight, ok := rowOf(to)
	switch {
	case covered(to, testHelpers):
		return to + " is for test files"
	case !ok:
		return "package " + to + " is in no row of the layer table"
	case fromRow == toRow && fromRow != ".":
		return "" // inside one directory tree
	case covered(from, publicOnly) && to != "." && to != "vfs":
		return from + " uses the public API only (the root package and vfs)"
	case toHeight == fromHeight:
		return "both are in one row; move what they share into a lower one, or pass a func"
	case toHeight > fromHeight:
		return "that points upward; let the lower package declare a func or one-method interface"
	}
	return ""
}

// TestLayers keeps the imports pointing downward.
func TestLayers(t *testing.T) {
	for _, s := range sources(t) {
		if s.isTest || covered(s.pkg, testHelpers) {
			continue
		}
		if covered(s.pkg, everyone) {
			for _, imp := range s.imports() {
				if to, ok := modulePackage(imp); ok {
					t.Errorf("%s: %s -> %s: a package that everyone may import imports none of us", s.path, s.pkg, to)
				}
			}
			continue
		}
		if _, _, ok := rowOf(s.pkg); !ok {
			t.Errorf("%s: package %s is in no row of the layer table: give it one in internal/lint and docs/design.md", s.path, s.pkg)
			continue
		}
		for _, imp := range s.imports() {
			to, ok := modulePackage(imp)
			if !ok || covered(to, everyone) {
				continue
			}
			if why := wrongArrow(s.pkg, to); why != "" {
				t.Errorf("%s: %s -> %s: %s", s.path, s.pkg, to, why)
			}
		}
	}
}

// TestLayerRuleSeesWrongArrows shows the rule arrows that it must refuse, and
// some it must not.
func TestLayerRuleSeesWrongArrows(t *testing.T) {
	for _, a := range []struct {
		from, to string
		allowed  bool
	}{
		{"sstable", "sstable/block", true},
		{"compaction", "sstable", true},
		{".", "compaction", true},
		{"cmd/strata", "tools", true},
		{"tools", "wal/record", true},
		{"bench", "vfs", true},
		{"bench/report", "bench", true},
		{"sstable/block", "sstable", false},
		{"memtable", "wal", false},
		{"internal/cache", "internal/base", false},
		{"iterator", "version", false},
		{"server", "wal", false},
		{"server", "bench", false},
		{"sstable", ".", false},
		{"sstable", "internal/testcorpus", false},
		{"sstable", "surprise", false},
		{"surprise", "vfs", false},
	} {
		if why := wrongArrow(a.from, a.to); (why == "") != a.allowed {
			t.Errorf("%s -> %s: allowed %v, want %v (%s)", a.from, a.to, why == "", a.allowed, why)
		}
	}
}

// rootModules are the modules that a program gets by importing the root package.
var rootModules = []string{
	module,
	"github.com/golang/snappy",
	"github.com/klauspost/compress",
	"github.com/bits-and-blooms/bloom/v3",
	"github.com/bits-and-blooms/bitset",
	"golang.org/x/sys",
}

// TestRootDependencies keeps the list of modules behind the root package short,
// on every system that is built for.
func TestRootDependencies(t *testing.T) {
	goTool, err := exec.LookPath("go")
	if err != nil {
		t.Skip("no go command in PATH")
	}
	for _, system := range []string{"linux/amd64", "darwin/arm64", "windows/amd64"} {
		goos, goarch, _ := strings.Cut(system, "/")
		cmd := exec.Command(goTool, "list", "-deps", "-f", "{{with .Module}}{{.Path}}{{end}}", module)
		cmd.Dir = repoRoot(t)
		cmd.Env = append(cmd.Environ(), "GOOS="+goos, "GOARCH="+goarch, "CGO_ENABLED=0")
		out, err := cmd.Output()
		if err != nil {
			t.Fatalf("%s: go list: %v", system, err)
		}
		for _, m := range slices.Compact(slices.Sorted(strings.FieldsSeq(string(out)))) {
			if !slices.Contains(rootModules, m) {
				t.Errorf("%s: the root package depends on %s; only %v may come with it", system, m, rootModules[1:])
			}
		}
	}
}
