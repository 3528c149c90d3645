package compaction

import (
	"bytes"
	"slices"

	"github.com/strata-db/strata/internal/base"
)

// A survivor decides which entries of a merged stream live on. It is fed every
// entry in internal-key order, all versions of a user key in a row.
//
// Snapshots cut the sequence numbers into stripes. Within a stripe every reader
// sees the newest version of a key or none, so that one alone survives:
//
//	snapshots          20            40
//	stripe       0      |     1       |     2
//	k#...    7  12  20  |  23    31   |  45      ->  k#45 k#31 k#20
//
// A tombstone of stripe 0 hides what is older from everybody, so it goes too
// once nothing older is left outside the inputs: see older.
type survivor struct {
	compare   func(a, b []byte) int
	bytewise  bool
	snapshots []base.SeqNum // ascending, distinct
	older     *older

	ukey    []byte // user key of the last entry, copied
	trailer base.Trailer
	stripe  int
	started bool

	shadowed   uint64 // dropped for a newer version in their stripe
	tombstones uint64 // dropped with nothing left to hide
}

func newSurvivor(cmp *base.Comparer, snapshots []base.SeqNum, o *older) *survivor {
	s := slices.Clone(snapshots)
	slices.Sort(s)
	return &survivor{compare: cmp.Compare, bytewise: cmp.IsBytewise(), snapshots: slices.Compact(s), older: o}
}

// next judges the next entry. first reports that it is the newest version of its
// user key; only before such an entry may an output end. An entry out of order
// or of a kind this release cannot read is an error, never dropped: what it
// means to the entries around it is not known.
func (s *survivor) next(k base.InternalKey) (keep, first bool, err error) {
	if !k.Kind().Known() {
		return false, false, &base.CorruptionError{Offset: -1, What: "entry kind of " + k.String(), Got: uint8(k.Kind())}
	}
	c := 1
	if s.started {
		if s.bytewise {
			c = bytes.Compare(k.UserKey, s.ukey)
		} else {
			c = s.compare(k.UserKey, s.ukey)
		}
	}
	switch {
	case c > 0:
		return s.newest(k), true, nil
	case c < 0 || k.Trailer > s.trailer:
		last := base.InternalKey{UserKey: s.ukey, Trailer: s.trailer}
		return false, false, &base.CorruptionError{Offset: -1, What: "order of entries", Got: k, Want: "after " + last.String()}
	}
	s.trailer = k.Trailer
	stripe := s.stripeOf(k.SeqNum())
	if stripe == s.stripe {
		s.shadowed++
		return false, false, nil
	}
	s.stripe = stripe
	return !s.elided(k), false, nil
}

// newest judges the newest version of a user key.
func (s *survivor) newest(k base.InternalKey) bool {
	s.started = true
	s.ukey = append(s.ukey[:0], k.UserKey...)
	s.trailer = k.Trailer
	s.stripe = s.stripeOf(k.SeqNum())
	return !s.elided(k)
}

// elided reports whether k is a tombstone that has nothing left to hide. Older
// versions among the inputs are in its stripe and go with it.
func (s *survivor) elided(k base.InternalKey) bool {
	if k.Kind() != base.KindDelete || s.stripe != 0 || s.older.mayHold(k.UserKey) {
		return false
	}
	s.tombstones++
	return true
}

// stripeOf returns the number of snapshots that cannot see seq.
func (s *survivor) stripeOf(seq base.SeqNum) int {
	if len(s.snapshots) == 0 || seq <= s.snapshots[0] {
		return 0
	}
	i, _ := slices.BinarySearch(s.snapshots, seq)
	return i
}
