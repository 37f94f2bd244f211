# Every command of the project. `make` alone lists them. Nothing is installed outside .venv/ and .boxoffice/.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
.DEFAULT_GOAL := help
.PHONY: help setup setup-dev run demo test check schemas lock clean

help: ## list the commands
	@grep -E '^[a-z-]+:.*## ' Makefile | sed -E 's/^([a-z-]+):[^#]*## /\1|/' | awk -F'|' '{printf "  make %-10s %s\n", $$1, $$2}'

$(VENV)/.run: requirements.lock pyproject.toml
	@echo "Installing the locked packages into $(VENV)/ (about a minute the first time)"
	@$(PYTHON) -c 'import sys; sys.exit(0 if (3, 11) <= sys.version_info[:2] <= (3, 14) else "Boxoffice needs Python 3.11 to 3.14, and %s is %s. Set PYTHON=python3.x" % (sys.executable, sys.version.split()[0]))'
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
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
