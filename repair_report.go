package strata

import (
	"fmt"
	"strings"
	"text/tabwriter"

	"github.com/strata-db/strata/internal/base"
)

// RepairBasis is what a repair knows the list of tables from.
type RepairBasis uint8

const (
	// BasisManifest: the manifest says which tables belong to the database, and in
	// which levels. Others are left over and stay out.
	BasisManifest RepairBasis = iota
	// BasisPartOfManifest: a manifest could be read to some point, or is older than
	// the last one. What it says is gone stays out; all other tables count.
	BasisPartOfManifest
	// BasisTables: no manifest could be read. Every table and every log counts.
	BasisTables
)

// String returns the basis as the report prints it.
func (b RepairBasis) String() string {
	switch b {
	case BasisManifest:
		return "the manifest"
	case BasisPartOfManifest:
		return "the readable part of a manifest, and the tables that are there"
	case BasisTables:
		return "the tables and logs that are there, without a manifest"
	}
	return fmt.Sprintf("RepairBasis(%d)", uint8(b))
}

// RepairAction is what became of a file.
type RepairAction uint8

const (
	// FileKept: sound, and part of the database as it is.
	FileKept RepairAction = iota
	// FileRewritten: damaged; what could be read is in a new table.
	FileRewritten
	// FileMerged: read in full, and merged with others into new tables.
	FileMerged
	// FileReplayed: a log whose content is in tables now.
	FileReplayed
	// FileUnused: not part of the database. Its content does not count.
	FileUnused
	// FileLost: nothing in it could be read.
	FileLost
	// FileMissing: named by the manifest, and not there.
	FileMissing
	// FileReplaced: a pointer or manifest that a new one took the place of.
	FileReplaced
)

// String returns the action as the report prints it.
func (a RepairAction) String() string {
	names := [...]string{"kept", "rewritten", "merged", "replayed", "unused", "nothing readable", "missing", "replaced"}
	if int(a) < len(names) {
		return names[a]
	}
	return fmt.Sprintf("RepairAction(%d)", uint8(a))
}

// RepairLoss is a stretch of a file that could not be read.
type RepairLoss struct {
	Offset, Bytes int64
	// After and UpTo are the user keys between which entries of a table may be
	// missing; nil is an open end. What the database shows there may be older than
	// what was lost. They are nil for a log.
	After, UpTo []byte
	Reason      string
}

// RepairFile is what was found in one file and what became of it.
type RepairFile struct {
	Name   string // base name
	Level  int    // of a table, by the manifest; -1 for others
	Action RepairAction
	Size   int64 // in bytes

	// Entries that were read. For a log, those of its batches.
	Entries int64
	// EntriesLost as far as the file itself tells; -1 if it does not.
	EntriesLost int64
	// Misplaced entries were readable but contradict the order of their table, and
	// are left out.
	Misplaced int64
	LostBytes int64
	// Losses are the stretches that could not be read, at most 1000 a file.
	Losses []RepairLoss
	// Problems are all that is wrong with the file, in words.
	Problems []string
	// MovedTo is where the file lies now, relative to the directory; empty if it
	// was not moved.
	MovedTo string
}

// RepairReport is what Repair or Salvage found and did, or with DryRun would do.
type RepairReport struct {
	Dir    string
	Out    string // Salvage: where the new database is
	DryRun bool
	// Sound says that nothing is wrong: Repair leaves such a directory as it is.
	Sound    bool
	Upgraded bool
	Basis    RepairBasis
	Manifest string // the one that was read; empty without one
	// Merged says that all tables were, or would be, merged into one sorted run.
	Merged  bool
	Files   []RepairFile
	Created []string // new tables
	LastSeq uint64   // the highest sequence number

	Entries   int64 // read from damaged and merged tables and from logs
	LostBytes int64 // that could not be read, in all files
	// Notes say what a person has to know of the result.
	Notes []string
}

