# Every target makes its own virtual environment (.venv) from plain python3; nothing else is needed.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
# Times as many seeds of the mixes that are cheap, fewer of those that are dear: over a million together.
SOAK_WEIGHTS := rpc=16,harsh=0.5,crash=0.3,watch=0.4,views=0.06
# Tests that only compute: they run beside the others, with what those leave of the processor, and do not mind being slow.
BESIDE := $(addprefix tests/,chunks codecs kv rpc scope sim spin wire)
# Not compiled: of what is installed most is never imported, and what is, is compiled then.
PIP_INSTALL := $(BIN)/python -m pip install --quiet --disable-pip-version-check --no-compile

.PHONY: help demo test coverage lint bench soak docs bad-input clean
.DEFAULT_GOAL := help

help: ## Say what can be made.
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "make %-10s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

$(BIN)/python:
	$(PYTHON) -m venv $(VENV)

# One stamp an extra: made again when pyproject.toml is newer.
$(VENV)/stamp-%: pyproject.toml | $(BIN)/python
	$(PIP_INSTALL) --editable '.[$*]'
	@touch $@

demo: $(VENV)/stamp-demo ## Flights of 2013: load, describe, train, validate, predict, report.
	$(BIN)/hydroscope demo

test: $(VENV)/stamp-dev ## All tests, on both engines.
	@mkdir -p build
	@nice -n 19 $(BIN)/python -m pytest $(BESIDE) >build/tests-beside.txt 2>&1 & beside=$$!; \
	trap 'kill $$beside; exit 130' INT TERM; \
	$(BIN)/python -m pytest $(addprefix --ignore=,$(BESIDE)); status=$$?; \
	wait $$beside || status=$$?; cat build/tests-beside.txt; exit $$status

coverage: $(VENV)/stamp-dev ## What the tests run, line by line (kernels are machine code, and left out; their twins count).
	$(BIN)/python -m pytest --quiet --cov --cov-report=term:skip-covered

lint: $(VENV)/stamp-dev ## Style, format, types and floors.
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy
	$(BIN)/lint-imports

bench: $(VENV)/stamp-bench ## The tables of benchmarks/, peers measured in the same run (downloads the peers).
	$(BIN)/python -m benchmarks

soak: $(VENV)/stamp-dev ## The slow suites: property tests, models, fuzzing, scenarios, deaths, a million simulated seeds.
	$(BIN)/python -m pytest --hypothesis-profile=soak
	$(BIN)/python -m tests.spin
	$(BIN)/python -m tests.wire.fuzz --frames 1000000
	$(BIN)/python -m tests.sockets.scenarios
	$(BIN)/python -m tests.scope.truth --seeds 100
	$(BIN)/python -m tests.scope.cuts
	$(BIN)/python -m tests.window.bank
	$(BIN)/python -m tests.taps.foreign
	$(BIN)/python -m tests.deaths.workers
	$(BIN)/python -m tests.deaths.members
	$(BIN)/python -m tests.deaths.nodes
	$(BIN)/python -m tests.deaths.presses
	$(BIN)/python -m tests.deaths.dumps
	$(BIN)/python -m tests.sim --seeds 45000 --weights $(SOAK_WEIGHTS) --audit --results build/soak.json --fresh --report docs/simulation.md

docs: $(VENV)/stamp-docs ## The documentation, in site/.
	$(BIN)/mkdocs build --strict

bad-input: $(VENV)/stamp-dev ## The table of what hydroscope says to bad input.
	$(BIN)/python -m tests.bad_input

clean: ## Remove what was made, .venv included.
	rm -rf $(VENV) build dist site .pytest_cache .mypy_cache .ruff_cache .hypothesis .import_linter_cache .coverage
