# The names a developer types. Continuous integration runs .ci/run.

GO       ?= go
FUZZTIME ?= 10s
BASE     ?= HEAD~1
CRASHES  := Crash|Fault|Damage|Kill|DiskFull
PEERS    := $(wildcard bench/peers/go.mod)

.PHONY: help test race lint fuzz crash soak meta bench bench-peers bench-table bench-docs cover cross exchange

help:  ## this list (make alone is the same)
	@sed -n 's/^\([a-z-]*\):  ## /\1	/p' Makefile | expand -t 14

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

crash:  ## thousands of crashes, faults and damages: a few minutes (docs/reliability.md)
	STRATA_LONG=1 STRATA_CRASH_IMAGES=5000 STRATA_STORMS=100 STRATA_DAMAGES=10000 STRATA_KILL_ROUNDS=60 \
		$(GO) test -count=1 -timeout 30m -v -run '$(CRASHES)' .
	STRATA_LONG=1 $(GO) test -count=1 -timeout 30m -run 'Crash|Fault' ./vfs ./wal ./version

soak:  ## the same for an hour or so
	STRATA_LONG=1 STRATA_CRASH_IMAGES=1000000 STRATA_STORMS=3000 STRATA_DAMAGES=500000 STRATA_KILL_ROUNDS=600 \
		$(GO) test -count=1 -timeout 6h -v -run '$(CRASHES)' .

meta:  ## one list of operations under many options (the seed is printed first), and long lives
	STRATA_LONG=1 $(GO) test -count=1 -timeout 60m -p 1 -v ./internal/metamorphic
	STRATA_LONG=1 $(GO) test -count=1 -timeout 60m -v -run 'Linearizable|CloseAtAnyMoment|BurstIsBounded' .

bench:  ## benchmarks of BASE and of the working tree, ten runs each, compared; PKG=./memtable MATCH=Insert for some
	.ci/benchcmp '$(BASE)' '$(or $(PKG),./...)' '$(or $(MATCH),.)'

bench-peers:  ## beside goleveldb, Pebble, Badger, bbolt, LevelDB, RocksDB; ARGS=--quick is shorter (docs/benchmarks.md)
	cd bench/peers && $(GO) run . -html=../../bench-peers.html $(ARGS)

bench-table:  ## the full table: runs everything into docs/bench/full.jsonl and goes on if it was interrupted
	cd bench/peers && $(GO) run . -out=../../docs/bench/full.jsonl -resume $(ARGS)

bench-docs:  ## what docs/bench has recorded, into docs/benchmarks.md and docs/images/bench-peers.svg
	cd bench/peers && $(GO) run . -from=../../docs/bench/full.jsonl -into=../../docs/benchmarks.md -svg=../../docs/images/bench-peers.svg > /dev/null
	cd bench/peers && $(GO) run . -from=../../docs/bench/basic.jsonl -into=../../docs/benchmarks.md > /dev/null

cover:  ## coverage by package
	$(GO) test -coverprofile=cover.out -coverpkg=./... ./...
	$(GO) tool cover -func=cover.out | tail -1

cross:  ## vet for every system that is built for
	.ci/cross

exchange:  ## against goleveldb and LevelDB (needs g++ and libleveldb-dev)
	cd exchange && $(GO) test -count=1 ./...
