package strata

import (
	"fmt"

	"github.com/strata-db/strata/internal/base"
	"github.com/strata-db/strata/internal/batch"
)

// Kind says what an entry of a batch does.
type Kind = base.Kind

// The kinds of batch entries.
const (
	KindDelete = base.KindDelete
	KindSet    = base.KindSet
)

// A Batch is a list of writes that is applied as one: all of it or none. The
// zero value is an empty batch. Later entries win over earlier ones of the same
// key. It must not be used by two goroutines at once; DB.Write does not modify
// it, so it may be written again, also to another database.
//
// Its bytes are LevelDB's: an 8-byte sequence number and a 4-byte count, both
// little-endian, then the entries.
type Batch struct {
	data  []byte // empty, or header and entries
	count uint32
	err   error // the first entry over a limit
}

// Put adds a write of value under key. Both are copied. nil is the empty string.
func (b *Batch) Put(key, value []byte) {
	if b.admit(key, value) {
		b.data = batch.AppendSet(b.data, key, value)
		b.count++
	}
}

// Delete adds a removal of key, which need not be there. The key is copied.
func (b *Batch) Delete(key []byte) {
	if b.admit(key, nil) {
		b.data = batch.AppendDelete(b.data, key)
		b.count++
	}
}

// admit makes room for the header, and refuses what no write could carry. The
// first refusal is kept for Write to return.
func (b *Batch) admit(key, value []byte) bool {
	if b.err == nil {
		b.err = checkSizes(key, value)
	}
	if b.err == nil && int64(len(b.data))+int64(len(key))+int64(len(value))+entryOverheadBytes > MaxBatchBytes {
		b.err = fmt.Errorf("%w: over %d bytes", ErrBatchTooLarge, int64(MaxBatchBytes))
	}
	if b.err != nil {
		return false
	}
	if len(b.data) == 0 {
		b.data = append(b.data, make([]byte, batch.HeaderLen)...)
	}
	return true
}

// entryOverheadBytes bounds what an entry takes beside key and value: its kind
// and two lengths.
const entryOverheadBytes = 11

func checkSizes(key, value []byte) error {
	if len(key) > MaxKeyBytes {
		return fmt.Errorf("%w: key of %d bytes, at most %d", ErrKeyTooLarge, len(key), int64(MaxKeyBytes))
	}
	if len(value) > MaxValueBytes {
		return fmt.Errorf("%w: value of %d bytes, at most %d", ErrKeyTooLarge, len(value), int64(MaxValueBytes))
	}
	return nil
}

// Len returns the number of entries.
func (b *Batch) Len() int { return int(b.count) }

// Reset empties the batch and keeps its memory.
func (b *Batch) Reset() { *b = Batch{data: b.data[:0]} }

// Each calls fn for every entry in order, until fn returns an error, which it
// returns. value is nil for a removal. The slices are the batch's: valid until
// it changes, not to be modified.
func (b *Batch) Each(fn func(kind Kind, key, value []byte) error) error {
	if len(b.data) == 0 {
		return nil
	}
	r := batch.NewReader(b.data)
	for {
		kind, key, value, ok, err := r.Next()
		if err != nil || !ok {
			return err
		}
		if err := fn(kind, key, value); err != nil {
			return err
		}
	}
}

// Bytes returns the encoded batch with its 12-byte header; the sequence number
// in it is 0 unless SetBytes gave another. The slice is the batch's: valid until
// it changes, not to be modified.
func (b *Batch) Bytes() []byte {
	if len(b.data) == 0 {
		b.data = append(b.data, make([]byte, batch.HeaderLen)...)
	}
	batch.SetCount(b.data, b.count)
	return b.data
}

// SetBytes makes the batch a copy of the encoded one in data, which is
// validated: an error leaves the batch as it was. The sequence number in it is
// ignored by Write.
func (b *Batch) SetBytes(data []byte) error {
	if int64(len(data)) > MaxBatchBytes {
		return fmt.Errorf("%w: %d bytes, at most %d", ErrBatchTooLarge, len(data), int64(MaxBatchBytes))
	}
	if err := batch.Validate(data); err != nil {
		return err
	}
	r := batch.NewReader(data)
	for {
		_, key, value, ok, err := r.Next()
		if err != nil || !ok {
			break
		}
		if err := checkSizes(key, value); err != nil {
			return err
		}
	}
	*b = Batch{data: append(b.data[:0], data...), count: batch.Count(data)}
	return nil
}
