# The project's commands. `make help` lists them.
.DEFAULT_GOAL := help
.PHONY: help build dist test test-api test-full lint fmt bench faults fuzz generate conformance conformance-drivers conformance-selftest

CARGO ?= cargo
# Where buf is installed; the version is pinned in its package.json.
BUF := tools/buf/node_modules/.bin/buf
# For `make test-api`.
PYTHON ?= python3
TARGET := $(or $(CARGO_TARGET_DIR),target)
# How long `make fuzz` runs each target.
FUZZ_SECONDS ?= 20
# Options of `make conformance-selftest`: `SELFTEST=--all` has all cases for each rule, which takes long.
SELFTEST ?=
# What the program may have, in bytes, as `make dist` builds it.
PROGRAM_BYTES := 25000000

help: ## Lists these commands
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-21s %s\n", $$1, $$2 }' Makefile

build: ## Builds the program and all tests, in the one profile that both use
	$(CARGO) build --workspace --release --locked
	$(CARGO) test --workspace --release --locked --no-run

dist: ## Builds the program as packages have it, and holds it to its size
	$(CARGO) build --profile dist --locked -p conveyor-cli
	@bytes=$$(($$(wc -c <$(TARGET)/dist/conveyor))); echo "$(TARGET)/dist/conveyor: $$bytes bytes of $(PROGRAM_BYTES)"; \
		[ $$bytes -le $(PROGRAM_BYTES) ]

test: conformance-drivers ## Runs all tests, simulator and examples included
	$(CARGO) build --workspace --release --locked
	$(CARGO) test --workspace --release --locked --no-fail-fast
	$(CARGO) run --quiet --release --locked -p conveyor-sim --features planted -- --planted all

conformance-drivers: ## Makes what the suite's Python driver needs (Python 3.10 or later)
	conformance/drivers/python/setup.sh

# The suite's program, and where its results go.
CONFORMANCE := $(TARGET)/release/conveyor-conformance
RESULTS := $(TARGET)/conformance
# cases NAME COMMAND: a driver of the suite's own under all cases and axes. The next has its turn whatever comes of it.
define cases
	mkdir -p $(RESULTS)/$(1)
	$(CONFORMANCE) run --report-dir $(RESULTS)/$(1) $(2) || echo $(1) >>$(RESULTS)/failed

endef
conformance: conformance-drivers ## Runs the whole conformance suite, and writes docs/conformance.md: about half an hour
	$(CARGO) build --workspace --release --locked
	rm -rf $(RESULTS)
	$(call cases,rust,-- $(TARGET)/release/conveyor-conformance-rust)
	$(call cases,rust-server,--backend server --parallel 4 --axes few -- $(TARGET)/release/conveyor-conformance-rust)
	$(call cases,python,-- conformance/drivers/python/run.sh)
	$(call cases,bash,--config conformance/drivers/bash/config.yaml -- conformance/drivers/bash/driver.sh)
	$(call cases,raw,-- $(TARGET)/release/conveyor-conformance-raw)
	$(call cases,exec,--profile driver --config conformance/drivers/exec.yaml -- $(TARGET)/release/conveyor-driver-exec)
	$(call cases,http,--profile driver --config conformance/drivers/http.yaml -- $(TARGET)/release/conveyor-driver-http)
	$(CONFORMANCE) engine --report-dir $(RESULTS)/engine || echo engine >>$(RESULTS)/failed
	$(CONFORMANCE) engine --backend server --report-dir $(RESULTS)/engine-server || echo engine-server >>$(RESULTS)/failed
	$(CONFORMANCE) page \
		"Rust SDK"=$(RESULTS)/rust/report.json \
		"Rust SDK, before a server"=$(RESULTS)/rust-server/report.json \
		"Python, without an SDK"=$(RESULTS)/python/report.json \
		"Bash and curl"=$(RESULTS)/bash/report.json \
		"Rust over stubs alone"=$(RESULTS)/raw/report.json \
		"The driver exec"=$(RESULTS)/exec/report.json \
		"The driver http"=$(RESULTS)/http/report.json \
		"The engine, embedded"=$(RESULTS)/engine/report.json \
		"The engine, as a server"=$(RESULTS)/engine-server/report.json
	$(MAKE) conformance-selftest || echo selftest >>$(RESULTS)/failed
	@test ! -e $(RESULTS)/failed || { echo "not as expected: $$(xargs <$(RESULTS)/failed)" >&2; exit 1; }

conformance-selftest: ## Breaks each rule of the contract, and shows which case notices: about two minutes
	$(CARGO) build --workspace --release --locked
	$(CONFORMANCE) selftest $(SELFTEST) -- $(TARGET)/release/conveyor-conformance-raw

test-full: test test-api fuzz ## Runs what takes longer, too

test-api: ## Probes a server with schemathesis: 50 cases for each operation, about a minute (Python 3.10 or later)
	$(CARGO) build --release --locked -p conveyor-cli -p conveyor-driver-exec
	PYTHON=$(PYTHON) tools/schemathesis/run.sh target/release/conveyor

lint: $(BUF) ## Checks format, lints, generated code, documentation and the contract
	$(CARGO) fmt --all --check
	$(CARGO) clippy --workspace --all-targets --release --locked -- -D warnings
	$(CARGO) run --quiet --release --locked -p conveyor-generate -- --check
	$(BUF) lint proto
	RUSTDOCFLAGS="-D warnings" $(CARGO) doc --workspace --no-deps --release --locked --quiet

fmt: ## Formats the code
	$(CARGO) fmt --all

bench: ## Measures, and prints each figure beside its budget
	$(CARGO) run --release --locked -p conveyor-bench

# Where the fault tests leave their counts.
FAULTS := target/faults
faults: ## Injects faults, and writes what was done and held into docs/faults.md: about ten minutes
	$(CARGO) build --workspace --release --locked
	rm -rf $(FAULTS) && mkdir -p $(FAULTS)
	$(CARGO) run --quiet --release --locked -p conveyor-sim -- --seeds 10000 --json >$(FAULTS)/1-simulator
	$(CARGO) run --quiet --release --locked -p conveyor-sim --features planted -- --planted all --json >$(FAULTS)/3-planted
	CONVEYOR_FAULTS=$(abspath $(FAULTS))/2-processes $(CARGO) test --workspace --release --locked --test suite -- acknowledged:: backups:: written:: followers:: killed:: load:: network:: hostile:: outage:: polled::
	$(CARGO) run --quiet --release --locked -p conveyor-bench -- faults $(FAULTS)

fuzz: ## Runs each fuzz target for FUZZ_SECONDS (20)
	@command -v cargo-fuzz >/dev/null || $(CARGO) install --locked cargo-fuzz
	@for target in $$(cd fuzz && $(CARGO) +nightly fuzz list); do \
		echo "fuzz $$target"; \
		mkdir -p fuzz/corpus/$$target; \
		(cd fuzz && $(CARGO) +nightly fuzz run $$target corpus/$$target seeds/$$target -- -max_total_time=$(FUZZ_SECONDS) -timeout=120) || exit 1; \
	done

generate: ## Generates core/proto from proto/
	$(CARGO) run --release --locked -p conveyor-generate

# npm picks the program for this machine; its install script is not needed.
$(BUF): tools/buf/package.json
	npm install --prefix tools/buf --no-save --no-package-lock --ignore-scripts --no-audit --no-fund
	@touch $@
