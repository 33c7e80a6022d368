# Everything a contributor does. `make` alone lists it.

SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:

VENV ?= .venv
BIN := $(VENV)/bin
# The first Python on PATH that is new enough; tools/check_python.py says what is wrong if none is.
PYTHON ?= $(shell for p in python3 python3.14 python3.13 python3.12 python3.11; do \
	command -v "$$p" >/dev/null && "$$p" -c 'import sys; sys.exit(sys.version_info < (3, 11))' \
	&& echo "$$p" && exit; done; echo python3)
# Further words for the command of a target: make test ARGS='-k cgroup', make run ARGS=--help
ARGS ?=

export PIP_DISABLE_PIP_VERSION_CHECK := 1
export PIP_ROOT_USER_ACTION := ignore
INSTALL := $(BIN)/python -m pip install --quiet --no-input --require-hashes
# Beside the daemon and no child of it: told the process that becomes the daemon.
OPEN_PAGE := $(BIN)/python tools/open_page.py $$$$

.PHONY: help run demo test check bench docs lock

help: ## list what can be made
	@awk -F ':.*## ' '/^[a-z]+:.*## / {printf "  make %-8s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

run: $(VENV)/.runtime ## set up, then watch this host's kernels at 127.0.0.1:18888
	@($(OPEN_PAGE) $(ARGS) &); exec $(BIN)/jupyter-kernel-exporter $(ARGS)

demo: $(VENV)/.demo ## the same, beside a JupyterLab with kernels that behave well and badly
	@($(OPEN_PAGE) $(ARGS) &); exec $(BIN)/jupyter-kernel-exporter demo $(ARGS)

test: $(VENV)/.dev ## set up what the tests need, then run them all
	@tools/system_packages.sh test
	$(BIN)/python tools/lanes.py $(ARGS)

check: $(VENV)/.dev ## the gate: format, lint, types, generated files, configurations of the stack
	@tools/system_packages.sh check
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/python tools/docs.py --check
	$(BIN)/python -m dashboards.build --check
	$(BIN)/python tools/kubernetes.py --check
	promtool check config --lint=all --lint-fatal alerts/prometheus.yml
	amtool check-config alerts/alertmanager.yml
	$(BIN)/amlint check --strict --rules 'alerts/rules/*.yml' alerts/alertmanager.yml

bench: $(VENV)/.dev ## compare costs with prometheus-process-exporter, on real kernels
	@tools/system_packages.sh bench
	$(BIN)/python tools/bench.py $(ARGS)

docs: $(VENV)/.dev ## write the generated references and dashboards anew
	$(BIN)/python tools/docs.py
	$(BIN)/python -m dashboards.build
	$(BIN)/python tools/kubernetes.py

# The sets agree on every version: the widest is resolved first and binds the others.
COMPILE := uv pip compile --quiet --universal --python-version 3.11 --generate-hashes \
	--no-header --no-annotate
lock: ## resolve all versions anew (needs uv)
	@command -v uv >/dev/null || { echo 'make lock needs uv: https://docs.astral.sh/uv/' >&2; exit 1; }
	$(COMPILE) --upgrade pyproject.toml --group dev --extra demo --extra hub -o locks/dev.txt
	$(COMPILE) --upgrade pyproject.toml --extra demo -c locks/dev.txt -o locks/demo.txt
	$(COMPILE) --upgrade pyproject.toml -c locks/dev.txt -o locks/runtime.txt
	$(COMPILE) --upgrade locks/build.in -c locks/dev.txt -o locks/build.txt

# One environment, filled as far as the target needs; a stamp says how far.
$(BIN)/python:
	@$(PYTHON) tools/check_python.py
	$(PYTHON) -m venv $(VENV)

$(VENV)/.runtime: locks/runtime.txt locks/build.txt pyproject.toml | $(BIN)/python
	$(INSTALL) -r locks/runtime.txt -r locks/build.txt
	$(BIN)/python -m pip install --quiet --no-input --no-deps --no-build-isolation --editable .
	@touch $@

$(VENV)/.demo: locks/demo.txt $(VENV)/.runtime
	$(INSTALL) -r locks/demo.txt
	@touch $@

$(VENV)/.dev: locks/dev.txt $(VENV)/.runtime
	$(INSTALL) -r locks/dev.txt
	@touch $@ $(VENV)/.demo
