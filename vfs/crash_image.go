package vfs

import (
	"maps"
	"math/rand/v2"
	"slices"
)

// Fate is what a power cut does to something that was not synced.
type Fate uint8

const (
	FateRandom Fate = iota // kept, lost, or in part
	FateLost               // as if it had never happened
	FateKept               // as if it had been synced
)

// ImageOptions says what the power cut is like. In the zero value everything is
// left to chance, on a file system with a journal.
type ImageOptions struct {
	// Bytes is the fate of bytes written since the last Sync of their file. At
	// random, a file has lost or kept them all, or ends at a moment between,
	// torn inside a write at a border of 512 bytes or 4 KiB and perhaps with
	// zeros up to a later size, or has each sector or page as it was at a moment
	// of its own.
	Bytes Fate

	// Names is the fate of changes of names since the last SyncDir. At random,
	// those kept are the oldest ones, in the order in which they were made.
	Names Fate

	// Reorder lets each change of names be kept or lost by itself, as without a
	// journal. It matters only if Names is FateRandom.
	Reorder bool
}

// Image returns what may be on disk if the power is cut now. All of it is
// durable, nothing is open or locked, and it has no OnOp and no FailSync. The
// same seed gives the same image of the same state. c is not changed.
func (c *Crash) Image(seed uint64, o ImageOptions) *Crash {
	c.world.Lock()
	defer c.world.Unlock()
	rnd := rand.New(rand.NewPCG(seed, 0x9e3779b97f4a7c15))
	b := newCopier(c)
	b.names = c.rec.image(rnd, o)
	b.fill = func(to, from *node) {
		to.mu.content = from.mu.history.image(rnd, from.mu.content, o.Bytes).clip()
		to.mu.history = &history{durable: to.mu.content}
	}
	image := b.copyTree(c)
	for n, m := range b.nodes {
		if n.dir {
			image.rec.durable[m] = maps.Clone(m.entries)
		}
	}
	return image
}

// KillImage returns what the death of the process leaves: all bytes and names,
// no handle or lock, and preallocated zeros where append handles were open. What
// was not synced stays so, and a later Image of the result may lose it. c is not
// changed.
func (c *Crash) KillImage() *Crash {
	c.world.Lock()
	defer c.world.Unlock()
	b := newCopier(c)
	b.fill = func(to, from *node) {
		to.mu.content = from.mu.content.clip()
		to.mu.history = from.mu.history.clone()
	}
	image := b.copyTree(c)
	for dir, names := range c.rec.durable {
		image.rec.durable[b.node(dir)] = b.entries(names)
	}
	for _, op := range c.rec.pending {
		copied := make(dirOp, len(op))
		for i, e := range op {
			copied[i] = entry{b.node(e.dir), e.name, b.node(e.node)}
		}
		image.rec.pending = append(image.rec.pending, copied)
	}
	return image
}

// image returns the names that a power cut leaves.
func (r *recorder) image(rnd *rand.Rand, o ImageOptions) map[*node]map[string]*node {
	names := make(map[*node]map[string]*node, len(r.durable))
	for dir, es := range r.durable {
		names[dir] = maps.Clone(es)
	}
	oldest := rnd.IntN(len(r.pending) + 1)
	for i, op := range r.pending {
		kept := i < oldest
		switch {
		case o.Names == FateKept:
			kept = true
		case o.Names == FateLost:
			kept = false
		case o.Reorder:
			kept = rnd.IntN(2) == 0
		}
		if kept {
			op.apply(names)
		}
	}
	return names
}

// copier copies a tree of nodes. Two names of one file become two names of one
// copy.
type copier struct {
	nodes map[*node]*node
	// names has the directories' entries, if they are not to be the live ones.
	names map[*node]map[string]*node
	fill  func(to, from *node) // sets the content of a copied file
	image *Crash
}

func newCopier(c *Crash) *copier {
	return &copier{
		nodes: make(map[*node]*node),
		image: &Crash{tree{mapped: c.mapped, rec: newRecorder(CrashOptions{MappedAppends: c.mapped})}},
	}
}

// copyTree returns the copy of all that c's root leads to.
func (b *copier) copyTree(c *Crash) *Crash {
	b.image.root = b.node(c.root)
	b.image.limit.Store(c.limit.Load())
	for _, m := range b.nodes {
		for _, child := range m.entries {
			child.links++
		}
		b.image.used.Add(m.mu.size)
	}
	return b.image
}

// node returns the copy of n, made at the first call; nil for nil.
func (b *copier) node(n *node) *node {
	if n == nil || b.nodes[n] != nil {
		return b.nodes[n]
	}
	m := &node{dir: n.dir}
	b.nodes[n] = m
	if !n.dir {
		b.fill(m, n)
		return m
	}
	names := n.entries
	if b.names != nil {
		names = b.names[n]
	}
	m.entries = b.entries(names)
	return m
}

// entries copies the entries of a directory, in order of names, so that chance
// takes the same way each time.
func (b *copier) entries(names map[string]*node) map[string]*node {
	es := make(map[string]*node, len(names))
	for _, name := range slices.Sorted(maps.Keys(names)) {
		es[name] = b.node(names[name])
	}
	return es
}

// clip returns c with no room to grow in place, so that its bytes can be shared.
func (c content) clip() content {
	c.data = slices.Clip(c.data)
	return c
}
