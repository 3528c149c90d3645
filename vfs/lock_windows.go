package vfs

import (
	"errors"
	"io"
	"os"
	"sync"

	"golang.org/x/sys/windows"
)

// lockFile locks the whole range of name with LockFileEx. Such a lock belongs to
// its handle, so two handles of one process exclude each other as those of two
// processes do.
func lockFile(name string, shared bool) (io.Closer, error) {
	flag := os.O_RDWR | os.O_CREATE
	how := uint32(windows.LOCKFILE_FAIL_IMMEDIATELY)
	if shared {
		flag = os.O_RDONLY
	} else {
		how |= windows.LOCKFILE_EXCLUSIVE_LOCK
	}
	f, err := os.OpenFile(name, flag, filePerm)
	if err != nil {
		if errors.Is(err, windows.ERROR_SHARING_VIOLATION) { // LevelDB has it open
			err = pathError("lock", name, ErrLocked)
		}
		return nil, err
	}
	err = windows.LockFileEx(windows.Handle(f.Fd()), how, 0, ^uint32(0), ^uint32(0), new(windows.Overlapped))
	if err != nil {
		_ = f.Close()
		if errors.Is(err, windows.ERROR_LOCK_VIOLATION) || errors.Is(err, windows.ERROR_IO_PENDING) {
			err = ErrLocked
		}
		return nil, pathError("lock", name, err)
	}
	return &fileLock{f: f}, nil
}

// fileLock is the result of lockFile.
type fileLock struct {
	f    *os.File
	once sync.Once
	err  error
}

// Close ends the lock. The file stays.
func (l *fileLock) Close() error {
	l.once.Do(func() { l.err = l.f.Close() })
	return l.err
}
