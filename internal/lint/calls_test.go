package lint

import (
	"slices"
	"strings"
	"testing"
)

// An exception allows a directory or file to break a rule.
type exception struct{ path, reason string }

func excepted(list []exception, path string) bool {
	return slices.ContainsFunc(list, func(e exception) bool { return within(path, e.path) })
}

// TestExceptionsAreUsed finds exceptions for paths that are gone.
func TestExceptionsAreUsed(t *testing.T) {
	files := sources(t)
	for _, list := range [][]exception{fileCallExceptions, clockExceptions} {
		for _, e := range list {
			if e.reason == "" {
				t.Errorf("the exception for %s gives no reason", e.path)
			}
			if e.mayBeAbsent() {
				continue
			}
			if !slices.ContainsFunc(files, func(s *source) bool { return within(s.path, e.path) }) {
				t.Errorf("nothing lives at %s: remove its exception", e.path)
			}
		}
	}
}

// mayBeAbsent: whole rooms of the house may not be built yet.
func (e exception) mayBeAbsent() bool { return !strings.HasSuffix(e.path, ".go") }

// fileCallExceptions may call the operating system's files directly.
var fileCallExceptions = []exception{
	{"vfs", "it is the file system"},
	{"memtable/arena_map.go", "maps anonymous memory, no file"},
	{"cmd", "programs read and write what their user names on the command line"},
	{"examples", "programs"},
	{"bench", "reports, profiles and scratch directories are no database files"},
	{"internal/testcorpus", "tests read goldens and copy directories"},
}

// fileCalls are the functions that touch files.
var fileCalls = map[string][]string{
	"os": {"Open", "OpenFile", "OpenInRoot", "OpenRoot", "Create", "CreateTemp", "NewFile", "Remove", "RemoveAll", "Rename",
		"Mkdir", "MkdirAll", "MkdirTemp", "ReadFile", "WriteFile", "ReadDir", "DirFS", "CopyFS", "Stat", "Lstat", "Truncate",
		"Link", "Symlink", "Readlink", "Chmod", "Chown", "Chtimes", "SameFile"},
	"path/filepath":            {"Walk", "WalkDir", "Glob", "EvalSymlinks"},
	"io/ioutil":                {"ReadFile", "WriteFile", "ReadDir", "TempFile", "TempDir"},
	"syscall":                  {"Open", "Unlink", "Rename", "Ftruncate", "Mmap", "Fsync", "Flock", "FcntlFlock"},
	"golang.org/x/sys/unix":    {"Open", "Openat", "Unlink", "Rename", "Ftruncate", "Fallocate", "Mmap", "Munmap", "Fsync", "Fdatasync", "Flock", "FcntlFlock"},
	"golang.org/x/sys/windows": {"CreateFile", "DeleteFile", "MoveFile", "MoveFileEx", "LockFileEx", "FlushFileBuffers"},
}

// TestFilesGoThroughVFS keeps every byte of a database behind one interface, so
// that tests can lose, fail and count it.
func TestFilesGoThroughVFS(t *testing.T) {
	for _, s := range sources(t) {
		if s.isTest || excepted(fileCallExceptions, s.path) {
			continue
		}
		for pkg, names := range fileCalls {
			s.calls(pkg, func(name string, line int) {
				if slices.Contains(names, name) {
					t.Errorf("%s:%d: %s.%s: files are reached through vfs.FS, which tests replace", s.path, line, pkg, name)
				}
			})
		}
	}
}

// clockExceptions may read the clock directly.
var clockExceptions = []exception{
	{"background.go", "how long a job took, for its event"},
	{"compact.go", "how long a compaction took, for its event"},
	{"db.go", "age of leaked iterators and snapshots, for the log"},
	{"iter.go", "when an iterator was made, for the list of leaked ones"},
	{"metrics.go", "age of the oldest snapshot, uptime"},
	{"pace.go", "compactions wait in real time; tests run it in a synctest bubble, whose clock is fake"},
	{"recover.go", "how long the replay took, for its event"},
	{"snapshot.go", "when a snapshot was made, for metrics"},
	{"stall.go", "writers wait in real time; tests run it in a synctest bubble, whose clock is fake"},
	{"cmd", "programs show people the time"},
	{"examples", "programs"},
	{"bench", "measuring time is its purpose"},
	{"internal/metamorphic", "seeds and time limits of test runs"},
}

// TestClockIsASeam keeps time out of decisions, so that tests need no sleeping.
func TestClockIsASeam(t *testing.T) {
	for _, s := range sources(t) {
		if s.isTest || excepted(clockExceptions, s.path) || covered(s.pkg, testHelpers) {
			continue
		}
		s.calls("time", func(name string, line int) {
			if name == "Now" || name == "Since" || name == "Until" {
				t.Errorf("%s:%d: time.%s: take the time from a clock that is passed in, or list the file in clockExceptions with the reason", s.path, line, name)
			}
		})
	}
}

// TestNoSleepInTests: a test that sleeps is slow on good days and wrong on bad
// ones.
func TestNoSleepInTests(t *testing.T) {
	for _, s := range sources(t) {
		if !s.isTest {
			continue
		}
		s.calls("time", func(name string, line int) {
			if name == "Sleep" {
				t.Errorf("%s:%d: time.Sleep: wait for the event itself (a channel, WaitIdle), or use testing/synctest", s.path, line)
			}
		})
	}
}

// TestLibrariesDoNotPrint: a library talks through its results, its Logger and
// the io.Writer it is given.
func TestLibrariesDoNotPrint(t *testing.T) {
	for _, s := range sources(t) {
		if s.isTest || covered(s.pkg, []string{"cmd", "examples"}) {
			continue
		}
		s.calls("fmt", func(name string, line int) {
			if name == "Print" || name == "Printf" || name == "Println" {
				t.Errorf("%s:%d: fmt.%s: print to the io.Writer that is passed in", s.path, line, name)
			}
		})
		s.calls("os", func(name string, line int) {
			if name == "Stdout" || name == "Stderr" || name == "Exit" {
				t.Errorf("%s:%d: os.%s belongs to programs; return an error or take an io.Writer", s.path, line, name)
			}
		})
		if s.localName("log") != "" {
			t.Errorf("%s: package log writes to standard error and can end the process; use the slog.Logger of Options", s.path)
		}
	}
}
