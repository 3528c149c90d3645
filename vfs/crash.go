package vfs

import (
	"sync"
	"sync/atomic"
)

// recorder is what a tree needs to be a Crash.
type recorder struct {
	o      CrashOptions
	halted atomic.Bool
	ops    atomic.Int64

	// Guarded by the tree's world.
	pending []dirOp
	durable map[*node]map[string]*node // names on disk, by directory

	mu struct {
		sync.Mutex
		kinds [opKinds]int64
		syncs map[string]int64 // by clean name; directories too
	}
}

// dirOp is one change of names that happens whole or not at all.
type dirOp []entry

type CrashOptions struct{}

func (r *recorder) begin(op Op) error                { return nil }
func (r *recorder) failing(name string) error        { return nil }
func (r *recorder) names(es []entry)                 {}
func (r *recorder) addDir(n *node)                   {}
func (r *recorder) syncDir(dir *node, name string)   {}
