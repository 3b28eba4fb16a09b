# What people type. Everything is installed into .venv from this file and pyproject.toml alone.
PYTHON ?= python3
BIN := .venv/bin

.PHONY: check
check: .venv/dev
	$(BIN)/ruff format --check
	$(BIN)/ruff check
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/pytest -q -m "not slow and not peer"

.venv/dev: pyproject.toml
	$(PYTHON) -m venv .venv
	$(BIN)/pip install -q -e '.[dev]'
	touch $@
