# What people type. Everything is installed into .venv, from this file, pyproject.toml and constraints.txt alone.
#
# No logic of a check lives here: each is a tool's own command, set up in pyproject.toml.

PYTHON ?= $(shell for name in python3 python3.13 python3.12 python3.11 python3.14; do \
	$$name -c 'import sys; sys.exit(sys.version_info < (3, 11))' >/dev/null 2>&1 && echo $$name && break; done)
BIN := .venv/bin
# Most modules of what is installed are never imported: to compile all would take as long as the rest of installing.
INSTALL := $(BIN)/python -m pip install --quiet --disable-pip-version-check --no-input --no-compile --constraint constraints.txt
# Tests wait, for time-outs and processes, as much as they work: three at a time keep two processors busy.
WORKERS ?= 3
SAMPLE ?= 100
MINUTES ?= 60
PYTEST = -m pytest --quiet --numprocesses $(WORKERS) --dist loadgroup
# What changed here, must be installed again.
INSTALLED := pyproject.toml constraints.txt
FAST := not slow and not uncounted and not long and not peer
# Tests start hundreds of commands: Python compiles each module for the first alone, whatever the environment says.
export PYTHONDONTWRITEBYTECODE :=

.PHONY: help demo check test static counted uncounted long docs bench bench-quick bench-pages mutants lock clean

help: ## say what there is to type (what `make` alone does)
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/  make \1\t\2/p' $(MAKEFILE_LIST) | expand -t 20

demo: .venv/server ## allocate three virtual boards, show them, use them, free them
	@$(BIN)/python demo/three_boards.py

check: static ## the fast part of `make test`: format, lint, types, imports, unit tests
	$(BIN)/python $(PYTEST) -m "$(FAST)" --hypothesis-profile check

test: static counted uncounted docs ## every check that CI makes

bench: .venv/dev ## measure side by side with the published programs; renew README's table and docs/benchmarks/
	$(BIN)/python -m benchmarks

bench-quick: .venv/dev ## the same with less work, in three minutes; only printed
	$(BIN)/python -m benchmarks --quick

bench-pages: .venv/dev ## make README's table and docs/benchmarks/ again from the results that are there
	$(BIN)/python -m benchmarks.report

static: .venv/dev ## format, lint, types, direction of imports
	$(BIN)/ruff format --check --quiet
	$(BIN)/ruff check --quiet
	$(BIN)/mypy --no-error-summary
	$(BIN)/mypy --no-error-summary --platform win32 --cache-dir .mypy_cache/win32 --package spalloc_client --package spalloc
	$(BIN)/lint-imports --no-logo

# Fast tests and slow ones, and the processes that they start; to count doubles their time. In one run, since each
# process of a run first reads all tests.
counted: .venv/dev
	$(BIN)/coverage erase
	$(BIN)/coverage run $(PYTEST) -m "not uncounted and not long" --hypothesis-profile test
	$(BIN)/coverage combine --quiet
	$(BIN)/coverage report

uncounted: .venv/dev
	$(BIN)/python $(PYTEST) -m "uncounted and not long"

long: .venv/dev ## thousands more of the random cases of which `make test` tries a part
	$(BIN)/python $(PYTEST) -m "long or (hypothesis and not peer)" --hypothesis-profile long

mutants: .venv/dev .mutants/bin/cosmic-ray ## change SAMPLE places of the core, engine, wire and store, and say what no test notices
	$(BIN)/python -m tests.mutants $(SAMPLE) $(MINUTES) $(TEST_SEED)

docs: .venv/dev ## build the documentation into docs/_build/html
	$(BIN)/sphinx-build --quiet --fail-on-warning --nitpicky --keep-going --jobs auto docs docs/_build/html

lock: .venv/dev ## renew constraints.txt and tests/peers/locked/ from the package index
	$(INSTALL) uv
	$(BIN)/uv pip compile --quiet --universal --upgrade --python-version 3.11 --all-extras \
		--no-emit-index-url --no-header --no-annotate --output-file constraints.txt pyproject.toml >/dev/null
	$(BIN)/python -m tests.peers.lock

clean: ## remove what the other targets made, except the published programs in .peers
	rm -rf .venv .mutants docs/_build .coverage* .hypothesis .*_cache

.venv/bin/python:
	@test -n "$(PYTHON)" || { echo "spalloc needs Python 3.11 or later, and none is on the PATH:" \
		"install one, or name it: make PYTHON=/path/to/python3.11" >&2; exit 1; }
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "spalloc needs Python 3.11 or" \
		"later, and $(PYTHON) is not one: name another with make PYTHON=/path/to/python3.11" >&2; exit 1; }
	@$(PYTHON) -m venv .venv || { rm -rf .venv; echo "$(PYTHON) cannot make a virtual environment: install its" \
		"venv module (on Debian and Ubuntu: apt install python3-venv), then type make again" >&2; exit 1; }

# An environment of its own: it brings more packages than all the rest of development.
.mutants/bin/cosmic-ray: .venv/bin/python
	@$(BIN)/python -m venv .mutants
	@.mutants/bin/python -m pip install --quiet --disable-pip-version-check --no-input 'cosmic-ray==8.7.0'

.venv/server: .venv/bin/python $(INSTALLED)
	@echo "Installing spalloc with its server into .venv ..."
	@$(INSTALL) --editable '.[server]'
	@touch $@

.venv/dev: .venv/bin/python $(INSTALLED)
	@echo "Installing spalloc and what its development needs into .venv ..."
	@$(INSTALL) --editable '.[dev]'
	@touch $@ .venv/server
