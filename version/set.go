package version

import (
	"slices"
	"sync"

	"github.com/strata-db/strata/internal/base"
)

// A Set owns the current Version and the manifest that records how it came to be.
//
// All methods may be called concurrently.
type Set struct {
	// Fixed by Load and Create.
	o        Options
	upgraded bool
	tear     *Tear

	// applyMu serialises Apply and everything about the manifest file. It is taken
	// before mu and may be held across I/O; mu may not.
	applyMu sync.Mutex

	// Guarded by applyMu.
	file     *manifestFile // being appended to; nil: the next Apply begins a new one
	manifest string        // base name of the newest manifest known to be pointed at; written under mu, too
	stale    []string      // other manifests, to be removed once a pointer switch is durable
	retryAt  int64         // size at which an outgrown manifest is tried to be begun anew, after a failure
	gateOpen bool          // upgraded, but CURRENT is not yet a directory
	buf      []byte        // for encoding edits

	mu struct {
		sync.Mutex
		state
		// nextFile is greater than every file number ever handed out, including those
		// of crashed runs.
		nextFile base.FileNum
		spares   spares
		// limbo holds the tables added by edits of unknown outcome.
		limbo         []limboFile
		manifestBytes int64
		snapshotBytes int64
		metrics       SetMetrics
		closed        bool
	}
}

// A state is everything that a snapshot states, but for the counter of file numbers.
type state struct {
	// version is never nil. Invariant: every file it names is durable and present.
	version  *Version
	logNum   base.FileNum
	prevLog  base.FileNum
	lastSeq  base.SeqNum
	pointers [NumLevels][]byte
}

// A limboFile is a table that an edit of unknown outcome added. It stays on disk until
// a later manifest is durable, and beyond that if nothing else has what it holds.
type limboFile struct {
	meta *FileMeta
	only bool // the edit deleted no table: this is a flushed memtable's only one
}

// SetMetrics counts what a Set did since it was made.
type SetMetrics struct {
	ManifestBytes int64 // size of the manifest
	SnapshotBytes int64 // size of the snapshot it began with; 0 until the first Apply
	Edits         int64 // edits applied
	Manifests     int64 // manifests begun
	Failures      int64 // failed writes, syncs and pointer switches
	Limbo         int   // tables of edits of unknown outcome
	Spares        int   // spare file numbers
}

// Metrics returns the counters.
func (s *Set) Metrics() SetMetrics {
	s.mu.Lock()
	defer s.mu.Unlock()
	m := s.mu.metrics
	m.ManifestBytes, m.SnapshotBytes = s.mu.manifestBytes, s.mu.snapshotBytes
	m.Limbo, m.Spares = len(s.mu.limbo), len(s.mu.spares.nums)
	return m
}

// Current returns the current version with a reference for the caller.
func (s *Set) Current() *Version {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.mu.version.Ref()
	return s.mu.version
}

// NewFileNum hands out a file number that no file of the database ever had.
func (s *Set) NewFileNum() base.FileNum {
	s.mu.Lock()
	defer s.mu.Unlock()
	n := s.mu.nextFile
	s.mu.nextFile++
	return n
}

// NextFileNum returns the number that NewFileNum would hand out.
func (s *Set) NextFileNum() base.FileNum {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.mu.nextFile
}

// MarkUsed takes care that n is not handed out again.
func (s *Set) MarkUsed(n base.FileNum) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.mu.nextFile = max(s.mu.nextFile, n+1)
}

// ReserveSpare keeps n, which the caller got from NewFileNum and does not use, for a
// later TakeSpare. Spares are not written down; Load finds them again.
func (s *Set) ReserveSpare(n base.FileNum) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.mu.spares.add(n)
}

// TakeSpare hands out a spare number n with lo < n < hi, if there is one.
func (s *Set) TakeSpare(lo, hi base.FileNum) (base.FileNum, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.mu.spares.take(lo, hi)
}

// HasSpare reports whether TakeSpare would find a number.
func (s *Set) HasSpare(lo, hi base.FileNum) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	i, _ := slices.BinarySearch(s.mu.spares.nums, lo+1)
	return i < len(s.mu.spares.nums) && s.mu.spares.nums[i] < hi
}

