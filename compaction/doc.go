// Package compaction decides which tables are merged next (a Policy makes a
// Plan) and merges them (Run).
//
// Policies are pure functions of a Tree: an immutable version and what is going
// on around it. They are called under the caller's scheduling lock. Run is
// called without it and touches files only through its Env. Publishing what Run
// wrote, and deleting what it read, is the caller's.
//
//	lock:    plan := policy.Pick(tree)              Tree.Running grows by plan
//	unlock:  res, err := compaction.Run(ctx, plan, env)
//	         sync the directory
//	         apply the edit: inputs deleted, res.Outputs added at plan.OutputLevel
//	lock:    Tree.Running shrinks by plan; pick again
//
// A flush is a plan without inputs whose extra iterator is a memtable. A plan
// with Move or Drop set needs no Run, only its edit.
//
// # What every plan keeps
//
// Reads stop at the first run that knows a key, so no entry may come to lie
// above (in a newer place than) a newer entry of its user key. All policies keep
// that by four rules:
//
//	clean cuts   Neighbours of one deeper level that hold versions of one user
//	             key go together, on both sides of the cut. Only directories of
//	             other engines have such neighbours.
//	level 0      A file leaves level 0 only with every file that overlaps it and
//	             is not certainly newer. Certain are sequence bounds, nothing
//	             else; where they are unknown all overlapping files go together.
//	             A merge inside level 0 takes neighbours by number, and its one
//	             output gets a number between theirs, as LevelDB reads level 0
//	             by number.
//	output       Inputs include every file of the output level that overlaps
//	             them, and no two running plans write to overlapping parts of a
//	             level.
//	age order    Tiered: runs are merged with their neighbours in age only, and
//	             the output lies between what is newer and what is older.
//
// # Leveled
//
// Level 0 holds one run a flush. Every deeper level is one run with a size
// target; the last one has none.
//
//	L0  |--------------|          due at 4 files or BaseBytes
//	    |----------------|
//	L1  |---|---|---|---|         BaseBytes
//	L2  |--|--|--|--|--|--|--|    BaseBytes * 10
//	...
//	L6                            no target
//
// Score is size over target. A level that holds several times its target goes
// first, unless level 0 is crowded; otherwise level 0 when it is due, with as many of
// its files as fit. If level 1 is busy, or what would be rewritten there more
// than twice as large as what would go down, neighbouring level 0 files are merged into one instead. Of the
// other levels the one with the highest score gives up the part that meets the
// fewest bytes below for each of its own; among equals the parts take turns. It
// moves by edit alone if nothing lies below. When no level is due, tables that
// are mostly tombstones are compacted down, and rewritten in place once nothing
// older lies below them.
//
// # Tiered
//
// A run is one level 0 file or all of one deeper level. Age order is level
// order, level 0 first by number:
//
//	newest                                       oldest
//	L0: 31  L0: 28  L0: 25   (L1-L3 free)   L4    L6
//
// A merge takes neighbours in that row. Its output goes to the deepest level
// that keeps the order: to the level before that of the next older run, to L6 if
// there is none. {25, 28} above goes to L3; with {L4} too, to L5; all of it to
// L6. If the next older run lies in level 0 the output stays there, as one file,
// numbered in between. If that run is L1 then older runs first move down by edit
// as far as there are free levels; if there is none the output stays in level 0
// too, or, where no number is free for it, L1 joins the merge. So there are at
// most six runs below level 0.
//
// # FIFO
//
// Everything stays in level 0. What exceeds the size is dropped, strictly the
// oldest first: dropped out of turn, a tombstone would leave what it deletes
// behind.
//
// # The merge
//
// Three questions, a file each: which versions survive (survive.go, older.go),
// where one output ends and the next begins (split.go), and the loop between
// them (run.go). On an input that is damaged, out of order or of a kind that this
// release cannot read, Run ends with the error and nothing counts.
//
// # Seams
//
// Left open on purpose:
//
//   - Subcompactions: newMerge and its loop work on one key range, all of it
//     today. Ranges cut at user keys, a merge for each, and the outputs one
//     behind the other are a larger Run; survivor, older and splitter begin
//     anew at any user key.
//   - Copying a data block unread: a source that knows that its next block meets
//     no other source, and a TableWriter that takes a block. The keys are still
//     needed, for the filter and the counts.
package compaction
