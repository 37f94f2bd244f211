"""Imports point one way. Each rule is shown to catch a line that breaks it: a rule that cannot fail guards nothing."""

import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PACKAGES = ("boxoffice", "deploy", "services", "shared")

#: Rule -> files, each with a line that breaks it.
VIOLATIONS = {
    "services never import each other": [("services/reaper/handlers.py", "from services.orders import domain")],
    "shared imports no service, and nothing above it": [("shared/postgres/queries.py", "import services.orders")],
    "services do not know where they run": [("services/mailer/loops.py", "from deploy.local import ports")],
    "the sandbox and the catcher share no module with the services": [
        ("deploy/sandbox/books.py", "from shared.http import tokens"),
        ("deploy/catcher/mail.py", "import services.mailer"),
    ],
    "what decides is pure: domain modules see the standard library, pydantic and the messages": [
        ("services/inventory/domain.py", "from shared.messaging.transaction import Transaction"),
        ("services/orders/domain.py", "import asyncpg"),
        ("services/ticketing/domain.py", "from services.ticketing import store"),
        ("services/gateway/domain.py", "import structlog"),
    ],
    "store never sees handlers": [
        ("services/orders/store.py", "from services.orders import handlers"),
        ("services/reaper/store.py", "def late() -> None:\n    import services.reaper.handlers"),
    ],
    "messages are models and names: they see nothing of ours": [
        ("shared/contracts/base.py", "from shared.runtime import ids")
    ],
}
LINES = [
    pytest.param(rule, path, line, id=f"{path}: {line.splitlines()[-1].strip()}")
    for rule, lines in VIOLATIONS.items()
    for path, line in lines
]


@pytest.fixture(scope="module")
def copy(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The packages and the rules, where a test may break them."""
    folder = tmp_path_factory.mktemp("imports")
    shutil.copy(ROOT / "pyproject.toml", folder)
    for package in PACKAGES:
        shutil.copytree(ROOT / package, folder / package, ignore=shutil.ignore_patterns("__pycache__"))
    return folder


def lint(folder: Path) -> subprocess.CompletedProcess[str]:
    """Check the rules in this folder, as `make check` does."""
    command = [str(Path(sys.executable).with_name("lint-imports")), "--no-cache"]
    environment = {"PATH": "", "COLUMNS": "300"}
    return subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, timeout=60, check=False)


def test_the_rules_hold(copy: Path) -> None:
    result = lint(copy)
    assert result.returncode == 0, result.stdout
    assert f"{len(VIOLATIONS)} kept, 0 broken" in result.stdout


def test_every_rule_has_a_line_that_breaks_it() -> None:
    rules = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"]["contracts"]
    assert {rule["name"] for rule in rules} == set(VIOLATIONS)


@pytest.mark.parametrize(("rule", "path", "line"), LINES)
def test_a_forbidden_import_is_caught(copy: Path, rule: str, path: str, line: str) -> None:
    broken = copy / path
    before = broken.read_text()
    broken.write_text(f"{before}\n\n{line}\n")
    try:
        result = lint(copy)
    finally:
        broken.write_text(before)
    assert result.returncode == 1, result.stdout
    assert f"{rule} BROKEN" in result.stdout


@pytest.mark.parametrize("path", sorted((ROOT / "services").glob("*/domain.py")), ids=lambda path: path.parent.name)
def test_domain_modules_reach_for_no_clock_no_chance_and_no_log(path: Path) -> None:
    """What the import rules cannot see: the standard library has all three."""
    text = path.read_text()
    for name in ("import random", "import secrets", "import logging", "import time\n", "uuid4(", ".now(", ".utcnow("):
        assert name not in text, name
