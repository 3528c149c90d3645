package strata

import "time"

// Events are functions called as things happen. Any of them may be nil. They are
// called from the engine's goroutines, without locks held, so they may call the
// DB; but what they block waits for them, so they must not wait for it in turn:
// Close waits for every job, Flush for the flush that has just begun.
type Events struct {
	// Recovered is called by Open after the log was replayed.
	Recovered func(RecoveryInfo)

	FlushBegin      func(FlushInfo)
	FlushEnd        func(FlushInfo)
	CompactionBegin func(CompactionInfo)
	CompactionEnd   func(CompactionInfo)

	// StallBegin and StallEnd bracket the time in which writers are slowed or
	// stopped.
	StallBegin func(StallInfo)
	StallEnd   func(StallInfo)

	// BackgroundError is called when background work failed. It is tried again
	// by itself; the error says what would help.
	BackgroundError func(BackgroundErrorInfo)

	TableCreated    func(FileInfo)
	TableDeleted    func(FileInfo)
	LogCreated      func(FileInfo)
	LogDeleted      func(FileInfo)
	ManifestCreated func(FileInfo)
}

// RecoveryInfo says what Open found in the log.
type RecoveryInfo struct {
	Logs     int   // segments replayed
	Batches  int64 // batches replayed
	Entries  int64
	Duration time.Duration

	// TornFile is the segment whose end was torn by a crash, "" if none was;
	// TornOffset is where the readable part ends and TornBytes how much is
	// behind it. This is normal after a crash: those writes had not been synced.
	TornFile   string
	TornOffset int64
	TornBytes  int64
	TornReason string

	// DroppedLogs are whole segments behind a tear.
	DroppedLogs []string

	// SkippedBytes is what Options.Salvage left out.
	SkippedBytes int64
}

// FlushInfo describes the flush of one memtable.
type FlushInfo struct {
	Job      int64
	Input    int64 // bytes of the memtable
	Table    string
	Bytes    uint64 // of the table
	Duration time.Duration
	Err      error
}

// CompactionInfo describes a compaction.
type CompactionInfo struct {
	Job          int64
	Reason       string // why it was picked, e.g. "l0", "level-size", "tombstones", "move"
	Plan         string // inputs and output level, for people
	InputTables  int
	OutputLevel  int
	BytesRead    uint64
	BytesWritten uint64
	Outputs      []string
	Duration     time.Duration
	Err          error
}

// StallInfo describes a write stall.
type StallInfo struct {
	// Cause is "memtables", "level0", "level0-slowdown", or "debt-slowdown": a level
	// below 0 far over its target.
	Cause    string
	Stopped  bool // false: slowed
	Duration time.Duration
}

// BackgroundErrorInfo describes a failure of background work.
type BackgroundErrorInfo struct {
	Op      string // "flush", "compaction", "sync log", "delete"
	Err     error
	RetryIn time.Duration // 0 if nothing is tried again
}

// FileInfo names a file of the database.
type FileInfo struct {
	Name  string // base name
	Bytes uint64
	Level int // of a table
}

func emit[T any](fn func(T), info T) {
	if fn != nil {
		fn(info)
	}
}
