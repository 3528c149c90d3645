package vfs

import "fmt"

// OpKind names a call of an FS or of a file it gave out.
type OpKind uint8

// The kinds. OpWrite is Write of a File and Append of an AppendFile; OpSync is
// Sync of either.
const (
	OpAny OpKind = iota // in a rule: every kind
	OpCreate
	OpOpen
	OpCreateAppend
	OpRead
	OpWrite
	OpSync
	OpClose
	OpTruncate
	OpRemove
	OpRename
	OpLink
	OpMkdir
	OpList
	OpStat
	OpSyncDir
	OpLock
	OpUsage

	opKinds // how many there are
)

var opNames = [opKinds]string{
	OpAny: "any", OpCreate: "create", OpOpen: "open", OpCreateAppend: "create-append",
	OpRead: "read", OpWrite: "write", OpSync: "sync", OpClose: "close",
	OpTruncate: "truncate", OpRemove: "remove", OpRename: "rename", OpLink: "link",
	OpMkdir: "mkdir", OpList: "list", OpStat: "stat", OpSyncDir: "sync-dir",
	OpLock: "lock", OpUsage: "usage",
}

func (k OpKind) String() string {
	if k < opKinds {
		return opNames[k]
	}
	return fmt.Sprintf("OpKind(%d)", uint8(k))
}

// Op is one call, as a test sees it.
type Op struct {
	Kind OpKind
	// Name is the file or directory. For a call on an open file it is the name
	// the file was opened by.
	Name string
	// NewName is the second name of a rename or link.
	NewName string
	// N counts the calls of one Crash or Fault from 1, this one included.
	N int64
	// Bytes is the length of a read or write, or the size of a truncate.
	Bytes int64
}

func (o Op) String() string {
	s := fmt.Sprintf("%d %s %s", o.N, o.Kind, o.Name)
	switch {
	case o.NewName != "":
		s += " -> " + o.NewName
	case o.Bytes != 0:
		s += fmt.Sprintf(" (%d bytes)", o.Bytes)
	}
	return s
}
