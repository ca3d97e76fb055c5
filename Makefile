# Everything a person types, and all the set-up it needs: git, make and Python 3.11 with venv are enough.
#   make demo   the whole path on real grocery logs, from raw logs to an online answer
#   make test   every test
#   make quick  the tests that need no server, in about a minute
SHELL := /bin/bash
PYTHON ?= python3.11
VENV := .venv
# Test workers; each has a sandbox of its own. One more than CI has cores, for a worker waits half of its time. A file's
# tests stay together, so that what it starts is started once.
WORKERS ?= 3
BIN := $(VENV)/bin
DIST ?= dist
export DAGSTER_HOME := $(CURDIR)
export DAGSTER_DISABLE_TELEMETRY := 1
# Many CI images set it. Then every test worker, and every run of pytest, would rewrite and compile all test files again:
# 6 s of CPU for each worker.
unexport PYTHONDONTWRITEBYTECODE

.PHONY: help demo test quick dev airflow check bench soak gameday dist lock clean debian

help:            ## this list
	@grep -hE '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed 's/:[^#]*## /\t/' | expand -t 12

demo: .install.stamp   ## three days of real grocery logs, end to end
	$(BIN)/kumo-sandbox demo $(ARGS)

test: .install.stamp .airflow.stamp .engine.stamp debian   ## every test (long forms: make soak)
	$(BIN)/pytest -n $(WORKERS) --dist loadfile --no-loadscope-reorder $(ARGS)

quick: .install.stamp   ## the tests that need no server, in about a minute: for the loop of changing code
	$(BIN)/pytest -n $(WORKERS) --dist worksteal -m "not server and not slow" $(ARGS)

dev: .install.stamp   ## sandbox, Dagster UI on port 3000, daemon; Ctrl-C stops all of it
	$(BIN)/kumo-sandbox dev $(ARGS)

airflow: .install.stamp .airflow.stamp   ## the same, with Airflow on port 8080 as the clock
	$(BIN)/kumo-sandbox dev --airflow $(ARGS)

check: .install.stamp   ## ruff, types, definitions
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/dg check defs

bench: .install.stamp   ## the figures of docs/benchmarks.md, as ratios in one run
	$(BIN)/python -m benchmarks $(ARGS)

soak: .install.stamp .airflow.stamp .engine.stamp debian   ## the long forms of the tests
	KUMO_SOAK=1 $(BIN)/pytest --timeout=7200 $(ARGS)

gameday: .install.stamp debian   ## a drill under reader load: bad model, rollback, dead ZooKeeper, racing backfill
	$(BIN)/python -m kumo_assets_tests.chaos.gameday

dist: .install.stamp   ## wheels and source archives of the four packages, into dist/
	rm -f $(DIST)/kumo_*.whl $(DIST)/kumo_*.tar.gz
	for package in . packages/kumo_serving packages/kumo_sandbox packages/kumo_airflow; do \
	  $(BIN)/uv build --quiet --python $(BIN)/python --build-constraints requirements/build.lock --require-hashes \
	    --no-create-gitignore --out-dir $(DIST) $$package || exit; \
	done

# Debian packages only where a test needs them and root is at hand; without them those tests say why they skip, and CI
# turns such a skip into a failure (conftest.py).
debian:
	@if [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null; then \
	  missing=""; \
	  [ -x /usr/bin/chromium ] || missing="$$missing chromium"; \
	  [ -e /usr/share/java/zookeeper.jar ] || missing="$$missing zookeeper"; \
	  if [ -n "$$missing" ]; then apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq $$missing >/dev/null; fi; \
	fi

# Compiled once, here: where PYTHONDONTWRITEBYTECODE is set, as in many CI images, each of the many processes of a test run
# would compile all it imports again (8 s of a Dagster process instead of 5, 3.5 s of an Airflow's instead of 1.8).
.install.stamp: requirements/dev.lock requirements/ministack.lock pyproject.toml packages/kumo_serving/pyproject.toml packages/kumo_sandbox/pyproject.toml
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check uv==0.13.9
	$(BIN)/uv pip install --quiet --compile-bytecode --python $(BIN)/python -r requirements/dev.lock
	$(BIN)/uv pip install --quiet --python $(BIN)/python --no-deps -e .
	$(PYTHON) -m venv .venv-ministack
	$(BIN)/uv pip install --quiet --compile-bytecode --python .venv-ministack/bin/python -r requirements/ministack.lock
	@touch $@

# Airflow's environments are apart from Dagster's, as Dagster advises: the one that runs, and the oldest supported one.
# An empty database is made here once; `make airflow` and the tests begin from a copy of it.
.airflow.stamp: .install.stamp requirements/airflow.lock requirements/airflow211.lock packages/kumo_airflow/pyproject.toml
	for name in airflow airflow211; do \
	  $(PYTHON) -m venv .venv-$$name && \
	  $(BIN)/uv pip install --quiet --compile-bytecode --python .venv-$$name/bin/python -r requirements/$$name.lock && \
	  $(BIN)/uv pip install --quiet --python .venv-$$name/bin/python --no-deps -e packages/kumo_airflow || exit; \
	done
	$(BIN)/python -m kumo_sandbox.airflow .venv-airflow/empty
	@touch $@

# The Kumo Engine has an environment of its own, 4.4 GB with torch (40 s with a fast network). --no-deps: the lock is
# whole, and leaves out what a machine without a GPU does not need (requirements/engine.overrides).
.engine.stamp: .install.stamp requirements/engine.lock
	$(PYTHON) -m venv --without-pip .venv-engine
	$(BIN)/uv pip install --quiet --no-deps --python .venv-engine/bin/python -r requirements/engine.lock
	@touch $@

lock: .install.stamp   ## resolve the lock files again after a change of dependencies
	$(BIN)/uv pip compile pyproject.toml --group dev --universal --generate-hashes --no-header -q -p 3.11 -o requirements/dev.lock
	# What the image has is what tests run with: shared packages are pinned to the same versions.
	sed '/^-e /d' requirements/dev.lock > .runtime.constraints
	$(BIN)/uv pip compile pyproject.toml requirements/runtime.in --extra postgres --extra k8s --extra ecs -c .runtime.constraints --no-emit-package kumo-serving --no-annotate --universal --generate-hashes --no-header -q -p 3.11 -o requirements/runtime.lock
	rm .runtime.constraints
	for name in build ministack; do $(BIN)/uv pip compile requirements/$$name.in --universal --generate-hashes --no-header -q -p 3.11 -o requirements/$$name.lock || exit; done
	for name in airflow airflow211; do $(BIN)/uv pip compile requirements/$$name.in --universal --generate-hashes --no-header -q -p 3.11 -o requirements/$$name.lock || exit; done
	$(BIN)/uv pip compile requirements/engine.in --overrides requirements/engine.overrides --python-platform x86_64-manylinux_2_34 --generate-hashes --no-header -q -p 3.11 -o requirements/engine.lock
	for peer in aiobotocore aiodynamo feast evidently; do $(BIN)/uv pip compile requirements/bench-$$peer.in --universal --generate-hashes --no-header -q -p 3.11 -o requirements/bench-$$peer.lock || exit; done

clean:           ## remove what was installed and everything the sandbox and Dagster wrote here
	-$(BIN)/kumo-sandbox reset
	rm -rf $(VENV) .venv-* .install.stamp .airflow.stamp .engine.stamp .dagster .sandbox dist
