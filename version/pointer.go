package version

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path/filepath"
	"strings"

	"github.com/strata-db/strata/internal/base"
	"github.com/strata-db/strata/internal/checksum"
	"github.com/strata-db/strata/vfs"
)

// maxPointerBytes bounds a pointer file; anything longer is damaged.
const maxPointerBytes = 1024

// A pointer is the content of CURRENT or STRATA.
type pointer struct {
	manifest string // base name
	from     string // STRATA alone: the LevelDB manifest it replaced, "" once that is gone
}

// encode returns the content of the pointer file.
//
//	CURRENT    MANIFEST-000007\n
//
//	STRATA     STRATA-000012\n
//	           from MANIFEST-000007\n        from Upgrade until the next manifest
//	           crc 1a2b3c4d\n                CRC-32C of the lines before, in hex
//
// While "from" is there, a CURRENT that is still a file must name the same
// manifest. If it does not, another engine opened the directory between the
// interrupted upgrade and now, and has writes that are not ours to drop.
func (p pointer) encode(upgraded bool) []byte {
	s := p.manifest + "\n"
	if !upgraded {
		return []byte(s)
	}
	if p.from != "" {
		s += "from " + p.from + "\n"
	}
	return fmt.Appendf(nil, "%scrc %08x\n", s, checksum.New([]byte(s)))
}

// readPointer reads the pointer file of a directory in the given state.
func readPointer(fsys vfs.FS, dir string, upgraded bool) (pointer, error) {
	name := base.CurrentName
	if upgraded {
		name = base.MarkerName
	}
	b, err := readSmall(fsys, dir, name)
	if err != nil {
		return pointer{}, err
	}
	if upgraded {
		return parseMarker(b)
	}
	return parseCurrent(b)
}

// parseCurrent accepts exactly one manifest name and one newline, as LevelDB does.
func parseCurrent(b []byte) (pointer, error) {
	name, ok := strings.CutSuffix(string(b), "\n")
	if t, _ := base.ParseFileName(name); !ok || t != base.FileManifest {
		return pointer{}, &base.CorruptionError{File: base.CurrentName, Offset: 0, What: "no manifest name",
			Got: fmt.Sprintf("%q", clip(b)), Want: `"MANIFEST-<number>\n"`}
	}
	return pointer{manifest: name}, nil
}

func parseMarker(b []byte) (pointer, error) {
	bad := func(what string) (pointer, error) {
		return pointer{}, &base.CorruptionError{File: base.MarkerName, Offset: 0, What: what, Got: fmt.Sprintf("%q", clip(b))}
	}
	at := strings.LastIndex(string(b), "crc ")
	if at < 0 || string(b[at:]) != fmt.Sprintf("crc %08x\n", checksum.New(b[:at])) {
		return bad("marker checksum")
	}
	name, rest, ok := strings.Cut(string(b[:at]), "\n")
	if t, _ := base.ParseFileName(name); !ok || t != base.FileManifestUpgr {
		return bad("no manifest name")
	}
	p := pointer{manifest: name}
	if rest != "" {
		from, ok1 := strings.CutPrefix(rest, "from ")
		from, ok2 := strings.CutSuffix(from, "\n")
		if t, _ := base.ParseFileName(from); !ok1 || !ok2 || t != base.FileManifest {
			return pointer{}, fmt.Errorf("%s: unknown line %q: %w", base.MarkerName, rest, ErrNewerRelease)
		}
		p.from = from
	}
	return p, nil
}

// clip bounds what an error shows of a damaged file.
func clip(b []byte) []byte { return b[:min(len(b), 64)] }

// readSmall reads a whole pointer file.
func readSmall(fsys vfs.FS, dir, name string) ([]byte, error) {
	path := filepath.Join(dir, name)
	if info, err := fsys.Stat(path); err != nil {
		return nil, err
	} else if info.IsDir() {
		return nil, base.Corruptf(name, -1, "is a directory, and there is no %s beside it", base.MarkerName)
	}
	f, err := fsys.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	b := make([]byte, maxPointerBytes+1)
	n, err := f.ReadAt(b, 0)
	if err != nil && !errors.Is(err, io.EOF) {
		return nil, err
	}
	if n > maxPointerBytes {
		return nil, base.Corruptf(name, 0, "longer than %d bytes", maxPointerBytes)
	}
	return b[:n], nil
}

// checkGate compares a CURRENT that is still a file with what the marker p says.
// open reports that CURRENT is not yet a directory.
func checkGate(fsys vfs.FS, dir string, p pointer) (open bool, err error) {
	info, err := fsys.Stat(filepath.Join(dir, base.CurrentName))
	if errors.Is(err, fs.ErrNotExist) {
		return true, nil
	}
	if err != nil {
		return false, err
	}
	if info.IsDir() {
		return false, nil
	}
	b, err := readSmall(fsys, dir, base.CurrentName)
	if err != nil {
		return true, err
	}
	if p.from == "" || string(b) != p.from+"\n" {
		return true, &base.CorruptionError{File: base.CurrentName, Offset: 0,
			What: "another engine wrote to this directory after it was upgraded",
			Got:  fmt.Sprintf("%q", clip(b)), Want: "a directory"}
	}
	return true, nil
}

// writePointer replaces the pointer file so that a crash leaves the old one or the
// new one. Everything the new one leads to must be synced; its name is made durable
// here. touched reports that the replacement was begun: after an error either may be
// found.
func writePointer(o *Options, p pointer, num base.FileNum, upgraded bool) (touched bool, err error) {
	tmp := o.path(base.FileName(base.FileTemp, num))
	if err := writeSynced(o.FS, tmp, p.encode(upgraded)); err != nil {
		o.FS.Remove(tmp)
		return false, err
	}
	if err := o.FS.SyncDir(o.Dir); err != nil {
		o.FS.Remove(tmp)
		return false, err
	}
	name := base.CurrentName
	if upgraded {
		name = base.MarkerName
	}
	if err := o.FS.Rename(tmp, o.path(name)); err != nil {
		return true, err
	}
	return true, o.FS.SyncDir(o.Dir)
}

// writeSynced makes a file of content b and syncs it, not its name.
func writeSynced(fsys vfs.FS, path string, b []byte) error {
	f, err := fsys.Create(path)
	if err != nil {
		return err
	}
	if _, err = f.Write(b); err == nil {
		err = f.Sync()
	}
	if cerr := f.Close(); err == nil {
		err = cerr
	}
	return err
}
