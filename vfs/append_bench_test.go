package vfs_test

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/strata-db/strata/vfs"
)

// BenchmarkAppend is the price of handing 150 bytes to the operating system. A
// new file is begun every 64 MiB, as the log does.
func BenchmarkAppend(b *testing.B) {
	for _, mode := range []vfs.AppendMode{vfs.AppendMapped, vfs.AppendWrite} {
		b.Run(mode.String(), func(b *testing.B) {
			dir := b.TempDir()
			p := make([]byte, 150)
			b.SetBytes(int64(len(p)))
			b.ReportAllocs()
			var f vfs.AppendFile
			for b.Loop() {
				if f == nil || f.Size() > 64<<20 {
					b.StopTimer()
					if f != nil {
						f.Close()
						os.Remove(filepath.Join(dir, "log"))
					}
					var err error
					f, err = vfs.OS.CreateAppend(filepath.Join(dir, "log"), vfs.AppendOptions{Mode: mode})
					if err != nil {
						b.Fatal(err)
					}
					b.StartTimer()
				}
				if err := f.Append(p); err != nil {
					b.Fatal(err)
				}
			}
			f.Close()
		})
	}
}

// BenchmarkAppendSync is an append of 150 bytes and a Sync, as a synced write
// makes them.
func BenchmarkAppendSync(b *testing.B) {
	for _, mode := range []vfs.AppendMode{vfs.AppendMapped, vfs.AppendWrite} {
		b.Run(mode.String(), func(b *testing.B) {
			f, err := vfs.OS.CreateAppend(filepath.Join(b.TempDir(), "log"), vfs.AppendOptions{Mode: mode})
			if err != nil {
				b.Fatal(err)
			}
			defer f.Close()
			p := make([]byte, 150)
			for b.Loop() {
				if err := f.Append(p); err != nil {
					b.Fatal(err)
				}
				if err := f.Sync(); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
