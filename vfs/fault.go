package vfs

import (
	"io"
	"io/fs"
	"slices"
	"sync"
	"syscall"
)

// Fault wraps a file system and fails, cuts short or delays chosen calls. It
// counts all calls and knows the open files, so that a test can fail each call
// in turn until a run meets no fault, and look for leaks after each:
//
//	for k := int64(1); ; k++ {
//		f := vfs.NewFault(vfs.NewMem())
//		rule := f.FailNth(vfs.OpAny, k, syscall.EIO)
//		… run, check …
//		if rule.Hits() == 0 {
//			break
//		}
//	}
//
// Rules and counts may be used while other goroutines make calls.
//
// On a Crash, a failed Sync also loses the bytes as Linux does: see
// CrashOptions.FailSync.
type Fault struct {
	inner FS

	mu struct {
		sync.Mutex
		rules  []*Rule
		total  int64
		counts [opKinds]int64
		open   map[*handle]struct{}
	}
}

// NewFault returns inner without any faults yet.
func NewFault(inner FS) *Fault {
	f := &Fault{inner: inner}
	f.mu.open = make(map[*handle]struct{})
	return f
}

// A Rule says which calls are to go wrong, and how. Its fields are not changed
// once it was added. Of several rules that match a call the oldest one with
// Times left decides.
type Rule struct {
	// Kind of call; OpAny, the zero value, is all kinds.
	Kind OpKind
	// Match, if not nil, must say yes as well. It is called with a lock held and
	// must not use the Fault.
	Match func(Op) bool
	// After is how many matching calls are let through first.
	After int64
	// Times is how many calls go wrong then; 0 means all.
	Times int64

	// Err is what the call returns. Default syscall.EIO, unless there is a
	// Delay.
	Err error
	// Short makes a failing Write or Append leave the first half of its bytes in
	// the file. An append handle is Broken then, as the contract demands.
	Short bool
	// Delay is called before the call is made or fails, without locks: it may
	// block, say on a channel. With Delay and no Err, calls are slow but succeed.
	Delay func(Op)

	seen, hits int64 // guarded by the Fault's mu
	fault      *Fault
}

// Add adds a rule, which must not have been added before, and returns it.
func (f *Fault) Add(r *Rule) *Rule {
	f.mu.Lock()
	defer f.mu.Unlock()
	if r.Err == nil && r.Delay == nil {
		r.Err = syscall.EIO
	}
	r.fault = f
	f.mu.rules = append(f.mu.rules, r)
	return r
}

// FailNth makes the n-th call of a kind from now on fail, once. n starts at 1.
func (f *Fault) FailNth(k OpKind, n int64, err error) *Rule {
	return f.Add(&Rule{Kind: k, After: n - 1, Times: 1, Err: err})
}

// FailAll makes all calls of a kind fail until the rule is removed.
func (f *Fault) FailAll(k OpKind, err error) *Rule {
	return f.Add(&Rule{Kind: k, Err: err})
}

// Remove takes the rule away.
func (r *Rule) Remove() {
	f := r.fault
	f.mu.Lock()
	defer f.mu.Unlock()
	f.mu.rules = slices.DeleteFunc(f.mu.rules, func(q *Rule) bool { return q == r })
}

// Hits is how many calls the rule made go wrong.
func (r *Rule) Hits() int64 {
	r.fault.mu.Lock()
	defer r.fault.mu.Unlock()
	return r.hits
}

// Clear takes all rules away.
func (f *Fault) Clear() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.mu.rules = nil
}

// Count is the number of calls of a kind so far, failed ones included; of all
// kinds for OpAny.
func (f *Fault) Count(k OpKind) int64 {
	f.mu.Lock()
	defer f.mu.Unlock()
	if k == OpAny {
		return f.mu.total
	}
	return f.mu.counts[k]
}

// OpenFiles returns the names of the files and locks that are open, sorted. A
// lock has "lock " before its name.
func (f *Fault) OpenFiles() []string {
	f.mu.Lock()
	defer f.mu.Unlock()
	names := make([]string, 0, len(f.mu.open))
	for h := range f.mu.open {
		names = append(names, h.name)
	}
	slices.Sort(names)
	return names
}

func (f *Fault) String() string { return "fault" }

// call counts op and returns the rule that it falls under, or nil. A Delay is
// over when it returns.
func (f *Fault) call(op Op) *Rule {
	r := f.match(&op)
	if r != nil && r.Delay != nil {
		r.Delay(op)
	}
	return r
}

func (f *Fault) match(op *Op) *Rule {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.mu.total++
	f.mu.counts[op.Kind]++
	op.N = f.mu.total
	var hit *Rule
	for _, r := range f.mu.rules {
		if r.Kind != OpAny && r.Kind != op.Kind || r.Match != nil && !r.Match(*op) {
			continue
		}
		r.seen++
		if hit == nil && r.seen > r.After && (r.Times == 0 || r.hits < r.Times) {
			hit = r
			r.hits++
		}
	}
	return hit
}

