# Needs Go, GNU make, bash and git. Every tool beyond those is pinned in
# tools/go.mod and built by the go command.

SHELL := bash
.DEFAULT_GOAL := help
.NOTPARALLEL:

# Begins every recipe of more than one command. (.SHELLFLAGS would do, but the
# make that comes with macOS does not know it.)
STRICT := set -euo pipefail;

GO    ?= go
TOOL  := $(GO) tool -modfile=$(CURDIR)/tools/go.mod

# Modules beside the root one; tools holds versions, and what make generate runs.
NESTED  := $(filter-out tools,$(patsubst %/go.mod,%,$(wildcard */go.mod)))
MODULES := . $(NESTED)

# What code is generated from, with names that begin at the root.
PROTOS  := $(patsubst ./%,%,$(shell find . -name '*.proto' -not -path './.git/*'))

# Knobs.
RACE_COUNT    ?= 5
FUZZ_TIME     ?= 5s
BENCH         ?= .
BENCH_COUNT   ?= 10
BENCH_ARGS    ?=
OLD           ?= HEAD
DEMO_ARGS     ?=

EXAMPLES := $(patsubst examples/%/main.go,%,$(wildcard examples/*/main.go))
# What make examples passes to an example, where its default takes too long.
ARGS_checksum := -workers 2 internal
ARGS_labels := -n 600
ARGS_nodes := -n 400

##@ Everyday

.PHONY: help
help: ## this list
	@awk 'BEGIN { FS = ":.*## " } \
		/^##@ / { printf "\n%s\n", substr($$0, 5) } \
		/^[a-z-]+:.*## / { printf "  make %-14s %s\n", $$1, $$2 }' $(firstword $(MAKEFILE_LIST))

.PHONY: demo
demo: ## hash the source of the Go installation with a pool of workers
	@$(GO) run ./examples/checksum $(DEMO_ARGS)

.PHONY: demo-nodes
demo-nodes: ## three worker processes, one of which is killed half-way: nothing is lost
	@$(GO) run ./examples/nodes $(DEMO_ARGS)

.PHONY: check
check: fmt generated vet lint test examples vuln ## everything that CI checks

.PHONY: test
test: ## the whole suite with the race detector, all modules
	@$(STRICT) for dir in $(MODULES); do \
		echo "== test $$dir"; \
		if [ "$$dir" = . ]; then quick=; else quick=-short; fi; \
		(cd "$$dir" && $(GO) test -race $$quick ./...); \
	done

.PHONY: fmt
fmt: ## fail if a file is not formatted
	@echo "== fmt"
	@$(STRICT) files=$$(gofmt -l .); \
	if [ -n "$$files" ]; then echo "not formatted (gofmt -w helps):"; echo "$$files"; exit 1; fi

.PHONY: generated
generated: ## fail if generated code is not that of its .proto
	@echo "== generated"
	@$(STRICT) tmp=$$(mktemp -d); trap 'rm -rf "$$tmp"' EXIT; \
	for proto in $(PROTOS); do \
		mkdir -p "$$tmp/$$(dirname $$proto)"; cp $$proto "$$tmp/$$proto"; \
	done; \
	(cd tools && $(GO) run ./protogen -root "$$tmp" $(PROTOS)); \
	here=$$(find . -name '*.pb.go' -not -path './.git/*' | sort); \
	there=$$(cd "$$tmp" && find . -name '*.pb.go' | sort); \
	if [ "$$here" != "$$there" ]; then \
		echo "generated files:"; echo "$$here"; echo "want:"; echo "$$there"; exit 1; \
	fi; \
	for file in $$there; do \
		diff -u "$$file" "$$tmp/$$file" || { echo "$$file is not what its .proto says (make generate helps)"; exit 1; }; \
	done

.PHONY: vet
vet: ## go vet, all modules, and the library for darwin and windows too
	@$(STRICT) for dir in $(MODULES) tools; do \
		echo "== vet $$dir"; \
		(cd "$$dir" && $(GO) vet ./...); \
	done
	@$(STRICT) for os in darwin windows; do \
		echo "== build and vet . for $$os"; \
		CGO_ENABLED=0 GOOS=$$os $(GO) build ./...; \
		CGO_ENABLED=0 GOOS=$$os $(GO) vet ./...; \
	done

.PHONY: lint
lint: ## staticcheck, and the rules about imports
	@$(STRICT) for dir in $(MODULES) tools; do \
		echo "== staticcheck $$dir"; \
		(cd "$$dir" && $(TOOL) staticcheck ./...); \
	done
	@echo "== imports"
	@$(GO) test -count=1 ./internal/lint

.PHONY: examples
examples: ## run every example
	@$(STRICT) $(foreach e,$(EXAMPLES),echo "== example $(e)"; $(GO) run ./examples/$(e) $(ARGS_$(e));)

.PHONY: vuln
vuln: ## look for known vulnerabilities; skipped where the database is out of reach
	@$(STRICT) for dir in $(MODULES); do \
		echo "== govulncheck $$dir"; \
		if out=$$(cd "$$dir" && $(TOOL) govulncheck ./... 2>&1); then \
			echo "$$out"; \
		elif grep -q 'fetching vulnerabilities' <<<"$$out"; then \
			echo "skipped: the vulnerability database cannot be reached"; break; \
		else \
			echo "$$out"; exit 1; \
		fi; \
	done

##@ Now and then

.PHONY: race
race: ## repeat the tests with the race detector (RACE_COUNT=5)
	$(GO) test -race -count=$(RACE_COUNT) ./...

.PHONY: fuzz
fuzz: ## run each fuzz target briefly (FUZZ_TIME=5s)
	@$(STRICT) grep -rHoE --include='*_test.go' '^func Fuzz[A-Za-z0-9_]*' . | while IFS=: read -r file func; do \
		name=$${func#func } dir=$$(dirname "$$file"); \
		echo "== fuzz $$dir $$name"; \
		(cd "$$dir" && $(GO) test -run='^$$' -fuzz="^$$name\$$" -fuzztime=$(FUZZ_TIME) . </dev/null); \
	done

.PHONY: generate
generate: ## write the code that is made from .proto files anew
	cd tools && $(GO) run ./protogen -root .. $(PROTOS)

.PHONY: bench
bench: ## measure against other pools; the table also goes to bench.txt
	@$(STRICT) cd bench && $(GO) run . $(BENCH_ARGS) | tee ../bench.txt

.PHONY: bench-compare
bench-compare: ## benchmarks of this tree against those of a commit (OLD=HEAD BENCH=. BENCH_COUNT=10)
	@$(STRICT) tmp=$$(mktemp -d); \
	trap 'git worktree remove --force "$$tmp/old" >/dev/null 2>&1 || true; rm -rf "$$tmp"' EXIT; \
	git worktree add --quiet --detach "$$tmp/old" $(OLD); \
	run() { $(GO) test -run='^$$' -bench='$(BENCH)' -benchmem -count=$(BENCH_COUNT) ./...; }; \
	echo "== benchmarks of $(OLD)"; (cd "$$tmp/old" && run | tee "$$tmp/old.txt"); \
	echo "== benchmarks of this tree"; run | tee "$$tmp/new.txt"; \
	$(TOOL) benchstat "old=$$tmp/old.txt" "new=$$tmp/new.txt"

.PHONY: cover
cover: ## test coverage of the library by function, the total last
	$(GO) test -coverprofile=cover.out -coverpkg=$$($(GO) list ./... | grep -v /examples/ | paste -sd, -) ./...
	$(GO) tool cover -func=cover.out

.PHONY: tidy
tidy: ## fail if a go.mod or go.sum is not tidy
	@$(STRICT) for dir in $(MODULES) tools; do \
		echo "== tidy $$dir"; \
		(cd "$$dir" && $(GO) mod tidy -diff); \
	done
