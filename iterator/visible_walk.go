package iterator

import "github.com/strata-db/strata/internal/base"

// forward finds the first key to show at or after the source's entry kv. With
// leaving, versions of v.key are passed over first.
func (v *Visible) forward(kv *KV, leaving bool) bool {
	if v.distinct {
		return v.ahead(kv)
	}
	for n := 0; kv != nil; {
		ukey, t := kv.K.UserKey, kv.K.Trailer
		switch {
		case leaving && v.equal(ukey, v.key):
			// An older version of what was shown or deleted. v.key may also
			// be the key that a walk backwards turns away from; then its
			// newest versions come first.
			if !t.Kind().Known() {
				return v.fail(unknownKind(kv.K))
			}
			v.stats.Dead++
			v.skipped(ukey)
			if n++; n == stepsBeforeSeek {
				kv = v.jumpGE(base.InternalKey{UserKey: v.key}) // trailer 0: behind every version
				continue
			}
		case v.upper != nil && v.compare(ukey, v.upper) >= 0:
			return v.end(pastEnd)
		case t.SeqNum() > v.at:
			kv = v.passTooNew(kv)
			leaving = false
			continue
		default:
			show, err := shown(kv.K)
			if err != nil {
				return v.fail(err)
			}
			if show {
				v.state, v.kv, v.curK, v.curV, v.curT = atForward, kv, ukey, kv.V, t
				return true
			}
			v.stats.Tombstones++
			v.skipped(ukey)
			v.key = append(v.key[:0], ukey...)
			leaving, n = true, 0
		}
		kv = v.it.Next()
	}
	return v.ended(pastEnd)
}

// turnForward goes forwards from a walk backwards, which left the source before
// every version of v.key. A source that is written to may have entries there now
// which it did not have then: all of them too new to be shown, and none a reason
// to forget which key is being left.
func (v *Visible) turnForward() bool {
	kv := v.it.Next()
	for n := 1; kv != nil && v.compare(kv.K.UserKey, v.key) < 0; n++ {
		v.stats.TooNew++
		v.skipped(kv.K.UserKey)
		if n == stepsBeforeSeek {
			kv = v.jumpGE(base.InternalKey{UserKey: v.key}) // behind every version
			break
		}
		kv = v.it.Next()
	}
	return v.forward(kv, true) // passes over the versions of v.key, the newest first
}

// turnBackward goes backwards from the shown entry. As with turnForward there may
// be new entries on the side of it that is being left, and to jump over one of
// their keys would lead to the shown entry again.
func (v *Visible) turnBackward() bool {
	v.key = append(v.key[:0], v.kv.K.UserKey...)
	kv := v.it.Prev()
	for n := 1; kv != nil && v.compare(kv.K.UserKey, v.key) > 0; n++ {
		v.stats.TooNew++
		v.skipped(kv.K.UserKey)
		if n == stepsBeforeSeek {
			kv = v.jumpLT()
			break
		}
		kv = v.it.Prev()
	}
	return v.backward(kv) // newer versions of the shown key are too new
}

// passTooNew steps over the versions of kv's key that are above the sequence
// number and returns the entry behind them.
func (v *Visible) passTooNew(kv *KV) *KV {
	v.key = append(v.key[:0], kv.K.UserKey...)
	for n := 1; ; n++ {
		v.stats.TooNew++
		v.skipped(v.key)
		if n == stepsBeforeSeek {
			return v.jumpGE(base.SeekKey(v.key, v.at))
		}
		kv = v.it.Next()
		if kv == nil || kv.K.SeqNum() <= v.at || !v.equal(kv.K.UserKey, v.key) {
			return kv
		}
	}
}

// backward finds the last key to show whose oldest version is at or before the
// source's entry kv.
func (v *Visible) backward(kv *KV) bool {
	if v.distinct {
		return v.behind(kv)
	}
	for kv != nil {
		if v.lower != nil && v.compare(kv.K.UserKey, v.lower) < 0 {
			return v.end(beforeStart)
		}
		v.key = append(v.key[:0], kv.K.UserKey...)
		before, show, err := v.collect(kv)
		if before == nil && err == nil {
			err = v.it.Err()
		}
		if err != nil {
			return v.fail(err)
		}
		if show {
			v.state, v.kv, v.curK, v.curV = atBackward, before, v.key, v.val
			return true
		}
		kv = before
	}
	return v.ended(beforeStart)
}

