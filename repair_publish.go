package strata

import (
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"slices"

	"github.com/strata-db/strata/internal/base"
	"github.com/strata-db/strata/version"
)

// publish makes the result the database, and takes retired out of it, in the order that
// the comment in repair.go gives.
func (r *repair) publish(retired []*retiredFile) error {
	edit, err := r.edit()
	if err != nil {
		return err
	}
	if err := r.linkLost(retired); err != nil {
		return err
	}
	log, err := r.makeLog()
	if err != nil {
		return err
	}
	edit.SetLogNum(log)
	if err := r.set.Apply(edit); err != nil {
		if errors.Is(err, version.ErrUnsettled) {
			r.keepTables() // they may be in use
		}
		return err
	}
	r.keepTables()
	for _, f := range retired {
		if err := f.retire(r); err != nil {
			return fmt.Errorf("the database is repaired, but old files could not be moved away: %w", err)
		}
	}
	if err := r.fs.SyncDir(r.dir); err != nil {
		return err
	}
	if r.survey.upgraded {
		return version.FinishUpgrade(r.versionOptions(r.dir))
	}
	return nil
}

// edit gives the new tables their names and returns the edit that makes the tree.
func (r *repair) edit() (*version.Edit, error) {
	edit := &version.Edit{}
	last := max(r.maxSeq, r.logs.lastSeq)
	r.report.LastSeq = uint64(last)
	edit.SetLastSeq(last)
	for level, tables := range r.tree {
		for _, t := range tables {
			if t.isNew {
				path := filepath.Join(r.dst, base.FileName(t.typ, t.num))
				if err := r.fs.Rename(t.path, path); err != nil {
					return nil, err
				}
				r.temps = slices.DeleteFunc(r.temps, func(p string) bool { return p == t.path })
				r.temps = append(r.temps, path)
				t.path = path
			}
			edit.Add(level, t.meta)
		}
	}
	return edit, nil
}

// keepTables takes what is in use out of the files that are removed at the end: what
// remains are tables that were merged into others.
func (r *repair) keepTables() {
	r.temps = slices.DeleteFunc(r.temps, func(p string) bool {
		t, _ := base.ParseFileName(filepath.Base(p))
		return t != base.FileTemp
	})
}

// makeLog makes the empty log from which the next Open goes on, and returns its
// number.
func (r *repair) makeLog() (base.FileNum, error) {
	num := r.set.NewFileNum()
	path := filepath.Join(r.dst, base.FileName(r.set.LogType(), num))
	f, err := r.fs.Create(path)
	if err != nil {
		return 0, err
	}
	r.temps = append(r.temps, path)
	return num, errors.Join(f.Sync(), f.Close())
}

// A retiredFile is one that is out of use after the repair.
type retiredFile struct {
	name string
	file *RepairFile
	lost string // its name in lost/
	// linked says that it has the name in lost/ already; where links are not to be
	// had it is renamed at the end.
	linked bool
	// stays says that the name stays in use: a pointer is replaced, not removed.
	stays bool
}

// retired returns the files that will be out of use.
func (r *repair) retired() []*retiredFile {
	inUse := make(map[string]bool)
	for _, tables := range r.tree {
		for _, t := range tables {
			inUse[base.FileName(t.typ, t.num)] = true
		}
	}
	var list []*retiredFile
	for _, f := range r.survey.list.Files {
		rf := &retiredFile{name: f.Name}
		switch f.Type {
		case base.FileTable, base.FileTableOld, base.FileTableUpgr, base.FileLog, base.FileLogUpgr:
			if inUse[f.Name] {
				continue
			}
		case base.FileManifest, base.FileManifestUpgr:
		case base.FileCurrentBak:
			if !r.survey.upgraded {
				continue // nobody of ours reads it
			}
		case base.FileCurrent:
			if r.survey.currentIsDir() {
				continue
			}
			rf.stays = !r.survey.upgraded
			if rf.stays && r.survey.problems[f.Name] == nil {
				continue
			}
		case base.FileMarker:
			rf.stays = r.survey.upgraded
			if rf.stays && r.survey.problems[f.Name] == nil {
				continue
			}
		default:
			continue
		}
		rf.file = r.reported(f.Name)
		list = append(list, rf)
	}
	return list
}

// reported returns the report's entry for a file, which it makes if there is none.
func (r *repair) reported(name string) *RepairFile {
	for _, f := range r.files {
		if f.Name == name {
			return f
		}
	}
	f := r.file(name, -1)
	f.Action = FileReplaced
	return f
}

// linkLost gives the files their second name, durably.
func (r *repair) linkLost(files []*retiredFile) error {
	if len(files) == 0 {
		return nil
	}
	lost := filepath.Join(r.dir, lostDir)
	if err := version.MakeDir(r.fs, lost); err != nil {
		return err
	}
	names, err := r.fs.List(lost)
	if err != nil {
		return err
	}
	taken := make(map[string]bool)
	for _, n := range names {
		taken[n] = true
	}
	for _, f := range files {
		if err := r.linkOne(f, taken); err != nil {
			return err
		}
	}
	return r.fs.SyncDir(lost)
}

// linkOne gives one file a free name in lost/, or finds that an earlier repair, which
// did not get to its end, has given it one.
func (r *repair) linkOne(f *retiredFile, taken map[string]bool) error {
	path := filepath.Join(r.dir, f.name)
	f.lost = f.name
	for i := 1; taken[f.lost]; i++ {
		same, err := r.sameContent(path, filepath.Join(r.dir, lostDir, f.lost))
		if err != nil {
			return err
		}
		if same {
			f.linked = true
			break
		}
		f.lost = fmt.Sprintf("%s.%d", f.name, i)
	}
	taken[f.lost] = true
	if !f.linked {
		f.linked = r.fs.Link(path, filepath.Join(r.dir, lostDir, f.lost)) == nil
	}
	f.file.MovedTo = lostDir + "/" + f.lost
	if !f.linked && f.stays {
		f.linked = true
		return copyFile(r.fs, path, filepath.Join(r.dir, lostDir, f.lost))
	}
	return nil
}

// retire takes the first name of a file away.
func (f *retiredFile) retire(r *repair) error {
	path := filepath.Join(r.dir, f.name)
	switch {
	case f.stays:
		return nil
	case f.linked:
		err := r.fs.Remove(path)
		if isNotExist(err) {
			return nil
		}
		return err
	}
	return r.fs.Rename(path, filepath.Join(r.dir, lostDir, f.lost))
}

// sameContent reports whether two files hold the same bytes.
func (r *repair) sameContent(a, b string) (bool, error) {
	fa, err := r.fs.Open(a)
	if err != nil {
		return false, err
	}
	defer fa.Close()
	fb, err := r.fs.Open(b)
	if err != nil {
		return false, err
	}
	defer fb.Close()
	size, err := fa.Size()
	if err != nil {
		return false, err
	}
	if other, err := fb.Size(); err != nil || other != size {
		return false, err
	}
	pa, pb := make([]byte, 256<<10), make([]byte, 256<<10)
	for off := int64(0); off < size; off += int64(len(pa)) {
		n := int(min(int64(len(pa)), size-off))
		if _, err := fa.ReadAt(pa[:n], off); err != nil && err != io.EOF {
			return false, nil // unreadable: not known to be the same
		}
		if _, err := fb.ReadAt(pb[:n], off); err != nil && err != io.EOF {
			return false, nil
		}
		if string(pa[:n]) != string(pb[:n]) {
			return false, nil
		}
	}
	return true, nil
}