// Lossless reports that everything was readable and nothing was missing. Without a whole
// manifest that cannot be known, and is false.
func (r *RepairReport) Lossless() bool {
	if r.Basis != BasisManifest {
		return false
	}
	for _, f := range r.Files {
		if f.Action == FileMissing || f.Action == FileLost || f.LostBytes > 0 || f.Misplaced > 0 || f.EntriesLost > 0 {
			return false
		}
	}
	return true
}

// String returns the report as a text for people.
func (r *RepairReport) String() string {
	var b strings.Builder
	switch {
	case r.Sound && r.Out == "":
		fmt.Fprintf(&b, "%s is sound; nothing to repair\n", r.Dir)
	case r.DryRun:
		fmt.Fprintf(&b, "%s: what would be done; nothing was changed\n", r.Dir)
	case r.Out != "":
		fmt.Fprintf(&b, "%s: what is readable is now in %s\n", r.Dir, r.Out)
	default:
		fmt.Fprintf(&b, "%s is repaired\n", r.Dir)
	}
	fmt.Fprintf(&b, "list of tables from: %s", r.Basis)
	if r.Manifest != "" {
		fmt.Fprintf(&b, " (%s)", r.Manifest)
	}
	b.WriteString("\n")
	var files strings.Builder
	w := tabwriter.NewWriter(&files, 0, 0, 2, ' ', 0)
	for _, f := range r.Files {
		f.print(w)
	}
	w.Flush()
	for line := range strings.Lines(files.String()) {
		b.WriteString(strings.TrimRight(line, " \n") + "\n") // cells of short lines are padded
	}
	if n := len(r.Created); n > 0 {
		fmt.Fprintf(&b, "new tables: %s\n", strings.Join(r.Created[:min(n, 20)], " "))
	}
	if r.LostBytes > 0 {
		fmt.Fprintf(&b, "%d bytes could not be read\n", r.LostBytes)
	}
	for _, n := range r.Notes {
		fmt.Fprintf(&b, "note: %s\n", n)
	}
	return b.String()
}

// printedLosses is how many losses and problems of a file String shows.
const printedLosses = 10

func (f *RepairFile) print(w *tabwriter.Writer) {
	level := ""
	if f.Level >= 0 {
		level = fmt.Sprintf("L%d", f.Level)
	}
	fmt.Fprintf(w, "  %s\t%s\t%s\t%d bytes\t", f.Name, level, f.Action, f.Size)
	if f.Entries == 1 {
		fmt.Fprint(w, "1 entry")
	} else if f.Entries > 1 {
		fmt.Fprintf(w, "%d entries", f.Entries)
	}
	if f.EntriesLost > 0 {
		fmt.Fprintf(w, ", %d lost", f.EntriesLost)
	}
	if f.Misplaced > 0 {
		fmt.Fprintf(w, ", %d out of order", f.Misplaced)
	}
	if f.MovedTo != "" {
		fmt.Fprintf(w, "\tnow %s", f.MovedTo)
	}
	fmt.Fprintln(w)
	for i, p := range f.Problems {
		if i == printedLosses {
			fmt.Fprintf(w, "    … and %d more\n", len(f.Problems)-i)
			break
		}
		fmt.Fprintf(w, "    %s\n", strings.TrimPrefix(p, "strata: "))
	}
	for i, l := range f.Losses {
		if i == printedLosses {
			fmt.Fprintf(w, "    … and %d more\n", len(f.Losses)-i)
			break
		}
		fmt.Fprintf(w, "    lost: %s\n", l)
	}
}

// String returns the loss on one line.
func (l RepairLoss) String() string {
	s := fmt.Sprintf("%d bytes at offset %d", l.Bytes, l.Offset)
	if l.After != nil || l.UpTo != nil {
		s += fmt.Sprintf(", keys %s to %s", keyOr(l.After, "the first"), keyOr(l.UpTo, "the last"))
	}
	return s + ": " + strings.TrimPrefix(l.Reason, "strata: ")
}

func keyOr(key []byte, open string) string {
	if key == nil {
		return open
	}
	return base.FormatKey(key[:min(len(key), 40)])
}

func (r *RepairReport) note(format string, args ...any) {
	r.Notes = append(r.Notes, fmt.Sprintf(format, args...))
}
