package vfs

import (
	"io"
	"io/fs"
	"path"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
)

// Mem is a file system in memory. It is as durable as the process, so Sync and
// SyncDir only check that there is something to sync.
//
// Names are slash paths; a relative one starts at the root, so that "db" and
// "/db" are the same. The root exists.
type Mem struct {
	tree
}

// NewMem returns an empty file system without a size limit.
func NewMem() *Mem {
	m := &Mem{}
	m.init()
	return m
}

func (m *Mem) String() string { return "mem" }

// SetLimit makes the file system hold at most that many bytes of file content;
// what goes beyond gets syscall.ENOSPC. 0 means no limit, the default. A limit
// below what is there already only stops growth.
func (m *Mem) SetLimit(bytes int64) { m.limit.Store(bytes) }

// tree is what Mem and Crash share: names, and files in memory. All that Crash
// adds goes through rec.
type tree struct {
	// world is read-locked by each change of one file's content, and locked by
	// each change of names and by the taking of an image, which so sees one
	// instant of all files. It is taken before a node's mu.
	world sync.RWMutex
	root  *node // guarded by world, as are all entries

	limit atomic.Int64 // bytes; 0 = none
	used  atomic.Int64 // bytes of all files that can still be reached

	rec *recorder // nil in Mem

	// mapped makes AppendAuto give handles that preallocate as mapped ones do.
	mapped bool
}

func (t *tree) init() { t.root = t.newDir() }

// clean gives name its one form: absolute, with slashes.
func clean(name string) string { return path.Clean("/" + filepath.ToSlash(name)) }

// walk returns the node of a clean name, or nil. Called with world held.
func (t *tree) walk(name string) *node {
	n := t.root
	for part := range strings.SplitSeq(name[1:], "/") {
		if part == "" {
			continue
		}
		if n == nil || !n.dir {
			return nil
		}
		n = n.entries[part]
	}
	return n
}

// parent returns the directory that holds a clean name, and the name's last
// part. Called with world held.
func (t *tree) parent(name string) (*node, string, error) {
	dir, base := path.Split(name)
	d := t.walk(path.Clean(dir))
	switch {
	case base == "":
		return nil, "", syscall.EEXIST // the root
	case d == nil:
		return nil, "", syscall.ENOENT
	case !d.dir:
		return nil, "", syscall.ENOTDIR
	}
	return d, base, nil
}

// Create makes or truncates a file.
func (t *tree) Create(name string) (File, error) {
	if err := t.begin(Op{Kind: OpCreate, Name: name}); err != nil {
		return nil, pathError("create", name, err)
	}
	n, err := t.create(clean(name))
	if err != nil {
		return nil, pathError("create", name, err)
	}
	return &memFile{t: t, n: n, name: name, writable: true}, nil
}

// CreateAppend makes or truncates a file for appending.
func (t *tree) CreateAppend(name string, o AppendOptions) (AppendFile, error) {
	if err := t.begin(Op{Kind: OpCreateAppend, Name: name}); err != nil {
		return nil, pathError("create", name, err)
	}
	n, err := t.create(clean(name))
	if err != nil {
		return nil, pathError("create", name, err)
	}
	return newMemAppend(t, n, name, o.withDefaults()), nil
}

// create makes or truncates a file and counts one opening of it.
func (t *tree) create(name string) (*node, error) {
	t.world.Lock()
	defer t.world.Unlock()
	d, base, err := t.parent(name)
	if err != nil {
		return nil, err
	}
	n := d.entries[base]
	switch {
	case n == nil:
		n = t.newFile()
		t.setEntries(entry{d, base, n})
	case n.dir:
		return nil, syscall.EISDIR
	default:
		t.setSize(n, 0)
	}
	n.opens++
	return n, nil
}

// Open opens a file for reading.
func (t *tree) Open(name string) (File, error) {
	t.world.Lock()
	defer t.world.Unlock()
	n := t.walk(clean(name))
	switch {
	case n == nil:
		return nil, pathError("open", name, syscall.ENOENT)
	case n.dir:
		return nil, pathError("open", name, syscall.EISDIR)
	}
	n.opens++
	return &memFile{t: t, n: n, name: name}, nil
}

