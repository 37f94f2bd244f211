"""What the commands of the local stack show to a person, or to a program."""

import asyncio
import json
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Self

import aiohttp
from rich.console import Console
from rich.table import Table

from deploy.local import status
from deploy.local.plan import Secrets
from deploy.local.provisioning import stack_secrets
from deploy.local.stack import Summary, read_operator_file
from deploy.local.state import StateFolder
from deploy.local.supervisor import PROBE_SECONDS, probe

COLOURS = {"ready": "green", "not ready": "yellow", "pausing": "red", "stopped": "red"}


class Progress:
    """Lines as things happen; on a terminal with a spinner below them. For a program they go to stderr."""

    def __init__(self, *, as_json: bool = False) -> None:
        self._console = Console(soft_wrap=True, highlight=False, stderr=as_json)
        self._spinner = self._console.status("Starting") if self._console.is_terminal else None

    def __enter__(self) -> Self:
        if self._spinner:
            self._spinner.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._spinner:
            self._spinner.stop()

    def say(self, text: str) -> None:
        """One line, at once."""
        self._console.print(text, markup=False)
        if self._spinner:
            self._spinner.update(text.splitlines()[0])

    def ready(self, summary: Summary) -> None:
        """Everything is up: where it is, and the keys to it."""
        if self._spinner:
            self._spinner.stop()
        table = Table(box=None, show_header=False, padding=(0, 2, 0, 2))
        for name, address in summary.addresses.items():
            table.add_row(name, address)
        table.add_row("Demo event", summary.event_id)
        for role, token in tokens_of(summary.secrets).items():
            table.add_row(f"Token of the {role}", token)
        self._console.print()
        self._console.print("Boxoffice is ready.", style="bold green")
        self._console.print(table)
        if self._spinner:
            self._console.print("Ctrl-C stops all of it.", style="dim")


def tokens_of(secrets: Secrets) -> dict[str, str]:
    """The bearer token of each role."""
    return {
        "organiser": secrets.organiser_token,
        "operator": secrets.operator_token,
        "gate": secrets.gate_token,
        "supervisor": secrets.supervisor_token,
    }


def print_stack(state: StateFolder, *, already_running: bool = False) -> None:
    """One JSON object with all that a program needs to talk to the stack in this folder."""
    tokens = tokens_of(stack_secrets(state))
    print(json.dumps({**read_operator_file(state), "tokens": tokens, "already_running": already_running}), flush=True)


@dataclass(frozen=True)
class ProcessState:
    """One process as it is now."""

    name: str
    state: str
    pid: int | None
    port: int | None
    restarts: int
    note: str


@dataclass(frozen=True)
class StackState:
    """The stack as it is now."""

    phase: str
    pid: int | None
    processes: tuple[ProcessState, ...]

    @property
    def running(self) -> bool:
        return self.pid is not None

    @property
    def all_ready(self) -> bool:
        return self.phase == "ready" and all(process.state == "ready" for process in self.processes)

    def to_json(self) -> dict[str, Any]:
        """One object with everything the table shows."""
        processes = [vars(process) for process in self.processes]
        return {"phase": self.phase, "pid": self.pid, "ready": self.all_ready, "processes": processes}

    def show(self) -> None:
        """A table, or a sentence if nothing runs."""
        console = Console(highlight=False)
        if not self.running:
            console.print("Boxoffice is not running. Start it with: boxoffice up")
            return
        table = Table(box=None, padding=(0, 2, 0, 0))
        for heading in ("process", "state", "pid", "port", "restarts", ""):
            table.add_column(heading)
        for process in self.processes:
            colour = COLOURS.get(process.state, "")
            numbers = (_text(process.pid), _text(process.port), str(process.restarts))
            table.add_row(
                process.name, f"[{colour}]{process.state}[/]" if colour else process.state, *numbers, process.note
            )
        console.print(table)
        phase = "up, but not all of it is ready" if self.phase == "ready" and not self.all_ready else self.phase
        console.print(f"The stack is {phase} (launcher: process {self.pid}).")


def look(state: StateFolder) -> StackState:
    """Read the record of the stack and ask each process whether it is ready."""
    record = status.read(state)
    if record is None:
        return StackState("not running", None, ())
    return StackState(record.phase, record.pid, asyncio.run(_ask_all(record.processes)))


async def _ask_all(records: tuple[status.ProcessRecord, ...]) -> tuple[ProcessState, ...]:
    async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=PROBE_SECONDS)) as session:
        return tuple(await asyncio.gather(*(_ask(record, session) for record in records)))


async def _ask(record: status.ProcessRecord, session: aiohttp.ClientSession) -> ProcessState:
    state, note = record.condition, ""
    if state == "running" and not record.ready_url:
        state = "ready"
    elif state == "running":
        note = await probe(session, record.ready_url)
        state = "not ready" if note else "ready"
    return ProcessState(record.name, state, record.pid, record.port, record.restarts, note)


def show_already_running(state: StateFolder) -> None:
    """What a second `up` says."""
    record = status.read(state)
    console = Console(soft_wrap=True, highlight=False)
    console.print(f"Boxoffice is already running in {state.path}.", markup=False)
    for name, address in (record.addresses if record else {}).items():
        console.print(f"  {name}: {address}", markup=False)
    console.print("`boxoffice status` shows its processes, `boxoffice down` stops it.", markup=False)


def _text(number: int | None) -> str:
    return "" if number is None else str(number)
