# The tasks of a contributor. `make help` lists them.

PYTHON ?= python

.DEFAULT_GOAL := help
.PHONY: help install test test-jax test-torch test-slow lint format types docs ci

help:  ## list these tasks
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/\1\t\2/p' $(MAKEFILE_LIST) | expand -t 12

install:  ## install the package, every extra and the tested versions into this environment
	$(PYTHON) -m pip install -e ".[all]" -c constraints.txt

test:  ## run the tests on TensorFlow
	KERAS_BACKEND=tensorflow $(PYTHON) -m pytest

test-jax:  ## run the tests on JAX
	KERAS_BACKEND=jax $(PYTHON) -m pytest

test-torch:  ## run the tests on PyTorch
	KERAS_BACKEND=torch $(PYTHON) -m pytest

test-slow:  ## run the slow tests (on PyTorch): the documentation's code, the notebooks, ...
	KERAS_BACKEND=torch $(PYTHON) -m pytest -m slow

lint:  ## check style and format, change nothing
	ruff check .
	ruff format --check .

format:  ## mend style and format
	ruff check --fix .
	ruff format .

types:  ## check types
	mypy

docs:  ## build the documentation site into build/docs, warnings are errors
	$(PYTHON) -m sphinx -W --keep-going -q -b html docs build/docs

ci:  ## everything that must hold before a change is accepted, in a fresh environment
	.ci/run
