package bench

import (
	"bytes"
	"encoding/binary"

	"github.com/strata-db/strata"
)

// Benchmarks of shapes that data takes in programs: a queue, time series. Their
// keys begin with a letter, so they lie behind those of the other benchmarks.

// The queue's depth, and how many operations are done unless a duration is
// given. Each First steps over all that was deleted since the last flush, so the
// time grows with the square of the operations: in Strata as in LevelDB, Pebble
// and RocksDB.
const (
	queueDepth = 1000
	queueOps   = 10_000
)

// queue appends at the tail, looks for the head with First and deletes it: the
// tombstones in front of the head are what hurts. An operation is all three.
func queue(t *thread) error {
	prefix := append([]byte("q"), byte('A'+t.id%26), byte('0'+t.id/26%10))
	bounds := strata.PrefixRange(prefix)
	depth := min(queueDepth, t.cfg.Num)
	keyOf := func(i int) []byte {
		t.key = t.keys.Append(append(t.key[:0], prefix...), uint64(i))
		return t.key
	}
	push := func(i int) error {
		t.r.content.live.Add(1)
		return t.db.Put(keyOf(i), t.r.content.values.At(uint64(i)), t.wo)
	}
	for i := range depth {
		if err := push(i); err != nil {
			return err
		}
	}
	t.restart()
	for i := 0; t.more(i, min(queueOps, t.cfg.Num)); i++ {
		if err := push(i + depth); err != nil {
			return err
		}
		head, value := keyOf(i), t.r.content.values.At(uint64(i))
		it := t.db.NewIterator(bounds)
		found := it.First()
		right := found && bytes.Equal(it.Key(), head) && bytes.Equal(it.Value(), value)
		if err := closeIter(it); err != nil {
			return err
		}
		t.read(right, found)
		if err := t.db.Delete(head, t.wo); err != nil {
			return err
		}
		t.r.content.live.Add(-1)
		t.did(2*len(head) + len(value))
	}
	return nil
}

// The shape of the time series: how many there are, how many points a query
// reads and how many writes come to a query.
const (
	seriesCount  = 100
	seriesPoints = 100
	seriesEvery  = 20
)

// timeseries appends points to series in turn, deletes those that are older than
// a tenth of num, and now and then reads the newest points of a series. An
// operation is a point or a query.
func timeseries(t *thread) error {
	s := &seriesThread{thread: t, prefix: []byte{'t', byte('A' + t.id%26), byte('0' + t.id/26%10)}}
	keep := max(seriesCount, t.cfg.Num/10)
	for i := 0; t.more(i, t.cfg.Num); i++ {
		if err := s.append(i); err != nil {
			return err
		}
		if old := i - keep; old >= 0 {
			if err := t.db.Delete(s.at(old), t.wo); err != nil {
				return err
			}
			t.r.content.live.Add(-1)
		}
		if i%seriesEvery == seriesEvery-1 {
			if err := s.query(t.rng.IntN(seriesCount), i, keep); err != nil {
				return err
			}
		}
	}
	return nil
}

type seriesThread struct {
	*thread
	prefix []byte
	bound  []byte
}

// at returns the key of point i: series, then time.
func (s *seriesThread) at(i int) []byte {
	s.key = s.point(s.key[:0], i%seriesCount, i/seriesCount)
	return s.key
}

func (s *seriesThread) point(dst []byte, series, tick int) []byte {
	dst = append(dst, s.prefix...)
	dst = append(dst, byte(series))
	return binary.BigEndian.AppendUint64(dst, uint64(tick))
}

func (s *seriesThread) append(i int) error {
	value := s.r.content.values.At(uint64(i))
	s.r.content.live.Add(1)
	err := s.db.Put(s.at(i), value, s.wo)
	s.did(len(s.key) + len(value))
	s.pace(len(s.key) + len(value))
	return err
}

// query reads the newest points of a series, newest first, when point last was
// the last one written and keep points of all series are kept.
func (s *seriesThread) query(series, last, keep int) error {
	newest := last/seriesCount - b2i(last%seriesCount < series)
	oldest := (max(0, last-keep+1) + seriesCount - 1 - series) / seriesCount
	want := min(seriesPoints, newest-oldest+1)
	s.bound = s.point(s.bound[:0], series, newest+1)
	it := s.db.NewIterator(&strata.IterOptions{LowerBound: s.point(nil, series, 0), UpperBound: s.bound})
	n, right := 0, true
	for ok := it.Last(); ok && n < seriesPoints; ok = it.Prev() {
		tick := newest - n
		s.key = s.point(s.key[:0], series, tick)
		right = right && bytes.Equal(it.Key(), s.key) && bytes.Equal(it.Value(), s.r.content.values.At(uint64(tick*seriesCount+series)))
		n++
	}
	if err := closeIter(it); err != nil {
		return err
	}
	s.read(right && n == want, n > 0)
	s.did(0)
	return nil
}

func b2i(b bool) int {
	if b {
		return 1
	}
	return 0
}
