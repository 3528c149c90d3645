package block

import (
	"encoding/binary"

	"github.com/strata-db/strata/internal/base"
)

// Salvage calls fn for the entries of a block of internal keys that can be
// trusted although the block is malformed, in the order they are stored, and
// reports whether it had to pass over anything. key is valid during the call;
// value aliases data.
//
// The checksum of data must have been right: then the bytes are what some writer
// wrote, and only the writer can have been wrong. What it trusts:
//
//   - the entries of a stretch between two restarts, if they end exactly at the
//     second one: a length that was wrong would have led elsewhere;
//   - all entries, if they end exactly at the restarts, wherever these point;
//   - all entries, if the number of restarts is wrong but the array itself is
//     found where the entries end.
//
// An entry of an unknown kind is passed over alone. Whether keys are in order is
// not judged.
func Salvage(data []byte, fn func(key base.InternalKey, value []byte)) (lost bool) {
	limit, n, ok := layout(data)
	if !ok || n == 0 && limit > 0 {
		return salvageUncounted(data, fn)
	}
	s := salvager{data: data[:limit:limit]}
	if s.stretch(0, limit) {
		return s.deliver(fn)
	}
	lost = true
	for _, r := range s.stretches(data, n) {
		if s.stretch(r[0], r[1]) {
			s.deliver(fn)
		}
	}
	return lost
}

// A salvager collects the entries of one stretch, to be delivered when the whole
// of it is trusted.
type salvager struct {
	data    []byte
	entries []entry
	end     int // where the stretch ended
}

// stretch reads the entries from offset from, the first of which has a whole key.
// It reports whether they end exactly at offset to.
func (s *salvager) stretch(from, to int) bool {
	s.entries = s.entries[:0]
	keyLen := 0
	off := from
	for off < to {
		e, ok := decode(s.data[:to], off)
		if !ok || e.shared > keyLen || e.shared+e.keyEnd-e.key < base.TrailerLen {
			break
		}
		keyLen = e.shared + e.keyEnd - e.key
		s.entries = append(s.entries, e)
		off = e.end
	}
	s.end = off
	return off == to
}

// deliver gives the collected entries to fn. It reports whether any were of an
// unknown kind.
func (s *salvager) deliver(fn func(key base.InternalKey, value []byte)) (lost bool) {
	var buf []byte
	for _, e := range s.entries {
		buf = append(buf[:e.shared], s.data[e.key:e.keyEnd]...)
		k, _ := base.ParseInternalKey(buf)
		if !k.Kind().Known() {
			lost = true
			continue
		}
		fn(k, s.data[e.keyEnd:e.end:e.end])
	}
	return lost
}

// stretches returns the stretches between the restarts that lie among the entries
// and ascend.
func (s *salvager) stretches(data []byte, n int) (list [][2]int) {
	limit := len(s.data)
	prev := -1
	for j := range n {
		r := restartAt(data, limit, j)
		if r < 0 || r >= limit || r <= prev {
			continue
		}
		if prev >= 0 {
			list = append(list, [2]int{prev, r})
		}
		prev = r
	}
	if prev >= 0 {
		list = append(list, [2]int{prev, limit})
	}
	return list
}

// salvageUncounted is for a block whose number of restarts makes no sense: the
// entries must end where an array of restarts begins.
func salvageUncounted(data []byte, fn func(key base.InternalKey, value []byte)) (lost bool) {
	if len(data) < 4 {
		return true
	}
	s := salvager{data: data[: len(data)-4 : len(data)-4]}
	s.stretch(0, len(s.data))
	if !s.restartsFollow() {
		return true
	}
	s.deliver(fn)
	return true
}

// restartsFollow reports whether what is behind the collected entries is an array
// of offsets of them.
func (s *salvager) restartsFollow() bool {
	array := s.data[s.end:]
	if len(array) == 0 || len(array)%4 != 0 || len(s.entries) == 0 {
		return false
	}
	begins := make(map[uint32]bool)
	at := uint32(0)
	for _, e := range s.entries {
		begins[at] = e.shared == 0
		at = uint32(e.end)
	}
	for i := 0; i < len(array); i += 4 {
		r := binary.LittleEndian.Uint32(array[i:])
		if !begins[r] || (i == 0) != (r == 0) || i > 0 && r <= binary.LittleEndian.Uint32(array[i-4:]) {
			return false
		}
	}
	return true
}