// collect walks back over the versions of v.key from the oldest, kv, and takes
// over the newest visible one: show says whether it is to be shown, v.val is its
// value then. It returns the entry before all versions of the key; if that is
// nil, the source may have an error, which counts.
func (v *Visible) collect(kv *KV) (before *KV, show bool, err error) {
	seen := false
	for n := 1; kv != nil && v.equal(kv.K.UserKey, v.key); n++ {
		if kv.K.SeqNum() > v.at {
			kv = v.leave(kv)
			break
		}
		if n == stepsBeforeSeek {
			// The newest visible version directly. It exists: kv is visible.
			if kv = v.jumpGE(base.SeekKey(v.key, v.at)); kv == nil {
				return nil, false, v.it.Err()
			}
		}
		if seen {
			v.stats.Dead++ // the one seen before
			v.skipped(v.key)
		}
		seen = true
		if show, err = shown(kv.K); err != nil {
			return nil, false, err
		}
		if show {
			if !v.identical {
				v.key = append(v.key[:0], kv.K.UserKey...) // each version has bytes of its own
			}
			v.val = append(v.val[:0], kv.V...)
			v.curT = kv.K.Trailer
		}
		if n == stepsBeforeSeek {
			kv = v.jumpLT()
			break
		}
		kv = v.it.Prev()
	}
	if seen && !show {
		v.stats.Tombstones++
		v.skipped(v.key)
	}
	return kv, show, nil
}

// leave walks back from kv over all versions of v.key, which are too new to be
// seen, and returns the entry before them.
func (v *Visible) leave(kv *KV) *KV {
	for n := 1; kv != nil && v.equal(kv.K.UserKey, v.key); n++ {
		v.stats.TooNew++
		v.skipped(v.key)
		if n == stepsBeforeSeek {
			return v.jumpLT()
		}
		kv = v.it.Prev()
	}
	return kv
}

// jumpGE skips forward by seeking.
func (v *Visible) jumpGE(k base.InternalKey) *KV {
	v.stats.Seeks++
	return v.it.SeekGE(k)
}

// jumpLT skips backward over every version of v.key by seeking.
func (v *Visible) jumpLT() *KV {
	v.stats.Seeks++
	return v.it.SeekLT(base.SeekKey(v.key, base.SeqNumMax))
}

// ahead finds the first key to show at or after the entry kv of a source of
// distinct keys.
func (v *Visible) ahead(kv *KV) bool {
	for ; kv != nil; kv = v.it.Next() {
		if v.upper != nil && v.compare(kv.K.UserKey, v.upper) >= 0 {
			return v.end(pastEnd)
		}
		if v.here(kv) {
			return v.err == nil
		}
	}
	return v.ended(pastEnd)
}

// behind finds the last key to show at or before the entry kv of a source of
// distinct keys. Other than backward it ends with the source at the shown entry,
// as going forwards does.
func (v *Visible) behind(kv *KV) bool {
	for ; kv != nil; kv = v.it.Prev() {
		if v.lower != nil && v.compare(kv.K.UserKey, v.lower) < 0 {
			return v.end(beforeStart)
		}
		if v.here(kv) {
			return v.err == nil
		}
	}
	return v.ended(beforeStart)
}

// here shows kv, the one entry of its key, if it is to be shown. It reports that
// the move ends here, which it does by an error too.
func (v *Visible) here(kv *KV) bool {
	if kv.K.SeqNum() > v.at {
		v.stats.TooNew++
		v.skipped(kv.K.UserKey)
		return false
	}
	show, err := shown(kv.K)
	switch {
	case err != nil:
		v.fail(err)
		return true
	case !show:
		v.stats.Tombstones++
		v.skipped(kv.K.UserKey)
		return false
	}
	v.state, v.kv, v.curK, v.curV, v.curT = atForward, kv, kv.K.UserKey, kv.V, kv.K.Trailer
	return true
}
