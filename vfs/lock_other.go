//go:build !unix && !windows

package vfs

import (
	"errors"
	"io"
)

func lockFile(name string, shared bool) (io.Closer, error) {
	return nil, pathError("lock", name, errors.ErrUnsupported)
}