// Truncate cuts a file, or extends it with zeros, and syncs it.
func (t *tree) Truncate(name string, size int64) error {
	if err := t.begin(Op{Kind: OpTruncate, Name: name, Bytes: size}); err != nil {
		return pathError("truncate", name, err)
	}
	fail := t.failing(name)
	t.world.Lock()
	defer t.world.Unlock()
	n := t.walk(clean(name))
	switch {
	case n == nil:
		return pathError("truncate", name, syscall.ENOENT)
	case n.dir:
		return pathError("truncate", name, syscall.EISDIR)
	case size < 0:
		return pathError("truncate", name, syscall.EINVAL)
	}
	if err := t.setSize(n, size); err != nil {
		return pathError("truncate", name, err)
	}
	return pathError("truncate", name, n.sync(fail))
}

// Remove removes a file or an empty directory.
func (t *tree) Remove(name string) error {
	if err := t.begin(Op{Kind: OpRemove, Name: name}); err != nil {
		return pathError("remove", name, err)
	}
	t.world.Lock()
	defer t.world.Unlock()
	d, base, err := t.parent(clean(name))
	if err != nil {
		return pathError("remove", name, err)
	}
	n := d.entries[base]
	switch {
	case n == nil:
		return pathError("remove", name, syscall.ENOENT)
	case n.dir && len(n.entries) > 0:
		return pathError("remove", name, syscall.ENOTEMPTY)
	}
	t.setEntries(entry{d, base, nil})
	return nil
}

// Rename gives a file or directory another name, in place of a file of that
// name.
func (t *tree) Rename(oldname, newname string) error {
	if err := t.begin(Op{Kind: OpRename, Name: oldname, NewName: newname}); err != nil {
		return pathError("rename", oldname, err)
	}
	t.world.Lock()
	defer t.world.Unlock()
	return pathError("rename", oldname, t.rename(clean(oldname), clean(newname)))
}

func (t *tree) rename(oldname, newname string) error {
	from, frombase, err := t.parent(oldname)
	if err != nil {
		return err
	}
	to, tobase, err := t.parent(newname)
	if err != nil {
		return err
	}
	n, there := from.entries[frombase], to.entries[tobase]
	switch {
	case n == nil:
		return syscall.ENOENT
	case n == there:
		return nil
	case there != nil && there.dir != n.dir, there != nil && there.dir && len(there.entries) > 0:
		return syscall.EEXIST
	case n.dir && strings.HasPrefix(newname, oldname+"/"):
		return syscall.EINVAL
	}
	t.setEntries(entry{from, frombase, nil}, entry{to, tobase, n})
	return nil
}

// Link gives a file a second name.
func (t *tree) Link(oldname, newname string) error {
	if err := t.begin(Op{Kind: OpLink, Name: oldname, NewName: newname}); err != nil {
		return pathError("link", oldname, err)
	}
	t.world.Lock()
	defer t.world.Unlock()
	n := t.walk(clean(oldname))
	if n == nil {
		return pathError("link", oldname, syscall.ENOENT)
	}
	if n.dir {
		return pathError("link", oldname, syscall.EPERM)
	}
	d, base, err := t.parent(clean(newname))
	if err == nil && d.entries[base] != nil {
		err = syscall.EEXIST
	}
	if err != nil {
		return pathError("link", newname, err)
	}
	t.setEntries(entry{d, base, n})
	return nil
}

// MkdirAll makes a directory and those above it that are missing.
func (t *tree) MkdirAll(dir string) error {
	if err := t.begin(Op{Kind: OpMkdir, Name: dir}); err != nil {
		return pathError("mkdir", dir, err)
	}
	t.world.Lock()
	defer t.world.Unlock()
	n := t.root
	for part := range strings.SplitSeq(clean(dir)[1:], "/") {
		if part == "" {
			continue
		}
		next := n.entries[part]
		if next == nil {
			next = t.newDir()
			t.setEntries(entry{n, part, next})
		}
		if !next.dir {
			return pathError("mkdir", dir, syscall.ENOTDIR)
		}
		n = next
	}
	return nil
}

