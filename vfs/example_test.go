package vfs_test

import (
	"errors"
	"fmt"
	"syscall"

	"github.com/strata-db/strata/vfs"
)

// save stands for an application: it replaces a file, as one does, by renaming a
// finished new one over it.
func save(fsys vfs.FS, text string) error {
	f, err := fsys.Create("/app/settings.tmp")
	if err != nil {
		return err
	}
	_, err = f.Write([]byte(text))
	if err == nil {
		err = f.Sync()
	}
	if cerr := f.Close(); err == nil {
		err = cerr
	}
	if err == nil {
		err = fsys.Rename("/app/settings.tmp", "/app/settings")
	}
	if err == nil {
		err = fsys.SyncDir("/app")
	}
	return err
}

func load(fsys vfs.FS) string {
	f, err := fsys.Open("/app/settings")
	if err != nil {
		return err.Error()
	}
	defer f.Close()
	size, _ := f.Size()
	b := make([]byte, size)
	f.ReadAt(b, 0)
	return string(b)
}

// A test cuts the power before every call of save and looks at what many disks
// would hold then: the old settings or the new ones, and nothing else.
func ExampleCrash() {
	seen := make(map[string]bool)
	looking := false
	var disk *vfs.Crash
	disk = vfs.NewCrash(vfs.CrashOptions{OnOp: func(vfs.Op) {
		for seed := range uint64(50) {
			if looking {
				seen[load(disk.Image(seed, vfs.ImageOptions{Reorder: true}))] = true
			}
		}
	}})
	disk.MkdirAll("/app")
	disk.SyncDir("/")
	save(disk, "old")

	looking = true
	err := save(disk, "new")
	fmt.Println(err, seen)
	fmt.Println("after save:", load(disk.Image(1, vfs.ImageOptions{})))
	// Output:
	// <nil> map[new:true old:true]
	// after save: new
}

// A test makes each call of save fail in turn: the error is reported, nothing
// stays open, and the settings are whole.
func ExampleFault() {
	for n := int64(1); ; n++ {
		disk := vfs.NewFault(vfs.NewMem())
		disk.MkdirAll("/app")
		save(disk, "old")
		rule := disk.FailNth(vfs.OpAny, n, syscall.ENOSPC)
		err := save(disk, "new")
		if rule.Hits() == 0 {
			break
		}
		full := errors.Is(err, syscall.ENOSPC)
		disk.Clear()
		fmt.Printf("call %d fails: reported %v, open %v, settings %s\n", n, full, disk.OpenFiles(), load(disk))
	}
	// Output:
	// call 1 fails: reported true, open [], settings old
	// call 2 fails: reported true, open [], settings old
	// call 3 fails: reported true, open [], settings old
	// call 4 fails: reported true, open [], settings old
	// call 5 fails: reported true, open [], settings old
	// call 6 fails: reported true, open [], settings new
}
