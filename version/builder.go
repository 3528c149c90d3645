package version

import (
	"bytes"
	"errors"
	"fmt"
	"slices"

	"github.com/strata-db/strata/internal/base"
)

// next returns the state that follows from e. e is the caller's promise, not bytes from
// disk: an error here is a bug above, returned so that it does no harm.
func (s *state) next(o *Options, e *Edit) (state, error) {
	n := *s
	if e.Comparer != "" || e.NextFileNum != nil {
		return n, errors.New("version: an applied edit states neither comparer nor next file number")
	}
	if e.LogNum != nil {
		if *e.LogNum < s.logNum {
			return n, fmt.Errorf("version: log number goes back from %s to %s", s.logNum, *e.LogNum)
		}
		n.logNum, n.prevLog = *e.LogNum, 0
	}
	if e.PrevLogNum != nil {
		n.prevLog = *e.PrevLogNum
	}
	if e.LastSeq != nil {
		n.lastSeq = *e.LastSeq
	}
	for _, p := range e.Pointers {
		n.pointers[p.Level] = bytes.Clone(p.Key)
	}
	var err error
	n.version, err = s.version.with(o, e)
	return n, err
}

// with returns the version that follows from e, not yet installed.
func (v *Version) with(o *Options, e *Edit) (*Version, error) {
	if err := v.checkMoves(e); err != nil {
		return nil, err
	}
	n := &Version{cmp: v.cmp, levels: v.levels, obsolete: o.Obsolete}
	for i := range v.levels {
		if !touches(e, i) {
			continue
		}
		files, err := v.levels[i].with(v.cmp, i, e)
		if err != nil {
			return nil, err
		}
		n.levels[i] = newLevel(v.cmp, i, files)
	}
	return n, nil
}

// checkMoves returns an error unless each table that is named already and added again
// is one that e deletes from its level, with the same FileMeta: the meta counts the
// versions that name the file, so a second one would free a file that is in use.
func (v *Version) checkMoves(e *Edit) error {
	for _, a := range e.Added {
		if a.Meta.gone.Load() {
			return fmt.Errorf("version: edit adds %s, which was handed over as obsolete", a.Meta.Num)
		}
		i := slices.IndexFunc(e.Deleted, func(d DeletedFile) bool { return d.Num == a.Meta.Num })
		if i < 0 {
			if a.Meta.refs.Load() > 0 {
				return fmt.Errorf("version: edit adds %s, which a version names already", a.Meta.Num)
			}
			continue
		}
		if !slices.Contains(v.levels[e.Deleted[i].Level].files, a.Meta) {
			return fmt.Errorf("version: edit moves %s with another FileMeta", a.Meta.Num)
		}
	}
	return nil
}

func touches(e *Edit, level int) bool {
	return slices.ContainsFunc(e.Deleted, func(d DeletedFile) bool { return d.Level == level }) ||
		slices.ContainsFunc(e.Added, func(a AddedFile) bool { return a.Level == level })
}

// with returns the files of level num after e.
func (l *level) with(cmp *base.Comparer, num int, e *Edit) ([]*FileMeta, error) {
	kept, err := l.without(num, e)
	if err != nil {
		return nil, err
	}
	var added []*FileMeta
	for _, a := range e.Added {
		if a.Level != num {
			continue
		}
		if cmp.CompareInternal(a.Meta.Smallest, a.Meta.Largest) > 0 {
			return nil, fmt.Errorf("version: edit adds %s, which ends before it begins", a.Meta)
		}
		added = append(added, a.Meta)
	}
	sortFiles(cmp, num, added)
	return merge(cmp, num, kept, added)
}

// without returns the files of level num that e does not delete.
func (l *level) without(num int, e *Edit) ([]*FileMeta, error) {
	gone := make(map[base.FileNum]bool)
	for _, d := range e.Deleted {
		if d.Level == num {
			gone[d.Num] = true
		}
	}
	if len(gone) == 0 {
		return l.files, nil
	}
	kept := make([]*FileMeta, 0, len(l.files))
	for _, f := range l.files {
		if gone[f.Num] {
			delete(gone, f.Num)
		} else {
			kept = append(kept, f)
		}
	}
	for missing := range gone {
		return nil, fmt.Errorf("version: edit deletes %s from level %d, where it is not", missing, num)
	}
	return kept, nil
}

// merge returns a and b, both in the order of level num, as one list of their own,
// after checking that each file of b fits where it comes to lie.
func merge(cmp *base.Comparer, num int, a, b []*FileMeta) ([]*FileMeta, error) {
	out := make([]*FileMeta, 0, len(a)+len(b))
	fresh := false // the last file of out is from b
	for len(a)+len(b) > 0 {
		fromB := len(a) == 0 || len(b) > 0 && compareFiles(cmp, num, b[0], a[0]) < 0
		from := &a
		if fromB {
			from = &b
		}
		f := (*from)[0]
		if len(out) > 0 && (fromB || fresh) {
			if err := checkNeighbours(cmp, num, out[len(out)-1], f); err != nil {
				return nil, fmt.Errorf("version: edit does not fit: %w", err)
			}
		}
		out, *from, fresh = append(out, f), (*from)[1:], fromB
	}
	return out, nil
}
