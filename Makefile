# Two commands do everything: `make demo` and `make test`. `make help` lists the rest.
SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
.ONESHELL:

export OBSTACK_CACHE ?= $(or $(XDG_CACHE_HOME),$(HOME)/.cache)/obstack
BIN := target/debug

.PHONY: help
help: ## list the targets
	@grep -hE '^[a-z0-9-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/^([a-z0-9-]+):.*## /\1\t/' | expand -t 20

.PHONY: parts
parts: ## install what the sandbox runs: Prometheus, Alertmanager, their tools, bubblewrap, kubectl, Chromium, the oldest promtool
	@scripts/parts prometheus alertmanager bubblewrap
	# Only tests run it, and they say so where it is missing.
	for part in promtool-oldest kubectl chromium; do
	  code=0; scripts/parts $$part || code=$$?
	  [ "$$code" = 0 ] || { [ "$$code" = 3 ] && [ "$${CI:-}" != true ]; }
	done

.PHONY: control-plane
control-plane: ## build what a real control plane needs, from source, once
	@scripts/control-plane

.PHONY: build
build: ## build every binary
	@echo "build: operator, sandbox and example application (the first time takes some minutes)"
	cargo build --workspace --bins

.PHONY: demo
demo: parts build ## run a whole stack on this machine, until Ctrl-C
	@eval "$$(scripts/parts --env)"
	exec $(BIN)/obstack-sandbox up --demo -f crds -f deploy/install.yaml -f deploy/examples/quickstart.yaml

.PHONY: contract
contract: control-plane ## the same requests against the sandbox and a real API server
	cargo test --workspace --test contract -- $(FILTER)

.PHONY: conformance
conformance: ## the golden cases of the peers' operator against the builder of configurations
	@scripts/conformance $(FILTER)

.PHONY: test
test: parts ## run all tests that judge behaviour
	@scripts/test

.PHONY: e2e
e2e: parts ## run the end-to-end tests on the sandbox
	@scripts/e2e sandbox

.PHONY: e2e-control-plane
e2e-control-plane: parts control-plane ## run those of whole clusters on a real control plane
	@scripts/e2e control-plane

.PHONY: soak
soak: parts control-plane build ## watch stacks at rest, 10 minutes on the sandbox and 30 on a real control plane: no write may happen
	@OBSTACK_SOAK_SECONDS=$${OBSTACK_SOAK_SECONDS:-600} scripts/e2e sandbox world::at_rest --nocapture
	OBSTACK_SOAK_SECONDS=$${OBSTACK_SOAK_SECONDS:-1800} scripts/e2e control-plane world::at_rest --nocapture

.PHONY: live-tripwires
live-tripwires: parts ## try every tripwire on real engines, twenty minutes: each trouble trips its own, what is healthy none
	@scripts/live-tripwires $(FILTER)

.PHONY: live
live: parts ## measure live changes on real engines and a release build, twenty minutes, into docs/live.md
	@scripts/live $(FILTER)

.PHONY: bench
bench: ## measure what deciding, building, packing and 100,000 monitors take, into docs/performance.md
	@scripts/bench $(FILTER)

.PHONY: bench-scale
bench-scale: parts control-plane ## measure the operator in a large cluster and an engine with its jobs, into docs/performance.md
	@scripts/bench-scale

.PHONY: calibrate
calibrate: parts ## measure the model of memory and disk on real engines, half an hour, into docs/decisions/sizing.md
	@scripts/parts victoriametrics
	eval "$$(scripts/parts --env)"
	mkdir -p docs/decisions
	cargo build -q --workspace --bins
	$(BIN)/calibrate --output docs/decisions/sizing.md

.PHONY: generate
generate: ## write the generated files anew: CRDs, docs/cli.md, scenarios, schema and golden files
	cargo run -q --bin obstack -- crds --output crds
	@release=tests/crd-versions/$$(sed -n 's/^version = "\(.*\)"/\1/p' Cargo.toml | head -n1)
	mkdir -p "$$release" && cp crds/*.yaml "$$release"
	UPDATE_GOLDEN=1 cargo test -q --workspace --lib -- the_reference_is_what_the_commands_say scenarios
	UPDATE_GOLDEN=1 cargo test -q --workspace --test decide
	UPDATE_GOLDEN=1 cargo test -q --workspace --test e2e golden

.PHONY: fmt
fmt: ## format the code
	cargo fmt --all

.PHONY: deny
deny: ## check dependencies: bans, licences, sources
	@scripts/deny
