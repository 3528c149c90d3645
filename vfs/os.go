package vfs

import (
	"fmt"
	"io"
	"io/fs"
	"os"
)

// OS is the file system of the operating system. Its names are paths in the
// system's own form; relative ones start at the working directory.
//
// On Linux, CreateAppend gives a mapped handle where that is safe, Sync is
// fdatasync, and Lock excludes LevelDB as well as programs that use flock.
var OS FS = osFS{}

const (
	filePerm = 0o644
	dirPerm  = 0o755
)

type osFS struct{}

func (osFS) String() string { return "os" }

func (osFS) Create(name string) (File, error) {
	f, err := os.OpenFile(name, os.O_RDWR|os.O_CREATE|os.O_TRUNC, filePerm)
	if err != nil {
		return nil, err
	}
	return osFile{f}, nil
}

func (osFS) Open(name string) (File, error) {
	f, err := os.Open(name)
	if err != nil {
		return nil, err
	}
	return osFile{f}, nil
}

func (osFS) CreateAppend(name string, o AppendOptions) (AppendFile, error) {
	o = o.withDefaults()
	f, err := os.OpenFile(name, os.O_RDWR|os.O_CREATE|os.O_TRUNC, filePerm)
	if err != nil {
		return nil, err
	}
	a, err := newAppendFile(f, o)
	if err != nil {
		_ = f.Close()
		_ = os.Remove(name)
		return nil, err
	}
	return a, nil
}

func (osFS) Truncate(name string, size int64) error {
	f, err := os.OpenFile(name, os.O_RDWR, 0)
	if err != nil {
		return err
	}
	err = f.Truncate(size)
	if err == nil {
		err = syncData(f)
	}
	if cerr := f.Close(); err == nil {
		err = cerr
	}
	return err
}

func (osFS) Remove(name string) error { return os.Remove(name) }

func (osFS) Rename(oldname, newname string) error { return rename(oldname, newname) }

func (osFS) Link(oldname, newname string) error { return os.Link(oldname, newname) }

func (osFS) MkdirAll(dir string) error { return os.MkdirAll(dir, dirPerm) }

func (osFS) List(dir string) ([]string, error) {
	d, err := os.Open(dir)
	if err != nil {
		return nil, err
	}
	names, err := d.Readdirnames(-1)
	if cerr := d.Close(); err == nil {
		err = cerr
	}
	return names, err
}

func (osFS) Stat(name string) (fs.FileInfo, error) { return os.Stat(name) }

func (osFS) SyncDir(dir string) error { return syncDir(dir) }

func (osFS) Lock(name string, shared bool) (io.Closer, error) { return lockFile(name, shared) }

func (osFS) Usage(dir string) (DiskUsage, error) { return usage(dir) }

// osFile is a File of the operating system. Reads are pread, so that any number
// of goroutines can read at once.
type osFile struct {
	f *os.File
}

func (f osFile) ReadAt(p []byte, off int64) (int, error) { return f.f.ReadAt(p, off) }
func (f osFile) Write(p []byte) (int, error)             { return f.f.Write(p) }
func (f osFile) Close() error                            { return f.f.Close() }
func (f osFile) Sync() error                             { return syncData(f.f) }

func (f osFile) Size() (int64, error) {
	fi, err := f.f.Stat()
	if err != nil {
		return 0, err
	}
	return fi.Size(), nil
}

// Defaults of AppendOptions.
const (
	defaultInitialBytes = 256 << 10
	defaultMaxStepBytes = 64 << 20
)

// withDefaults returns o with every field set.
func (o AppendOptions) withDefaults() AppendOptions {
	if o.InitialBytes <= 0 {
		o.InitialBytes = defaultInitialBytes
	}
	if o.MaxStepBytes <= 0 {
		o.MaxStepBytes = defaultMaxStepBytes
	}
	o.MaxStepBytes = max(o.MaxStepBytes, o.InitialBytes)
	return o
}

func (m AppendMode) String() string {
	switch m {
	case AppendAuto:
		return "auto"
	case AppendWrite:
		return "write"
	case AppendMapped:
		return "mapped"
	}
	return fmt.Sprintf("AppendMode(%d)", uint8(m))
}
