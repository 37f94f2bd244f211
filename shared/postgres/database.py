"""A pool of connections to one service's database."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, TypeAlias

import asyncpg
import orjson
import structlog
from asyncpg.pool import PoolConnectionProxy

from shared.postgres.errors import ENGINE_DOWN

#: A connection as handlers and stores get it.
Connection: TypeAlias = "PoolConnectionProxy[asyncpg.Record]"

_log = structlog.get_logger()

#: While an engine is set up, its roles and databases may still be missing.
_NOT_YET: tuple[type[BaseException], ...] = (
    *ENGINE_DOWN,
    asyncpg.InvalidAuthorizationSpecificationError,
    asyncpg.InsufficientPrivilegeError,
)

#: After one of these the connection is of no use. asyncpg says InternalClientError when it is ended between statements.
_CONNECTION_LOST: tuple[type[BaseException], ...] = (
    asyncpg.PostgresConnectionError,
    asyncpg.InterfaceError,
    asyncpg.InternalClientError,
    asyncpg.AdminShutdownError,
    asyncpg.CrashShutdownError,
    ConnectionError,
)

#: Seconds a statement may run before the client gives up; a frozen backend takes up to twice that.
COMMAND_TIMEOUT_SECONDS = 15.0
#: Seconds to wait for a free connection.
ACQUIRE_TIMEOUT_SECONDS = 5.0


class Database:
    """The pool. ``open`` waits for the engine as long as it takes; everything else has a time-out."""

    def __init__(self, url: str, *, application_name: str, max_connections: int = 8) -> None:
        self._url = url
        self._application_name = application_name
        self._max_connections = max_connections
        self._pool: asyncpg.Pool[asyncpg.Record] | None = None

    @property
    def pool(self) -> "asyncpg.Pool[asyncpg.Record]":
        """The open pool; ConnectionError before ``open`` is done, so that callers wait as for an absent engine."""
        if self._pool is None:
            raise ConnectionError("the database is not connected yet")
        return self._pool

    async def open(self) -> None:
        """Connect, trying again with a growing pause (0.2 to 5 seconds) and a log line each time."""
        pause = 0.2
        while self._pool is None:
            try:
                self._pool = await asyncio.wait_for(self._create_pool(), 15)
            except _NOT_YET as error:
                _log.warning("waiting for PostgreSQL", error=f"{type(error).__name__}: {error}", again_in_seconds=pause)
                await asyncio.sleep(pause)
                pause = min(pause * 2, 5.0)

    async def _create_pool(self) -> "asyncpg.Pool[asyncpg.Record]":
        pool: asyncpg.Pool[asyncpg.Record] = await asyncpg.create_pool(
            self._url,
            min_size=1,
            max_size=self._max_connections,
            command_timeout=COMMAND_TIMEOUT_SECONDS,
            timeout=5,
            max_inactive_connection_lifetime=300,
            init=_set_codecs,
            server_settings={
                "application_name": self._application_name,
                "statement_timeout": "10s",
                "lock_timeout": "5s",
                "idle_in_transaction_session_timeout": "30s",
                "tcp_keepalives_idle": "10",
                "timezone": "UTC",
            },
        )
        return pool

    @asynccontextmanager
    async def acquire(self) -> AsyncIterator[Connection]:
        """A connection, waited for at most 5 seconds (TimeoutError).

        After an error of the connection itself the other pooled ones are stale too, and are let go.
        """
        pool = self.pool
        try:
            async with pool.acquire(timeout=ACQUIRE_TIMEOUT_SECONDS) as connection:
                yield connection
        except _CONNECTION_LOST:
            await pool.expire_connections()
            raise

    async def is_ready(self) -> bool:
        """Whether a statement is answered within 2 seconds."""
        try:
            async with asyncio.timeout(2), self.acquire() as connection:
                return bool(await connection.fetchval("SELECT true"))
        except ENGINE_DOWN:
            return False

    async def close(self) -> None:
        """Close the pool: 5 seconds for what runs, then by force."""
        if self._pool is None:
            return
        pool, self._pool = self._pool, None
        try:
            await asyncio.wait_for(pool.close(), 5)
        except TimeoutError:
            pool.terminate()


async def _set_codecs(connection: "asyncpg.Connection[asyncpg.Record]") -> None:
    def encode(value: Any) -> str:
        return orjson.dumps(value).decode()

    await connection.set_type_codec("jsonb", encoder=encode, decoder=orjson.loads, schema="pg_catalog")
