// Package lint checks the rules of the house. It has tests only: each rule is a
// test whose message says what to write instead.
//
//	layers_test.go   who may import whom; what the root may depend on
//	calls_test.go    calls that belong elsewhere: files, clocks, sleeps, printing
//	text_test.go     lengths, comments, words
//
// A rule that must be broken in one place gets that place in the rule's own
// table, with the reason beside it.
package lint
