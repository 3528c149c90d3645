//go:build unix

package strata

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// killDirEnv tells a child process of TestKill to be one: the directory to write
// to. killRoundEnv is the round, which gives its keys and options.
const (
	killDirEnv   = "STRATA_KILL_DIR"
	killRoundEnv = "STRATA_KILL_ROUND"
	killWriters  = 8
)

// A process with eight writers is killed at a random moment, during its recovery
// too, and every write that it had reported, synced or not, is there. All rounds
// use one directory, so each also recovers from the one before.
//
// STRATA_KILL_ROUNDS is how many; default 20.
func TestKill(t *testing.T) {
	if os.Getenv(killDirEnv) != "" {
		killChild(os.Getenv(killDirEnv), envInt(killRoundEnv, 0))
		return
	}
	rounds := 20
	if testing.Short() {
		rounds = 4
	}
	for i, name := range []string{"mapped", "plain"} {
		t.Run(name, func(t *testing.T) {
			defer watchdog("kill", 20*time.Minute)()
			k := &killer{t: t, dir: filepath.Join(t.TempDir(), "db"), acked: make(map[string]int)}
			for round := range (envInt("STRATA_KILL_ROUNDS", rounds) + 1) / 2 {
				k.round(2*round + i)
				if t.Failed() {
					return
				}
			}
			t.Logf("%d writes acknowledged, %d survived", k.writes, k.found)
		})
	}
}

// killOptions are those of a round: even ones map the log, odd ones append to it
// by write calls.
func killOptions(round int) *Options {
	o := &Options{MemtableBytes: 256 << 10, TableBytes: 128 << 10, WAL: WALMapped}
	if round%2 == 1 {
		o.WAL = WALWrite
	}
	return o
}

// killValue is what is written under a key.
func killValue(key string) string {
	return strings.Repeat(key+" ", 1+len(key)*(int(key[len(key)-1])%16)/4)
}

// killChild writes until it is killed. Each write is reported by one line when it
// has returned.
func killChild(dir string, round int) {
	db, err := Open(dir, killOptions(round))
	if err != nil {
		fmt.Println("error", err)
		os.Exit(1)
	}
	fmt.Println("open")
	for w := range killWriters {
		go func() {
			for i := 0; ; i++ {
				var b Batch
				key := fmt.Sprintf("r%04d-w%d-%06d", round, w, i)
				b.Put([]byte(key), []byte(killValue(key)))
				b.Put([]byte(key+"+"), []byte(killValue(key)))
				if err := db.Write(&b, &WriteOptions{Sync: w == 0 && i%8 == 0}); err != nil {
					fmt.Println("error", err)
					os.Exit(1)
				}
				// One write call: lines do not mix.
				_, _ = io.WriteString(os.Stdout, key+"\n")
			}
		}()
	}
	select {}
}

type killer struct {
	t      *testing.T
	dir    string
	acked  map[string]int // by round and writer: how many writes were reported
	writes int
	found  int
}

// round starts a child, kills it after a while, and looks at what it left.
func (k *killer) round(round int) {
	t := k.t
	cmd := exec.Command(os.Args[0], "-test.run=^TestKill$")
	cmd.Env = append(os.Environ(), killDirEnv+"="+k.dir, fmt.Sprintf("%s=%d", killRoundEnv, round))
	cmd.Stderr = os.Stderr
	out, err := cmd.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, cmd.Start())
	life := time.Duration(rand.Int64N(int64(400 * time.Millisecond)))
	if rand.IntN(4) == 0 {
		life /= 20 // before or while it opens
	}
	var once sync.Once
	kill := func() { once.Do(func() { _ = cmd.Process.Kill() }) }
	timer := time.AfterFunc(life, kill)
	lines := bufio.NewScanner(out)
	for lines.Scan() {
		line := lines.Text()
		if msg, bad := strings.CutPrefix(line, "error "); bad {
			t.Errorf("round %d: the child: %s", round, msg)
		}
		if len(line) == len("r0000-w0-000000") && strings.HasPrefix(line, "r") {
			k.acked[line[:8]]++
			k.writes++
		}
	}
	kill()
	timer.Stop()
	_ = cmd.Wait() // it was killed
	require.NoError(t, k.check(round), "round %d, killed after %v", round, life)
}

// check opens the database and compares it with the reports of all rounds.
func (k *killer) check(round int) (err error) {
	db, err := Open(k.dir, killOptions(round))
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, db.Close()) }()
	k.found = 0
	next := make(map[string]int)
	it := db.NewIterator(nil)
	defer func() { err = errors.Join(err, it.Close()) }()
	for ok := it.First(); ok; ok = it.Next() {
		key := string(it.Key())
		writer := key[:8]
		if want := fmt.Sprintf("%s-%06d", writer, next[writer]); key != want {
			return fmt.Errorf("found %s, want %s", key, want)
		}
		if string(it.Value()) != killValue(key) {
			return fmt.Errorf("%s has the value %q", key, it.Value())
		}
		if !it.Next() || string(it.Key()) != key+"+" || string(it.Value()) != killValue(key) {
			return fmt.Errorf("half of the batch %s is missing", key)
		}
		next[writer]++
		k.found++
	}
	for writer, n := range k.acked {
		// One more may have been applied without a report.
		if got := next[writer]; got < n || got > n+1 {
			return fmt.Errorf("%s reported %d writes, %d are there", writer, n, got)
		}
	}
	return it.Err()
}
