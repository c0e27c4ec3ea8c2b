# Every target works from a bare clone: the environment is made first, once per change of what it is made of.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
INSTALL = $(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt

.PHONY: help demo test quick check

help:  ## list the targets
	@sed -n 's/^\([a-z]*\):.*  ## /\1|/p' Makefile | awk -F '|' '{ printf "make %-8s %s\n", $$1, $$2 }'

demo: $(VENV)/core.stamp  ## the income example, from raw data to a release; ends by saying where report and release are
	$(BIN)/forgeline run examples/income

test: check  ## everything: format, lint, types, import contracts, then the whole test suite
	$(BIN)/python -m pytest -m "not alone" -n 2 --dist loadfile
	$(BIN)/python -m pytest -m alone

quick: $(VENV)/test.stamp  ## the two-minute suite: the tests that are not marked slow
	$(BIN)/python -m pytest -m "not slow"

check: $(VENV)/test.stamp  ## format, lint, types, import contracts
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports

$(BIN)/python:
	@$(PYTHON) -c 'import sys; sys.exit("forgeline needs Python 3.11 or newer; name one: make demo PYTHON=python3.13" if sys.version_info < (3, 11) else 0)'
	$(PYTHON) -m venv $(VENV)

$(VENV)/core.stamp: pyproject.toml constraints.txt | $(BIN)/python
	@echo "installing forgeline into $(VENV) (a minute or two, once)"
	$(INSTALL) -e .
	@touch $@

$(VENV)/test.stamp: pyproject.toml constraints.txt | $(BIN)/python
	@echo "installing forgeline and its test tools into $(VENV) (a minute or two, once)"
	$(INSTALL) -e '.[test]'
	@touch $@ $(VENV)/core.stamp
