//go:build !linux

package vfs

import "os"

// newAppendFile takes f over. Mapped appends need preallocation that cannot
// leave holes, so other systems than Linux use write calls, whatever is asked.
func newAppendFile(f *os.File, _ AppendOptions) (AppendFile, error) {
	return newPlainAppend(f), nil
}
