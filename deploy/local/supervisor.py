"""Keeps processes running: starts them, watches them, starts them again with growing pauses, stops them in order."""

import asyncio
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum

import aiohttp

from deploy.local.errors import LocalError
from deploy.local.logs import explain_log
from deploy.local.processes import Child, spawn
from deploy.local.state import StateFolder

STEP_SECONDS = 0.05
FIRST_PAUSE_SECONDS = 0.5
LONGEST_PAUSE_SECONDS = 30.0
STEADY_SECONDS = 60.0
"""Who ran this long without ending begins again with the shortest pause."""
TRIES_BEFORE_READY = 3
EXIT_SETTINGS = 2
"""How a service ends when a setting is wrong or missing; starting it again would not help."""
PROBE_SECONDS = 3.0


class Condition(StrEnum):
    """What a process is doing, as far as its supervisor knows."""

    STARTING = "starting"
    RUNNING = "running"
    PAUSING = "pausing"
    STOPPED = "stopped"


@dataclass(frozen=True)
class Program:
    """A process to keep running. `ready_url` answers 200 once it can do its work."""

    name: str
    command: Sequence[str]
    environment: Mapping[str, str]
    port: int
    ready_url: str
    grace_seconds: float = 30.0
    """How long it may take to end after SIGTERM."""


@dataclass
class Kept:
    """A program and how it fares."""

    program: Program
    condition: Condition = Condition.STARTING
    child: Child | None = None
    restarts: int = 0
    was_ready: bool = False
    ended_with: int | None = None
    started_at: float = field(default_factory=time.monotonic)


Say = Callable[[str], None]


class Supervisor:
    """Keeps a group of programs running until it is told to stop."""

    def __init__(self, state: StateFolder, programs: Sequence[Program], say: Say, changed: Callable[[], None]) -> None:
        """`say` gets sentences for a person; `changed` is called whenever a process starts or ends."""
        self._state = state
        self._say = say
        self._changed = changed
        self._stopping = asyncio.Event()
        self._tasks: list[asyncio.Task[None]] = []
        self.kept = [Kept(program) for program in programs]

    def start(self) -> None:
        """Start all of them at once; each is then watched by a task of its own."""
        self._tasks = [asyncio.create_task(self._keep(kept), name=kept.program.name) for kept in self.kept]

    async def wait_until_ready(self, timeout_seconds: float) -> None:
        """Return when every program has answered its probe. Raises LocalError that names who did not, and why."""
        deadline = time.monotonic() + timeout_seconds
        async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=PROBE_SECONDS)) as session:
            await asyncio.gather(*(self._wait_for(kept, session, deadline) for kept in self.kept))

    async def stop(self) -> None:
        """Ask all to end, wait for each one's grace, kill who is left. Safe to call twice."""
        self._stopping.set()
        for kept in self.kept:
            if kept.child and kept.child.alive():
                kept.child.ask_to_stop()
        await asyncio.gather(*(self._end(kept) for kept in self.kept))
        await asyncio.gather(*self._tasks)

    def kill(self) -> None:
        """End all at once, without their drain."""
        for kept in self.kept:
            if kept.child:
                kept.child.kill()

    async def _keep(self, kept: Kept) -> None:
        pause = FIRST_PAUSE_SECONDS
        while not self._stopping.is_set():
            self._start(kept)
            await self._wait_for_end(kept)
            if self._stopping.is_set():
                break
            if time.monotonic() - kept.started_at > STEADY_SECONDS:
                pause = FIRST_PAUSE_SECONDS
            self._report_end(kept, pause)
            await self._pause(pause)
            pause = min(pause * 2, LONGEST_PAUSE_SECONDS)
            kept.restarts += 1
        kept.condition = Condition.STOPPED
        self._changed()

    def _start(self, kept: Kept) -> None:
        program = kept.program
        kept.started_at = time.monotonic()
        kept.child = spawn(self._state, program.name, program.command, environment=program.environment)
        kept.condition = Condition.RUNNING
        self._changed()

    async def _wait_for_end(self, kept: Kept) -> None:
        assert kept.child is not None
        while kept.child.alive():  # noqa: ASYNC110 - a child that is no asyncio child announces its end to nobody
            await asyncio.sleep(STEP_SECONDS)
        kept.ended_with = kept.child.process.returncode

    def _report_end(self, kept: Kept, pause: float) -> None:
        kept.condition = Condition.PAUSING
        self._changed()
        log = self._state.logs / f"{kept.program.name}.log"
        self._say(
            f"{kept.program.name} ended ({describe_exit(kept.ended_with)}); it starts again in {pause:g} s. Log: {log}"
        )

    async def _pause(self, seconds: float) -> None:
        try:
            async with asyncio.timeout(seconds):
                await self._stopping.wait()
        except TimeoutError:
            return

    async def _wait_for(self, kept: Kept, session: aiohttp.ClientSession, deadline: float) -> None:
        answer = "no answer yet"
        while True:
            answer = await probe(session, kept.program.ready_url)
            if not answer and kept.child and kept.child.alive():
                kept.was_ready = True
                self._changed()
                return
            if kept.ended_with == EXIT_SETTINGS:
                raise LocalError(f"{kept.program.name} refuses its settings. {self._explain(kept)}")
            if kept.restarts >= TRIES_BEFORE_READY:
                raise LocalError(f"{kept.program.name} does not stay up. {self._explain(kept)}")
            if time.monotonic() > deadline:
                raise LocalError(f"{kept.program.name} did not become ready in time ({answer}). {self._explain(kept)}")
            await asyncio.sleep(STEP_SECONDS * 2)

    def _explain(self, kept: Kept) -> str:
        return explain_log(self._state.logs / f"{kept.program.name}.log")

    async def _end(self, kept: Kept) -> None:
        deadline = time.monotonic() + kept.program.grace_seconds
        while kept.child and kept.child.alive():
            if time.monotonic() > deadline:
                self._say(f"{kept.program.name} did not end within {kept.program.grace_seconds:g} s and is killed.")
                kept.child.kill()
            await asyncio.sleep(STEP_SECONDS)


async def probe(session: aiohttp.ClientSession, url: str) -> str:
    """Empty if the URL answers 200; else what it answered, in short."""
    try:
        async with session.get(url) as response:
            if response.status == 200:
                return ""
            return f"{response.status}: {' '.join((await response.text())[:200].split())}"
    except (aiohttp.ClientError, TimeoutError, OSError) as error:
        return type(error).__name__


def describe_exit(code: int | None) -> str:
    """An exit code in words; negative is a signal, as `subprocess` has it."""
    if code is None:
        return "unknown how"
    return f"signal {-code}" if code < 0 else f"exit code {code}"
