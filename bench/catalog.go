package bench

import (
	"errors"
	"fmt"
	"io"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// A benchmark is an entry of the catalog.
type benchmark struct {
	name  string
	about string
	run   func(*thread) error

	fresh    bool // begins with an empty database
	large    bool // values of 100,000 bytes
	parts    bool // writes beginnings of longer values
	loads    bool // needs entries; an empty database is filled first, untimed
	writes   bool // amplification is worth telling
	beside   int  // threads in addition
	once     bool // one thread whatever is asked for
	silent   bool // prints for itself, has no result
	swaps    bool // closes the database under way
	idle     bool // does not touch the database
	scanning bool // found is told behind the rate
}

// Catalog returns the names of all benchmarks with a line about each, in the
// order in which help shows them.
func Catalog() [][2]string {
	var out [][2]string
	for _, b := range catalog {
		out = append(out, [2]string{b.name, b.about})
	}
	return out
}

var catalog = []benchmark{
	{name: "fillseq", about: "write num entries in key order, into a fresh database", run: fillSeq, fresh: true, writes: true},
	{name: "fillrandom", about: "the same in random order, each key once", run: fillRandom, fresh: true, writes: true},
	{name: "fillbatch", about: "in key order, batch_size entries a batch", run: fillBatch, fresh: true, writes: true},
	{name: "fillsync", about: "num/1000 entries in random order, each synced", run: fillSync, fresh: true, writes: true},
	{name: "fill100K", about: "num/1000 entries of 100,000 bytes in random order", run: fill100K, fresh: true, large: true, writes: true},
	{name: "fillseekseq", about: "write in key order and seek to each key", run: fillSeekSeq, fresh: true, writes: true},
	{name: "overwrite", about: "write num entries in random order into the database there is", run: fillRandom, writes: true},
	{name: "deleteseq", about: "delete every key in order", run: deleteSeq, writes: true},
	{name: "deleterandom", about: "delete every key in random order", run: deleteRandom, writes: true},
	{name: "readseq", about: "scan forwards", run: readSeq, scanning: true},
	{name: "readreverse", about: "scan backwards", run: readReverse, scanning: true},
	{name: "readrandom", about: "get keys drawn evenly", run: readRandom},
	{name: "readrandomsmall", about: "a thousandth of readrandom", run: readRandomSmall},
	{name: "readmissing", about: "get keys that are not there", run: readMissing},
	{name: "readhot", about: "get keys of one per cent of the range", run: readHot},
	{name: "multireadrandom", about: "get batch_size keys from a snapshot", run: multiReadRandom},
	{name: "seekrandom", about: "seek to keys drawn evenly, then seek_nexts steps", run: seekRandom},
	{name: "seekordered", about: "seek forwards on one iterator", run: seekOrdered},
	{name: "readwhilewriting", about: "readrandom beside a writer", run: besides(readRandom), beside: 1},
	{name: "seekrandomwhilewriting", about: "seekrandom beside a writer", run: besides(seekRandom), beside: 1},
	{name: "readrandomwriterandom", about: "readwritepercent gets, the rest overwrites", run: readRandomWriteRandom, writes: true},
	{name: "updaterandom", about: "get a key and write it back", run: updateRandom, writes: true},
	{name: "ycsba", about: "YCSB A: half gets, half updates, Zipfian 0.99", run: ycsb("ycsba"), loads: true, writes: true},
	{name: "ycsbb", about: "YCSB B: 95 % gets, 5 % updates", run: ycsb("ycsbb"), loads: true, writes: true},
	{name: "ycsbc", about: "YCSB C: gets", run: ycsb("ycsbc"), loads: true},
	{name: "ycsbd", about: "YCSB D: 95 % gets of the latest, 5 % inserts", run: ycsb("ycsbd"), loads: true, writes: true},
	{name: "ycsbe", about: "YCSB E: 95 % scans of up to 100, 5 % inserts", run: ycsb("ycsbe"), loads: true, writes: true},
	{name: "ycsbf", about: "YCSB F: half gets, half read-modify-writes", run: ycsb("ycsbf"), loads: true, writes: true},
	{name: "mixgraph", about: "gets, puts and scans as measured of ZippyDB: see mix_get_ratio", run: mixGraph, loads: true, parts: true, writes: true},
	{name: "queue", about: "append at the tail, find the head with First, delete it; 10,000 times at most", run: queue, writes: true},
	{name: "timeseries", about: "append points to 100 series, query the newest, expire the oldest", run: timeseries, writes: true},
	{name: "open", about: "close and open the database, num/10000 times", run: open, once: true, swaps: true},
	{name: "compact", about: "compact everything", run: compact, once: true},
	{name: "waitforcompaction", about: "wait until no flush or compaction is due", run: waitForCompaction, once: true},
	{name: "flush", about: "flush the memtable", run: flush, once: true},
	{name: "verifychecksum", about: "verify every checksum and the order of the keys", run: verifyChecksum, once: true},
	{name: "crc32c", about: "checksum of 4 KiB", run: crc32c, idle: true},
	{name: "snappycomp", about: "compress 4 KiB", run: snappyComp, idle: true},
	{name: "snappyuncomp", about: "uncompress to 4 KiB", run: snappyUncomp, idle: true},
	{name: "stats", about: "print the engine's metrics", run: stats, once: true, silent: true},
	{name: "sstables", about: "print the levels", run: levelStats, once: true, silent: true},
	{name: "levelstats", about: "print the levels", run: levelStats, once: true, silent: true},
	{name: "heapprofile", about: "write a heap profile beside the database", run: heapProfile, once: true, silent: true},
}

// names are those of the catalog.
func names() (all []string) {
	for _, b := range catalog {
		all = append(all, b.name)
	}
	return all
}

// tellUnknown tells on log, before anything runs, which names are none. It fails
// if no other is in the list.
func tellUnknown(items []item, log io.Writer) error {
	known := len(items) == 0
	for _, it := range items {
		if known = known || it.known; it.known {
			continue
		}
		near := Nearest(it.name, names())
		if near != "" {
			near = ", did you mean '" + near + "'?"
		}
		fmt.Fprintf(log, "unknown benchmark '%s'%s\n", it.name, near)
	}
	if !known {
		return errors.New("no benchmark to run: strata bench --help lists them")
	}
	return nil
}

// An item is an entry of the list to run.
type item struct {
	benchmark
	name          string
	known         bool
	repeat, warms int
}

// itemForm is name[X5-W1], with either part and in either order.
var itemForm = regexp.MustCompile(`^([^\[\]]+)(?:\[([XW]\d+)(?:-([XW]\d+))?\])?$`)

// parseList reads a list of benchmarks. Unknown names stay in it and are passed
// over, as LevelDB's db_bench does.
func parseList(list string) ([]item, error) {
	var items []item
	for _, word := range strings.Split(list, ",") {
		if word = strings.TrimSpace(word); word == "" {
			continue
		}
		m := itemForm.FindStringSubmatch(word)
		if m == nil {
			return nil, fmt.Errorf("benchmark %q: want a name, with repeats as in readrandom[X5-W1]", word)
		}
		it := item{name: m[1], repeat: 1}
		for _, part := range m[2:] {
			if part == "" {
				continue
			}
			n, err := strconv.Atoi(part[1:])
			if err != nil || n > 1000 {
				return nil, fmt.Errorf("benchmark %q: %s is too many runs", word, part)
			}
			if part[0] == 'X' {
				it.repeat = max(1, n)
			} else {
				it.warms = n
			}
		}
		if i := slices.IndexFunc(catalog, func(b benchmark) bool { return b.name == it.name }); i >= 0 {
			it.benchmark, it.known = catalog[i], true
		}
		items = append(items, it)
	}
	return items, nil
}
