// Package bench measures a Strata database in the manner of LevelDB's and
// RocksDB's db_bench: the same names of benchmarks, the same flags, LevelDB's
// output with RocksDB's fields behind it, so that scripts for either go on
// working. "strata bench" is its command line.
//
//	config.go     what can be set, as flags
//	catalog.go    the benchmarks by name
//	runner.go     runs the list: fresh databases, threads, measuring
//	thread.go     what one thread of a benchmark carries
//	content.go    which keys are there, so that every answer can be checked
//	write.go read.go scan.go mixed.go ycsb.go shapes.go tree.go compute.go
//	              the benchmarks themselves
//	result.go     what was measured; line.go, quick.go, export.go and html.go
//	              show it
//
// Keys are fixed-width decimals and values compress to a chosen part. fillrandom
// writes each key exactly once, in an order computed from the seed; what a read
// must find is known, and the number of wrong answers is a result like any
// other: a run with one fails.
package bench
