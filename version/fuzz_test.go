package version_test

import (
	"reflect"
	"slices"
	"testing"

	"github.com/strata-db/strata/internal/base"
	"github.com/strata-db/strata/internal/testcorpus"
	"github.com/strata-db/strata/version"
	"github.com/strata-db/strata/vfs"
	"github.com/strata-db/strata/wal/record"
)

// FuzzEditDecode feeds bytes to the decoder: an edit or an error, and an edit that is
// encoded again decodes to itself.
func FuzzEditDecode(f *testing.F) {
	f.Add([]byte("\x01\x1aleveldb.BytewiseComparator\x02\x03\x09\x00\x03\x04\x04\x00"))
	f.Add([]byte("\x07\x02\x05\x09\x09a\x01\x01\x00\x00\x00\x00\x00\x00\x09a\x01\x01\x00\x00\x00\x00\x00\x00"))
	f.Add([]byte("\x05\x01\x08\x00\x00\x00\x00\x00\x00\x00\x00\x06\x01\x07"))
	f.Add([]byte("\x40\x01"))
	f.Fuzz(func(t *testing.T, b []byte) {
		for _, name := range []string{"MANIFEST-000001", "STRATA-000001"} {
			var e, again version.Edit
			if e.Decode(b, name, 0) != nil {
				continue
			}
			if err := again.Decode(e.Encode(nil), name, 0); err != nil || !reflect.DeepEqual(e, again) {
				t.Fatalf("%+v came back as %+v, %v", e, again, err)
			}
		}
	})
}

// frame cuts b into records, each behind a byte that is its length, and frames them as a
// manifest, so that the fuzzer need not find checksums.
func frame(t *testing.T, b []byte) string {
	mem := vfs.NewMem()
	f, err := mem.CreateAppend("m", vfs.AppendOptions{Mode: vfs.AppendWrite})
	must(t, err)
	w := record.NewWriter(f, 0)
	for len(b) > 0 {
		n := min(int(b[0]), len(b)-1)
		must(t, w.Write(b[1:1+n]))
		b = b[1+n:]
	}
	must(t, f.Close())
	return string(read(t, mem, "m"))
}

// FuzzManifest loads a directory whose manifest is the given bytes, or consists of the
// given records: a set or an error. What loads must survive a rewrite unchanged.
func FuzzManifest(f *testing.F) {
	for _, id := range []string{"one-key-flushed-node", "manifest-zero-tail-cpp", "levels-go"} {
		cases, _ := testcorpus.Load(f)
		for _, c := range cases {
			if c.ID != id {
				continue
			}
			s, err := version.Load(version.Options{FS: vfs.OS, Dir: c.DB()})
			must(f, err)
			f.Add(read(f, vfs.OS, c.DB()+"/"+s.ManifestName()), false)
		}
	}
	one := (&version.Edit{LogNum: num(2), NextFileNum: num(9), LastSeq: new(base.SeqNum(5))}).Encode(nil)
	e := &version.Edit{}
	e.Add(1, file(f, "5:[a#1,SET-b#2,SET]=3"))
	two := e.Encode(nil)
	f.Add(slices.Concat([]byte{byte(len(one))}, one, []byte{byte(len(two))}, two), true)
	f.Fuzz(func(t *testing.T, b []byte, framed bool) {
		manifest := string(b)
		if framed {
			manifest = frame(t, b)
		}
		fs := vfs.NewMem()
		must(t, fs.MkdirAll("db"))
		write(t, fs, "db", "CURRENT", "MANIFEST-000001\n")
		write(t, fs, "db", "MANIFEST-000001", manifest)
		in, err := version.Inspect(fs, "db")
		if err != nil {
			return
		}
		for _, n := range []base.FileNum{*in.Contents.LogNum, in.Contents.PrevLogNum} {
			write(t, fs, "db", base.FileName(base.FileLog, n), "")
		}
		for level := range version.NumLevels {
			for _, m := range in.Contents.SortedFiles(level) {
				write(t, fs, "db", m.Name(), "")
			}
		}
		o := version.Options{FS: fs, Dir: "db"}
		s, err := version.Load(o)
		if err != nil {
			return
		}
		must(t, s.Apply(&version.Edit{}))
		if r := mustLoad(t, o); tree(r) != tree(s) {
			t.Fatalf("tree\n%sbecame\n%s", tree(s), tree(r))
		}
	})
}
