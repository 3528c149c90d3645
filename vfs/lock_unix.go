//go:build unix

package vfs

import (
	"errors"
	"io"
	"io/fs"
	"os"
	"sync"
	"syscall"
)

// held is what this process has locked. It is asked before a lock file is
// opened: a POSIX lock ends when any descriptor of its file is closed, so that
// merely opening and closing a file that is locked here would free it.
var held = lockTable{files: make(map[fileID]*holders)}

// fileID names a file whatever path leads to it.
type fileID struct {
	dev, ino uint64
}

type lockTable struct {
	// mu is held across the system calls of one Lock, which do not wait.
	mu    sync.Mutex
	files map[fileID]*holders
}

// holders counts the locks of one file. Invariant: exclusive means shared is 0.
type holders struct {
	shared    int
	exclusive bool
}

// admits reports whether this process's own locks leave room for one more.
func (t *lockTable) admits(id fileID, shared bool) bool {
	h := t.files[id]
	return h == nil || shared && !h.exclusive
}

func (t *lockTable) add(id fileID, shared bool) {
	h := t.files[id]
	if h == nil {
		h = new(holders)
		t.files[id] = h
	}
	if shared {
		h.shared++
	} else {
		h.exclusive = true
	}
}

func (t *lockTable) remove(id fileID, shared bool) {
	h := t.files[id]
	if shared {
		h.shared--
	} else {
		h.exclusive = false
	}
	if h.shared == 0 && !h.exclusive {
		delete(t.files, id)
	}
}

// fileLock is the result of lockFile.
type fileLock struct {
	f      *os.File
	id     fileID
	shared bool
	once   sync.Once
	err    error
}

// Close ends the lock. The file stays.
func (l *fileLock) Close() error {
	l.once.Do(func() {
		held.mu.Lock()
		defer held.mu.Unlock()
		l.err = closeLocked(l.f)
		held.remove(l.id, l.shared)
	})
	return l.err
}

// closeLocked unlocks f and closes it. Closing alone would not end the locks at
// once: a child process that is between fork and exec holds the descriptor too.
func closeLocked(f *os.File) error {
	unlockDescriptor(int(f.Fd()))
	return f.Close()
}

// lockTries bounds how often lockFile follows a name that is removed and made
// again under its hands.
const lockTries = 8

func lockFile(name string, shared bool) (io.Closer, error) {
	held.mu.Lock()
	defer held.mu.Unlock()
	for range lockTries {
		l, err := held.tryLock(name, shared)
		if l != nil || err != nil {
			return l, err
		}
	}
	return nil, pathError("lock", name, ErrLocked)
}

// tryLock is called with mu held. It returns nil, nil when name no longer led to
// the file it had locked.
func (t *lockTable) tryLock(name string, shared bool) (io.Closer, error) {
	id, err := identify(name)
	switch {
	case err == nil && !t.admits(id, shared):
		return nil, pathError("lock", name, ErrLocked)
	case err != nil && (shared || !errors.Is(err, fs.ErrNotExist)):
		return nil, err
	}
	// A missing file cannot be locked here, whatever its name: locked files have
	// a name, unless someone removed it, and then it is another file.
	flag := os.O_RDWR | os.O_CREATE
	if shared {
		flag = os.O_RDONLY // works on a read-only file system
	}
	f, err := os.OpenFile(name, flag, filePerm)
	if err != nil {
		return nil, err
	}
	if err := lockDescriptor(int(f.Fd()), shared); err != nil {
		_ = closeLocked(f)
		if errors.Is(err, syscall.EWOULDBLOCK) || errors.Is(err, syscall.EACCES) {
			err = ErrLocked
		}
		return nil, pathError("lock", name, err)
	}
	got, err := identifyFile(f)
	if err != nil {
		_ = closeLocked(f)
		return nil, err
	}
	now, err := identify(name)
	if err != nil || now != got || !t.admits(got, shared) {
		_ = closeLocked(f)
		return nil, nil
	}
	t.add(got, shared)
	return &fileLock{f: f, id: got, shared: shared}, nil
}

func identify(name string) (fileID, error) {
	fi, err := os.Stat(name)
	if err != nil {
		return fileID{}, err
	}
	return idOf(fi)
}

func identifyFile(f *os.File) (fileID, error) {
	fi, err := f.Stat()
	if err != nil {
		return fileID{}, err
	}
	return idOf(fi)
}

func idOf(fi fs.FileInfo) (fileID, error) {
	st, ok := fi.Sys().(*syscall.Stat_t)
	if !ok {
		return fileID{}, errors.ErrUnsupported
	}
	return fileID{dev: uint64(st.Dev), ino: uint64(st.Ino)}, nil
}
