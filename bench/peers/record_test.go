package main

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// quickRun runs fillseq and readseq on two small databases.
func quickRun(t *testing.T, args ...string) (out, log string) {
	t.Helper()
	var o, l bytes.Buffer
	args = append([]string{"-num", "300", "-repeats", "2", "-engines", "strata,bbolt", "-workloads", "fillseq,readseq", "-dir", t.TempDir()}, args...)
	if err := run(args, &o, &l); err != nil {
		t.Fatalf("%v\n%s", err, l.String())
	}
	return o.String(), l.String()
}

// TestResume: a run that was interrupted must go on where it stopped, whatever
// the last line looks like, and must show the same table as its raw file.
func TestResume(t *testing.T) {
	raw := filepath.Join(t.TempDir(), "raw.jsonl")
	quickRun(t, "-out", raw)
	data, err := os.ReadFile(raw)
	if err != nil {
		t.Fatal(err)
	}
	lines := bytes.SplitAfter(data, []byte("\n"))
	// The header, the six runs of the first repeat (two of them loads), half a line.
	cut := append(bytes.Join(lines[:7], nil), lines[7][:20]...)
	if err := os.WriteFile(raw, cut, 0o644); err != nil {
		t.Fatal(err)
	}
	out, log := quickRun(t, "-out", raw, "-resume")
	if !strings.Contains(log, "4 of 8 runs are in") || strings.Count(log, "readseq ") != 2 {
		t.Errorf("resumed with\n%s", log)
	}
	var again bytes.Buffer
	if err := run([]string{"-from", raw}, &again, &again); err != nil {
		t.Fatal(err)
	}
	if again.String() != out || !strings.Contains(out, "median of 2") {
		t.Errorf("the raw file shows\n%s\nthe run showed\n%s", again.String(), out)
	}
	_, log = quickRun(t, "-out", raw, "-resume", "-seed", "2")
	if strings.Contains(log, "are in") {
		t.Errorf("another seed took over runs:\n%s", log)
	}
}

// TestReadRecording: of a run that was repeated the last counts, runs of another
// commit do not, and a file that is none of ours is refused.
func TestReadRecording(t *testing.T) {
	const raw = `{"header":{"commit":"a","num":9,"versions":{"pebble":"1"}}}
{"engine":"pebble","workload":"readseq","repeat":0,"seconds":1}
{"header":{"commit":"b","num":9,"versions":{"strata":"0"}}}
{"engine":"strata","workload":"load","repeat":0,"seconds":1}
{"engine":"strata","workload":"readseq","repeat":0,"seconds":1,"error":"failed"}
{"header":{"commit":"b","num":9,"date":"later"}}
{"engine":"strata","workload":"readseq","repeat":0,"seconds":2}
{"engine":"strata","workload":"fillseq","repeat":1,"seconds":3}
{"engine":"str`
	rec, err := readRecording(strings.NewReader(raw), nil)
	if err != nil {
		t.Fatal(err)
	}
	if len(rec.results) != 2 || rec.results[0].Workload != "fillseq" || rec.results[1].Seconds != 2 || rec.results[1].Error != "" {
		t.Errorf("results %+v", rec.results)
	}
	if rec.header.Date != "later" || rec.header.Versions["strata"] != "0" || rec.header.Versions["pebble"] != "" || rec.repeats() != 2 {
		t.Errorf("header %+v, %d repeats", rec.header, rec.repeats())
	}
	for _, bad := range []string{"", "{\"engine\":\"strata\"}\n", "text\n", "{}\n"} {
		if _, err := readRecording(strings.NewReader(bad), nil); err == nil {
			t.Errorf("%q was taken for a recording", bad)
		}
	}
}

// TestFlagsThatNeedOthers: a flag that would do nothing alone must say so.
func TestFlagsThatNeedOthers(t *testing.T) {
	for _, args := range [][]string{{"-resume"}, {"-into", "x.md"}, {"-engines", "none"}, {"-workloads", "none"}, {"-from", "missing.jsonl"}} {
		var out bytes.Buffer
		if err := run(args, &out, &out); err == nil {
			t.Errorf("%v was accepted", args)
		}
	}
}
