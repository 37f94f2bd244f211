"""One resolver for PostgreSQL and RabbitMQ, used by `boxoffice up` and by the tests.

Each engine is looked for in this order: given by a URL, on the machine, unpacked under the project, in a container.
`BOXOFFICE_ENGINES` names the way to try first. What is found is always real, and private to one state folder.
"""

import contextlib
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, Protocol

from deploy.local import given, unpack
from deploy.local import postgres as postgres_engine
from deploy.local import rabbitmq_find as rabbit_finder
from deploy.local.errors import EngineMissingError, LocalError
from deploy.local.postgres import PostgresServer
from deploy.local.processes import Guard, marked, tidy_up
from deploy.local.rabbitmq import RabbitNode
from deploy.local.state import StateFolder
from deploy.machine import install_hints

Way = Literal["given", "machine", "unpacked", "containers"]
EngineName = Literal["postgres", "rabbitmq"]
WAYS: tuple[Way, ...] = ("given", "machine", "unpacked", "containers")
ENGINES: tuple[EngineName, ...] = ("postgres", "rabbitmq")
Progress = Callable[[str], None]
ORIGINS: dict[Way, str] = {"machine": "installed on this machine", "unpacked": "unpacked for this project"}


class Engine(Protocol):
    """What every way of having an engine offers."""

    @property
    def url(self) -> str:
        """The URL for the engine's administrator; valid after `start`."""

    @property
    def pid(self) -> int | None:
        """The engine's process; None if it is not ours or does not run."""

    def has_ended(self) -> bool:
        """Whether it was started and ended by itself; never true of one that is not our process."""

    def start(self) -> None:
        """Start it and wait until it answers. Raises LocalError."""

    def stop(self) -> None:
        """Stop it cleanly, within a bound."""

    def kill(self) -> None:
        """End it as a power cut would."""


@dataclass(frozen=True)
class Choice:
    """An engine, the way it was found, and a sentence about it."""

    engine: Engine
    way: Way
    description: str


@dataclass(frozen=True)
class Search:
    """For whom engines are looked for, and by which settings."""

    state: StateFolder
    durable: bool
    settings: Mapping[str, str]
    progress: Progress


class Engines:
    """The engines of one state folder, running. Asking for one that was not needed is a KeyError."""

    def __init__(self, choices: Mapping[EngineName, Choice], guard: Guard) -> None:
        self._choices = dict(choices)
        self._guard = guard

    @property
    def chosen(self) -> dict[EngineName, Way]:
        """The way by which each engine was found."""
        return {name: choice.way for name, choice in self._choices.items()}

    @property
    def descriptions(self) -> dict[str, str]:
        """A sentence about each engine."""
        return {name: choice.description for name, choice in self._choices.items()}

    @property
    def postgres(self) -> Engine:
        return self._choices["postgres"].engine

    @property
    def rabbitmq(self) -> Engine:
        return self._choices["rabbitmq"].engine

    @property
    def database_url(self) -> str:
        """The administrator's database URL. Read it again after a restart of the engine."""
        return self.postgres.url

    @property
    def amqp_url(self) -> str:
        """The broker's URL. Read it again after a restart of the engine."""
        return self.rabbitmq.url

    def by_name(self) -> dict[EngineName, Engine]:
        """The engines that were needed."""
        return {name: choice.engine for name, choice in self._choices.items()}

    def stop(self) -> None:
        """Stop both and everything they started. May be called twice."""
        for name in reversed(ENGINES):
            if name in self._choices:
                self._choices[name].engine.stop()
        self._guard.close()


def start_engines(
    state: StateFolder,
    *,
    durable: bool,
    remove_state: bool = False,
    needed: Sequence[EngineName] = ENGINES,
    environment: Mapping[str, str] | None = None,
    progress: Progress = lambda _: None,
) -> Engines:
    """Find and start the needed engines; returns when each accepts our login.

    `durable` False trades safety at a power cut for speed (tests). `remove_state` removes the folder at the end, even
    if this process is killed. Raises LocalError with what to install, or what else to do.
    """
    search = Search(state, durable, os.environ if environment is None else environment, progress)
    state.create()
    tidy_up(state, progress)
    guard = Guard(state, remove_state=remove_state)
    choices: dict[EngineName, Choice] = {}
    try:
        for name in needed:
            choices[name] = _find_and_start(name, search)
    except BaseException:
        with contextlib.suppress(Exception):
            Engines(choices, guard).stop()
        raise
    return Engines(choices, guard)


def ways_in_order(settings: Mapping[str, str]) -> tuple[Way, ...]:
    """All ways, the one that `BOXOFFICE_ENGINES` names first. Raises LocalError for an unknown name."""
    preferred = settings.get("BOXOFFICE_ENGINES", "").strip()
    if not preferred:
        return WAYS
    if preferred not in WAYS:
        raise LocalError(f"BOXOFFICE_ENGINES is {preferred!r}; it must be one of {', '.join(WAYS)}.")
    return tuple(sorted(WAYS, key=lambda way: way != preferred))


def _find_and_start(name: EngineName, search: Search) -> Choice:
    reasons: list[str] = []
    for way in ways_in_order(search.settings):
        try:
            choice = _find(name, way, search)
        except EngineMissingError as reason:
            reasons.append(f"{way}: {reason}")
            continue
        search.progress(f"Starting {choice.description}")
        choice.engine.start()
        return choice
    raise LocalError(install_hints.no_engine(name, reasons))


def _find(name: EngineName, way: Way, search: Search) -> Choice:
    if way == "given":
        return _given(name, search.settings)
    if way == "containers":
        # The Docker client is slow to import and rarely needed.
        from deploy.local import containers  # noqa: PLC0415

        engine = containers.find(name, search.state, durable=search.durable)
        return Choice(engine, way, f"{given.LABELS[name]} in a container")
    return _postgres(way, search) if name == "postgres" else _rabbit(way, search)


def _postgres(way: Way, search: Search) -> Choice:
    binaries = postgres_engine.find_on_machine() if way == "machine" else postgres_engine.find_in_wheel()
    server = PostgresServer(search.state, binaries, durable=search.durable)
    return Choice(server, way, f"PostgreSQL {binaries.version} ({ORIGINS[way]}; data in {server.data_folder})")


def _rabbit(way: Way, search: Search) -> Choice:
    if way == "machine":
        binaries = rabbit_finder.find_on_machine()
    else:
        binaries = unpack.find_rabbitmq(search.progress, marks=marked(search.state))
    return Choice(RabbitNode(search.state, binaries), way, f"RabbitMQ {binaries.version} ({ORIGINS[way]})")


def _given(name: EngineName, settings: Mapping[str, str]) -> Choice:
    variable = install_hints.URLS[name]
    url = settings.get(variable, "").strip()
    if not url:
        raise EngineMissingError(f"{variable} is not set")
    engine = given.GivenPostgres(url) if name == "postgres" else given.GivenRabbit(url)
    return Choice(engine, "given", f"the {given.LABELS[name]} of {variable}")
