// Package testcorpus gives tests the databases that other software wrote.
//
// It is imported by tests only. A case is a directory:
//
//	<id>/db/                the database as its writer left it, or after one stated edit
//	<id>/case.json          writer, comparator, and what Strata must do with it
//	<id>/golden.jsonl[.gz]  content, one {"k":hex,"v":hex} a line, in key order
//	<id>/before.jsonl[.gz]  damaged cases: the content before the damage
//
// Values over 256 bytes are given as length and SHA-256.
//
// # Where the cases come from
//
// The environment variable STRATA_CORPUS names the full corpus; without it
// ../shared/corpus beside the repository is tried. When neither is there, the
// healthy subset in testdata/corpus is used, so that a plain clone tests
// something real. With STRATA_REQUIRE=1 a missing full corpus fails the test.
//
// # Outcomes
//
//	exact           opens; all content forwards, backwards and by Get
//	error           a *CorruptionError (or the named error of its kind) that names
//	                the damaged file, from Open or from the read that meets the
//	                damage; what is shown before is a prefix of the content
//	exact-or-error  either of the two
//	verify          reads may not notice, Verify must
package testcorpus
