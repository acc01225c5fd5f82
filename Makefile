# Everything runs in .venv, which is made and kept up to date as needed.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip install --quiet --disable-pip-version-check
# What digest itself needs, and what working on it needs as well.
INSTALLED := $(VENV)/.installed
READY := $(VENV)/.ready

.DEFAULT_GOAL := help
.PHONY: help demo run preview test test-slow test-browser lint bench eval picture clean

help:  ## List the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-13s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

$(INSTALLED): pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' \
		|| { echo "digest needs Python 3.11 or newer; name it: make PYTHON=python3.12 $(MAKECMDGOALS)"; exit 1; }
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV) \
		|| { echo "Python cannot create a virtual environment; on Debian: apt install python3-venv"; exit 1; }
	@echo "Installing into $(VENV) ..."
	@$(PIP) --editable .
	@touch $(INSTALLED)

$(READY): $(INSTALLED)
	@echo "Installing the tools for development into $(VENV) ..."
	@$(PIP) --editable '.[dev]'
	@touch $(READY)

demo: $(INSTALLED)  ## Try digest on bundled papers: no account or configuration
	@$(BIN)/digest demo

run: $(INSTALLED)  ## Run the daily job, with ./config.toml
	@$(BIN)/digest run

preview: $(INSTALLED)  ## Write digest-preview.html, with ./config.toml
	@$(BIN)/digest preview

test: lint  ## Run lint, types and every quick test
	$(BIN)/python -m pytest -n auto

test-slow: $(READY)  ## Run the tests that kill processes or need servers and browsers
	$(BIN)/python -m pytest -m 'slow or browser'

test-browser: $(READY)  ## Check the mail in Chromium: light, dark, phone, accessibility
	$(BIN)/python -m pytest -m browser

lint: $(READY)  ## Run ruff and mypy --strict
	$(BIN)/ruff check digest tests
	$(BIN)/ruff format --check digest tests
	$(BIN)/mypy

bench: $(READY)  ## Measure speed and memory
	$(BIN)/python -m tests.bench

eval: $(READY)  ## Measure ranking, similarity and excerpts on recorded lists, if there are any
	@$(PIP) --editable '.[dev,semantic,eval]'
	$(BIN)/python -m tests.bench.trending
	$(BIN)/python -m tests.bench.similarity
	$(BIN)/python -m tests.bench.feedback
	$(BIN)/python -m tests.bench.finding

picture: $(READY)  ## Take the README's picture of the demo's mail
	$(BIN)/python -m tests.picture

clean:  ## Delete what make and the demo created
	rm -rf $(VENV) digest-demo digest-preview.* .pytest_cache .mypy_cache .ruff_cache .hypothesis build dist
	find digest tests -name __pycache__ -prune -exec rm -rf {} +
