package main

import (
	"bufio"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"github.com/strata-db/strata/tools"
)

// newEnv returns the environment of the commands: standard streams, colour and
// progress where a person is watching.
func newEnv() *tools.Env {
	env := &tools.Env{Out: os.Stdout, Err: os.Stderr, In: os.Stdin, Color: wantColor(os.Stdout), Clock: time.Now}
	if isTerminal(os.Stderr) {
		m := &meter{next: time.Now().Add(meterDelay)}
		env.Progress = m.progress
		env.Err = clearing{m, os.Stderr}
		env.Out = clearing{m, os.Stdout}
		if isTerminal(os.Stdin) {
			env.Confirm = confirm
		}
	}
	return env
}

// confirm asks a question on the terminal. Only "y" and "yes" are a yes.
func confirm(question string) (bool, error) {
	fmt.Fprintf(os.Stderr, "%s [y/N] ", question)
	answer, err := bufio.NewReader(os.Stdin).ReadString('\n')
	if err != nil && err != io.EOF {
		return false, err
	}
	answer = strings.ToLower(strings.TrimSpace(answer))
	return answer == "y" || answer == "yes", nil
}

// isTerminal reports whether f is a terminal, or looks like one.
func isTerminal(f *os.File) bool {
	info, err := f.Stat()
	return err == nil && info.Mode()&os.ModeCharDevice != 0
}

func wantColor(f *os.File) bool {
	return os.Getenv("NO_COLOR") == "" && os.Getenv("TERM") != "dumb" && isTerminal(f)
}

const (
	meterDelay  = time.Second
	meterPeriod = 200 * time.Millisecond
)

// A meter shows progress on one line of standard error, and takes it away before
// anything else is written there.
type meter struct {
	next  time.Time
	shown bool
}

func (m *meter) progress(p tools.Progress) {
	now := time.Now()
	if now.Before(m.next) {
		return
	}
	m.next, m.shown = now.Add(meterPeriod), true
	if p.Total > 0 {
		fmt.Fprintf(os.Stderr, "\r\x1b[K%s  %s %3d%%", p.What, bar(p.Done, p.Total), min(100, 100*p.Done/p.Total))
		return
	}
	fmt.Fprintf(os.Stderr, "\r\x1b[K%s  %d", p.What, p.Done)
}

// barCells is the width of a bar.
const barCells = 24

// bar draws how much of total is done.
func bar(done, total int64) string {
	n := int(float64(barCells) * min(1, max(0, float64(done)/float64(total))))
	return "[" + strings.Repeat("#", n) + strings.Repeat("-", barCells-n) + "]"
}

func (m *meter) clear() {
	if m.shown {
		m.shown = false
		fmt.Fprint(os.Stderr, "\r\x1b[K")
	}
}

// clearing is a stream before whose output the meter goes away.
type clearing struct {
	m *meter
	f *os.File
}

// Write implements io.Writer.
func (c clearing) Write(b []byte) (int, error) {
	c.m.clear()
	return c.f.Write(b)
}
