package sstable

import (
	"encoding/binary"
	"sync"
)

// keepRaw is the largest buffer that the pool keeps.
const keepRaw = 128 << 10

// rawPool holds buffers for blocks as they are on disk.
var rawPool = sync.Pool{New: func() any { return new([]byte) }}

// getRaw returns a buffer of n bytes, to be given back with putRaw.
func getRaw(n int) *[]byte {
	b := rawPool.Get().(*[]byte)
	if cap(*b) < n {
		*b = make([]byte, n, max(n, 8<<10))
	}
	*b = (*b)[:n]
	return b
}

func putRaw(b *[]byte) {
	if cap(*b) <= keepRaw {
		rawPool.Put(b)
	}
}

func le32(b []byte) uint32 { return binary.LittleEndian.Uint32(b) }
