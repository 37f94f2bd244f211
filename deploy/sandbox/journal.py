"""The file behind the ledger: one SQLite table, one commit for everything that waits.

`synchronous=OFF` is enough because only the death of the process must be survived, not that of the machine.
"""

import asyncio
import sqlite3
from collections.abc import Iterator

import orjson

from deploy.sandbox.model import KINDS, Record

_NAMES = {record: kind for kind, record in KINDS.items()}


class JournalError(RuntimeError):
    """The data file cannot be read or written."""


class Journal:
    """Keeps the newest value of each record. Without a path it keeps nothing."""

    def __init__(self, path: str) -> None:
        """Open or create the file at `path`. Raises `JournalError`."""
        self._dirty: dict[int, Record | None] = {}
        self._batch: asyncio.Future[None] | None = None
        self._failure: Exception | None = None
        self._file: sqlite3.Connection | None = None
        if not path:
            return
        try:
            self._file = sqlite3.connect(path, timeout=1, isolation_level=None)
            # Exclusive: two sandboxes on one file would overwrite each other's ledger.
            for pragma in ("locking_mode=EXCLUSIVE", "journal_mode=WAL", "synchronous=OFF"):
                self._file.execute(f"PRAGMA {pragma}")
            self._file.execute(
                "CREATE TABLE IF NOT EXISTS records (id INTEGER PRIMARY KEY, kind TEXT NOT NULL, body BLOB NOT NULL)"
            )
        except sqlite3.Error as error:
            raise JournalError(f"SANDBOX_DATA_FILE {path}: {error}") from error

    def load(self) -> Iterator[Record]:
        """Yield every record in the order of its id."""
        if self._file is None:
            return
        for kind, body in self._file.execute("SELECT kind, body FROM records ORDER BY id"):
            yield KINDS[kind](**orjson.loads(body))

    def mark(self, record: Record) -> None:
        """Note a new value; it is committed together with everything else noted in this turn of the loop."""
        if self._file is not None:
            self._dirty[record.id] = record
            self._schedule()

    def forget(self, record_id: int) -> None:
        """Note that a record is to be removed."""
        if self._file is not None:
            self._dirty[record_id] = None
            self._schedule()

    async def saved(self) -> None:
        """Wait until everything noted so far would survive the death of this process. Raises `JournalError`."""
        if self._batch is not None:
            await asyncio.shield(self._batch)
        if self._failure is not None:
            raise JournalError(f"the data file cannot be written: {self._failure}") from self._failure

    def close(self) -> None:
        """Commit what is left and close the file."""
        if self._file is not None:
            if self._dirty:
                self._commit()
            self._file.close()
            self._file = None

    def _schedule(self) -> None:
        if self._batch is None:
            loop = asyncio.get_running_loop()
            self._batch = loop.create_future()
            loop.call_soon(self._commit)

    def _commit(self) -> None:
        batch, self._batch = self._batch, None
        if self._file is not None:
            try:
                self._write(self._file, self._dirty)
                self._dirty = {}
                self._failure = None
            except sqlite3.Error as error:
                self._failure = error
        if batch is not None and not batch.done():
            batch.set_result(None)

    @staticmethod
    def _write(file: sqlite3.Connection, dirty: dict[int, Record | None]) -> None:
        rows = [(r.id, _NAMES[type(r)], orjson.dumps(r)) for r in dirty.values() if r is not None]
        gone = [(record_id,) for record_id, r in dirty.items() if r is None]
        file.execute("BEGIN")
        try:
            file.executemany("INSERT OR REPLACE INTO records (id, kind, body) VALUES (?, ?, ?)", rows)
            file.executemany("DELETE FROM records WHERE id = ?", gone)
            file.execute("COMMIT")
        except sqlite3.Error:
            file.execute("ROLLBACK")
            raise
