# Two commands matter: `make demo` and `make test`. Both set up .venv on their own.
# PYTHON names the interpreter (3.11 or later) that .venv is made with.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready

.DEFAULT_GOAL := help
.PHONY: help demo test lint docs bench clean

help:
	@echo "make help   this list"
	@echo "make demo   train a torch network and its paddle twin, and let padiff find the planted fault"
	@echo "make test   linters, type checks and every test"
	@echo "make lint   linters and type checks alone"
	@echo "make docs   the documentation as a site in site/, for a browser"
	@echo "make bench  the benchmarks (minutes; wants an idle machine)"
	@echo "make clean  remove .venv and everything generated"

demo: $(READY)
	$(BIN)/python -m demo

test: lint
	$(BIN)/python -m pytest -n auto --dist loadfile

lint: $(READY)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

docs: $(READY)
	$(BIN)/mkdocs build --strict

bench: $(READY)
	$(BIN)/python -m benchmarks.startup
	$(BIN)/python -m benchmarks.record
	$(BIN)/python -m benchmarks.compare
	$(BIN)/python -m benchmarks.hdf5
	$(BIN)/python -m benchmarks.training
	$(BIN)/python -m benchmarks.large
	$(BIN)/python -m benchmarks.foreign
	$(BIN)/python -m benchmarks.lazy
	$(BIN)/python -m benchmarks.page
	$(BIN)/python -m benchmarks.auto_diff

# The frameworks come first and by exact version: a looser requirement makes pip weigh every build of
# torch there is. On Linux the index's own build brings GPU libraries of several GB; where pip finds a
# CPU build (PIP_FIND_LINKS, PIP_EXTRA_INDEX_URL), it takes that. What is imported is compiled then: to
# compile all that is installed takes as long as installing it.
$(READY): pyproject.toml padiff/version.py padiff/_kernel.c
	@$(PYTHON) -c 'import sys; sys.version_info >= (3, 11) or sys.exit("padiff needs Python 3.11 or later, found " + sys.version.split()[0] + "; name one with: make PYTHON=python3.12")'
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --no-compile --disable-pip-version-check torch==2.13.0
	$(BIN)/python -m pip install --quiet --no-compile --disable-pip-version-check paddlepaddle==3.3.1
	$(BIN)/python -m pip install --quiet --no-compile --disable-pip-version-check --editable '.[dev]'
	@touch $@

clean:
	rm -rf $(VENV) demo/*.zarr benchmarks/results build dist site *.egg-info padiff/*.so
	rm -rf tests/readers/node_modules
	rm -rf .mypy_cache .pytest_cache .ruff_cache .hypothesis
