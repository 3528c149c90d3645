package tools

import "fmt"

// A Finding is one thing that is worth saying of a database: a sentence for people,
// and what to do about it.
type Finding struct {
	Grade Grade  `json:"grade"`
	What  string `json:"what"`
	Do    string `json:"do,omitempty"`
}

// A Grade says how much a Finding matters.
type Grade string

// The grades.
const (
	GradeOK      Grade = "ok"
	GradeNote    Grade = "note"    // good to know
	GradeLook    Grade = "look"    // slow, large, or on the way there
	GradeDamaged Grade = "damaged" // something is lost or may get lost
)

// The bounds above which something stands out.
const (
	manyLevel0    = 12        // tables, at which this engine begins to slow writers down
	manyTombs     = 0.3       // of the entries
	fewEntries    = 1000      // so few say nothing about shares
	largeLog      = 256 << 20 // bytes: seconds of replay at the next open
	smallTable    = 64 << 10  // on average
	manyTables    = 1000
	lowDisk       = 0.1
	largeManifest = 64 << 20 // bytes, whatever the tree is like
	// A manifest of more than idleManifest bytes that is longNeed times as large as
	// the list of the live tables tells history for the most part.
	idleManifest = 2 << 20
	longNeed     = 16
)

// findings are collected.
type findings []Finding

func (f *findings) ok(format string, args ...any) {
	*f = append(*f, Finding{Grade: GradeOK, What: fmt.Sprintf(format, args...)})
}

func (f *findings) note(format string, args ...any) {
	*f = append(*f, Finding{Grade: GradeNote, What: fmt.Sprintf(format, args...)})
}

func (f *findings) look(do, format string, args ...any) {
	*f = append(*f, Finding{Grade: GradeLook, What: fmt.Sprintf(format, args...), Do: do})
}

func (f *findings) damaged(do, format string, args ...any) {
	*f = append(*f, Finding{Grade: GradeDamaged, What: fmt.Sprintf(format, args...), Do: do})
}

// count returns how many are of a grade.
func (f findings) count(g Grade) (n int) {
	for _, one := range f {
		if one.Grade == g {
			n++
		}
	}
	return n
}

// finding prints f.
func (c *console) finding(f Finding) {
	mark := map[Grade]string{GradeOK: green, GradeNote: bold, GradeLook: yellow, GradeDamaged: red}[f.Grade]
	c.printf("%s  %s\n", c.paint(mark, fmt.Sprintf("%-7s", f.Grade)), f.What)
	if f.Do != "" {
		c.printf("         -> %s\n", f.Do)
	}
}
