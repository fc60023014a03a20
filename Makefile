# Everything happens in .venv beside this file; no environment has to be active.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
PIP := $(BIN)/python -m pip --disable-pip-version-check
RECBOLE := recbole==1.2.1

.DEFAULT_GOAL := help
.PHONY: help install quickstart test lint constraints clean

help:  ## show this list
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 14
	@echo
	@echo "make install PYTHON=python3.13 takes another Python (3.11 or newer)"

install: $(STAMP)  ## create .venv with the tested versions of everything
	@echo "segue is installed: $(BIN)/segue --help"

$(BIN)/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
		{ echo "segue needs Python 3.11 or newer and '$(PYTHON)' is not: make install PYTHON=python3.13" >&2; exit 2; }
	@$(PYTHON) -c 'import ensurepip, venv' 2>/dev/null || \
		{ echo "'$(PYTHON)' cannot create environments: on Debian and Ubuntu, apt-get install python3-venv" >&2; exit 2; }
	$(PYTHON) -m venv $(VENV)

# RecBole goes in alone: its own pins (ray<=2.6.3) cannot be met on a current Python, and nothing here needs ray.
$(STAMP): pyproject.toml constraints.txt | $(BIN)/python
	@$(BIN)/python -c 'import pip' 2>/dev/null || $(BIN)/python -m ensurepip --upgrade
	$(PIP) install --quiet --upgrade pip
	@echo "installing the tested versions: 2 minutes or more, 5 GB with what torch brings for CUDA; tail -f $(VENV)/install.log shows how far it is"
	@$(PIP) install --constraint constraints.txt --editable '.[dev]' >$(VENV)/install.log
	@$(PIP) install --no-deps $(RECBOLE) >>$(VENV)/install.log
	@touch $@

quickstart: install  ## run the demo recipe from start to report
	$(BIN)/segue run recipes/quickstart.yaml

lint: install  ## style and types
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy
	$(BIN)/mypy --strict -p segue

test: lint  ## style, types and every test that this machine can run
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n 2 --dist loadfile

constraints: install  ## pin what .venv holds now (after an upgrade that passed the tests)
	@{ grep '^#' constraints.txt; \
	   $(PIP) freeze --all --exclude-editable --exclude pip --exclude recbole | sed -E 's/\+(cpu|cu[0-9]+)$$//'; } > constraints.txt.new
	@mv constraints.txt.new constraints.txt
	@touch $(STAMP)

clean:  ## remove .venv and caches; runs/ stays
	rm -rf $(VENV) build dist *.egg-info .pytest_cache .mypy_cache .ruff_cache
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
