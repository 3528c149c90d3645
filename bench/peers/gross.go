package main

import (
	"errors"
	"fmt"
)

// grossLimit is how much slower than goleveldb a line may be before a build
// fails. Shared machines vary by a factor of two, so only a blunder shows.
const grossLimit = 0.4

// grossFree are lines that say too little on a small database.
var grossFree = map[string]bool{"open": true, "fillrandom max": true}

// grossOf returns the lines that are grossly slower than goleveldb's, and the
// failures of runs.
func grossOf(results []result) (slow []row, failed error) {
	var errs []error
	for _, r := range results {
		if r.Error != "" {
			errs = append(errs, fmt.Errorf("%s on %s: %s", r.Workload, r.Engine, r.Error))
		}
	}
	for _, r := range rows(results) {
		if v := r.ratio("goleveldb"); v != 0 && v < grossLimit && !grossFree[r.line] {
			slow = append(slow, r)
		}
	}
	return slow, errors.Join(errs...)
}

// checkGross fails if a line is grossly slower than goleveldb's, or a run
// failed.
func checkGross(results []result) error {
	slow, err := grossOf(results)
	errs := []error{err}
	for _, r := range slow {
		errs = append(errs, fmt.Errorf("%s: %.2f times goleveldb's speed, at least %.1f is demanded", r.line, r.ratio("goleveldb"), grossLimit))
	}
	return errors.Join(errs...)
}
