package memtable

type node struct{}
type inner struct{}
