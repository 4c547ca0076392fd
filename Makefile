# Everything a newcomer and the CI need. Each target makes its own environment first: Python 3.11+ and make are enough.

SHELL := /bin/sh
.DEFAULT_GOAL := help
MAKEFLAGS += --no-builtin-rules

# The first Python on the PATH that is new enough; another one: make test PYTHON=/usr/bin/python3.13
PYTHON ?= $(shell for p in python3 python3.14 python3.13 python3.12 python3.11; do \
	"$$p" -c 'import sys; sys.exit(sys.version_info < (3, 11))' >/dev/null 2>&1 && { echo "$$p"; break; }; done)
VENV := .venv
BIN := $(VENV)/bin
# Written last, so that an environment that was left half-made is made again from nothing.
STAMP := $(VENV)/.complete
PIP := $(BIN)/python -m pip --disable-pip-version-check -qq
# Much of a test's time is waiting for real processes: two at a time use a small machine well.
WORKERS ?= 2
LOCKED := pyproject.toml --universal --python-version 3.11 --extra sandbox --extra mysql --extra redis --extra dev \
	--generate-hashes --no-emit-index-url --no-header --no-annotate

.PHONY: help setup drill test check format-check lint types layers deps unit prove bench format lock clean

help: ## this list
	@sed -n 's/^\([a-z][a-z-]*\):.*## \(.*\)/\1|\2/p' $(firstword $(MAKEFILE_LIST)) | awk -F'|' '{printf "  make %-13s %s\n", $$1, $$2}'

setup: $(STAMP) ## the environment in .venv, from the hash-pinned lock
	@echo "$(VENV) is complete"

$(STAMP): requirements.lock
	@test -n "$(PYTHON)" || { echo "drills needs Python 3.11 or newer on the PATH" >&2; exit 1; }
	@echo "making $(VENV) from requirements.lock (about a minute, once)"
	@rm -rf $(VENV)
	@"$(PYTHON)" -m venv $(VENV)
	@$(PIP) install --require-hashes --requirement requirements.lock
	@$(PIP) install --no-build-isolation --no-deps --editable .
	@touch $@

drill: $(STAMP) ## rehearse the warm-standby failover on this machine, and measure it
	@$(BIN)/drills rehearse runbooks/warm-standby.yaml

test: check unit ## the whole check: format, lint, types, layers, dependencies, tests

check: format-check lint types layers deps ## the fast part of it: all but the tests

format-check: $(STAMP)
	@$(BIN)/ruff format --check

lint: $(STAMP)
	@$(BIN)/ruff check

types: $(STAMP)
	@$(BIN)/basedpyright

layers: $(STAMP)
	@$(BIN)/lint-imports

deps: $(STAMP)
	@$(BIN)/deptry .

# Pytest ends with 5 when it ran no test, so a check that checked nothing is never green.
unit: $(STAMP) ## the tests, with coverage by branch
	@rm -f .coverage .coverage.*
	@$(BIN)/coverage run -m pytest --numprocesses=$(WORKERS) --dist=loadfile
	@$(BIN)/coverage combine --quiet
	@$(BIN)/coverage report --skip-covered --skip-empty

prove: $(STAMP) ## every bar in full, into benchmarks/results/ (an hour)
	@$(BIN)/python benchmarks/prove.py

bench: $(STAMP) ## the comparison with Chaos Toolkit, and the graph of steps
	@$(BIN)/python benchmarks/prove.py compare dag

format: $(STAMP) ## write the format and the mends that ruff is sure of
	@$(BIN)/ruff check --fix-only --exit-zero
	@$(BIN)/ruff format

lock: ## make requirements.lock anew from pyproject.toml
	@test -x .drills/uv/bin/uv || { "$(PYTHON)" -m venv .drills/uv && .drills/uv/bin/python -m pip --quiet install uv; }
	@.drills/uv/bin/uv pip compile $(LOCKED) --upgrade --output-file requirements.lock --quiet

clean: ## remove the environment and the caches; drills stay
	@rm -rf $(VENV) .pytest_cache .ruff_cache .hypothesis .import_linter_cache .coverage .coverage.* dist