// List returns the base names in a directory.
func (t *tree) List(dir string) ([]string, error) {
	t.world.RLock()
	defer t.world.RUnlock()
	n := t.walk(clean(dir))
	switch {
	case n == nil:
		return nil, pathError("list", dir, syscall.ENOENT)
	case !n.dir:
		return nil, pathError("list", dir, syscall.ENOTDIR)
	}
	names := make([]string, 0, len(n.entries))
	for name := range n.entries {
		names = append(names, name)
	}
	return names, nil
}

// Stat describes a file or directory. The times are zero.
func (t *tree) Stat(name string) (fs.FileInfo, error) {
	t.world.RLock()
	defer t.world.RUnlock()
	n := t.walk(clean(name))
	if n == nil {
		return nil, pathError("stat", name, syscall.ENOENT)
	}
	return memInfo{name: path.Base(clean(name)), size: n.length(), dir: n.dir}, nil
}

// SyncDir makes the names in dir durable.
func (t *tree) SyncDir(dir string) error {
	if err := t.begin(Op{Kind: OpSyncDir, Name: dir}); err != nil {
		return pathError("sync", dir, err)
	}
	t.world.Lock()
	defer t.world.Unlock()
	n := t.walk(clean(dir))
	switch {
	case n == nil:
		return pathError("sync", dir, syscall.ENOENT)
	case !n.dir:
		return pathError("sync", dir, syscall.ENOTDIR)
	}
	if t.rec != nil {
		t.rec.syncDir(n)
	}
	return nil
}

// Lock locks a file until the result is closed. Locks are those of this file
// system value: there is no other process.
func (t *tree) Lock(name string, shared bool) (io.Closer, error) {
	if err := t.begin(Op{Kind: OpLock, Name: name}); err != nil {
		return nil, pathError("lock", name, err)
	}
	t.world.Lock()
	defer t.world.Unlock()
	n := t.walk(clean(name))
	if n == nil && shared {
		return nil, pathError("lock", name, syscall.ENOENT)
	}
	if n == nil {
		d, base, err := t.parent(clean(name))
		if err != nil {
			return nil, pathError("lock", name, err)
		}
		n = t.newFile()
		t.setEntries(entry{d, base, n})
	}
	if n.dir {
		return nil, pathError("lock", name, syscall.EISDIR)
	}
	if n.exclusive || n.shared > 0 && !shared {
		return nil, pathError("lock", name, ErrLocked)
	}
	if shared {
		n.shared++
	} else {
		n.exclusive = true
	}
	n.opens++
	return &memLock{t: t, n: n, shared: shared}, nil
}

// memTotal is the size that Usage reports without a limit.
const memTotal = 1 << 40

// Usage reports the limit and what is left of it.
func (t *tree) Usage(string) (DiskUsage, error) {
	total := t.limit.Load()
	if total == 0 {
		total = memTotal
	}
	return DiskUsage{Free: uint64(max(total-t.used.Load(), 0)), Total: uint64(total)}, nil
}

// begin is called at the start of each change, without locks. An error means
// that nothing is to happen.
func (t *tree) begin(op Op) error {
	if t.rec == nil {
		return nil
	}
	return t.rec.begin(op)
}

// failing returns the error that the sync of name, about to be made, is to have.
// Called without locks.
func (t *tree) failing(name string) error {
	if t.rec == nil {
		return nil
	}
	return t.rec.failing(name)
}

// take reserves n bytes and reports whether they are there.
func (t *tree) take(n int64) bool {
	limit := t.limit.Load()
	if used := t.used.Add(n); limit > 0 && used > limit && n > 0 {
		t.used.Add(-n)
		return false
	}
	return true
}
