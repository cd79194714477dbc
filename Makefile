# Every command of the project. `make` alone lists them.

SHELL := bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:

VENV := .venv
BIN := $(VENV)/bin
# The first of these that is new enough and complete. A name may exist and still not run (pyenv).
PYTHONS := python3 python3.13 python3.12 python3.11
# Rounds of kill -9 in `make soak`, and examples of each property in `make fuzz`.
ROUNDS ?= 200
EXAMPLES ?= 1000000
# Of each parser under atheris in `make fuzz`.
SECONDS_EACH ?= 60

NEW_ENOUGH := import sys; raise SystemExit(sys.version_info < (3, 11))
COMPLETE := import ensurepip, os, sysconfig, venv; \
	raise SystemExit(not os.path.exists(sysconfig.get_path("include") + "/Python.h"))
KERNEL := $(wildcard splitcore/*.pyx splitcore/*.pxd splitcore/*.pxi splitcore/*.h)
WANTED := Expected Python 3.11 or newer with venv and Python.h, and gcc

.PHONY: help
help: ## list the commands
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "make %-8s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

.PHONY: setup
setup: $(VENV)/.kernel ## make .venv: pinned packages, the compiled kernel, the command kopeck

# Prints the Python that .venv is made with, or one line about what is missing.
.PHONY: python
python:
	@found=nothing; \
	for python in $(PYTHONS); do \
	    $$python -c '$(NEW_ENOUGH)' 2>/dev/null || continue; \
	    found="$$($$python -V), not complete"; \
	    $$python -c '$(COMPLETE)' 2>/dev/null || continue; \
	    found="$$($$python -V) without gcc"; \
	    command -v gcc >/dev/null || break; \
	    echo $$python; exit 0; \
	done; \
	echo "$(WANTED), was $$found. Debian: apt-get install python3-venv python3-dev gcc" >&2; \
	exit 1

$(VENV)/.made:
	@python=$$($(MAKE) --silent python); $$python -m venv $(VENV)
	@touch $@

# setuptools and cython come first and from constraints.txt, so that what builds is pinned as well.
$(VENV)/.installed: $(VENV)/.made pyproject.toml setup.py constraints.txt
	@echo "Installing into $(VENV); the first time this takes a minute or two."
	@$(BIN)/python -m pip install --quiet --quiet --disable-pip-version-check \
	    --constraint constraints.txt setuptools cython
	@$(BIN)/python -m pip install --quiet --quiet --disable-pip-version-check \
	    --constraint constraints.txt --no-build-isolation --editable '.[embedded,archive,otel,dev]'
	@touch $@

$(VENV)/.kernel: $(VENV)/.installed $(KERNEL)
	@$(BIN)/python setup.py --quiet build_ext --inplace
	@touch $@

.PHONY: demo
demo: setup ## a region's day from nothing to the audit; its files stay in var/demo/out
	@rm -rf var/demo
	@$(BIN)/kopeck demo --data var/demo

.PHONY: test
test: setup ## the whole suite; kills of processes run last and alone
	$(BIN)/pytest -n 2 --dist worksteal --ignore tests/faults --ignore tests/ha
	$(BIN)/pytest tests/faults

.PHONY: check
check: setup ## what can be known without running: style, types, stubs, layers, house rules
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy
	$(BIN)/stubtest --concise splitcore._kernel
	PATH="$(BIN):$$PATH" cython-lint $(filter %.pyx %.pxd %.pxi,$(KERNEL))
	$(BIN)/lint-imports
	$(BIN)/pytest -q tests/rules

.PHONY: format
format: setup ## rewrite the Python files in the house format
	$(BIN)/ruff check --fix
	$(BIN)/ruff format

.PHONY: bench
bench: setup ## the table of figures, in less than 20 minutes: measured, must, aim
	@mkdir -p var
	$(BIN)/python -m loadtests.bench --json var/bench.json

.PHONY: soak
soak: setup ha ## kill -9 under load, ROUNDS=200 times each, and `make ha`
	KOPECK_TEST_ROUNDS=$(ROUNDS) $(BIN)/pytest --timeout 0 tests/faults tests/upgrades

.PHONY: ha
ha: setup var/ha/.made ## Patroni with a synchronous standby: primaries killed and frozen under load
	@.ci/unpack etcd etcd-server
	PATH="$$PATH:$$PWD/var/tools/usr/bin:$$PWD/var/ha/bin" $(BIN)/pytest -s --timeout 0 tests/ha

var/ha/.made: .ci/ha-requirements.txt $(VENV)/.made
	@$(BIN)/python -m venv var/ha
	@var/ha/bin/python -m pip install --quiet --quiet --disable-pip-version-check \
	    --requirement $<
	@touch $@

.PHONY: fuzz
fuzz: setup ## parsers under atheris, SECONDS_EACH=60; EXAMPLES=1000000 of the split, 2000 else
	@$(BIN)/python -m pip install --quiet --quiet --disable-pip-version-check \
	    --constraint constraints.txt atheris
	$(BIN)/python -m tests.fuzz.run $(SECONDS_EACH)
	KOPECK_TEST_EXAMPLES=$(EXAMPLES) $(BIN)/pytest -n 2 --timeout 0 -m hypothesis

.PHONY: clean
clean: ## remove what was built and the caches; .venv and data directories stay
	rm -rf build dist *.egg-info splitcore/*.so splitcore/_kernel.c splitcore/_kernel.html
	rm -rf .pytest_cache .mypy_cache .ruff_cache .hypothesis .import_linter_cache
	rm -f $(VENV)/.installed $(VENV)/.kernel
	find gateway splitcore loadtests tests -name __pycache__ -prune -exec rm -rf {} +
