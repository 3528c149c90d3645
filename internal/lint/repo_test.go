package lint

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// module is the import path of the repository's root package.
const module = "github.com/strata-db/strata"

// A source is one Go file of the main module.
type source struct {
	path   string // slash path below the repository root
	pkg    string // its directory, "." for the root package
	isTest bool
	fset   *token.FileSet
	file   *ast.File
	text   string
}

// imports returns the import paths of the file.
func (s *source) imports() []string {
	var paths []string
	for _, spec := range s.file.Imports {
		p, err := strconv.Unquote(spec.Path.Value)
		if err == nil {
			paths = append(paths, p)
		}
	}
	return paths
}

// localName is the name under which the file imports path, empty if it does not.
func (s *source) localName(path string) string {
	for _, spec := range s.file.Imports {
		if spec.Path.Value != strconv.Quote(path) {
			continue
		}
		if spec.Name != nil {
			return spec.Name.Name
		}
		return path[strings.LastIndex(path, "/")+1:]
	}
	return ""
}

// line is the line of a node.
func (s *source) line(n ast.Node) int { return s.fset.Position(n.Pos()).Line }

func repoRoot(t *testing.T) string {
	t.Helper()
	dir, err := filepath.Abs(filepath.Join("..", ".."))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(filepath.Join(dir, "go.mod")); err != nil {
		t.Fatalf("no go.mod above internal/lint: %v", err)
	}
	return dir
}

// walk calls fn for every regular file of the repository, with its slash path
// below the root. Hidden directories except .ci, testdata and vendor trees are
// left out.
func walk(t *testing.T, fn func(rel, abs string)) {
	t.Helper()
	root := repoRoot(t)
	err := filepath.WalkDir(root, func(abs string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		name := d.Name()
		if d.IsDir() {
			hidden := strings.HasPrefix(name, ".") && name != ".ci"
			if abs != root && (hidden || name == "testdata" || name == "vendor") {
				return filepath.SkipDir
			}
			return nil
		}
		rel, err := filepath.Rel(root, abs)
		if err != nil {
			return err
		}
		if d.Type().IsRegular() {
			fn(filepath.ToSlash(rel), abs)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

// nested lists the directories that are modules of their own.
func nested(t *testing.T) []string {
	t.Helper()
	var dirs []string
	walk(t, func(rel, _ string) {
		if path.Base(rel) == "go.mod" && rel != "go.mod" {
			dirs = append(dirs, path.Dir(rel))
		}
	})
	return dirs
}

// sources parses every Go file of the main module, whatever system it is for.
func sources(t *testing.T) []*source {
	t.Helper()
	modules := nested(t)
	var all []*source
	walk(t, func(rel, abs string) {
		if path.Ext(rel) != ".go" || slices.ContainsFunc(modules, func(m string) bool { return within(rel, m) }) {
			return
		}
		text, err := os.ReadFile(abs)
		if err != nil {
			t.Fatal(err)
		}
		s := &source{path: rel, pkg: path.Dir(rel), isTest: strings.HasSuffix(rel, "_test.go"), fset: token.NewFileSet(), text: string(text)}
		s.file, err = parser.ParseFile(s.fset, abs, text, parser.ParseComments|parser.SkipObjectResolution)
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, s)
	})
	if len(all) == 0 {
		t.Fatal("no Go files found")
	}
	return all
}

// within reports whether name is dir or below it.
func within(name, dir string) bool { return name == dir || strings.HasPrefix(name, dir+"/") }

// calls yields every selector expression pkg.Name of the file in which pkg is
// the name of the import importPath.
func (s *source) calls(importPath string, fn func(name string, line int)) {
	local := s.localName(importPath)
	if local == "" {
		return
	}
	ast.Inspect(s.file, func(n ast.Node) bool {
		if sel, ok := n.(*ast.SelectorExpr); ok {
			if id, ok := sel.X.(*ast.Ident); ok && id.Name == local {
				fn(sel.Sel.Name, s.line(sel))
			}
		}
		return true
	})
}
