package bench

import "strings"

// Nearest returns the name that is most like word, or "" if none is like it:
// the shortest that begins with it, or within two changes of a letter or a third of
// the word.
func Nearest(word string, names []string) string {
	begun := ""
	for _, name := range names {
		if len(word) > 2 && strings.HasPrefix(name, word) && (begun == "" || len(name) < len(begun)) {
			begun = name
		}
	}
	if begun != "" {
		return begun
	}
	best, least := "", max(2, len(word)/3)+1
	for _, name := range names {
		if d := distance(word, name); d < least {
			best, least = name, d
		}
	}
	return best
}

// distance is the number of letters to insert, remove or replace between a and b
// (Levenshtein, 1965).
func distance(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			change := diagonal
			if a[i] != b[j] {
				change++
			}
			diagonal = row[j+1]
			row[j+1] = min(change, row[j]+1, row[j+1]+1)
		}
	}
	return row[len(b)]
}
