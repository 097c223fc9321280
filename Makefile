# Every command of the project. `make` alone lists them.

# The first interpreter here that is new enough.
PYTHON ?= $(shell for p in python3 python3.14 python3.13 python3.12 python3.11; do \
	$$p -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && echo $$p && break; done)
VENV := .venv
BIN := $(VENV)/bin
# All that the benchmarks install, generate and measure.
BENCH := .bench
SOUL := 0.8.2
AUDIT := .audit
# How many processes run tests is said in tests/conftest.py; whichever has nothing left to do takes tests over from another.
# `make test WORKERS=` runs all of them in one.
WORKERS := --numprocesses auto --dist worksteal

.PHONY: help run test test-faults test-mutations check audit bench pictures format pins clean

help: ## List the commands
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "make %-14s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

run: $(VENV)/run ## Start three services, send them the sample records at once, print what became of each
	$(BIN)/python client/run.py --local

test: $(VENV)/test ## Run all tests, in up to four processes
	$(BIN)/python -m pytest $(WORKERS)

test-faults: $(VENV)/test ## Run all tests, those of faults at length: fifty kills, twenty power cuts, lies by the thousand
	FAULTS=long $(BIN)/python -m pytest $(WORKERS) --timeout 3600

test-mutations: $(VENV)/test ## Break the guarantees one by one, in copies, and tell which test notices
	$(BIN)/python -m tests.mutations

check: $(VENV)/test ## Check lint, format, types and import directions
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	PYTHONPATH=. $(BIN)/lint-imports

bench: $(VENV)/run $(BENCH)/venv/made $(BENCH)/soul-$(SOUL) ## Measure what is claimed of speed (a part of it: ONLY="single bulk")
	$(BIN)/python -m benchmarks $(ONLY)

pictures: $(VENV)/test ## Make the README's pictures anew, of a run of the sample
	$(BIN)/python -m tests.pictures

audit: $(AUDIT)/made ## Ask the OSV database (osv.dev) whether a package that is used has a known vulnerability
	$(AUDIT)/bin/pip-audit --strict --vulnerability-service osv --disable-pip --require-hashes \
		-r requirements.txt -r requirements-dev.txt

format: $(VENV)/test ## Format the code
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

pins: $(VENV)/test ## Choose the newest releases of all packages anew
	$(BIN)/uv pip compile --quiet --upgrade --universal --python-version 3.11 --generate-hashes --no-emit-index-url \
		--custom-compile-command "make pins" requirements.in -o requirements.txt
	$(BIN)/uv pip compile --quiet --upgrade --universal --python-version 3.11 --generate-hashes --no-emit-index-url \
		--custom-compile-command "make pins" requirements-dev.in -o requirements-dev.txt
	$(BIN)/uv pip compile --quiet --upgrade --universal --python-version 3.11 --generate-hashes --no-emit-index-url \
		--custom-compile-command "make pins" requirements-bench.in -o requirements-bench.txt
	$(BIN)/uv pip compile --quiet --upgrade --universal --python-version 3.11 --generate-hashes --no-emit-index-url \
		--custom-compile-command "make pins" requirements-audit.in -o requirements-audit.txt

clean: ## Remove what the other commands made, the local databases too
	rm -rf $(VENV) $(BENCH) $(AUDIT) databases .pytest_cache .mypy_cache .ruff_cache .import_linter_cache .coverage

$(VENV)/made:
	@test -n "$(PYTHON)" || { echo "Python 3.11 or newer is needed; install it, or say where it is: make PYTHON=..."; exit 1; }
	$(PYTHON) -m venv $(VENV)
	@touch $@

$(VENV)/run: requirements.txt $(VENV)/made
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements.txt
	@touch $@

$(VENV)/test: requirements-dev.txt $(VENV)/run
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements-dev.txt
	@touch $@

$(AUDIT)/made: requirements-audit.txt $(VENV)/made
	$(BIN)/python -m venv $(AUDIT)
	$(AUDIT)/bin/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements-audit.txt
	@touch $@

$(BENCH)/venv/made: requirements-bench.txt $(VENV)/made
	$(BIN)/python -m venv $(BENCH)/venv
	$(BENCH)/venv/bin/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements-bench.txt
	@touch $@

# A rival: where it can't be installed, the benchmarks say so and go on. Its driver may be compiled for two minutes.
$(BENCH)/soul-$(SOUL):
	@mkdir -p $(BENCH)
	-SCARF_ANALYTICS=false npm install --silent --no-save --no-package-lock --no-audit --no-fund \
		--prefix $(BENCH)/soul soul-cli@$(SOUL) && touch $@
