// Package invariant says whether this build checks its own dear assumptions.
//
// Build with -tags invariants to turn the checks on. They guard against bugs
// only: a broken invariant panics, and nothing read from disk is ever one. Cheap
// checks need no tag.
//
//	if invariant.Enabled && s.bytes < 0 {
//		panic(fmt.Sprintf("cache: %d bytes", s.bytes))
//	}
//
// Enabled is a constant, so the compiler removes the whole statement otherwise.
package invariant