// LogNum returns the log number: logs below it, but for PrevLogNum, are no longer
// needed.
func (s *Set) LogNum() base.FileNum {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.mu.logNum
}

// PrevLogNum returns the one older log that is needed all the same, or 0. Only
// LevelDB before 2011 and damage leave one.
func (s *Set) PrevLogNum() base.FileNum {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.mu.prevLog
}

// LastSeq returns the last sequence as the manifest states it: a lower bound of the
// newest sequence number, which only the logs tell.
func (s *Set) LastSeq() base.SeqNum {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.mu.lastSeq
}

// Pointer returns where the next compaction of level begins, an encoded internal
// key, or nil. It must not be modified.
func (s *Set) Pointer(level int) []byte {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.mu.pointers[level]
}

// LiveLogs returns the numbers of the logs among names, base names of the directory,
// that must be replayed, ascending: those at or above the log number and the
// previous log. Their type is LogType.
func (s *Set) LiveLogs(names []string) []base.FileNum {
	s.mu.Lock()
	logNum, prevLog := s.mu.logNum, s.mu.prevLog
	s.mu.Unlock()
	var nums []base.FileNum
	for _, name := range names {
		t, n := base.ParseFileName(name)
		if t == s.LogType() && name == base.FileName(t, n) && (n >= logNum || n == prevLog && n != 0) {
			nums = append(nums, n)
		}
	}
	slices.Sort(nums)
	return nums
}

// LogType returns the type of the logs of this directory.
func (s *Set) LogType() base.FileType { return logType(s.upgraded) }

// TableType returns the type that new tables of this directory get.
func (s *Set) TableType() base.FileType {
	if s.upgraded {
		return base.FileTableUpgr
	}
	return base.FileTable
}

// Upgraded reports whether the directory is past the upgrade gate.
func (s *Set) Upgraded() bool { return s.upgraded }

// ComparerName returns the plain name of the order of user keys.
func (s *Set) ComparerName() string { return s.o.Cmp.Name }

// Tear returns the torn last record that Load dropped, or nil.
func (s *Set) Tear() *Tear { return s.tear }

// ManifestName returns the base name of the manifest that was last known to be
// pointed at. It does not wait for an Apply.
func (s *Set) ManifestName() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.manifest
}

// ManifestNum returns the number of ManifestName.
func (s *Set) ManifestNum() base.FileNum {
	_, n := base.ParseFileName(s.ManifestName())
	return n
}

// Limbo returns the tables that edits of unknown outcome added. They must stay on
// disk; see Apply.
func (s *Set) Limbo() []*FileMeta {
	s.mu.Lock()
	defer s.mu.Unlock()
	var files []*FileMeta
	for _, f := range s.mu.limbo {
		files = append(files, f.meta)
	}
	return files
}

// Keeps reports whether a file of the directory is one that the Set still needs, or
// may need after a crash: the manifests of an unsettled switch, tables of the current
// version and tables in limbo. Tables of older versions that readers hold, and logs,
// are the caller's to know. Call Confirm before anything is deleted for it.
func (s *Set) Keeps(t base.FileType, num base.FileNum) bool {
	s.applyMu.Lock()
	defer s.applyMu.Unlock()
	switch t {
	case base.FileManifest, base.FileManifestUpgr:
		name := base.FileName(t, num)
		return name == s.manifest || slices.Contains(s.stale, name)
	case base.FileTable, base.FileTableOld, base.FileTableUpgr:
		s.mu.Lock()
		defer s.mu.Unlock()
		is := func(f *FileMeta) bool { return f.Num == num && f.Type == t }
		return slices.ContainsFunc(s.mu.limbo, func(f limboFile) bool { return is(f.meta) }) ||
			slices.ContainsFunc(s.mu.version.levels[:], func(l *level) bool { return slices.ContainsFunc(l.files, is) })
	}
	return false
}

// Close closes the manifest. The current version keeps its files: they are the
// database. It may be called twice.
func (s *Set) Close() error {
	s.applyMu.Lock()
	defer s.applyMu.Unlock()
	s.mu.Lock()
	s.mu.closed = true
	s.mu.Unlock()
	f := s.file
	s.file = nil
	if f == nil {
		return nil
	}
	return f.close()
}
