// Package tablecache opens tables when they are first read, and bounds how many
// descriptors are open and, if asked to, how much memory their indexes and filters
// take.
//
// What a table needs is kept in two layers with lives of their own:
//
//	FileMeta.Table ──> Table ──┬──> sstable.Reader   index, filter, slots in the
//	                           │                     block cache; stays when the
//	                           │                     descriptor goes
//	                           └──> handle           an open descriptor, one of at
//	                                                 most MaxOpenFiles
//
// A Reader reads its blocks through its Table, which lends it a descriptor for
// the length of one read. So a point read whose blocks are cached touches no
// descriptor at all, and a table whose descriptor was closed to make room for
// another keeps everything it has in memory.
//
// # Descriptors
//
// A handle counts its users, and one more while it may be lent out. Those with no
// user are idle: when all MaxOpenFiles are open, a clock picks an idle one to
// close; when none is idle, the caller waits until one is. A descriptor in use is
// never closed, and the bound is never exceeded. Since a user holds one handle
// for one read and waits for nothing meanwhile, waiting ends.
//
// When the operating system itself has no more descriptors (EMFILE, ENFILE), some
// idle ones are closed and the open is tried again. If that does not help, the
// error is the caller's to try again later; it is not remembered, and it is not
// corruption.
//
// # Locks
//
// Cache.mu guards the list of readers, pool.mu the descriptors. Neither is held
// while the other is taken, nor during I/O. Table.opening is held
// across the first open, so that several readers of a new table load its index
// once.
package tablecache
