//go:build race || !((linux || darwin) && (amd64 || arm64 || loong64 || ppc64 || ppc64le || riscv64 || s390x))

package memtable

// mapArena always fails here: arenas come from the Go heap. On 32 bits address
// space is too scarce to keep maps for ever, other systems lack the calls, and
// the race detector watches the Go heap only.
func mapArena(int64) []byte { return nil }

func forget([]byte) {}

func populate([]byte) {}
