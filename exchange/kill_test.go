package exchange

import (
	"bufio"
	"fmt"
	"os"
	"os/exec"
	"strconv"
	"testing"

	"github.com/strata-db/strata"
	"github.com/strata-db/strata/internal/testcorpus"
)

// The child process writes to the directory that this variable names.
const killChildEnv = "STRATA_EXCHANGE_KILL_DIR"

func isKillChild() bool { return os.Getenv(killChildEnv) != "" }

// killOptions are small, so that the kill may hit a flush or compaction.
func killOptions() *strata.Options {
	return &strata.Options{MemtableBytes: 64 << 10, TableBytes: 64 << 10}
}

func killKey(i int) []byte   { return testcorpus.NewKey(strata.BytewiseComparer, i) }
func killValue(i int) []byte { return fmt.Appendf(nil, "%0200d", i) }

// killChild writes key after key and says on standard output how many writes
// have returned. It is killed.
func killChild() {
	db, err := strata.Open(os.Getenv(killChildEnv), killOptions())
	for i := 0; err == nil; i++ {
		if err = db.Put(killKey(i), killValue(i), nil); err == nil {
			_, err = fmt.Println(i + 1)
		}
	}
	fmt.Fprintln(os.Stderr, err)
	os.Exit(1)
}

// TestKilled: a process that writes without syncing is killed. When Strata has
// opened and closed the directory, every write that had returned is there, the
// survivors are a prefix of the writes, and every peer reads the same.
func TestKilled(t *testing.T) {
	for _, acknowledged := range []int{1, 50, 500, 2000, 5000} {
		t.Run(strconv.Itoa(acknowledged), func(t *testing.T) {
			dir := t.TempDir()
			killAfter(t, dir, acknowledged)
			n := 0
			withStrata(t, dir, killOptions(), func(db *strata.DB) {
				it := db.NewIterator(nil)
				defer it.Close()
				for it.Next() {
					n++
				}
				if err := it.Err(); err != nil {
					t.Fatal(err)
				}
			})
			if n < acknowledged {
				t.Fatalf("%d writes had returned, %d survived", acknowledged, n)
			}
			m := &model{order: strata.BytewiseComparer}
			for i := range n {
				m.entries = append(m.entries, testcorpus.EntryOf(killKey(i), killValue(i)))
			}
			for _, p := range peers(t) {
				p.read(t, dir, m.order, m.entries)
			}
			withStrata(t, dir, killOptions(), func(db *strata.DB) { check(t, db, m) })
		})
	}
}

// killAfter runs the child until that many writes have returned.
func killAfter(t *testing.T, dir string, acknowledged int) {
	t.Helper()
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), killChildEnv+"="+dir)
	cmd.Stderr = os.Stderr
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	lines := bufio.NewScanner(stdout)
	for lines.Scan() {
		if n, err := strconv.Atoi(lines.Text()); err != nil {
			t.Fatalf("child: %q", lines.Text())
		} else if n >= acknowledged {
			break
		}
	}
	if err := cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	cmd.Wait() // killed: always an error
}
