// Chromium opens a copy of a database that Chromium's local storage wrote, reads
// it, writes to it and compacts it. What it leaves is still a LevelDB directory.
//
//	go run ./examples/chromium            a copy of the one in testdata
//	go run ./examples/chromium DIR        DIR itself
package main

import (
	"context"
	"fmt"
	"log"
	"os"
	"path/filepath"

	"github.com/strata-db/strata"
)

func main() {
	log.SetFlags(0)
	dir := filepath.Join(os.TempDir(), "strata-chromium-example")
	if len(os.Args) > 1 {
		dir = os.Args[1]
	} else {
		defer os.RemoveAll(dir)
		copyDir("testdata/corpus/chromium-localstorage/db", dir)
	}
	if err := run(dir); err != nil {
		log.Fatal(err)
	}
}

// run is the whole example: a database another program wrote, used in place.
func run(dir string) error {
	db, err := strata.Open(dir, nil)
	if err != nil {
		return err
	}
	n := 0
	for key := range db.Range(strata.PrefixRange([]byte("META:")), &err) {
		fmt.Printf("%q\n", key)
		n++
	}
	if err == nil {
		err = db.Put([]byte("written-by"), []byte("strata"), strata.Sync)
	}
	if err == nil {
		err = db.CompactRange(context.Background(), nil, nil)
	}
	if err != nil {
		return err
	}
	fmt.Printf("origins: %d; compacted to\n%s", n, db.Metrics())
	return db.Close()
}

func copyDir(from, to string) {
	if err := os.RemoveAll(to); err != nil {
		log.Fatal(err)
	}
	if err := os.CopyFS(to, os.DirFS(from)); err != nil {
		log.Fatalf("run this in the root of the repository: %v", err)
	}
}
