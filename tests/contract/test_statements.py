"""Every SQL file says why, is understood by PostgreSQL under the migrated schema, and is used by its store."""

import re
from pathlib import Path

import asyncpg
import pytest

from shared.contracts.registry import ServiceName
from tests.databases import MakeDatabase
from tests.services import SERVICES_WITH_DATABASE

ROOT = Path(__file__).parents[2]
FOLDERS = sorted(path for part in ("services", "shared") for path in ROOT.glob(f"{part}/*/queries"))
FILES = sorted(path for folder in FOLDERS for path in folder.glob("*.sql"))
BY_PATH = [pytest.param(path, id=str(path.relative_to(ROOT))) for path in FILES]


def test_every_service_with_a_database_has_statements() -> None:
    assert {folder.parent.name for folder in FOLDERS} >= {*SERVICES_WITH_DATABASE, "messaging"}


@pytest.mark.parametrize("path", BY_PATH)
def test_a_statement_says_why_and_explains_its_parameters(path: Path) -> None:
    first, *_ = lines = path.read_text().splitlines()
    assert re.match(r"-- [A-Z].*[a-z]", first), "the first line says what it is for"
    comments = "\n".join(line for line in lines if line.startswith("--"))
    used = set(re.findall(r"\$\d+", "\n".join(line for line in lines if not line.startswith("--"))))
    unexplained = {name for name in used if name not in comments and not _is_in_a_range(name, comments)}
    assert not unexplained


@pytest.mark.parametrize("path", BY_PATH)
def test_a_statement_is_run_by_its_package(path: Path) -> None:
    package = path.parents[1]
    code = "\n".join(one.read_text() for one in package.rglob("*.py"))
    # A name may be put together from parts, as in f"get_{what}_due".
    names = {*re.findall(r'"([a-z_]+)"', code), *re.findall(r'f"([a-z_{}]+)"', code)}
    assert any(re.fullmatch(re.sub(r"\{\w+\}", "[a-z_]+", name), path.stem) for name in names)


@pytest.mark.parametrize("service", SERVICES_WITH_DATABASE)
async def test_every_statement_is_understood_under_the_migrated_schema(
    make_database: MakeDatabase, service: ServiceName
) -> None:
    """Prepared by the service's own role, which may not do more than it needs."""
    own = [path for path in FILES if path.parents[1].name in {service, "messaging", "postgres"}]
    connection = await asyncpg.connect(make_database(service))
    try:
        for path in own:
            try:
                await connection.prepare(path.read_text())
            except asyncpg.PostgresError as error:
                raise AssertionError(f"{path.relative_to(ROOT)}: {error}") from error
    finally:
        await connection.close()
    assert len(own) > 12


def _is_in_a_range(name: str, comments: str) -> bool:
    number = int(name[1:])
    ranges = re.findall(r"\$(\d+) (?:to|and|-) \$(\d+)", comments)
    return any(int(first) <= number <= int(last) for first, last in ranges)
