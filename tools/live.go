package tools

import (
	"cmp"
	"slices"

	"github.com/strata-db/strata/internal/base"
	"github.com/strata-db/strata/version"
	"github.com/strata-db/strata/vfs"
	"github.com/strata-db/strata/wal"
)

// liveLogs returns the logs that the manifest still needs, ascending. One that it
// names and that is not there is damage.
func liveLogs(fsys vfs.FS, dir string, in *version.Inspection) ([]wal.Segment, error) {
	l, err := version.List(fsys, dir)
	if err != nil {
		return nil, err
	}
	var segments []wal.Segment
	for _, f := range l.Files {
		if isLiveLog(in, f) {
			segments = append(segments, wal.Segment{Num: f.Num, Type: f.Type})
		}
	}
	for _, num := range []base.FileNum{in.Contents.PrevLogNum, *in.Contents.LogNum} {
		s := wal.Segment{Num: num, Type: logType(in.Upgraded)}
		if num != 0 && !slices.Contains(segments, s) {
			return nil, base.Corruptf(s.Name(), -1, "log is missing, %s names it", in.Manifest)
		}
	}
	return sortSegments(segments), nil
}

func logType(upgraded bool) base.FileType {
	if upgraded {
		return base.FileLogUpgr
	}
	return base.FileLog
}

// isLiveLog reports whether f is a log that the manifest still needs.
func isLiveLog(in *version.Inspection, f version.ListedFile) bool {
	t := logType(in.Upgraded)
	live := f.Num >= *in.Contents.LogNum || f.Num != 0 && f.Num == in.Contents.PrevLogNum
	return f.Type == t && live && f.Name == base.FileName(t, f.Num)
}

func sortSegments(s []wal.Segment) []wal.Segment {
	slices.SortFunc(s, func(a, b wal.Segment) int { return cmp.Compare(a.Num, b.Num) })
	return s
}
