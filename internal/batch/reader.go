package batch

import (
	"github.com/strata-db/strata/internal/base"
)

// A Reader walks the entries of one batch in order. It allocates nothing unless
// it meets damage, and may be used by one goroutine at a time. The zero value
// is a reader at the end.
type Reader struct {
	b   []byte
	off int
}

// NewReader returns a reader at the first entry of b, a batch with its header.
// b must not change while the reader or anything it returned is in use.
func NewReader(b []byte) Reader { return Reader{b: b, off: HeaderLen} }

// Next returns the next entry, or ok == false at the end and on damage. key and
// value alias the batch; value is nil for a tombstone. The count of the header
// is not looked at: Validate compares it. The error is a *base.CorruptionError
// with the offset inside the batch, and repeats.
func (r *Reader) Next() (kind base.Kind, key, value []byte, ok bool, err error) {
	if r.off >= len(r.b) {
		if r.off == HeaderLen && r.b != nil && len(r.b) < HeaderLen {
			return 0, nil, nil, false, Validate(r.b)
		}
		return 0, nil, nil, false, nil
	}
	kind = base.Kind(r.b[r.off])
	if !kind.Known() {
		return 0, nil, nil, false, r.damage("batch entry kind")
	}
	key, next, ok := field(r.b, r.off+1)
	if !ok {
		return 0, nil, nil, false, r.damage("batch key length")
	}
	if kind == base.KindSet {
		if value, next, ok = field(r.b, next); !ok {
			return 0, nil, nil, false, r.damage("batch value length")
		}
	}
	r.off = next
	return kind, key, value, true, nil
}

func (r *Reader) damage(what string) error {
	return &base.CorruptionError{Offset: int64(r.off), What: what, Got: r.b[r.off]}
}
