package version

import (
	"fmt"
	"io"
	"path/filepath"

	"github.com/strata-db/strata/internal/base"
	"github.com/strata-db/strata/vfs"
	"github.com/strata-db/strata/wal/record"
)

// snapshotFiles is how many files one record of a snapshot names at most, so that
// neither writer nor reader holds a large tree as one record.
const snapshotFiles = 4096

// A manifestFile is a manifest being written.
type manifestFile struct {
	name     string
	f        vfs.AppendFile
	w        *record.Writer
	snapshot int64 // length of the snapshot it began with, in bytes
}

func (m *manifestFile) size() int64 { return m.w.Size() }

func (m *manifestFile) close() error { return m.f.Close() }

// append writes one record and syncs it.
func (m *manifestFile) append(rec []byte) error {
	if err := m.w.Write(rec); err != nil {
		return err
	}
	return m.f.Sync()
}

// writeSnapshot makes the manifest name with everything st states, synced. On an
// error the file may exist, of no use; the handle, if there is one, is returned for
// closing.
func (s *Set) writeSnapshot(name string, st state) (*manifestFile, error) {
	// Plain writes: other engines' readers take preallocated zeros for damage.
	f, err := s.o.FS.CreateAppend(s.o.path(name), vfs.AppendOptions{Mode: vfs.AppendWrite})
	if err != nil {
		return nil, err
	}
	m := &manifestFile{name: name, f: f, w: record.NewWriter(f, 0)}
	comparer := s.o.Cmp.Name
	if s.upgraded {
		comparer = upgradedPrefix + comparer
	}
	next := s.NextFileNum()
	for e := range snapshotEdits(&st, comparer, next) {
		s.buf = e.Encode(s.buf[:0])
		if err := m.w.Write(s.buf); err != nil {
			return m, err
		}
	}
	m.snapshot = m.size()
	return m, f.Sync()
}

// snapshotEdits yields the edits that make st out of nothing. The numbers, without
// which no manifest is complete, come in the last one.
func snapshotEdits(st *state, comparer string, next base.FileNum) func(yield func(*Edit) bool) {
	return func(yield func(*Edit) bool) {
		e := &Edit{Comparer: comparer}
		for i, key := range st.pointers {
			if key != nil {
				e.Pointers = append(e.Pointers, Pointer{i, key})
			}
		}
		for i, l := range st.version.levels {
			for _, f := range l.files {
				if len(e.Added) == snapshotFiles {
					if !yield(e) {
						return
					}
					e = &Edit{Added: e.Added[:0]}
				}
				e.Add(i, f)
			}
		}
		e.LogNum, e.PrevLogNum, e.NextFileNum, e.LastSeq = &st.logNum, &st.prevLog, &next, &st.lastSeq
		yield(e)
	}
}

// A Tear is what was dropped at the end of a manifest: a record that was being
// written when the machine stopped.
type Tear struct {
	File         string // base name
	Offset       int64  // of the record
	DroppedBytes int64  // from there to the end of the file
	Reason       string
}

// ReadManifest calls fn with the offset and the edit of each record of the manifest at
// path, in order. The edit is fn's to keep. It returns the torn last record, nil if
// there is none; a tail of zeros is none. Damage is a *base.CorruptionError with the
// offset; fn's error ends the reading and is returned.
//
// It needs neither pointer nor comparer, and changes nothing.
func ReadManifest(fsys vfs.FS, path string, fn func(off int64, e *Edit) error) (*Tear, error) {
	tear, _, err := readManifest(fsys, path, fn)
	return tear, err
}

// readManifest is ReadManifest and returns the length of the file.
func readManifest(fsys vfs.FS, path string, fn func(off int64, e *Edit) error) (*Tear, int64, error) {
	f, err := fsys.Open(path)
	if err != nil {
		return nil, 0, err
	}
	defer f.Close()
	size, err := f.Size()
	if err != nil {
		return nil, 0, err
	}
	name := filepath.Base(path)
	r := record.NewReader(f, size, name)
	for {
		rec, off, err := r.Next()
		if err == io.EOF {
			return nil, size, nil
		}
		if err != nil {
			tear, err := judge(f, r, err)
			return tear, size, err
		}
		e := new(Edit)
		if err := e.Decode(rec, name, off); err != nil {
			return nil, size, err
		}
		if err := fn(off, e); err != nil {
			return nil, size, fmt.Errorf("%s at offset %d: %w", name, off, err)
		}
	}
}
