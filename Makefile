# Everything happens in .venv beside this file; no environment has to be active.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
PIP := $(BIN)/python -m pip --disable-pip-version-check
RECBOLE := recbole==1.2.1
# where CPU builds of torch are looked for on a machine without a CUDA device
TORCH_INDEX ?= https://download.pytorch.org/whl/cpu
CHOOSE_TORCH = tools/choose_torch.py --index $(TORCH_INDEX)
# for machines on which the torch of .venv has no torchvision that fits it
IMAGE_VENV := .venv-image
IMAGE_STAMP := $(IMAGE_VENV)/.installed
IMAGE_TORCH := torch==2.14.1
IMAGE_TORCHVISION := torchvision==0.29.1
IMAGE_TESTS := tests/encoders/image

.DEFAULT_GOAL := help
.PHONY: help install quickstart test test-image lint constraints clean

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
# A torchvision that was built for another torch breaks transformers' image models too, so it is taken out again.
$(STAMP): pyproject.toml constraints.txt | $(BIN)/python
	@$(BIN)/python -c 'import pip' 2>/dev/null || $(BIN)/python -m ensurepip --upgrade
	$(PIP) install --quiet --upgrade pip
	@$(BIN)/python $(CHOOSE_TORCH) --constraint constraints.txt >$(VENV)/torch.options
	@echo "installing the tested versions of everything: 2 minutes or more; tail -f $(VENV)/install.log shows how far it is"
	@$(PIP) install --constraint constraints.txt $$(cat $(VENV)/torch.options) --editable '.[dev]' >$(VENV)/install.log
	@$(PIP) install --no-deps $(RECBOLE) >>$(VENV)/install.log
	@$(BIN)/python -c 'import torchvision' 2>/dev/null || { $(PIP) uninstall --quiet --yes torchvision && \
		echo "no torchvision fits this build of torch: image-model takes models of transformers only (make test-image)"; }
	@touch $@

quickstart: install  ## run the demo recipe from start to report
	$(BIN)/segue run recipes/quickstart.yaml

lint: install  ## style, types and unsafe calls
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy
	$(BIN)/mypy --strict -p segue
	$(BIN)/bandit --quiet --configfile pyproject.toml --recursive segue toolkit collectors segue_papers

test: lint  ## style, types and every test that this machine can run
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n 2 --dist loadfile

test-image: install  ## tests of image models of torchvision, where need be in an environment of their own
	@if $(BIN)/python -c 'import torchvision' 2>/dev/null; then $(BIN)/python -m pytest $(IMAGE_TESTS); \
	else $(MAKE) --no-print-directory $(IMAGE_STAMP) && $(IMAGE_VENV)/bin/python -m pytest $(IMAGE_TESTS); fi

# Only what these tests need, beside the one torch and torchvision that go together.
$(IMAGE_STAMP): pyproject.toml constraints.txt
	@$(PYTHON) -m venv $(IMAGE_VENV)
	@grep -v -e '^torch==' -e '^torchvision==' constraints.txt >$(IMAGE_VENV)/constraints.txt
	@printf '%s\n' $(IMAGE_TORCH) $(IMAGE_TORCHVISION) >>$(IMAGE_VENV)/constraints.txt
	@$(BIN)/python $(CHOOSE_TORCH) --constraint $(IMAGE_VENV)/constraints.txt >$(IMAGE_VENV)/torch.options
	@echo "installing the extra image with torchvision into $(IMAGE_VENV): 2 minutes or more"
	@started=$$(date +%s); $(IMAGE_VENV)/bin/python -m pip --disable-pip-version-check install --quiet \
		--constraint $(IMAGE_VENV)/constraints.txt $$(cat $(IMAGE_VENV)/torch.options) \
		--editable '.[image]' pytest pytest-timeout && \
	echo "$(IMAGE_VENV): $$(du -sm $(IMAGE_VENV) | cut -f1) MB in $$(($$(date +%s) - started)) s"
	@touch $@

constraints: install  ## pin what .venv holds now (after an upgrade that passed the tests)
	@{ grep '^#' constraints.txt; \
	   $(PIP) freeze --all --exclude-editable --exclude pip --exclude recbole | sed -E 's/\+(cpu|cu[0-9]+)$$//'; \
	   $(BIN)/python -c 'import torchvision' 2>/dev/null || grep '^torchvision==' constraints.txt; } > constraints.txt.new
	@mv constraints.txt.new constraints.txt
	@touch $(STAMP)

clean:  ## remove .venv and caches; runs/ stays
	rm -rf $(VENV) $(IMAGE_VENV) build dist *.egg-info .pytest_cache .mypy_cache .ruff_cache
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
