# make run   set up, then run the pipeline on the embedded defaults (no server, no key)
# make test  set up, then run every test

PYTHON ?= $(shell command -v python3.11 || command -v python3)
export PATH := $(CURDIR)/.venv/bin:$(PATH)

.PHONY: run test setup
run: setup
	dvc repro

test: .venv/.tests
	ruff check .
	python -m pytest -n logical --maxprocesses 4

setup: .venv/.run

.venv/.run: requirements.txt
	$(PYTHON) -c 'import sys; sys.exit(None if sys.version_info >= (3, 11) else f"found Python {sys.version.split()[0]}, expected 3.11 or later: make PYTHON=/path/to/python3.11")'
	$(PYTHON) -m venv .venv
	python -m pip install --quiet --requirement requirements.txt
	touch $@

.venv/.tests: requirements-dev.txt .venv/.run
	python -m pip install --quiet --requirement requirements-dev.txt
	touch $@
