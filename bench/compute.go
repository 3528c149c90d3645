package bench

import (
	"fmt"
	"hash/crc32"

	"github.com/golang/snappy"

	"github.com/strata-db/strata/bench/gen"
)

// Benchmarks of what a block goes through: checksum and compression. They do
// not touch the database.

// computeBlock is the size of what is worked on, computeTotal how much of it.
const (
	computeBlock = 4096
	computeTotal = 256 << 20
)

func (t *thread) computeOps() int { return min(computeTotal/computeBlock, max(1, t.cfg.Num)) }

func crc32c(t *thread) error {
	data := gen.NewValues(computeBlock, t.cfg.CompressionRatio, t.cfg.Seed).At(0)
	table := crc32.MakeTable(crc32.Castagnoli)
	sum := uint32(0)
	for i := 0; t.more(i, t.computeOps()); i++ {
		sum ^= crc32.Checksum(data, table)
		t.did(len(data))
	}
	t.message = "(4K per op)"
	if t.ops%2 == 1 && sum != crc32.Checksum(data, table) {
		return fmt.Errorf("crc32c of the same bytes differs")
	}
	return nil
}

func snappyComp(t *thread) error {
	data := gen.NewValues(computeBlock, t.cfg.CompressionRatio, t.cfg.Seed)
	var out []byte
	produced := 0
	for i := 0; t.more(i, t.computeOps()); i++ {
		out = snappy.Encode(out[:cap(out)], data.At(uint64(i)))
		produced += len(out)
		t.did(computeBlock)
	}
	if t.bytes > 0 {
		t.message = fmt.Sprintf("(output: %.1f%%)", 100*float64(produced)/float64(t.bytes))
	}
	return nil
}

func snappyUncomp(t *thread) error {
	packed := snappy.Encode(nil, gen.NewValues(computeBlock, t.cfg.CompressionRatio, t.cfg.Seed).At(0))
	var out []byte
	for i := 0; t.more(i, t.computeOps()); i++ {
		var err error
		if out, err = snappy.Decode(out[:cap(out)], packed); err != nil {
			return err
		}
		t.did(len(out))
	}
	return nil
}
