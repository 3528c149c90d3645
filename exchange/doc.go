// Package exchange proves, in both directions, that Strata and the other
// engines of the format read each other's directories: goleveldb in this
// process, LevelDB 1.23 as a small C++ program (cpp/leveldb_tool.cc, built by
// the tests). It is a module of its own so that no other engine enters the main
// one.
//
//	shapes_test.go    what is written: databases of many shapes, and a model
//	peer_test.go      what a peer can do; goleveldb
//	leveldb_test.go   the C++ program as a peer
//	exchange_test.go  Strata writes, the peer reads and goes on, Strata reads; and the reverse
//	corpus_test.go    the corpus after Strata has written to it
//	lock_test.go      one at a time
//	kill_test.go      after kill -9 and Strata's recovery
//	upgrade_test.go   past the gate the others fail and change nothing
//
// Without g++ and libleveldb-dev the C++ half is skipped; with STRATA_REQUIRE=1
// that is a failure.
package exchange
