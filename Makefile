# Every step works on a fresh clone with python3, pip and a package index.

PYTHON  ?= python3
VENV    := .venv
BIN     := $(VENV)/bin
PRODUCT := $(VENV)/.product
STAMP   := $(VENV)/.installed
# Most tests wait for processes: more of them at once than there are cores.
WORKERS ?= 6
CHAOS_SECONDS  ?= 300
MODEL_EXAMPLES ?= 500
PIP     := $(BIN)/python -m pip --disable-pip-version-check

.PHONY: help install demo reference test check check-lowest lock format chaos bench e2e-claude \
        release clean

help:
	@echo "make demo          see it work: a task every 2 s, three runs, the history"
	@echo "make test          all tests, faults in their short form (3 to 4 minutes on two cores)"
	@echo "make check         format, lint, types, import contracts, tests"
	@echo "make install       leaves $(BIN)/claude-tasks, and what the tests need"
	@echo "make chaos         the faults at length (CHAOS_SECONDS=300)"
	@echo "make bench         the budgets, side by side with peers"
	@echo "make e2e-claude    against the real Claude CLI (needs npm)"
	@echo "make check-lowest  tests with the lowest versions that pyproject.toml allows"
	@echo "make lock          anew the exact versions in requirements/"
	@echo "make reference     anew docs/reference.md"
	@echo "make release VERSION=1.2.3"

# The program alone, with the exact versions that it is tested with.
$(PRODUCT): pyproject.toml requirements/product.txt
	$(PYTHON) -m venv $(VENV)
	$(PIP) install --quiet --require-hashes --requirement requirements/product.txt
	$(PIP) install --quiet --no-deps --editable .
	@touch $@

$(STAMP): $(PRODUCT) requirements/dev.txt
	$(PIP) install --quiet --require-hashes --requirement requirements/dev.txt
	@touch $@

install: $(STAMP)

demo: $(PRODUCT)
	@$(BIN)/claude-tasks demo

reference: $(STAMP)
	$(BIN)/python -m tools.reference

# With bytecode, as an installed package has it: where none may be written (PYTHONDONTWRITEBYTECODE),
# each of the thousand processes that the tests start would compile the program anew.
test: $(STAMP)
	@$(BIN)/python -m compileall -q src tests
	$(BIN)/python -m pytest --quiet -n $(WORKERS) --dist worksteal

check-lowest: $(STAMP)
	$(PYTHON) -m venv $(VENV)-lowest
	$(VENV)-lowest/bin/python -m pip install --quiet --require-hashes --requirement requirements/dev.txt
	$(VENV)-lowest/bin/python -m pip install --quiet --require-hashes --requirement requirements/lowest.txt
	$(VENV)-lowest/bin/python -m pip install --quiet --no-deps --editable .
	$(VENV)-lowest/bin/python -m pytest --quiet -n 4 tests/contract tests/unit tests/api

LOCK = $(BIN)/uv pip compile pyproject.toml --quiet --universal --python-version 3.11 \
       --generate-hashes --no-emit-index-url --no-header --upgrade

lock: $(STAMP)
	$(PIP) install --quiet uv
	$(LOCK) --output-file requirements/product.txt
	$(LOCK) --group dev --output-file requirements/dev.txt
	$(LOCK) --resolution lowest-direct --output-file requirements/lowest.txt

release: $(STAMP)
	$(PIP) install --quiet build
	$(BIN)/python -m tools.release $(VERSION)

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
	$(PIP) install --quiet --upgrade pip
	$(PIP) install --quiet --group bench
	$(BIN)/python -m bench

e2e-claude: $(STAMP)
	claude="$$($(BIN)/python tests/e2e/install_claude.py)" && \
	  CLAUDE_TASKS_E2E_CLAUDE="$$claude" $(BIN)/python -m pytest -m e2e_claude tests/e2e

clean:
	rm -rf $(VENV) .mypy_cache .ruff_cache .pytest_cache .hypothesis
