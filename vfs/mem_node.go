package vfs

import (
	"io"
	"io/fs"
	"sync"
	"syscall"
	"time"
)

// node is a file or directory of a tree, under whatever names.
type node struct {
	// Fixed when made.
	dir bool

	// Guarded by the tree's world.
	entries   map[string]*node // of a directory
	links     int              // names that lead here
	opens     int              // handles and locks
	shared    int              // locks held
	exclusive bool

	mu struct {
		sync.RWMutex
		content
		// history is what happened since the last sync; nil in Mem.
		history *history
	}
}

// content is what a file holds at one time: data, and zeros from there to size.
//
// Invariant: bytes of data never change once they are there; a file that is cut
// goes on in a new array. So a content can be kept at no cost while its file
// grows.
type content struct {
	data []byte
	size int64
}

// cutTo returns c with another size.
func (c content) cutTo(size int64) content {
	if size < int64(len(c.data)) {
		c.data = c.data[:size:size]
	}
	c.size = size
	return c
}

// readAt is io.ReaderAt on a content.
func (c content) readAt(p []byte, off int64) (int, error) {
	if off < 0 {
		return 0, syscall.EINVAL
	}
	if off >= c.size {
		return 0, io.EOF
	}
	n := int(min(int64(len(p)), c.size-off))
	copied := 0
	if off < int64(len(c.data)) {
		copied = copy(p[:n], c.data[off:])
	}
	clear(p[copied:n])
	if n < len(p) {
		return n, io.EOF
	}
	return n, nil
}

func (t *tree) newDir() *node {
	n := &node{dir: true, entries: make(map[string]*node)}
	if t.rec != nil {
		t.rec.addDir(n)
	}
	return n
}

func (t *tree) newFile() *node {
	n := &node{}
	if t.rec != nil {
		n.mu.history = new(history)
	}
	return n
}

// entry is one change of a directory: name becomes node's, or goes if node is
// nil.
type entry struct {
	dir  *node
	name string
	node *node
}

// setEntries makes changes that happen together. Called with world locked.
func (t *tree) setEntries(es ...entry) {
	var replaced []*node
	for _, e := range es {
		if old := e.dir.entries[e.name]; old != nil {
			replaced = append(replaced, old)
		}
		if e.node != nil {
			e.node.links++
			e.dir.entries[e.name] = e.node
		} else {
			delete(e.dir.entries, e.name)
		}
	}
	for _, n := range replaced { // last: a renamed file never has no name
		n.links--
		t.release(n)
	}
	if t.rec != nil {
		t.rec.names(es)
	}
}

// release gives the space of n back when nothing leads to it any more. Called
// with world locked.
func (t *tree) release(n *node) {
	if n.links == 0 && n.opens == 0 && !n.dir {
		t.used.Add(-n.length())
	}
}

// length is the size of the file, in bytes.
func (n *node) length() int64 {
	n.mu.RLock()
	defer n.mu.RUnlock()
	return n.mu.size
}

// view returns what the file holds now.
func (n *node) view() content {
	n.mu.RLock()
	defer n.mu.RUnlock()
	return n.mu.content
}

// appendBytes adds p at the end of the file, zeros that stand there included,
// and returns how much of it found room.
func (t *tree) appendBytes(n *node, p []byte) (int, error) {
	t.world.RLock()
	defer t.world.RUnlock()
	n.mu.Lock()
	defer n.mu.Unlock()
	var err error
	if !t.take(int64(len(p))) {
		room := max(t.limit.Load()-t.used.Load(), 0)
		p = p[:min(int64(len(p)), room)]
		err = syscall.ENOSPC
		if !t.take(int64(len(p))) {
			return 0, err
		}
	}
	if gap := n.mu.size - int64(len(n.mu.data)); gap > 0 {
		n.mu.data = append(n.mu.data, make([]byte, gap)...)
	}
	n.store(p)
	return len(p), err
}

// store puts p behind data, into zeros if there are some, and notes it. Called
// with mu locked and the space taken.
func (n *node) store(p []byte) {
	if len(p) == 0 {
		return
	}
	from := int64(len(n.mu.data))
	n.mu.data = append(n.mu.data, p...)
	n.mu.size = max(n.mu.size, int64(len(n.mu.data)))
	if n.mu.history != nil {
		n.mu.history.add(step{content: n.mu.content, from: from})
	}
}

// setSize cuts the file or extends it with zeros. Called with world held.
func (t *tree) setSize(n *node, size int64) error {
	n.mu.Lock()
	defer n.mu.Unlock()
	if size == n.mu.size {
		return nil
	}
	if !t.take(size - n.mu.size) {
		return syscall.ENOSPC
	}
	cut := size < n.mu.size
	n.mu.content = n.mu.cutTo(size)
	if n.mu.history != nil {
		n.mu.history.add(step{content: n.mu.content, from: int64(len(n.mu.data)), cut: cut})
	}
	return nil
}

// memInfo is the fs.FileInfo of a node.
type memInfo struct {
	name string
	size int64
	dir  bool
}

func (i memInfo) Name() string       { return i.name }
func (i memInfo) Size() int64        { return i.size }
func (i memInfo) ModTime() time.Time { return time.Time{} }
func (i memInfo) IsDir() bool        { return i.dir }
func (i memInfo) Sys() any           { return nil }

func (i memInfo) Mode() fs.FileMode {
	if i.dir {
		return fs.ModeDir | dirPerm
	}
	return filePerm
}
