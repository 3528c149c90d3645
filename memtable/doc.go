// Package memtable is the sorted table in memory that takes every write: a skip
// list over an arena.
package memtable