// try is call for calls that fail whole. name goes into the error.
func (f *Fault) try(op Op) error {
	if r := f.call(op); r != nil && r.Err != nil {
		return pathError(op.Kind.String(), op.Name, r.Err)
	}
	return nil
}

// handle is what is open, for OpenFiles.
type handle struct {
	fault *Fault
	name  string
}

func (f *Fault) opened(name string) *handle {
	h := &handle{fault: f, name: name}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.mu.open[h] = struct{}{}
	return h
}

func (h *handle) closed() {
	h.fault.mu.Lock()
	defer h.fault.mu.Unlock()
	delete(h.fault.mu.open, h)
}

// Create is Create of the wrapped file system.
func (f *Fault) Create(name string) (File, error) {
	return f.file(OpCreate, name, f.inner.Create)
}

// Open is Open of the wrapped file system.
func (f *Fault) Open(name string) (File, error) {
	return f.file(OpOpen, name, f.inner.Open)
}

func (f *Fault) file(k OpKind, name string, open func(string) (File, error)) (File, error) {
	if err := f.try(Op{Kind: k, Name: name}); err != nil {
		return nil, err
	}
	file, err := open(name)
	if err != nil {
		return nil, err
	}
	return &faultFile{handle: f.opened(name), f: file}, nil
}

// CreateAppend is CreateAppend of the wrapped file system.
func (f *Fault) CreateAppend(name string, o AppendOptions) (AppendFile, error) {
	if err := f.try(Op{Kind: OpCreateAppend, Name: name}); err != nil {
		return nil, err
	}
	file, err := f.inner.CreateAppend(name, o)
	if err != nil {
		return nil, err
	}
	return &faultAppend{handle: f.opened(name), f: file}, nil
}

// Truncate is Truncate of the wrapped file system.
func (f *Fault) Truncate(name string, size int64) error {
	if err := f.try(Op{Kind: OpTruncate, Name: name, Bytes: size}); err != nil {
		return err
	}
	return f.inner.Truncate(name, size)
}

// Remove is Remove of the wrapped file system.
func (f *Fault) Remove(name string) error {
	if err := f.try(Op{Kind: OpRemove, Name: name}); err != nil {
		return err
	}
	return f.inner.Remove(name)
}

// Rename is Rename of the wrapped file system.
func (f *Fault) Rename(oldname, newname string) error {
	if err := f.try(Op{Kind: OpRename, Name: oldname, NewName: newname}); err != nil {
		return err
	}
	return f.inner.Rename(oldname, newname)
}

// Link is Link of the wrapped file system.
func (f *Fault) Link(oldname, newname string) error {
	if err := f.try(Op{Kind: OpLink, Name: oldname, NewName: newname}); err != nil {
		return err
	}
	return f.inner.Link(oldname, newname)
}

// MkdirAll is MkdirAll of the wrapped file system.
func (f *Fault) MkdirAll(dir string) error {
	if err := f.try(Op{Kind: OpMkdir, Name: dir}); err != nil {
		return err
	}
	return f.inner.MkdirAll(dir)
}

// List is List of the wrapped file system.
func (f *Fault) List(dir string) ([]string, error) {
	if err := f.try(Op{Kind: OpList, Name: dir}); err != nil {
		return nil, err
	}
	return f.inner.List(dir)
}

// Stat is Stat of the wrapped file system.
func (f *Fault) Stat(name string) (fs.FileInfo, error) {
	if err := f.try(Op{Kind: OpStat, Name: name}); err != nil {
		return nil, err
	}
	return f.inner.Stat(name)
}

// SyncDir is SyncDir of the wrapped file system.
func (f *Fault) SyncDir(dir string) error {
	if err := f.try(Op{Kind: OpSyncDir, Name: dir}); err != nil {
		return err
	}
	return f.inner.SyncDir(dir)
}

// Lock is Lock of the wrapped file system.
func (f *Fault) Lock(name string, shared bool) (io.Closer, error) {
	if err := f.try(Op{Kind: OpLock, Name: name}); err != nil {
		return nil, err
	}
	l, err := f.inner.Lock(name, shared)
	if err != nil {
		return nil, err
	}
	return &faultLock{handle: f.opened("lock " + name), l: l}, nil
}

// Usage is Usage of the wrapped file system.
func (f *Fault) Usage(dir string) (DiskUsage, error) {
	if err := f.try(Op{Kind: OpUsage, Name: dir}); err != nil {
		return DiskUsage{}, err
	}
	return f.inner.Usage(dir)
}
