package version

import (
	"fmt"
	"slices"

	"github.com/strata-db/strata/internal/base"
)

// A Contents is what the edits of a manifest add up to.
type Contents struct {
	Comparer    string // as stated; empty if no edit states one
	LogNum      *base.FileNum
	PrevLogNum  base.FileNum
	NextFileNum *base.FileNum
	LastSeq     *base.SeqNum
	Pointers    [NumLevels][]byte
	Files       [NumLevels]map[base.FileNum]*FileMeta
	Edits       int // how many there were
}

// Replay adds an edit: its deletions, then its additions. Deleting what is not there
// changes nothing. Contents keeps what e points at.
func (c *Contents) Replay(e *Edit) {
	c.Edits++
	if e.Comparer != "" {
		c.Comparer = e.Comparer
	}
	if e.LogNum != nil {
		c.LogNum = e.LogNum
	}
	if e.PrevLogNum != nil {
		c.PrevLogNum = *e.PrevLogNum
	}
	if e.NextFileNum != nil {
		c.NextFileNum = e.NextFileNum
	}
	if e.LastSeq != nil {
		c.LastSeq = e.LastSeq
	}
	for _, p := range e.Pointers {
		c.Pointers[p.Level] = p.Key
	}
	for _, d := range e.Deleted {
		delete(c.Files[d.Level], d.Num)
	}
	for _, a := range e.Added {
		if c.Files[a.Level] == nil {
			c.Files[a.Level] = make(map[base.FileNum]*FileMeta)
		}
		c.Files[a.Level][a.Meta.Num] = a.Meta
	}
}

// complete returns an error unless everything a manifest must state was stated.
func (c *Contents) complete(manifest string) error {
	for _, field := range []struct {
		what   string
		stated bool
	}{
		{"log number", c.LogNum != nil},
		{"next file number", c.NextFileNum != nil},
		{"last sequence", c.LastSeq != nil},
	} {
		if !field.stated {
			return base.Corruptf(manifest, -1, "no edit states the %s", field.what)
		}
	}
	return nil
}

// levels returns the files of each level in order, after checking what a Version
// relies on.
func (c *Contents) levels(cmp *base.Comparer, manifest string) ([NumLevels][]*FileMeta, error) {
	var levels [NumLevels][]*FileMeta
	seen := make(map[base.FileNum]int)
	for i, files := range c.Files {
		levels[i] = make([]*FileMeta, 0, len(files))
		for _, f := range files {
			if other, dup := seen[f.Num]; dup {
				return levels, base.Corruptf(manifest, -1, "table %s is in level %d and in level %d", f.Num, other, i)
			}
			seen[f.Num] = i
			levels[i] = append(levels[i], f)
		}
		sortFiles(cmp, i, levels[i])
	}
	return levels, nil
}

// SortedFiles returns the files of a level by number, newest first: the order that
// needs no comparer.
func (c *Contents) SortedFiles(level int) []*FileMeta {
	files := make([]*FileMeta, 0, len(c.Files[level]))
	for _, f := range c.Files[level] {
		files = append(files, f)
	}
	slices.SortFunc(files, func(a, b *FileMeta) int { return compareFiles(nil, 0, a, b) })
	return files
}

// upgradedPrefix stands before the comparer's name in the manifest of an upgraded
// directory. It is the last line of the gate: an engine that gets as far as the
// manifest refuses the name.
const (
	upgradedPrefix = "strata.v1:"
	anyPrefix      = "strata.v"
)

// comparerName returns the plain name of the order that the manifest states.
func (c *Contents) comparerName(manifest string, upgraded bool) (string, error) {
	if !upgraded {
		if c.Comparer == "" {
			return base.BytewiseName, nil
		}
		return c.Comparer, nil
	}
	if name, ok := cutPrefix(c.Comparer, upgradedPrefix); ok {
		return name, nil
	}
	if _, ok := cutPrefix(c.Comparer, anyPrefix); ok {
		return "", fmt.Errorf("%s: format %q: %w", manifest, c.Comparer, ErrNewerRelease)
	}
	return "", &base.CorruptionError{File: manifest, Offset: -1, What: "comparer name of an upgraded directory",
		Got: fmt.Sprintf("%q", c.Comparer), Want: upgradedPrefix + "<name>"}
}

func cutPrefix(s, prefix string) (string, bool) {
	if len(s) > len(prefix) && s[:len(prefix)] == prefix {
		return s[len(prefix):], true
	}
	return s, false
}
