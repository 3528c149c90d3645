package version

import (
	"errors"
	"fmt"
	"io/fs"
	"slices"

	"github.com/strata-db/strata/internal/base"
)

// ErrUnsettled says that it is unknown whether an edit is on disk. See Set.Apply.
var ErrUnsettled = errors.New("strata: manifest write failed, its outcome is unknown until a later one succeeds")

// Apply writes e to the manifest, syncs it, and then makes the resulting version
// current. Concurrent calls take turns.
//
// Before the call, the tables in e.Added and the log that e.LogNum names must be
// durable, their names too. e must state LastSeq as the package comment says, and
// neither Comparer nor NextFileNum. A LogNum without PrevLogNum retires the previous
// log as well. e and the FileMetas it adds belong to the Set afterwards.
//
// When the append or the sync of a record fails, that manifest is retired for ever
// and Apply at once begins a new one with the edit in its snapshot. If that succeeds,
// so does Apply. Otherwise:
//
//   - An error that is ErrUnsettled: after a crash the directory may show the state
//     with e or the state without it. The current version is the one without. The
//     Set now keeps e's tables (see Limbo); the caller must not delete them, nor
//     any file or log that only the state without e needs. The next successful
//     Apply, of any edit, writes everything anew and so settles that e is not on
//     disk, unless it is e once more. Tables of an edit that deletes others (a
//     compaction) then go to Options.Obsolete: what they hold is in the others.
//     Those of one that only adds (a flush) stay, for e to be applied again, whenever
//     that is.
//   - Any other error: e is not on disk, the current version is unchanged, and e's
//     tables are still the caller's. An edit that contradicts the current version
//     (deleting what is not there, overlap in a deeper level) is refused this way.
func (s *Set) Apply(e *Edit) error {
	old, dead, err := s.apply(e)
	if err != nil {
		return err
	}
	handOver(s.o.Obsolete, dead)
	old.Unref()
	return nil
}

// apply is Apply up to the point where files may have become obsolete: it returns the
// version that was current, for Unref, and settled tables that nothing names.
func (s *Set) apply(e *Edit) (old *Version, dead []*FileMeta, err error) {
	s.applyMu.Lock()
	defer s.applyMu.Unlock()
	next, err := s.prepare(e)
	if err != nil {
		return nil, nil, err
	}
	unsettled, err := s.write(e, next)
	if err == nil {
		old, dead = s.install(next, e)
		return old, dead, nil
	}
	s.o.Logger.Error("manifest write failed", "error", err, "unsettled", unsettled)
	if !unsettled {
		return nil, nil, err
	}
	s.keepLimbo(e)
	return nil, nil, fmt.Errorf("%w: %w", ErrUnsettled, err)
}

