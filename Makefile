# The names a developer types. Continuous integration runs .ci/run.

GO       ?= go
FUZZTIME ?= 10s
BASE     ?= HEAD~1
PEERS    := $(wildcard bench/peers/go.mod)

.PHONY: test race lint fuzz crash meta bench cover cross exchange

test:  ## vet and all tests, invariants checked
	$(GO) vet ./...
	$(GO) test -tags invariants ./...

race:  ## the same under the race detector
	$(GO) test -race -tags invariants -short ./...

lint:  ## formatting, vet, staticcheck, house rules
	@test -z "$$(gofmt -l $$(git ls-files '*.go'))" || { gofmt -l $$(git ls-files '*.go'); exit 1; }
	$(GO) vet ./...
	staticcheck ./...
	$(GO) test ./internal/lint

fuzz:  ## every fuzz target for FUZZTIME
	FUZZTIME=$(FUZZTIME) .ci/fuzz

crash:  ## the long crash and fault sweeps
	STRATA_LONG=1 $(GO) test -count=1 -timeout 60m -run 'Crash|Fault' ./...

meta:  ## one list of operations under many options; the seed is printed first
	STRATA_LONG=1 $(GO) test -count=1 -timeout 60m -v ./internal/metamorphic

bench:  ## benchmarks of BASE and of the working tree, ten runs each, compared
	.ci/benchcmp $(BASE)

cover:  ## coverage by package
	$(GO) test -coverprofile=cover.out -coverpkg=./... ./...
	$(GO) tool cover -func=cover.out | tail -1

cross:  ## vet for every system that is built for
	.ci/cross

exchange:  ## against goleveldb and LevelDB (needs g++ and libleveldb-dev)
	cd exchange && $(GO) test -count=1 ./...
