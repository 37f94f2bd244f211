"""What a gate device writes down: each admission in a file of its own, on the disk before the guest is let in.

One JSON object a line, only ever appended to. A device that is killed or loses power in the middle of a line has not
said "admitted" yet; the half line is dropped when the file is opened again. Damage anywhere else is refused loudly.
"""

import fcntl
import os
from collections.abc import Callable, Collection
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from types import TracebackType
from typing import Any, Self
from uuid import UUID

import orjson

from services.ticketing.device import FirstAdmission, Verdict, check_ticket
from services.ticketing.pack import Pack


class JournalError(Exception):
    """The journal cannot be used; the text says why."""


@dataclass(frozen=True, slots=True)
class JournalAdmission:
    """An admission as this device wrote it down."""

    admission_id: UUID
    event_id: UUID
    code: str
    gate: str
    who: str
    admitted_at: datetime


class Journal:
    """The file, held for one process. Use it as a context manager."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._admissions: dict[UUID, JournalAdmission] = {}
        self._synced: set[UUID] = set()
        self._descriptor = -1

    def __enter__(self) -> Self:
        is_new = not self._path.exists()
        self._descriptor = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o600)
        try:
            fcntl.flock(self._descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(self._descriptor)
            raise JournalError(f"{self._path} is in use by another process of this device") from None
        if is_new:
            _sync_folder(self._path.parent)
        self._read()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        os.close(self._descriptor)

    def admit(
        self, pack: Pack, text: str, *, gate: str, who: str, now: datetime, new_id: Callable[[], UUID]
    ) -> Verdict:
        """Check a ticket; where it lets in, the admission is on the disk when this returns."""
        verdict = check_ticket(pack, text, now=now, admitted=self.admitted(pack.event.id))
        if verdict.lets_in:
            self._write_admission(JournalAdmission(new_id(), pack.event.id, str(verdict.code), gate, who, now))
        return verdict

    def admitted(self, event_id: UUID) -> dict[str, FirstAdmission]:
        """By code, where and when this device let tickets of an event in."""
        return {
            one.code: FirstAdmission(one.gate, one.admitted_at)
            for one in self._admissions.values()
            if one.event_id == event_id
        }

    def waiting(self) -> list[JournalAdmission]:
        """What ticketing has not confirmed yet, oldest first."""
        return [one for admission_id, one in self._admissions.items() if admission_id not in self._synced]

    def mark_synced(self, admission_ids: Collection[UUID]) -> None:
        """Ticketing has these."""
        known = [admission_id for admission_id in admission_ids if admission_id in self._admissions]
        self._append({"kind": "synced", "admission_ids": known})
        self._synced.update(known)

    def _write_admission(self, one: JournalAdmission) -> None:
        fields = {name: getattr(one, name) for name in one.__slots__}
        self._append({"kind": "admission", **fields})
        self._admissions[one.admission_id] = one

    def _append(self, document: dict[str, Any]) -> None:
        line = orjson.dumps(document) + b"\n"
        end = os.fstat(self._descriptor).st_size
        try:
            written = os.write(self._descriptor, line)
            os.fsync(self._descriptor)
        except OSError as error:
            raise JournalError(f"{self._path} cannot be written: {error.strerror}") from error
        if written != len(line):
            # Half a line would spoil the next one.
            os.ftruncate(self._descriptor, end)
            raise JournalError(f"{self._path} cannot be written: the disk is full")

    def _read(self) -> None:
        content = self._path.read_bytes()
        end = content.rfind(b"\n") + 1
        if end < len(content):
            os.ftruncate(self._descriptor, end)
            os.fsync(self._descriptor)
        for number, line in enumerate(content[:end].splitlines(), start=1):
            try:
                self._take(orjson.loads(line))
            except (ValueError, KeyError, TypeError):
                raise JournalError(f"{self._path}, line {number}, is damaged; keep the file and ask a person") from None

    def _take(self, document: dict[str, Any]) -> None:
        if document["kind"] == "synced":
            self._synced.update(UUID(one) for one in document["admission_ids"])
            return
        one = JournalAdmission(
            admission_id=UUID(document["admission_id"]),
            event_id=UUID(document["event_id"]),
            code=str(document["code"]),
            gate=str(document["gate"]),
            who=str(document["who"]),
            admitted_at=datetime.fromisoformat(document["admitted_at"]),
        )
        self._admissions[one.admission_id] = one


def _sync_folder(folder: Path) -> None:
    # A new file's name is on the disk only once its folder is.
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
