# The commands of the house; `make` alone lists them. Set-up happens once, into .venv, and again when its inputs change.

PYTHON ?= python3
BIN := .venv/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check install --quiet --constraint constraints.txt
PYTEST := OMP_NUM_THREADS=1 $(BIN)/pytest -n 2

.PHONY: help demo test test-slow test-servers test-gguf lint format docs
.DEFAULT_GOAL := help

help:
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## /  make \1\t/' | expand -t 18

demo: .venv/installed  ## evolve the embedded model on this machine, and show what it learned (minutes)
	$(BIN)/ponderosa evolve recipes/sapling-quick.yaml --out runs/demo

test: .venv/installed-dev  ## the tests that every change must pass
	$(PYTEST) -m "not slow and not servers"

test-slow: .venv/installed-dev  ## the tests that take minutes: whole runs, killed and resumed
	$(PYTEST) -m slow

test-servers: .venv/installed-servers .venv-vllm/installed  ## the tests with real servers: vLLM on CPUs, transformers serve
	VLLM_PYTHON=$(CURDIR)/.venv-vllm/bin/python OMP_NUM_THREADS=1 $(BIN)/pytest -m servers

test-gguf: .venv/installed-dev .venv/installed-gguf  ## the tests against llama.cpp, which is built first
	$(PYTEST) -m gguf

lint: .venv/installed-dev  ## style, formatting and types
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

format: .venv/installed-dev  ## write the house style
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

docs: .venv/installed-docs  ## the documentation as a site, in build/docs
	$(BIN)/zensical build --strict
	@echo "open build/docs/index.html"

# torch comes first and alone, so that its version is settled before anything that depends on it is looked at.
.venv/installed: pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(None if sys.version_info >= (3, 11) else "Ponderosa needs Python 3.11 or newer: run make with PYTHON=python3.11")'
	@echo "Setting up .venv (once, about a minute) ..."
	$(PYTHON) -m venv .venv
	$(PIP) pip
	$(PIP) torch
	$(PIP) --editable '.[all]'
	@touch $@

.venv-vllm/installed: tests/servers/vllm.txt
	$(PYTHON) -m venv .venv-vllm
	.venv-vllm/bin/python -m pip --disable-pip-version-check install --quiet --no-deps --requirement tests/servers/vllm.txt
	@touch $@

.venv/installed-dev: .venv/installed
	$(PIP) --group dev
	@touch $@

.venv/installed-servers: .venv/installed-dev
	$(PIP) --group servers
	@touch $@

.venv/installed-gguf: .venv/installed
	@echo "Building llama.cpp (once, minutes) ..."
	$(PIP) --editable '.[gguf]'
	@touch $@

.venv/installed-docs: .venv/installed
	$(PIP) --group docs
	@touch $@
