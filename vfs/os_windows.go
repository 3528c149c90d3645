package vfs

import (
	"errors"
	"os"
	"time"

	"golang.org/x/sys/windows"
)

// renameTries and renamePause bound how long rename waits for a scanner or an
// indexer to let go of a file: 10 tries, 1 ms and doubling, half a second.
const (
	renameTries = 10
	renamePause = time.Millisecond
)

func rename(oldname, newname string) error {
	pause := renamePause
	for try := 1; ; try++ {
		err := os.Rename(oldname, newname)
		if err == nil || try == renameTries || !sharingViolation(err) {
			return err
		}
		time.Sleep(pause)
		pause *= 2
	}
}

// sharingViolation reports that another handle of the file forbids the call for
// the moment.
func sharingViolation(err error) bool {
	return errors.Is(err, windows.ERROR_SHARING_VIOLATION) ||
		errors.Is(err, windows.ERROR_LOCK_VIOLATION) ||
		errors.Is(err, windows.ERROR_ACCESS_DENIED)
}

// syncDir does nothing but look: Windows has no call for it, and NTFS logs
// names.
func syncDir(dir string) error {
	_, err := os.Stat(dir)
	return err
}

func usage(dir string) (DiskUsage, error) {
	p, err := windows.UTF16PtrFromString(dir)
	if err != nil {
		return DiskUsage{}, pathError("usage", dir, err)
	}
	var free, total uint64
	if err := windows.GetDiskFreeSpaceEx(p, &free, &total, nil); err != nil {
		return DiskUsage{}, pathError("usage", dir, err)
	}
	return DiskUsage{Free: free, Total: total}, nil
}
