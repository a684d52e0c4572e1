# make setup   a virtual environment in .venv with everything, the command at .venv/bin/agent-sre
# make demo    sets up, then shows the whole way of one alert
# make run     sets up, then runs the service on 127.0.0.1:8080
# make test    sets up, then runs the whole suite
# make check   ruff, mypy --strict, import-linter, and whether the lock files fit pyproject.toml
# make bench   performance as ratios against baselines of the same run
# make docs    the reference pages that are made from the code
# make lock    the hash-locked requirements, made anew

PYTHON ?= python3
BIN := .venv/bin
STAMP := .venv/.ready
PYTEST_ARGS ?=
# Processes that the suite runs in, a file of tests at a time in each; 0 is one, without others.
WORKERS ?= 2

.PHONY: setup demo run test check bench docs lock clean

setup: $(STAMP)

$(STAMP): requirements-dev.lock pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "Python 3.11 or newer is needed: make PYTHON=/path/to/python3.11 setup"; exit 1; }
	@echo "Setting up .venv (a minute on the first run)"
	@test -x $(BIN)/python || $(PYTHON) -m venv .venv || { echo "The venv module is missing: apt-get install python3-venv"; exit 1; }
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements-dev.lock
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation -e .
	@touch $@

demo: setup
	@$(BIN)/agent-sre demo

run: setup
	@$(BIN)/agent-sre serve

test: setup
	@$(BIN)/python -m pytest --numprocesses=$(WORKERS) --dist=loadfile $(PYTEST_ARGS)

check: setup
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/python -m tools.locks
	$(BIN)/python -m tools.reference --check

bench: setup
	$(BIN)/python -m bench

docs: setup
	$(BIN)/python -m tools.reference

lock:
	@test -x $(BIN)/uv || { $(PYTHON) -m venv .venv && $(BIN)/python -m pip install --quiet uv; }
	$(BIN)/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-annotate --no-header pyproject.toml -o requirements.lock
	$(BIN)/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-annotate --no-header --extra dev pyproject.toml -o requirements-dev.lock

clean:
	rm -rf .venv dist .mypy_cache .ruff_cache .pytest_cache .hypothesis
