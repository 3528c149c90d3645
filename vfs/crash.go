package vfs

import (
	"slices"
	"sync"
	"sync/atomic"
)

// Crash is a file system in memory that keeps apart what is live, which all its
// methods show, and what is on disk, which a power cut would leave.
//
//	bytes   are on disk after Sync of a handle of their file. Before, any part
//	        of what was written since the last Sync may be there, or not.
//	names   are on disk after SyncDir of the directory that holds them. Before,
//	        a create, rename, link, remove or mkdir may have happened, or not;
//	        each happens whole or not at all.
//
// Image builds a disk that a power cut at this instant may leave, as a Crash of
// its own on which to open the database again; another seed gives another disk.
// The live state goes on undisturbed. KillImage is what the death of the process
// alone leaves. A test that is to cut at every point runs its workload with an
// OnOp that takes an image at the k-th call, for k = 1, 2, …
//
// Images share bytes with the live files, so that taking many is cheap.
type Crash struct {
	tree
}

// CrashOptions configures NewCrash. The zero value is ready.
type CrashOptions struct {
	// MappedAppends makes append handles of mode AppendAuto behave as the mapped
	// ones of OS: they preallocate, so that zeros follow the data until Close,
	// and in an image each page may be as it was at any moment since the last
	// sync, whatever the others are.
	MappedAppends bool

	// OnOp is called at the start of every call that changes or syncs something,
	// before it has an effect, on the goroutine of the call and without locks:
	// it may call Image, KillImage, Halt, and read. Calls made concurrently may
	// reach it concurrently. Op.N counts from 1.
	OnOp func(Op)

	// FailSync, if it returns an error for a file, makes Sync of it fail in the
	// kernel's way: what was written since the last Sync is not on disk, counts
	// as clean, and is not written by a later Sync, which succeeds. It is called
	// without locks, with the name that the file was opened by.
	FailSync func(name string) error
}

// NewCrash returns an empty file system, whose root is on disk.
func NewCrash(o CrashOptions) *Crash {
	c := &Crash{}
	c.rec = newRecorder(o)
	c.mapped = o.MappedAppends
	c.init()
	return c
}

func (c *Crash) String() string { return "crash" }

// SetLimit makes the file system hold at most that many bytes, as Mem.SetLimit.
func (c *Crash) SetLimit(bytes int64) { c.limit.Store(bytes) }

// Halt makes every later call that would change or sync something fail with
// ErrHalted, as if the machine was gone. Reading goes on, and so do images.
func (c *Crash) Halt() { c.rec.halted.Store(true) }

// Ops is the number of calls that changed or synced something so far.
func (c *Crash) Ops() int64 { return c.rec.ops.Load() }

// Count is the number of such calls of one kind, those that failed included.
func (c *Crash) Count(k OpKind) int64 {
	c.rec.mu.Lock()
	defer c.rec.mu.Unlock()
	return c.rec.mu.kinds[k]
}

// Syncs is the number of Sync calls on handles opened by this name, or of
// SyncDir calls for a directory.
func (c *Crash) Syncs(name string) int64 {
	c.rec.mu.Lock()
	defer c.rec.mu.Unlock()
	return c.rec.mu.syncs[clean(name)]
}

// recorder is what a tree needs to be a Crash.
type recorder struct {
	o      CrashOptions
	halted atomic.Bool
	ops    atomic.Int64

	// Guarded by the tree's world. durable has the names on disk of every
	// directory ever made; pending are the changes since, oldest first.
	durable map[*node]map[string]*node
	pending []dirOp

	mu struct {
		sync.Mutex
		kinds [opKinds]int64
		syncs map[string]int64 // by clean name
	}
}

// dirOp is a change of names that happens whole or not at all.
type dirOp []entry

func newRecorder(o CrashOptions) *recorder {
	r := &recorder{o: o, durable: make(map[*node]map[string]*node)}
	r.mu.syncs = make(map[string]int64)
	return r
}

func (r *recorder) begin(op Op) error {
	op.N = r.ops.Add(1)
	r.count(op)
	if r.o.OnOp != nil {
		r.o.OnOp(op)
	}
	if r.halted.Load() {
		return ErrHalted
	}
	return nil
}

func (r *recorder) count(op Op) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.mu.kinds[op.Kind]++
	if op.Kind == OpSync || op.Kind == OpSyncDir {
		r.mu.syncs[clean(op.Name)]++
	}
}

func (r *recorder) failing(name string) error {
	if r.o.FailSync == nil {
		return nil
	}
	return r.o.FailSync(name)
}

// addDir notes a new directory, which is empty on disk.
func (r *recorder) addDir(dir *node) { r.durable[dir] = make(map[string]*node) }

// names notes a change of names. Called with world locked.
func (r *recorder) names(es []entry) { r.pending = append(r.pending, slices.Clone(es)) }

// syncDir makes the changes in dir durable. A rename from another directory
// brings with it what was pending there before, so that its order is kept.
// Called with world locked.
func (r *recorder) syncDir(dir *node) {
	dirs := map[*node]bool{dir: true}
	due := make([]bool, len(r.pending))
	for i, op := range slices.Backward(r.pending) {
		due[i] = op.touchesAny(dirs)
		if due[i] {
			for _, e := range op {
				dirs[e.dir] = true
			}
		}
	}
	var later []dirOp
	for i, op := range r.pending {
		if due[i] {
			op.apply(r.durable)
		} else {
			later = append(later, op)
		}
	}
	r.pending = later
}

func (op dirOp) touchesAny(dirs map[*node]bool) bool {
	return slices.ContainsFunc(op, func(e entry) bool { return dirs[e.dir] })
}

// apply makes the change in names.
func (op dirOp) apply(names map[*node]map[string]*node) {
	for _, e := range op {
		if e.node == nil {
			delete(names[e.dir], e.name)
		} else {
			names[e.dir][e.name] = e.node
		}
	}
}
