"""Whether a database has the schema that this release was written for."""

import asyncio
from pathlib import Path

import asyncpg
import structlog

from shared.postgres.database import Database
from shared.postgres.errors import PASSING
from shared.postgres.queries import Queries

_log = structlog.get_logger()
_SQL = Queries("shared.postgres")
_ROOT = Path(__file__).parents[2]

#: Before the first migration there is no table of them, and before the grants after it we may not read it.
_NOT_YET: tuple[type[BaseException], ...] = (
    *PASSING,
    asyncpg.UndefinedTableError,
    asyncpg.InsufficientPrivilegeError,
)


def migration_folders(service: str) -> tuple[Path, Path]:
    """Where the migrations of a service lie, in the order in which they run: outbox and inbox, then its own."""
    return _ROOT / "shared" / "messaging" / "migrations", _ROOT / "services" / service / "migrations"


async def wait_for_schema(database: Database, service: str) -> None:
    """Return once every migration of this release is there; says each time what is missing.

    Handling messages earlier would fail each of them, and so give up good ones.
    """
    names = [path.stem for folder in migration_folders(service) for path in sorted(folder.glob("*.sql"))]
    pause = 0.2
    while missing := await _missing(database, names):
        _log.warning("waiting for the migrations", missing=missing, again_in_seconds=pause)
        await asyncio.sleep(pause)
        pause = min(pause * 2, 5.0)


async def _missing(database: Database, names: list[str]) -> str:
    try:
        async with database.acquire() as connection:
            return ", ".join(row["name"] for row in await connection.fetch(_SQL["list_missing_migrations"], names))
    except _NOT_YET as error:
        return f"{type(error).__name__}: {error}"
