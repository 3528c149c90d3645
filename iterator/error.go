package iterator

import "github.com/strata-db/strata/internal/base"

// failed is a source that has nothing but an error.
type failed struct{ err error }

// NewError returns a source that gives err at every move, for a place where a
// source could not be opened.
func NewError(err error) Iterator { return failed{err} }

func (f failed) First() *KV                  { return nil }
func (f failed) Last() *KV                   { return nil }
func (f failed) SeekGE(base.InternalKey) *KV { return nil }
func (f failed) SeekLT(base.InternalKey) *KV { return nil }
func (f failed) Next() *KV                   { return nil }
func (f failed) Prev() *KV                   { return nil }
func (f failed) Err() error                  { return f.err }
func (f failed) Close() error                { return f.err }
