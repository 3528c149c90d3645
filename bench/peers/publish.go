package main

import (
	"bytes"
	_ "embed"
	"errors"
	"fmt"
	"html/template"
	"io"
	"os"
	"path/filepath"
	"strings"
)

// outputs are the forms in which a recording is shown, beside the markdown on
// standard output; a form without a file name is left out.
type outputs struct {
	html string // a page with table and plots
	svg  string // the plots as one picture
	into string // a markdown file that holds the table between two marks
}

// publish shows the recording in every form that was asked for.
func (o outputs) publish(rec recording, stdout io.Writer) error {
	text := rec.markdown()
	_, err := io.WriteString(stdout, text)
	if o.html != "" {
		var b bytes.Buffer
		err = errors.Join(err, pageTemplate.Execute(&b, pageOf(rec)), os.WriteFile(o.html, b.Bytes(), 0o644))
	}
	if o.svg != "" {
		err = errors.Join(err, os.WriteFile(o.svg, []byte(picture(rec.throughput(), rec.latency())), 0o644))
	}
	return err
}

// republish shows recorded runs again; nothing is run.
func (o outputs) republish(from string, stdout io.Writer) error {
	f, err := os.Open(from)
	if err != nil {
		return err
	}
	defer f.Close()
	rec, err := readRecording(f, nil)
	if err != nil {
		return fmt.Errorf("%s: %w", from, err)
	}
	if err := o.publish(rec, stdout); err != nil || o.into == "" {
		return err
	}
	return replaceTable(o.into, filepath.Base(from), rec.markdown())
}

// replaceTable puts text between the marks in the markdown file doc that name the
// raw file. The rest of doc stays as it is.
func replaceTable(doc, raw, text string) error {
	data, err := os.ReadFile(doc)
	if err != nil {
		return err
	}
	begin, end := "<!-- table of "+raw+" begins -->\n", "<!-- table of "+raw+" ends -->"
	before, rest, ok := strings.Cut(string(data), begin)
	_, after, closed := strings.Cut(rest, end)
	if !ok || !closed {
		return fmt.Errorf("%s has no place for the table: it needs the lines %q and %q", doc, strings.TrimSpace(begin), end)
	}
	return os.WriteFile(doc, []byte(before+begin+"\n"+text+"\n"+end+after), 0o644)
}

// markdown is the whole report: head, settings, table, and where Strata is
// behind.
func (rec recording) markdown() string {
	var b strings.Builder
	b.WriteString(rec.title() + "\n" + settings + "\n\n")
	markdownTable(&b, rec.engineTable(), "|---|---|---|")
	b.WriteString("\n" + tableLegend + "\n\n")
	t := rec.table()
	markdownTable(&b, t, "|---|"+strings.Repeat("--:|", len(t[0])-1))
	if behind := rec.behind(); len(behind) > 1 {
		b.WriteString("\nStrata is behind here (below 1, how many times as fast it is):\n\n")
		markdownTable(&b, behind, "|---|---|")
	} else {
		b.WriteString("\nStrata is behind on no line of this table.\n")
	}
	for i, line := range rec.failures() {
		if i == 0 {
			b.WriteString("\nFailed:\n")
		}
		b.WriteString("- " + line + "\n")
	}
	return b.String()
}

func markdownTable(b *strings.Builder, rows [][]string, rule string) {
	for i, row := range rows {
		b.WriteString("| " + strings.Join(row, " | ") + " |\n")
		if i == 0 {
			b.WriteString(rule + "\n")
		}
	}
}

// title says when, where and how large.
func (rec recording) title() string {
	h := rec.header
	s := fmt.Sprintf("%s, commit %s. %s, %s, %d processors. %s entries of %d-byte keys and %d-byte values that compress to half; median of %d.",
		h.Date, h.Commit, h.CPU, h.Go, h.Processors, format(float64(h.Num)), keyBytes, 100, rec.repeats())
	if h.GeneratingNS > 0 {
		s += fmt.Sprintf(" Making a key and its value takes %.0f ns, which are part of all times.", h.GeneratingNS)
	}
	if h.Note != "" {
		s += " " + h.Note
	}
	return s
}

//go:embed page.html
var pageSource string

var pageTemplate = template.Must(template.New("page").Parse(pageSource))

// A page is what page.html shows. Its pictures are made of numbers and of names
// of this program.
type page struct {
	Title, Settings, Legend string
	Throughput, Latency     template.HTML
	Engines, Table, Behind  [][]string
	Failures                []string
}

func pageOf(rec recording) page {
	p := page{Title: rec.title(), Settings: settings, Legend: tableLegend, Engines: rec.engineTable(), Table: rec.table(),
		Behind: rec.behind(), Failures: rec.failures(), Throughput: template.HTML(picture(rec.throughput()))}
	if c := rec.latency(); len(c.groups) > 0 {
		p.Latency = template.HTML(picture(c))
	}
	return p
}
