// Package gen makes the keys, values and distributions that benchmarks of
// storage engines are fed with. It knows no engine, is deterministic for a
// seed, and takes little time beside the operation that is measured.
//
//	perm.go   a random permutation of [0, n) that needs no memory
//	key.go    fixed-width keys that sort like their numbers
//	value.go  values that compress to a chosen part of their size
//	zipf.go   the distributions of YCSB
package gen
