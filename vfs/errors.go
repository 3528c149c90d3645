package vfs

import "errors"

// ErrLocked is returned by Lock when the file is locked by this process or
// another one.
var ErrLocked = errors.New("vfs: locked")
