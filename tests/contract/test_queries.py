"""Every SQL file says why it exists, is used, and is understood by PostgreSQL as the migrated schema stands."""

import re
from pathlib import Path

import asyncpg
import pytest

from shared.contracts.registry import SERVICES
from shared.postgres.queries import Queries
from tests.databases import MakeDatabase

ROOT = Path(__file__).parents[2]
FILES = sorted(path.relative_to(ROOT) for path in ROOT.glob("s*/*/queries/*.sql"))
BY_FILE = [pytest.param(path, id=str(path)) for path in FILES]
WITH_DATABASE = [service for service in SERVICES if service != "gateway"]
PACKAGES = sorted({".".join(path.parts[:2]) for path in FILES})


@pytest.mark.parametrize("service", WITH_DATABASE)
async def test_every_statement_prepares_against_the_migrated_schema(service: str, make_database: MakeDatabase) -> None:
    """As the service's own role, so that a missing right is found too."""
    connection = await asyncpg.connect(make_database(service))
    prepared = 0
    try:
        for package in (f"services.{service}", *(name for name in PACKAGES if name.startswith("shared."))):
            queries = Queries(package)
            for name in queries:
                try:
                    await connection.prepare(queries[name])
                except asyncpg.PostgresError as error:
                    pytest.fail(f"{package}/queries/{name}.sql: {error}")
                prepared += 1
    finally:
        await connection.close()
    assert prepared > 1


@pytest.mark.parametrize("path", BY_FILE)
def test_a_statement_says_why_and_explains_its_parameters(path: Path) -> None:
    text = (ROOT / path).read_text()
    header = text[: text.index(next(line for line in text.splitlines() if not line.startswith("--")))]
    body = text[len(header) :]
    assert re.match(r"-- [A-Z][^\n]{10,}", header), "the first line says why"
    numbers = {int(number) for number in re.findall(r"\$([0-9]+)", body)}
    assert numbers == set(range(1, len(numbers) + 1))
    assert {int(number) for number in re.findall(r"\$([0-9]+)", header)} == numbers, "each $ is explained, and no other"


@pytest.mark.parametrize("path", BY_FILE)
def test_a_statement_is_named_verb_noun_and_used(path: Path) -> None:
    assert re.fullmatch(r"[a-z]+(_[a-z]+)+", path.stem)
    code = "".join(module.read_text() for module in (ROOT / path).parents[1].glob("*.py"))
    names = re.findall(r'(?:SQL|_QUERIES)\[f?"([^"]+)"\]', code)
    assert any(re.fullmatch(re.sub(r"\{[^}]+\}", "[a-z]+", name), path.stem) for name in names), "no code runs it"
