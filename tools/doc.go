// Package tools answers what people who run a database in LevelDB's format ask:
// what is in this file, where is this key, why is it slow, is it damaged, can I
// get it back. It is what the program strata is made of, as a library, so that an
// application can offer the same commands with its own order of keys:
//
//	func main() {
//		env := tools.Env{Out: os.Stdout, Err: os.Stderr, Comparers: []*strata.Comparer{mine}}
//		os.Exit(tools.Main(context.Background(), env, os.Args[1:]))
//	}
//
// Commands returns the commands as values, for a program that has a command line
// of its own (cmd/strata gives them to cobra).
//
// Diagnose says of the metrics of an open database what the command doctor says.
//
// # What the commands keep to
//
// A command that only looks writes nothing and takes no lock, so it works beside
// a live writer. It reads CURRENT, the manifest, tables and logs as they lie. A
// writer may delete a file meanwhile: then the command starts again from CURRENT.
// What it shows is a state the database had while the command ran, with whole
// batches. Which commands write is said by Command.Writes; those take the lock.
//
// Output is for people; with --json it is for programs: one JSON object, or one a
// line where there are many, in which keys and values are hex. Damage makes a
// command fail, after it has shown what can be read.
//
// # Keys
//
// Keys and values are printed as text: printable ASCII as it is, all else as \xNN.
// They are read in the same form, so what was printed can be given back:
//
//	user\x00one    text, \xNN is a byte
//	raw:a\x00b     the six characters after "raw:", taken as they are
//	hex:610062     bytes in hex
//
// An entry is printed as key#sequence,KIND:value, a table as
// 000007:[a#3,SET-f#9,DEL].
package tools
