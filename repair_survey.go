package strata

import (
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"syscall"

	"github.com/strata-db/strata/internal/base"
	"github.com/strata-db/strata/version"
	"github.com/strata-db/strata/vfs"
)

// A survey is what names, pointer and manifests of a directory say. It opens no table
// and no log.
type survey struct {
	fs       vfs.FS
	dir      string
	list     *version.Listing
	upgraded bool

	manifests []*manifestState // newest number first
	pointer   version.Pointing
	pointErr  error // why the pointer is of no use

	basis    RepairBasis
	manifest string           // that is believed, empty if none is
	contents version.Contents // of it
	comparer string           // plain name, empty if nothing says
	dead     map[base.FileNum]bool
	have     map[base.FileNum]base.FileType // tables that are there
	maxNum   base.FileNum                   // highest number that anything names

	damaged  bool // a plain Open would refuse
	problems map[string][]error
	notes    []string
}

// A manifestState is what could be read of one manifest.
type manifestState struct {
	name     string
	num      base.FileNum
	contents version.Contents
	tear     *version.Tear
	err      error // why reading ended early, or what is not stated
	dead     map[base.FileNum]bool
}

func surveyDir(fs vfs.FS, dir string) (*survey, error) {
	list, err := version.List(fs, dir)
	if err != nil {
		return nil, err
	}
	s := &survey{fs: fs, dir: dir, list: list, problems: make(map[string][]error)}
	if !s.isDatabase() {
		return nil, fmt.Errorf("no file of a database is there: %w", ErrNotExist)
	}
	if err := s.readPointer(); err != nil {
		return nil, err
	}
	if err := s.readManifests(); err != nil {
		return nil, err
	}
	if err := s.preferOther(); err != nil {
		return nil, err
	}
	s.have = list.Tables(s.upgraded)
	s.choose()
	if s.basis != BasisManifest {
		if err := version.OtherEngine(fs, dir, list); err != nil {
			return nil, err
		}
	}
	return s, s.readComparer()
}

func (s *survey) isDatabase() bool {
	return slices.ContainsFunc(s.list.Files, func(f version.ListedFile) bool {
		switch f.Type {
		case base.FileLock, base.FileInfoLog, base.FileTemp:
			return false
		}
		return true
	})
}

// currentIsDir reports that CURRENT is the directory that an upgrade makes of it.
func (s *survey) currentIsDir() bool {
	info, err := s.fs.Stat(filepath.Join(s.dir, base.CurrentName))
	return err == nil && info.IsDir()
}

// readPointer finds out which format the directory has, and reads its pointer. If the
// marker is lost, only what is made behind the gate tells.
func (s *survey) readPointer() error {
	s.upgraded = s.list.Has(base.FileMarker) || s.currentIsDir() ||
		s.list.Has(base.FileTableUpgr) || s.list.Has(base.FileLogUpgr) ||
		s.list.Has(base.FileManifestUpgr) && !s.list.Has(base.FileManifest)
	s.pointer, s.pointErr = version.ReadPointer(version.Options{FS: s.fs, Dir: s.dir}, s.upgraded)
	if s.pointErr != nil && !isNotExist(s.pointErr) && !isDamage(s.pointErr) {
		return s.pointErr
	}
	return nil
}

func (s *survey) manifestType() base.FileType {
	if s.upgraded {
		return base.FileManifestUpgr
	}
	return base.FileManifest
}

func (s *survey) logType() base.FileType {
	if s.upgraded {
		return base.FileLogUpgr
	}
	return base.FileLog
}

func (s *survey) tableType() base.FileType {
	if s.upgraded {
		return base.FileTableUpgr
	}
	return base.FileTable
}

func (s *survey) readManifests() error {
	s.manifests = nil
	for _, f := range s.list.Files {
		if f.Type != s.manifestType() || f.Name != base.FileName(f.Type, f.Num) {
			continue
		}
		m, err := s.readManifest(f)
		if err != nil {
			return err
		}
		s.manifests = append(s.manifests, m)
	}
	slices.SortFunc(s.manifests, func(a, b *manifestState) int {
		if a.num > b.num {
			return -1
		}
		return 1
	})
	return nil
}