// prepare checks e against the current state and marks its numbers as used.
func (s *Set) prepare(e *Edit) (state, error) {
	if s.o.ReadOnly {
		return state{}, base.ErrReadOnly
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.mu.closed {
		return state{}, base.ErrClosed
	}
	if e.LastSeqLog != 0 && e.LastSeqLog != s.mu.state.logNum {
		e.LastSeq, e.LastSeqLog = new(s.mu.state.lastSeq), s.mu.state.logNum
	}
	next, err := s.mu.state.next(&s.o, e)
	if err != nil {
		return state{}, err
	}
	s.mu.nextFile = max(s.mu.nextFile, next.logNum+1, next.prevLog+1)
	for _, a := range e.Added {
		s.mu.nextFile = max(s.mu.nextFile, a.Meta.Num+1)
	}
	if s.mu.nextFile > lastFileNum-16 { // some are needed for manifests
		return state{}, fmt.Errorf("version: file numbers are used up at %s", s.mu.nextFile)
	}
	return next, nil
}

// write brings e to disk: as a record of the current manifest, or as part of the
// snapshot of a new one. unsettled says, of an error, that e may be on disk.
func (s *Set) write(e *Edit, next state) (unsettled bool, err error) {
	outgrown := false
	if s.file != nil {
		rec := s.encode(e)
		if outgrown = s.outgrown(len(rec)); !outgrown {
			if err = s.append(rec); err == nil {
				s.sweep()
				return false, nil
			}
			unsettled = true
		}
	}
	// A switch that failed after it touched the pointer is tried once more: the second
	// one settles what the first left open.
	for range 2 {
		touched, serr := s.switchManifest(next, "")
		if serr == nil {
			return false, nil
		}
		err = errors.Join(err, serr)
		unsettled = unsettled || touched
		if !touched {
			break
		}
	}
	if outgrown && !unsettled {
		// The old manifest is sound and still pointed at. It may grow to twice its size
		// before the next attempt.
		s.retryAt = 2 * s.file.size()
		if err = s.append(s.encode(e)); err == nil {
			return false, nil
		}
		unsettled = true
	}
	return unsettled, err
}

// encode returns the record of e with the counter of file numbers. It is valid until
// the next call.
func (s *Set) encode(e *Edit) []byte {
	rec := *e
	rec.NextFileNum = new(s.NextFileNum())
	if rec.LogNum != nil && rec.PrevLogNum == nil {
		rec.PrevLogNum = new(base.FileNum)
	}
	s.buf = rec.Encode(s.buf[:0])
	return s.buf
}

// outgrown reports whether the manifest would become too large by n more bytes.
func (s *Set) outgrown(n int) bool {
	limit := max(s.o.MinRewriteBytes, int64(s.o.RewriteFactor)*s.file.snapshot, s.retryAt)
	return s.file.size()+int64(n) > limit
}

// append writes and syncs one record. After an error the manifest is retired.
func (s *Set) append(rec []byte) error {
	err := s.file.append(rec)
	if err == nil {
		return nil
	}
	s.failed()
	err = fmt.Errorf("append to %s: %w", s.file.name, err)
	s.file.close()
	s.file = nil
	return err
}

func (s *Set) failed() {
	s.mu.Lock()
	s.mu.metrics.Failures++
	s.mu.Unlock()
}

// switchManifest writes a new manifest that begins with a snapshot of st and points
// the directory at it. touched says, of an error, that the pointer may have changed;
// if not, nothing leads to the new manifest and it is removed. from is for Upgrade.
func (s *Set) switchManifest(st state, from string) (touched bool, err error) {
	if s.gateOpen && from == "" {
		if err := closeGate(s.o.FS, s.o.Dir); err != nil {
			s.failed()
			return false, fmt.Errorf("finish the upgrade: %w", err)
		}
		s.gateOpen = false
	}
	num := s.NewFileNum()
	t := base.FileManifest
	if s.upgraded {
		t = base.FileManifestUpgr
	}
	name := base.FileName(t, num)
	f, err := s.writeSnapshot(name, st)
	if err == nil {
		touched, err = writePointer(&s.o, pointer{manifest: name, from: from}, num, s.upgraded)
	}
	if err != nil {
		s.failed()
		if f != nil {
			f.close()
		}
		if touched {
			s.retire()
		}
		if touched || s.remove(name) != nil {
			s.stale = append(s.stale, name)
		}
		return touched, fmt.Errorf("begin %s: %w", name, err)
	}
	s.switched(f)
	return true, nil
}

// retire gives the current manifest up for ever.
func (s *Set) retire() {
	if s.file != nil {
		s.file.close()
		s.file = nil
	}
}

// switched takes note that the pointer durably leads to f, and removes the other
// manifests; those that cannot be removed are tried again at later edits.
func (s *Set) switched(f *manifestFile) {
	s.retire()
	s.file, s.retryAt = f, 0
	if s.manifest != "" {
		s.stale = append(s.stale, s.manifest)
	}
	s.mu.Lock()
	s.manifest = f.name
	s.mu.metrics.Manifests++
	s.mu.Unlock()
	s.sweep()
}

// sweep removes the manifests that are out of use. The pointer must durably lead to
// s.file.
func (s *Set) sweep() {
	s.stale = slices.DeleteFunc(s.stale, func(name string) bool { return s.remove(name) == nil })
}

// remove removes a file of the directory; that it is already gone is no error.
func (s *Set) remove(name string) error {
	err := s.o.FS.Remove(s.o.path(name))
	if err == nil || errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	s.o.Logger.Warn("old manifest not removed", "file", name, "error", err)
	return err
}

// install makes st current, and settles limbo: the first successful Apply after an
// unsettled one has written a snapshot. It returns the version before, whose reference
// is now the caller's, and the tables that come out of limbo with no version naming
// them.
func (s *Set) install(st state, e *Edit) (old *Version, dead []*FileMeta) {
	for _, a := range e.Added {
		s.o.attach(a.Meta)
	}
	st.version.install()
	s.mu.Lock()
	defer s.mu.Unlock()
	old, s.mu.state = s.mu.version, st
	s.mu.spares.prune(st.version)
	s.mu.metrics.Edits++
	s.mu.manifestBytes, s.mu.snapshotBytes = s.file.size(), s.file.snapshot
	var keep []limboFile
	for _, f := range s.mu.limbo {
		switch {
		case f.meta.refs.Load() > 0: // named after all
		case f.only:
			keep = append(keep, f)
		default:
			dead = append(dead, f.meta)
		}
	}
	s.mu.limbo = keep
	return old, dead
}

// keepLimbo notes e's tables. One that the current version names too, because e moved
// it between levels, is in no danger and stays out.
func (s *Set) keepLimbo(e *Edit) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, a := range e.Added {
		known := slices.ContainsFunc(s.mu.limbo, func(f limboFile) bool { return f.meta == a.Meta })
		if a.Meta.refs.Load() == 0 && !known {
			s.mu.limbo = append(s.mu.limbo, limboFile{a.Meta, len(e.Deleted) == 0})
		}
	}
}

// Confirm makes durable what Load read, by an empty edit, unless an Apply has succeeded
// since. It must come before the first file is deleted because Keeps is false.
func (s *Set) Confirm() error {
	s.applyMu.Lock()
	confirmed := s.file != nil
	s.applyMu.Unlock()
	if confirmed {
		return nil
	}
	return s.Apply(&Edit{})
}
