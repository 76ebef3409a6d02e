# Every step works on a fresh clone with python3, pip and a package index.

PYTHON  ?= python3
VENV    := .venv
BIN     := $(VENV)/bin
STAMP   := $(VENV)/.installed
# Most tests wait for processes: more of them at once than there are cores.
WORKERS ?= 5
CHAOS_SECONDS  ?= 300
MODEL_EXAMPLES ?= 500

.PHONY: help install reference demo test check format lint types contracts chaos bench e2e-claude clean

help:
	@echo "make demo        see it work: a task every 2 s, three runs, the history"
	@echo "make test        all tests, faults in their short form (under 5 minutes)"
	@echo "make check       format, lint, types, import contracts, tests"
	@echo "make install     leaves $(BIN)/claude-tasks"
	@echo "make chaos       the faults at length (CHAOS_SECONDS=300)"
	@echo "make bench       the budgets, side by side with peers"
	@echo "make e2e-claude  against the real Claude CLI (needs npm)"

install: $(STAMP)

$(STAMP): pyproject.toml
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --upgrade pip
	$(BIN)/python -m pip install --quiet --editable '.[dev]'
	@touch $@

demo: $(STAMP)
	@$(BIN)/claude-tasks demo

reference: $(STAMP)
	$(BIN)/python -m tools.reference

test: $(STAMP)
	$(BIN)/python -m pytest -n $(WORKERS)

check: $(STAMP)
	$(BIN)/ruff format --check
	$(BIN)/ruff check
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(MAKE) test

format: $(STAMP)
	$(BIN)/ruff format
	$(BIN)/ruff check --fix

chaos: $(STAMP)
	CHAOS_SECONDS=$(CHAOS_SECONDS) MODEL_EXAMPLES=$(MODEL_EXAMPLES) \
	  $(BIN)/python -m pytest -m "chaos or not chaos" -p no:randomly --timeout 3600 \
	  tests/chaos tests/faults/test_state_machine.py

bench: $(STAMP)
	$(BIN)/python -m pip install --quiet --editable '.[dev,bench]'
	$(BIN)/python -m bench

e2e-claude: $(STAMP)
	claude="$$($(BIN)/python tests/e2e/install_claude.py)" && \
	  CLAUDE_TASKS_E2E_CLAUDE="$$claude" $(BIN)/python -m pytest -m e2e_claude tests/e2e

clean:
	rm -rf $(VENV) .mypy_cache .ruff_cache .pytest_cache .hypothesis
