"""The record of a running stack in its state folder, for `boxoffice status`, `down` and a second `up`."""

import contextlib
import os
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, Literal

import psutil

from deploy.local.processes import CREATED_TOLERANCE_SECONDS
from deploy.local.state import StateFolder, read_json, write_json

FILE = "stack.json"
Phase = Literal["starting", "ready", "stopping"]


@dataclass(frozen=True)
class ProcessRecord:
    """One process, as its supervisor last saw it."""

    name: str
    condition: str
    pid: int | None
    port: int | None
    ready_url: str
    restarts: int


@dataclass(frozen=True)
class StackRecord:
    """A stack and all its processes."""

    phase: Phase
    pid: int
    created: float
    processes: tuple[ProcessRecord, ...] = ()
    engines: Mapping[str, str] = field(default_factory=dict)
    addresses: Mapping[str, str] = field(default_factory=dict)

    @classmethod
    def of_this_process(cls, phase: Phase) -> "StackRecord":
        return cls(phase, os.getpid(), psutil.Process().create_time())

    def launcher(self) -> psutil.Process | None:
        """The launcher's process, if it still runs."""
        with contextlib.suppress(psutil.Error):
            process = psutil.Process(self.pid)
            if abs(process.create_time() - self.created) < CREATED_TOLERANCE_SECONDS:
                return process
        return None


def write(state: StateFolder, record: StackRecord) -> None:
    """Replace the record."""
    write_json(state.path / FILE, asdict(record))


def read(state: StateFolder) -> StackRecord | None:
    """The record of a stack whose launcher runs; None if nothing runs here."""
    content: dict[str, Any] = read_json(state.path / FILE)
    if not content:
        return None
    processes = tuple(ProcessRecord(**process) for process in content.pop("processes", ()))
    record = StackRecord(**content, processes=processes)
    return record if record.launcher() else None


@contextlib.contextmanager
def recorded(state: StateFolder) -> Iterator[None]:
    """Keep a record while the block runs, and none after it."""
    write(state, StackRecord.of_this_process("starting"))
    try:
        yield
    finally:
        (state.path / FILE).unlink(missing_ok=True)