// readManifest reads a manifest to its end or to the first damage.
func (s *survey) readManifest(f version.ListedFile) (*manifestState, error) {
	m := &manifestState{name: f.Name, num: f.Num, dead: make(map[base.FileNum]bool)}
	m.tear, m.err = version.ReadManifest(s.fs, filepath.Join(s.dir, f.Name), func(_ int64, e *version.Edit) error {
		m.contents.Replay(e)
		for _, d := range e.Deleted {
			m.dead[d.Num] = true
		}
		for _, a := range e.Added {
			delete(m.dead, a.Meta.Num)
		}
		return nil
	})
	if m.err != nil && !isDamage(m.err) {
		return nil, m.err
	}
	if m.err == nil {
		m.err = m.contents.Complete(m.name)
	}
	if m.err == nil {
		m.err = m.twice()
	}
	return m, nil
}

// twice returns an error if a table is in two levels.
func (m *manifestState) twice() error {
	seen := make(map[base.FileNum]bool)
	for i := range m.contents.Files {
		for num := range m.contents.Files[i] {
			if seen[num] {
				return base.Corruptf(m.name, -1, "table %s is in two levels", num)
			}
			seen[num] = true
		}
	}
	return nil
}

// preferOther handles a directory that another engine wrote to after an upgrade of it
// had been interrupted: what that engine says is newer, since nothing was ever written
// behind the gate.
func (s *survey) preferOther() error {
	if !s.upgraded || s.pointErr != nil || !s.list.Has(base.FileCurrent) || s.currentIsDir() {
		return nil
	}
	p, err := version.ReadPointer(version.Options{FS: s.fs, Dir: s.dir}, false)
	if err == nil && p.Manifest == s.pointer.From {
		return nil // an upgrade that the next Open finishes
	}
	s.damaged = true
	if s.pointer.From != "" && err == nil {
		other := *s
		other.upgraded, other.pointer = false, p
		if err := other.readManifests(); err != nil {
			return err
		}
		if slices.ContainsFunc(other.manifests, func(m *manifestState) bool { return m.name == p.Manifest && m.err == nil }) {
			*s = other
			s.problem(base.MarkerName, base.Corruptf(base.MarkerName, -1, "another engine wrote after the upgrade was interrupted; that counts"))
			return nil
		}
	}
	s.problem(base.CurrentName, base.Corruptf(base.CurrentName, -1, "a file beside %s, which counts", base.MarkerName))
	return nil
}

func (s *survey) problem(name string, err error) {
	s.problems[name] = append(s.problems[name], err)
}

// choose decides which manifest is believed, and how far.
func (s *survey) choose() {
	s.dead = make(map[base.FileNum]bool)
	for _, f := range s.list.Files {
		s.use(f.Num)
	}
	var named, best *manifestState // best is the newest one that is whole, else the newest that says anything
	for _, m := range s.manifests {
		if s.pointErr == nil && m.name == s.pointer.Manifest {
			named = m
		}
		if m.contents.Edits > 0 && (best == nil || best.err != nil && m.err == nil) {
			best = m
		}
		if m.err != nil {
			s.problem(m.name, m.err)
		}
		if m.contents.NextFileNum != nil {
			s.use(*m.contents.NextFileNum - 1)
		}
		for num := range m.dead {
			s.dead[num] = true
		}
	}
	switch {
	case named != nil && named.err == nil:
		s.believe(named, BasisManifest)
		if s.misses(named) && (named.tear != nil || s.knowsLess(named)) {
			s.believe(named, BasisPartOfManifest)
		}
		return
	case named != nil && named.contents.Edits > 0:
		best = named
	}
	s.damaged = true
	s.blamePointer(named)
	switch {
	case best == nil:
		s.basis = BasisTables
	case s.pointErr != nil && best == s.manifests[0] && best.err == nil && best.tear == nil && !s.misses(best) && !s.knowsLess(best):
		s.believe(best, BasisManifest)
	default:
		s.believe(best, BasisPartOfManifest)
	}
}

// blamePointer says what is wrong with the pointer, if anything is.
func (s *survey) blamePointer(named *manifestState) {
	name := base.CurrentName
	if s.upgraded {
		name = base.MarkerName
	}
	switch {
	case s.pointErr != nil && isNotExist(s.pointErr):
		s.problem(name, base.Corruptf(name, -1, "missing"))
	case s.pointErr != nil:
		s.problem(name, s.pointErr)
	case named == nil:
		s.problem(name, base.Corruptf(name, 0, "it names %s, which does not exist", s.pointer.Manifest))
	}
}

