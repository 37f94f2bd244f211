"""Which database errors mean that the engine is away, and which that two transactions met."""

import asyncpg

#: The engine cannot be reached, is going down or coming up, or was made read-only by a fail-over. Nothing is wrong
#: with the work; it waits. InterfaceError is here since asyncpg masks a lost connection inside a transaction block.
ENGINE_DOWN: tuple[type[BaseException], ...] = (
    ConnectionError,
    OSError,
    TimeoutError,
    asyncpg.InterfaceError,
    asyncpg.InternalClientError,
    asyncpg.PostgresConnectionError,
    asyncpg.CannotConnectNowError,
    asyncpg.AdminShutdownError,
    asyncpg.CrashShutdownError,
    asyncpg.TooManyConnectionsError,
    asyncpg.ReadOnlySQLTransactionError,
    asyncpg.OutOfMemoryError,
    asyncpg.DiskFullError,
    asyncpg.InvalidCatalogNameError,
)

#: Two transactions stood in each other's way, or the schema changed under a cached statement: run it again.
CONTENTION: tuple[type[BaseException], ...] = (
    asyncpg.DeadlockDetectedError,
    asyncpg.SerializationError,
    asyncpg.LockNotAvailableError,
    asyncpg.InvalidCachedStatementError,
    asyncpg.QueryCanceledError,
)

#: Everything that waiting mends.
PASSING: tuple[type[BaseException], ...] = (*ENGINE_DOWN, *CONTENTION)

#: A value that this database can never hold, such as a NUL in a text: trying again gives the same.
UNSTORABLE: tuple[type[BaseException], ...] = (asyncpg.DataError,)
