package version_test

import (
	"errors"
	"io"
	"slices"
	"sync/atomic"
	"syscall"
	"testing"

	"github.com/strata-db/strata/internal/base"
	"github.com/strata-db/strata/version"
	"github.com/strata-db/strata/vfs"
)

// A faultFS fails chosen calls among those that change or sync something. They are
// counted from 1.
type faultFS struct {
	vfs.FS
	n    atomic.Int64
	fail func(n int64) fault
}

// A fault is what becomes of one call.
type fault int

const (
	works fault = iota
	failsBefore
	failsAfter // it has its effect and reports an error all the same
)

var errFault = errors.Join(errors.New("injected fault"), syscall.EIO)

func (f *faultFS) do(call func() error) error {
	what := works
	if n := f.n.Add(1); f.fail != nil {
		what = f.fail(n)
	}
	if what == failsBefore {
		return errFault
	}
	err := call()
	if err == nil && what == failsAfter {
		err = errFault
	}
	return err
}

func (f *faultFS) Create(name string) (file vfs.File, err error) {
	err = f.do(func() error { file, err = f.FS.Create(name); return err })
	return &faultFile{file, f}, err
}

func (f *faultFS) CreateAppend(name string, o vfs.AppendOptions) (file vfs.AppendFile, err error) {
	err = f.do(func() error { file, err = f.FS.CreateAppend(name, o); return err })
	if err != nil {
		return nil, err
	}
	return &faultAppend{file, f}, nil
}

func (f *faultFS) Remove(name string) error { return f.do(func() error { return f.FS.Remove(name) }) }
func (f *faultFS) Rename(a, b string) error { return f.do(func() error { return f.FS.Rename(a, b) }) }
func (f *faultFS) SyncDir(d string) error   { return f.do(func() error { return f.FS.SyncDir(d) }) }
func (f *faultFS) MkdirAll(d string) error  { return f.do(func() error { return f.FS.MkdirAll(d) }) }

type faultFile struct {
	vfs.File
	fs *faultFS
}

func (f *faultFile) Write(p []byte) (n int, err error) {
	err = f.fs.do(func() error { n, err = f.File.Write(p); return err })
	return n, err
}

func (f *faultFile) Sync() error { return f.fs.do(f.File.Sync) }

type faultAppend struct {
	vfs.AppendFile
	fs *faultFS
}

func (f *faultAppend) Append(p []byte) error {
	return f.fs.do(func() error { return f.AppendFile.Append(p) })
}

func (f *faultAppend) Sync() error { return f.fs.do(f.AppendFile.Sync) }

// write makes a file, synced, in a synced directory.
func write(tb testing.TB, fs vfs.FS, dir, name string, content string) {
	tb.Helper()
	f, err := fs.Create(dir + "/" + name)
	if err == nil {
		_, err = io.WriteString(f, content)
	}
	if err == nil {
		err = errors.Join(f.Sync(), f.Close(), fs.SyncDir(dir))
	}
	if err != nil {
		tb.Fatal(err)
	}
}

// read returns the content of a file.
func read(tb testing.TB, fs vfs.FS, path string) []byte {
	tb.Helper()
	f, err := fs.Open(path)
	if err != nil {
		tb.Fatal(err)
	}
	defer f.Close()
	size, err := f.Size()
	if err != nil {
		tb.Fatal(err)
	}
	b := make([]byte, size)
	if n, err := f.ReadAt(b, 0); n < len(b) {
		tb.Fatal(err)
	}
	return b
}

func names(tb testing.TB, fs vfs.FS, dir string) []string {
	tb.Helper()
	list, err := fs.List(dir)
	if err != nil {
		tb.Fatal(err)
	}
	slices.Sort(list)
	return list
}

// tree returns the drawing of the current version.
func tree(s *version.Set) string {
	v := s.Current()
	defer v.Unref()
	return v.DebugString()
}

func file(tb testing.TB, text string) *version.FileMeta {
	tb.Helper()
	f, err := version.ParseFile(text)
	if err != nil {
		tb.Fatal(err)
	}
	return f
}

func must(tb testing.TB, err error) {
	tb.Helper()
	if err != nil {
		tb.Fatal(err)
	}
}

func mustLoad(tb testing.TB, o version.Options) *version.Set {
	tb.Helper()
	s, err := version.Load(o)
	must(tb, err)
	return s
}

func mustCreate(tb testing.TB, o version.Options, upgraded bool) *version.Set {
	tb.Helper()
	s, err := version.Create(o, upgraded)
	must(tb, err)
	return s
}

func num(n base.FileNum) *base.FileNum { return &n }
