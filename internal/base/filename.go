package base

import (
	"fmt"
	"strconv"
	"strings"
)

// FileNum numbers the files of a database: one counter for all kinds.
type FileNum uint64

// String returns the number as it stands in file names: at least six digits.
func (n FileNum) String() string { return fmt.Sprintf("%06d", uint64(n)) }

// FileType is what a file in a database directory is for.
type FileType uint8

// The file types. Those past the gate carry names that neither LevelDB nor
// goleveldb recognises, so that their repair tools cannot mistake them.
const (
	FileUnknown      FileType = iota
	FileCurrent               // CURRENT
	FileLock                  // LOCK
	FileInfoLog               // LOG, LOG.old: text by other engines
	FileManifest              // MANIFEST-000001
	FileLog                   // 000001.log
	FileTable                 // 000001.ldb
	FileTableOld              // 000001.sst, LevelDB up to 1.13
	FileTemp                  // 000001.dbtmp, 000001.tmp, CURRENT.1: unfinished work
	FileCurrentBak            // CURRENT.bak, by goleveldb
	FileMarker                // STRATA: the pointer of an upgraded directory
	FileManifestUpgr          // STRATA-000001: its manifest
	FileLogUpgr               // 000001.swal: its logs
	FileTableUpgr             // 000001.stbl: its tables
)

// Fixed names.
const (
	CurrentName = "CURRENT"
	LockName    = "LOCK"
	MarkerName  = "STRATA"
)

// FileName returns the base name of file number num of type t. num is ignored
// for types that have one file.
func FileName(t FileType, num FileNum) string {
	switch t {
	case FileCurrent:
		return CurrentName
	case FileLock:
		return LockName
	case FileMarker:
		return MarkerName
	case FileManifest:
		return "MANIFEST-" + num.String()
	case FileLog:
		return num.String() + ".log"
	case FileTable:
		return num.String() + ".ldb"
	case FileTableOld:
		return num.String() + ".sst"
	case FileTemp:
		return num.String() + ".dbtmp"
	case FileManifestUpgr:
		return "STRATA-" + num.String()
	case FileLogUpgr:
		return num.String() + ".swal"
	case FileTableUpgr:
		return num.String() + ".stbl"
	}
	panic(fmt.Sprintf("base: file type %d has no name", t))
}

// ParseFileName returns the type and number of a base name. It is strict: a
// name with anything else in it is unknown, and unknown files are never
// touched.
func ParseFileName(name string) (FileType, FileNum) {
	switch name {
	case CurrentName:
		return FileCurrent, 0
	case LockName:
		return FileLock, 0
	case "LOG", "LOG.old":
		return FileInfoLog, 0
	case "CURRENT.bak":
		return FileCurrentBak, 0
	case MarkerName:
		return FileMarker, 0
	}
	for prefix, t := range map[string]FileType{"MANIFEST-": FileManifest, "STRATA-": FileManifestUpgr, "CURRENT.": FileTemp} {
		if rest, ok := strings.CutPrefix(name, prefix); ok {
			if n, ok := parseNum(rest); ok {
				return t, n
			}
			return FileUnknown, 0
		}
	}
	stem, suffix, ok := strings.Cut(name, ".")
	if !ok {
		return FileUnknown, 0
	}
	n, ok := parseNum(stem)
	if !ok {
		return FileUnknown, 0
	}
	switch suffix {
	case "log":
		return FileLog, n
	case "ldb":
		return FileTable, n
	case "sst":
		return FileTableOld, n
	case "dbtmp", "tmp":
		return FileTemp, n
	case "swal":
		return FileLogUpgr, n
	case "stbl":
		return FileTableUpgr, n
	}
	return FileUnknown, 0
}

func parseNum(s string) (FileNum, bool) {
	if s == "" || s[0] < '0' || s[0] > '9' {
		return 0, false
	}
	n, err := strconv.ParseUint(s, 10, 63)
	return FileNum(n), err == nil
}
