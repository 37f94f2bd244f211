# Every command of the project. `make` alone lists them. Nothing is installed outside .venv/ and .boxoffice/.
# The first Python on the PATH that is new enough; PYTHON=... chooses another.
SUITS := import sys; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 14))
ifndef PYTHON
PYTHON := $(shell for name in python3 python3.14 python3.13 python3.12 python3.11; do \
	$$name -c '$(SUITS)' 2>/dev/null && echo $$name && break; done)
endif
VENV := .venv
BIN := $(VENV)/bin
.DEFAULT_GOAL := help
.PHONY: help setup setup-dev run demo test check schemas lock clean

help: ## list the commands
	@grep -E '^[a-z-]+:.*## ' Makefile | sed -E 's/^([a-z-]+):[^#]*## /\1|/' | awk -F'|' '{printf "  make %-10s %s\n", $$1, $$2}'

$(VENV)/.run: requirements.lock pyproject.toml
	@echo "Installing the locked packages into $(VENV)/ (about a minute the first time)"
	@test -n "$(PYTHON)" && $(PYTHON) -c '$(SUITS)' || { echo "Boxoffice needs Python 3.11 to 3.14, and found none: make PYTHON=/path/to/python3.x"; exit 1; }
	@$(BIN)/python -m pip --version >/dev/null 2>&1 || $(PYTHON) -m venv --clear $(VENV)
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements.lock
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation -e .
	@touch $@

$(VENV)/.dev: $(VENV)/.run requirements-dev.lock
	@echo "Installing the packages for tests and checks"
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements-dev.lock
	@touch $@

setup: $(VENV)/.run ## install everything the product needs, into .venv/

setup-dev: $(VENV)/.dev

run: setup ## start engines, services, the Paystack sandbox and the mail catcher; Ctrl-C stops all of it
	@$(BIN)/boxoffice up

demo: setup ## a flash sale from start to finish in the terminal, with its final sums
	@$(BIN)/boxoffice demo

test: setup-dev ## every test, on real PostgreSQL and RabbitMQ
	@$(BIN)/python -m pytest

check: setup-dev ## lint, types, import rules, contracts
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy
	@$(BIN)/lint-imports
	@$(BIN)/python -m shared.contracts.schemas --check

schemas: setup-dev ## write the JSON Schemas of all messages again, after a deliberate change
	@$(BIN)/python -m shared.contracts.schemas --write

lock: ## resolve the lock files again (needs uv)
	uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-header --no-emit-index-url --group build pyproject.toml -o requirements.lock
	uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-header --no-emit-index-url --group build --group dev pyproject.toml -o requirements-dev.lock

clean: ## remove .venv/ (the state in .boxoffice/ stays)
	rm -rf $(VENV)
