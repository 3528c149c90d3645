// Package comparers holds the orders of keys, besides the bytewise one, that
// well-known writers of LevelDB's format use. A database names its order in its
// manifest; programs that look into databases of others find it here.
//
// Everything in it may be used from any goroutine.
package comparers

import "github.com/strata-db/strata/internal/base"

// All returns the orders of this package.
func All() []*base.Comparer { return []*base.Comparer{IndexedDB} }
