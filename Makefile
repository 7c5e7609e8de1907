# Everything a newcomer needs: `make demo` analyses a real recording, `make test` checks the project.

PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
CONSTRAINTS := constraints.txt
INSTALL := $(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint $(CONSTRAINTS)

.PHONY: demo test test-all lint clean

# The recording comes with pydicom: a four-chamber cine that names no view.
demo: $(VENV)/.installed
	$(BIN)/echomotion analyze --view a4c --overwrite -o demo \
	  "$$($(BIN)/python -c 'from pydicom.data import get_testdata_file as f; print(f("examples_ybr_color.dcm", download=False))')"

# One worker a core, one thread a worker: threads that wait for one another cost more than they give.
PYTEST := OMP_NUM_THREADS=1 $(BIN)/python -m pytest -q -n auto

test: $(VENV)/.installed-dev lint
	$(PYTEST) -m "not slow"

test-all: $(VENV)/.installed-dev lint
	$(PYTEST)

lint: $(VENV)/.installed-dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

$(BIN)/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Python 3.11 or newer is needed; name one: make PYTHON=python3.11")'
	$(PYTHON) -m venv $(VENV)

# torch goes first: what follows then finds it installed and pulls no other build.
$(VENV)/.installed: pyproject.toml packages/echomotion-camus/pyproject.toml $(CONSTRAINTS) | $(BIN)/python
	$(INSTALL) torch
	$(INSTALL) --editable . --editable packages/echomotion-camus
	touch $@

$(VENV)/.installed-dev: $(VENV)/.installed
	$(INSTALL) --editable ".[dev]"
	touch $@

clean:
	rm -rf $(VENV) demo .pytest_cache .mypy_cache .ruff_cache .hypothesis
