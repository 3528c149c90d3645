//go:build invariants

package invariant

// Enabled is true: this build checks.
const Enabled = true
