//go:build !invariants

package invariant

// Enabled is false: this build does not check.
const Enabled = false
