# Every command of the project. `make` alone lists them. Nothing is installed outside .venv/ and .boxoffice/.
# It asks nothing of make that 3.81 (macOS) does not have, and of the shell nothing beyond POSIX; Python does the rest.
# The newest suitable Python on the PATH is taken; PYTHON=... chooses another.
# Programs are called as modules, because a script in .venv/bin/ knows where the folder was before it was moved.
VENV := .venv
BIN := $(VENV)/bin
.DEFAULT_GOAL := help
.PHONY: help doctor-machine look look-with-ports setup setup-dev run demo test check schemas lock clean
# What looks at the machine comes before what installs on it, also with `make -j`.
.NOTPARALLEL:
SUITABLE = $$(sh deploy/machine/find_python.sh "$(PYTHON)")
ANY = $$(sh deploy/machine/find_python.sh any "$(PYTHON)")

help: ## list the commands
	@grep -E '^[a-z-]+:.*## ' Makefile | sed -E 's/^([a-z-]+):[^#]*## /\1|/' | awk -F'|' '{printf "  make %-15s %s\n", $$1, $$2}'

$(VENV)/.run: requirements.lock pyproject.toml
	@python="$(SUITABLE)" && "$$python" -m deploy.machine.install run

$(VENV)/.dev: $(VENV)/.run requirements-dev.lock
	@python="$(SUITABLE)" && "$$python" -m deploy.machine.install dev

doctor-machine: ## look at this machine: what would keep Boxoffice from running, and what to do
	@python="$(ANY)" && "$$python" -m deploy.machine

look:
	@python="$(ANY)" && "$$python" -m deploy.machine --problems --without-ports

look-with-ports:
	@python="$(ANY)" && "$$python" -m deploy.machine --problems

setup: $(VENV)/.run ## install everything the product needs, into .venv/

setup-dev: $(VENV)/.dev

run: look-with-ports setup ## start engines, services, the Paystack sandbox and the mail catcher; Ctrl-C stops all of it
	@$(BIN)/python -m boxoffice up

demo: look setup ## a flash sale from start to finish in the terminal, with its final sums
	@$(BIN)/python -m boxoffice demo

test: look setup-dev ## every test, on real PostgreSQL and RabbitMQ
	@$(BIN)/python -m pytest

check: setup-dev ## lint, types, import rules, contracts
	@$(BIN)/python -m ruff check .
	@$(BIN)/python -m ruff format --check .
	@$(BIN)/python -m mypy
	@$(BIN)/lint-imports
	@$(BIN)/python -m shared.contracts.schemas --check
	@$(BIN)/python -m boxoffice.api_documents --check
	@$(BIN)/python -m boxoffice.command_pages --check

schemas: setup-dev ## write schemas, documents of interfaces and docs/commands.md again, after a deliberate change
	@$(BIN)/python -m shared.contracts.schemas --write
	@$(BIN)/python -m boxoffice.api_documents --write
	@$(BIN)/python -m boxoffice.command_pages --write

lock: ## resolve the lock files again (needs uv)
	uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-header --no-emit-index-url --group build pyproject.toml -o requirements.lock
	uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-header --no-emit-index-url --group build --group dev pyproject.toml -o requirements-dev.lock

clean: ## remove .venv/ (the state in .boxoffice/ stays)
	rm -rf $(VENV)
