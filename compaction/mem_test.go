package compaction

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"github.com/strata-db/strata/internal/base"
	"github.com/strata-db/strata/iterator"
	"github.com/strata-db/strata/sstable"
	"github.com/strata-db/strata/version"
)

// entryBytes is the size of an entry in a memTable, whatever it holds.
const entryBytes = 50

// A memTable is a table that is a list: TableWriter and OutputFile at once.
type memTable struct {
	cmp            *base.Comparer // nil is bytewise
	kvs            []iterator.KV
	synced, closed bool
	failAdd        int // fails the n-th Add from now if > 0
	failSync       bool
}

func (m *memTable) Add(k base.InternalKey, v []byte) error {
	if m.failAdd--; m.failAdd == 0 {
		return fmt.Errorf("disk full")
	}
	m.kvs = append(m.kvs, iterator.KV{K: k.Clone(), V: slices.Clone(v)})
	return nil
}

func (m *memTable) EstimatedSize() uint64 { return uint64(len(m.kvs)) * entryBytes }

func (m *memTable) Finish() (sstable.Meta, error) {
	return metaOf(cmp.Or(m.cmp, base.Bytewise), m.kvs), nil
}

func (m *memTable) Sync() error {
	if m.failSync {
		return fmt.Errorf("sync failed")
	}
	m.synced = true
	return nil
}

func (m *memTable) Close() error { m.closed = true; return nil }

func metaOf(order *base.Comparer, kvs []iterator.KV) sstable.Meta {
	meta := sstable.Meta{Size: uint64(len(kvs)) * entryBytes, SmallestSeq: base.SeqNumMax, Entries: uint64(len(kvs))}
	for i, kv := range kvs {
		meta.SmallestSeq = min(meta.SmallestSeq, kv.K.SeqNum())
		meta.LargestSeq = max(meta.LargestSeq, kv.K.SeqNum())
		if kv.K.Kind() == base.KindDelete {
			meta.Tombstones++
		}
		if i == 0 || order.Compare(kv.K.UserKey, kvs[i-1].K.UserKey) != 0 {
			meta.UserKeys++
		}
	}
	if len(kvs) > 0 {
		meta.Smallest, meta.Largest = kvs[0].K, kvs[len(kvs)-1].K
	}
	return meta
}

// fileOf returns the description of a table that holds kvs.
func fileOf(num base.FileNum, kvs []iterator.KV) *version.FileMeta {
	f := bareFile(num, kvs)
	learn(base.Bytewise, f, kvs)
	return f
}

// bareFile is fileOf a table of which nobody knows bounds and counts.
func bareFile(num base.FileNum, kvs []iterator.KV) *version.FileMeta {
	return &version.FileMeta{
		Num: num, Type: base.FileTable, Size: uint64(len(kvs)) * entryBytes,
		Smallest: kvs[0].K, Largest: kvs[len(kvs)-1].K,
	}
}

// learn sets what the properties of a table tell when it is opened.
func learn(order *base.Comparer, f *version.FileMeta, kvs []iterator.KV) {
	m := metaOf(order, kvs)
	f.SetSeqBounds(version.SeqBounds{Smallest: m.SmallestSeq, Largest: m.LargestSeq})
	f.SetStats(version.Stats{Entries: m.Entries, Tombstones: m.Tombstones, UserKeys: m.UserKeys})
}

// parseKV parses key#seq,KIND:value.
func parseKV(s string) iterator.KV {
	head, value, _ := strings.Cut(s, ":")
	f, err := version.ParseFile("1:[" + head + "-" + head + "]")
	if err != nil {
		panic(err)
	}
	return iterator.KV{K: f.Smallest, V: []byte(value)}
}

func formatKV(kv iterator.KV) string {
	s := kv.K.String()
	if kv.K.Kind() == base.KindSet {
		s += ":" + string(kv.V)
	}
	return s
}

func sortKVs(order *base.Comparer, kvs []iterator.KV) {
	slices.SortFunc(kvs, func(a, b iterator.KV) int { return order.CompareInternal(a.K, b.K) })
}
