package strata_test

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"log"
	"os"

	"github.com/strata-db/strata"
	"github.com/strata-db/strata/vfs"
)

// open gives the examples a database in memory.
func open() *strata.DB {
	db, err := strata.Open("db", &strata.Options{FS: vfs.NewMem()})
	if err != nil {
		log.Fatal(err)
	}
	return db
}

func put(db *strata.DB, keys ...string) {
	for _, k := range keys {
		if err := db.Put([]byte(k), []byte("value of "+k), nil); err != nil {
			log.Fatal(err)
		}
	}
}

func Example() {
	dir, err := os.MkdirTemp("", "strata")
	if err != nil {
		log.Fatal(err)
	}
	defer os.RemoveAll(dir)
	db, err := strata.Open(dir, nil) // made if it is missing
	if err != nil {
		log.Fatal(err)
	}
	defer db.Close()
	if err := db.Put([]byte("apple"), []byte("red"), strata.Sync); err != nil {
		log.Fatal(err)
	}
	value, err := db.Get([]byte("apple"))
	fmt.Println(string(value), err)
	// Output: red <nil>
}

func ExampleComparer() {
	longestFirst := &strata.Comparer{
		Name: "example.LongestFirst",
		Compare: func(a, b []byte) int {
			return cmp.Or(cmp.Compare(len(b), len(a)), bytes.Compare(a, b))
		},
		EqualIsIdentical: true,
	}
	db, err := strata.Open("db", &strata.Options{FS: vfs.NewMem(), Comparer: longestFirst})
	if err != nil {
		log.Fatal(err)
	}
	defer db.Close()
	put(db, "fig", "apple", "pear", "plum")
	for key := range db.Range(nil, &err) {
		fmt.Printf("%s ", key)
	}
	fmt.Println(err)
	// Output: apple pear plum fig <nil>
}

func ExampleDB_Get() {
	db := open()
	defer db.Close()
	_, err := db.Get([]byte("pear"))
	fmt.Println(errors.Is(err, strata.ErrNotFound))
	// Output: true
}

func ExampleDB_View() {
	db := open()
	defer db.Close()
	put(db, "a")
	err := db.View([]byte("a"), func(value []byte) error {
		fmt.Println(len(value), "bytes, not copied")
		return nil
	})
	fmt.Println(err)
	// Output:
	// 10 bytes, not copied
	// <nil>
}

func ExampleDB_Write() {
	db := open()
	defer db.Close()
	var b strata.Batch
	b.Put([]byte("from"), []byte("90"))
	b.Put([]byte("to"), []byte("110"))
	b.Delete([]byte("pending"))
	fmt.Println(db.Write(&b, strata.Sync)) // all of it or none
	// Output: <nil>
}

func ExampleDB_Range() {
	db := open()
	defer db.Close()
	put(db, "user/1", "user/2", "zebra")
	var err error
	for key, value := range db.Range(strata.PrefixRange([]byte("user/")), &err) {
		fmt.Printf("%s = %s\n", key, value)
	}
	fmt.Println(err)
	// Output:
	// user/1 = value of user/1
	// user/2 = value of user/2
	// <nil>
}

func ExampleDB_NewIterator() {
	db := open()
	defer db.Close()
	put(db, "a", "b", "c", "d")
	it := db.NewIterator(&strata.IterOptions{UpperBound: []byte("d")})
	defer it.Close()
	for ok := it.SeekGE([]byte("b")); ok; ok = it.Next() {
		fmt.Printf("%s ", it.Key())
	}
	for key := range it.Backward() {
		fmt.Printf("%s ", key)
	}
	fmt.Println(it.Err())
	// Output: b c c b a <nil>
}

func ExampleDB_NewSnapshot() {
	db := open()
	defer db.Close()
	put(db, "a")
	snap := db.NewSnapshot()
	defer snap.Close()
	db.Delete([]byte("a"), nil)
	value, err := snap.Get([]byte("a"))
	fmt.Println(string(value), err)
	// Output: value of a <nil>
}

func ExampleDB_CompactRange() {
	db := open()
	defer db.Close()
	put(db, "a", "b")
	db.Delete([]byte("a"), nil)
	fmt.Println(db.CompactRange(context.Background(), nil, nil))
	fmt.Println(db.Metrics().Levels[1].Tables, "table")
	// Output:
	// <nil>
	// 1 table
}

func ExampleDB_Checkpoint() {
	fs := vfs.NewMem()
	db, err := strata.Open("db", &strata.Options{FS: fs})
	if err != nil {
		log.Fatal(err)
	}
	put(db, "a")
	fmt.Println(db.Checkpoint(context.Background(), "copy"))
	put(db, "b") // not in the copy
	db.Close()
	copied, err := strata.Open("copy", &strata.Options{FS: fs, ReadOnly: true})
	if err != nil {
		log.Fatal(err)
	}
	defer copied.Close()
	has, err := copied.Has([]byte("b"))
	fmt.Println(has, err)
	// Output:
	// <nil>
	// false <nil>
}

func ExampleDB_Verify() {
	db := open()
	defer db.Close()
	put(db, "a")
	db.Flush()
	report, err := db.Verify(context.Background())
	fmt.Println(report.Tables, report.Entries, report.Err(), err)
	// Output: 1 1 <nil> <nil>
}

func ExampleEvents() {
	events := &strata.Events{
		FlushEnd: func(i strata.FlushInfo) { fmt.Println("flushed to", i.Table, i.Err) },
	}
	db, err := strata.Open("db", &strata.Options{FS: vfs.NewMem(), Events: events})
	if err != nil {
		log.Fatal(err)
	}
	put(db, "a")
	db.Flush()
	db.WaitIdle(context.Background())
	db.Close()
	// Output: flushed to 000003.ldb <nil>
}
