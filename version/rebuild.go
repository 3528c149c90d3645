package version

import "github.com/strata-db/strata/internal/base"

// Rebuild returns a set of nothing whose first Apply replaces what pointer and
// manifests of the directory say, whatever that is. Until then nothing on disk
// changes. It is for repairs: the caller holds the lock and has made sure that
// nothing is lost by it. No existing file is removed, manifests neither.
//
// Files are numbered past every one in the directory; MarkUsed takes care of those
// that only a manifest names. With upgraded, FinishUpgrade is to follow the Apply.
func Rebuild(o Options, upgraded bool) (*Set, error) {
	o = o.withDefaults()
	list, err := List(o.FS, o.Dir)
	if err != nil {
		return nil, err
	}
	s := emptySet(o, upgraded, list)
	s.stale = nil
	return s, nil
}

// Tables returns which name each table has, by number. Where one number has two
// names, the newer naming counts: .stbl (in an upgraded directory alone), .ldb,
// .sst. Names by which no table is ever opened, such as 5.ldb, are left out.
func (l *Listing) Tables(upgraded bool) map[base.FileNum]base.FileType { return l.tables(upgraded) }

// ComparerName returns the plain name of the order of keys that c states; manifest
// is the base name of its file, for errors. What states no name is in the bytewise
// order in LevelDB's format, and damaged or of a newer release past the gate.
func (c *Contents) ComparerName(manifest string, upgraded bool) (string, error) {
	return c.comparerName(manifest, upgraded)
}

// Complete returns an error, a *base.CorruptionError, unless everything a manifest
// must state was stated.
func (c *Contents) Complete(manifest string) error { return c.complete(manifest) }

// A Pointing is what the pointer file of a directory says.
type Pointing struct {
	Manifest string // base name
	// From is the manifest that an unfinished Upgrade replaced, else empty.
	From string
}

// ReadPointer reads CURRENT, or with upgraded the marker. Damage is a
// *base.CorruptionError.
func ReadPointer(o Options, upgraded bool) (Pointing, error) {
	p, err := readPointer(o.FS, o.Dir, upgraded)
	return Pointing{Manifest: p.manifest, From: p.from}, err
}

// MaxFileNum bounds the file numbers that a repair believes: counting on from one can
// neither wrap nor give a name that does not parse, and the result can be opened for
// writing.
const MaxFileNum = maxFileNum / 4
