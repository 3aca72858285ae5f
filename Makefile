# make run   set up, then run the pipeline on the embedded defaults (no server, no key)
# make test  set up, then run every test

PYTHON ?= $(shell command -v python3.11 || command -v python3)
export PATH := $(CURDIR)/.venv/bin:$(PATH)

.PHONY: run test setup
# Two stages at a time. One system is judged first, so that there is something to look at after minutes.
run: setup
	affinage parallel --first limericks
	affinage report
	affinage summary

test: .venv/.tests
	ruff check .
	python -m pytest -n logical --maxprocesses 4

setup: .venv/.run

# Every package is checked against its hash; torch, whose build depends on the machine, comes last and finds there what it needs.
# setuptools goes first: two packages come as source and are built with it. Nothing but the hashed files is fetched for that.
# pip compiles on one core, compileall on all of them; a file for another Python than this stays as it is.
LOCKED := python -m pip install --quiet --require-hashes --no-deps --no-build-isolation

.venv/.run: requirements.lock requirements.txt pyproject.toml affinage/console.sh
	$(PYTHON) -c 'import sys; sys.exit(None if sys.version_info >= (3, 11) else f"found Python {sys.version.split()[0]}, expected 3.11 or later: make PYTHON=/path/to/python3.11")'
	$(PYTHON) -m venv .venv
	sed -n '/^setuptools==/,/[^\\]$$/p' requirements.lock > .venv/setuptools.lock
	$(LOCKED) --requirement .venv/setuptools.lock
	$(LOCKED) --no-compile --requirement requirements.lock
	python -m pip install --quiet --no-compile "$$(grep ^torch== requirements.txt)"
	python -m compileall -q -j 0 -x /tests/ .venv/lib >.venv/not_compiled || true
	install -m 755 affinage/console.sh .venv/bin/affinage
	touch $@

.venv/.tests: requirements-dev.lock .venv/.run
	$(LOCKED) --requirement requirements-dev.lock
	touch $@

# The locks anew, with the versions that they hold wherever requirements.txt still allows them (pip install uv).
.PHONY: lock
lock:
	uv pip compile --quiet requirements.txt --output-file requirements.lock
	uv pip compile --quiet --constraints requirements.lock requirements-dev.txt --output-file requirements-dev.lock