// use takes note that a file number was handed out. Absurd ones, which no counter ever
// reached, are passed over.
func (s *survey) use(num base.FileNum) {
	if num < version.MaxFileNum {
		s.maxNum = max(s.maxNum, num)
	}
}

func (s *survey) believe(m *manifestState, b RepairBasis) {
	s.basis, s.manifest, s.contents = b, m.name, m.contents
	for i := range m.contents.Files {
		for num := range m.contents.Files[i] {
			s.use(num)
		}
	}
	if m.contents.LogNum != nil {
		s.use(*m.contents.LogNum)
	}
	if m.tear != nil && b != BasisManifest {
		s.problem(m.name, base.Corruptf(m.name, m.tear.Offset, "the last record is torn: %s", m.tear.Reason))
	}
	s.damaged = s.damaged || b != BasisManifest
}

// misses reports that a file that m names is not there.
func (s *survey) misses(m *manifestState) bool {
	for i := range m.contents.Files {
		for num := range m.contents.Files[i] {
			if _, ok := s.have[num]; !ok {
				return true
			}
		}
	}
	return len(s.missingLogs(&m.contents)) > 0
}

// missingLogs returns the names of logs that c needs and that are not there.
func (s *survey) missingLogs(c *version.Contents) (names []string) {
	nums := []base.FileNum{c.PrevLogNum}
	if c.LogNum != nil {
		nums = append(nums, *c.LogNum)
	}
	for _, num := range nums {
		name := base.FileName(s.logType(), num)
		if num != 0 && !slices.ContainsFunc(s.list.Files, func(f version.ListedFile) bool { return f.Name == name }) {
			names = append(names, name)
		}
	}
	return names
}

// knowsLess reports that tables are there which were made after the last edit of m,
// as far as it can be told by their numbers.
func (s *survey) knowsLess(m *manifestState) bool {
	for num := range s.have {
		if m.contents.NextFileNum != nil && num >= *m.contents.NextFileNum {
			return true
		}
	}
	return false
}

// readComparer takes the name of the order from the manifest that is believed.
func (s *survey) readComparer() error {
	if s.manifest == "" {
		return nil
	}
	name, err := s.contents.ComparerName(s.manifest, s.upgraded)
	switch {
	case err == nil:
		s.comparer = name
	case !isDamage(err):
		return err
	default:
		s.problem(s.manifest, err)
		s.damaged = true
	}
	return nil
}

// tables returns the tables that count, with the level and what the manifest says of
// them, nil if it says nothing.
func (s *survey) tables() []*repairTable {
	var list []*repairTable
	for level := range s.contents.Files {
		for _, f := range s.contents.SortedFiles(level) {
			if s.basis != BasisManifest && s.dead[f.Num] {
				continue
			}
			t := &repairTable{num: f.Num, level: level, stated: f}
			t.typ, t.present = s.have[f.Num]
			list = append(list, t)
		}
	}
	if s.basis == BasisManifest {
		return list
	}
	named := make(map[base.FileNum]bool)
	for _, t := range list {
		named[t.num] = true
	}
	var nums []base.FileNum
	for num := range s.have {
		if !named[num] && !s.dead[num] {
			nums = append(nums, num)
		}
	}
	slices.Sort(nums)
	for _, num := range slices.Backward(nums) {
		list = append(list, &repairTable{num: num, level: -1, typ: s.have[num], present: true})
	}
	return list
}

// logs returns the numbers of the logs that count, ascending.
func (s *survey) logs() []base.FileNum {
	var nums []base.FileNum
	for _, f := range s.list.Files {
		if f.Type != s.logType() || f.Name != base.FileName(f.Type, f.Num) {
			continue
		}
		c := &s.contents
		if s.manifest == "" || c.LogNum == nil || f.Num >= *c.LogNum || f.Num == c.PrevLogNum && f.Num != 0 {
			nums = append(nums, f.Num)
		}
	}
	slices.Sort(nums)
	return nums
}

// isDamage reports an error that means that bytes are damaged or lost for ever, not
// that reading failed for a reason of the moment.
func isDamage(err error) bool {
	return errors.Is(err, ErrCorruption) || errors.Is(err, syscall.EIO)
}
