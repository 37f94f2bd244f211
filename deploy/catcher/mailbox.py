"""Keeps what came: in memory within bounds, and in a file of JSON lines so that a restart keeps it."""

import asyncio
import base64
import time
from collections.abc import Callable
from pathlib import Path
from typing import BinaryIO

import orjson

from deploy.catcher.mail import Mail, read_mail


class MailboxError(RuntimeError):
    """The data file cannot be read or written."""


class Mailbox:
    """All mails, oldest first. The oldest make room for new ones."""

    def __init__(self, path: str, *, max_messages: int, max_bytes: int) -> None:
        """Load the file at `path`; without one everything is forgotten at the end. Raises `MailboxError`."""
        self._path = Path(path) if path else None
        self._file: BinaryIO | None = None
        self._max_messages = max_messages
        self._max_bytes = max_bytes
        self._bytes = 0
        self._lines = 0
        self._last_id = 0
        self._changed = asyncio.Event()
        self.mails: dict[int, Mail] = {}
        if self._path is not None:
            try:
                self._load(self._path)
                # One rewrite at the start drops a line cut off by a kill, and what no longer has a place.
                self._rewrite()
            except OSError as error:
                raise MailboxError(f"CATCHER_DATA_FILE {path}: {error.strerror or error}") from error

    def add(self, *, to: str, sender: str, raw: bytes) -> Mail:
        """Keep a mail; it survives the death of the process once this returns. Raises `MailboxError`."""
        self._last_id += 1
        mail = read_mail(self._last_id, to=to, sender=sender, received_at=time.time(), raw=raw)
        try:
            if self._file is not None:
                self._file.write(_line(mail))
                self._file.flush()
                self._lines += 1
            self._keep(mail)
            if self._lines > 2 * max(len(self.mails), 1_000):
                self._rewrite()
        except OSError as error:
            raise MailboxError(f"the mail cannot be kept: {error.strerror or error}") from error
        self._ring()
        return mail

    def clear(self) -> int:
        """Forget everything and return how many there were. Raises `MailboxError`."""
        count = len(self.mails)
        self.mails.clear()
        self._bytes = 0
        try:
            self._rewrite()
        except OSError as error:
            raise MailboxError(f"the file cannot be emptied: {error.strerror or error}") from error
        self._ring()
        return count

    def find(self, keep: Callable[[Mail], bool]) -> list[Mail]:
        """List the mails that `keep` wants, oldest first."""
        return [mail for mail in self.mails.values() if keep(mail)]

    async def wait(self, keep: Callable[[Mail], bool], count: int, timeout_seconds: float) -> list[Mail]:
        """Return the wanted mails once there are `count` of them, or what there is after `timeout_seconds`."""
        try:
            async with asyncio.timeout(timeout_seconds):
                while len(found := self.find(keep)) < count:
                    await self._changed.wait()
        except TimeoutError:
            return self.find(keep)
        return found

    def close(self) -> None:
        """Close the file."""
        if self._file is not None:
            self._file.close()
            self._file = None

    def _ring(self) -> None:
        changed, self._changed = self._changed, asyncio.Event()
        changed.set()

    def _keep(self, mail: Mail) -> None:
        self.mails[mail.id] = mail
        self._bytes += len(mail.raw)
        while len(self.mails) > 1 and (len(self.mails) > self._max_messages or self._bytes > self._max_bytes):
            dropped = self.mails.pop(next(iter(self.mails)))
            self._bytes -= len(dropped.raw)

    def _load(self, path: Path) -> None:
        if not path.exists():
            return
        with path.open("rb") as lines:
            for line in lines:
                mail = _read_line(line)
                if mail is not None:
                    self._last_id = max(self._last_id, mail.id)
                    self._keep(mail)

    def _rewrite(self) -> None:
        if self._path is None:
            return
        self.close()
        new = self._path.with_name(self._path.name + ".new")
        with new.open("wb") as file:
            file.writelines(_line(mail) for mail in self.mails.values())
        new.replace(self._path)
        self._file = self._path.open("ab")
        self._lines = len(self.mails)


def _line(mail: Mail) -> bytes:
    return orjson.dumps(
        {
            "id": mail.id,
            "to": mail.to,
            "sender": mail.sender,
            "received_at": mail.received_at,
            "raw": base64.b64encode(mail.raw).decode(),
        },
        option=orjson.OPT_APPEND_NEWLINE,
    )


def _read_line(line: bytes) -> Mail | None:
    try:
        row = orjson.loads(line)
        return read_mail(
            row["id"],
            to=row["to"],
            sender=row["sender"],
            received_at=row["received_at"],
            raw=base64.b64decode(row["raw"]),
        )
    except (orjson.JSONDecodeError, KeyError, TypeError, ValueError):
        return None
