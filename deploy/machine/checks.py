"""The checks themselves. Each looks at one thing and returns what it found, in plain words and with what to do."""

from __future__ import annotations

import contextlib
import fcntl
import importlib
import json
import os
import pwd
import resource
import shutil
import sys
from collections.abc import Callable, Container, Iterable, Iterator, Mapping
from pathlib import Path

from deploy.local.errors import LocalError
from deploy.machine import engine_homes, install_hints
from deploy.machine.docker_ping import why_no_engine_answers
from deploy.machine.findings import GOOD, PROBLEM, WARNING, Finding
from deploy.machine.listeners import find_owner, is_free
from deploy.machine.needs import (
    DISK_BYTES,
    INSTALL_BYTES,
    MEBIBYTE,
    MEMORY_BYTES,
    OPEN_FILES,
    OPEN_FILES_WANTED,
    PORTS,
    PYTHON_NEWEST,
    PYTHON_OLDEST,
    RABBITMQ_OLDEST,
    UNUSABLE_IN_PATHS,
    chosen_port,
    read_port_offset,
)

MEMORY_FILE = Path("/proc/meminfo")
ENOUGH_DISK_REMEDY = "Free some, or set BOXOFFICE_STATE_DIR to a folder on another disk."
PORT_REMEDY = (
    "End that process, or move the whole stack: BOXOFFICE_PORT_OFFSET=1000 adds 1000 to every port "
    "(and BOXOFFICE_STATE_DIR gives a second stack a folder of its own)."
)


def check_python(version: tuple[int, ...] = sys.version_info[:3], program: str = sys.executable) -> Finding:
    """Whether this Python is one we are tested with."""
    text = f"Python {'.'.join(str(part) for part in version)} ({program})"
    if PYTHON_OLDEST <= version[:2] <= PYTHON_NEWEST:
        return Finding("Python", GOOD, f"{text}.")
    age = "older" if version[:2] < PYTHON_OLDEST else "newer"
    oldest, newest = (".".join(str(part) for part in bound) for bound in (PYTHON_OLDEST, PYTHON_NEWEST))
    remedy = f"Install one of those ({install_hints.command_for('python')}), or name it: make PYTHON=/path/to/python3.x"
    return Finding("Python", PROBLEM, f"{text} is {age} than what Boxoffice runs on, {oldest} to {newest}.", remedy)


def check_venv() -> Finding:
    """Whether this Python can make a virtual environment with pip in it. Debian packs that apart."""
    missing = [name for name in ("venv", "ensurepip") if not _can_import(name)]
    if not missing:
        return Finding("venv", GOOD, "A virtual environment with pip can be made.")
    names = " and ".join(f"`{name}`" for name in missing)
    text = f"This Python ({sys.executable}) came without {names}, so no virtual environment can be made."
    return Finding("venv", PROBLEM, text, f"Install it: {install_hints.command_for('venv')}")


def _can_import(name: str) -> bool:
    try:
        importlib.import_module(name)
    except ImportError:
        return False
    return True


def check_user(environment: Mapping[str, str]) -> Finding:
    """Whether this user has a name. In containers a number is often all there is, and initdb does not take that."""
    try:
        name = pwd.getpwuid(os.geteuid()).pw_name
    except KeyError:
        text = f"This user, number {os.geteuid()}, has no name on this system, and PostgreSQL's initdb insists on one."
        remedy = "Run as a user of /etc/passwd, or set BOXOFFICE_DATABASE_URL to a server that you have."
        level = GOOD if environment.get("BOXOFFICE_DATABASE_URL", "").strip() else PROBLEM
        return Finding("user", level, text, remedy)
    return Finding("user", GOOD, f"Runs as {name}.")


def check_folder(subject: str, folder: Path) -> Finding:
    """Whether we may write there, and RabbitMQ can live with its name."""
    unusable = sorted(set(str(folder)) & UNUSABLE_IN_PATHS)
    if unusable:
        text = f"RabbitMQ cannot run in {folder}: its path contains {' '.join(unusable)}"
        return Finding(subject, PROBLEM, text, "Move the project, or set BOXOFFICE_STATE_DIR to another folder.")
    if not os.access(nearest_folder(folder), os.W_OK | os.X_OK):
        return Finding(
            subject, PROBLEM, f"The folder {nearest_folder(folder)} is not yours to write in.", "Change that."
        )
    return Finding(subject, GOOD, f"{folder} can be written.")


def nearest_folder(path: Path) -> Path:
    """The folder itself, or the nearest parent that exists."""
    return next(folder for folder in (path, *path.parents) if folder.is_dir())


def check_disk(folder: Path, needed_bytes: int = DISK_BYTES) -> Finding:
    """Whether enough is free on the folder's disk."""
    free = shutil.disk_usage(nearest_folder(folder)).free
    amount = f"The disk of {folder} has {free // MEBIBYTE} MiB free"
    if free >= needed_bytes:
        return Finding("disk", GOOD, f"{amount}.")
    return Finding("disk", PROBLEM, f"{amount}; Boxoffice needs {needed_bytes // MEBIBYTE}.", ENOUGH_DISK_REMEDY)


def check_memory() -> Finding:
    """Whether the machine has memory to spare; nothing can be told on a system without /proc."""
    available = _available_bytes()
    if available is None:
        return Finding("memory", GOOD, f"The whole stack takes about {MEMORY_BYTES // MEBIBYTE} MiB.")
    if available >= MEMORY_BYTES:
        return Finding("memory", GOOD, f"{available // MEBIBYTE} MiB of memory are free.")
    text = (
        f"Only {available // MEBIBYTE} MiB of memory are free; the whole stack takes about "
        f"{MEMORY_BYTES // MEBIBYTE}. It may be slow."
    )
    return Finding("memory", WARNING, text, "Close what you do not need.")


def _available_bytes() -> int | None:
    with contextlib.suppress(OSError, ValueError, IndexError):
        for line in MEMORY_FILE.read_text().splitlines():
            if line.startswith("MemAvailable:"):
                return int(line.split()[1]) * 1024
    return None


def check_open_files() -> Finding:
    """Whether enough files may be open at once. The launcher raises the soft limit itself, up to the hard one."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    reachable = OPEN_FILES_WANTED if hard == resource.RLIM_INFINITY else min(hard, OPEN_FILES_WANTED)
    if reachable >= OPEN_FILES:
        return Finding("open files", GOOD, f"{reachable} files may be open at once.")
    text = f"Only {reachable} files may be open at once; under load that is too few."
    return Finding("open files", WARNING, text, f"Raise it: ulimit -n {OPEN_FILES_WANTED}")


def check_port(purpose: str, port: int, ours: Container[int] = ()) -> Finding:
    """Whether the port is free, and who has it. `ours` are processes that a start ends before it needs the port."""
    if is_free(port):
        return Finding("ports", GOOD, f"Port {port} ({purpose}) is free.")
    owner = find_owner(port)
    if owner is None and is_free(port):
        return Finding("ports", GOOD, f"Port {port} ({purpose}) has just become free.")
    if owner and owner.pid in ours:
        return Finding("ports", GOOD, f"Port {port} ({purpose}) is held by what an interrupted start has left.")
    by = f" by {owner.name} (process {owner.pid})" if owner else " by another process"
    return Finding("ports", PROBLEM, f"Port {port} ({purpose}) is taken{by}.", PORT_REMEDY)


def _left_behind(state: Path) -> set[int]:
    """The processes that the state folder's pid files speak of."""
    pids: set[int] = set()
    for file in (state / "pids").glob("*.json"):
        with contextlib.suppress(OSError, ValueError, KeyError):
            pids.add(int(json.loads(file.read_text())["pid"]))
    return pids


def check_ports(environment: Mapping[str, str], state: Path) -> Iterator[Finding]:
    """Every port of the stack: what is taken one by one, what is free in one line."""
    if is_running(state):
        yield Finding("ports", GOOD, f"A stack is running in {state} and has its ports.")
        return
    try:
        offset = read_port_offset(environment)
    except LocalError as error:
        yield Finding("ports", PROBLEM, str(error))
        return
    ours = _left_behind(state)
    found = [check_port(name, chosen_port(name, environment, offset), ours) for name in PORTS]
    taken = [finding for finding in found if finding.level != GOOD]
    ports = sorted(chosen_port(name, environment, offset) for name in PORTS)
    yield from taken or [Finding("ports", GOOD, f"{', '.join(map(str, ports))} are free.")]


def is_running(state: Path) -> bool:
    """Whether a launcher has this state folder: it holds a lock that the kernel drops when it dies."""
    try:
        with (state / "lock").open() as file:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    except OSError:
        return False
    return False


def check_postgres(environment: Mapping[str, str]) -> Finding:
    """By which way a PostgreSQL will be had."""
    if environment.get("BOXOFFICE_DATABASE_URL", "").strip():
        return Finding("PostgreSQL", GOOD, "The server of BOXOFFICE_DATABASE_URL will be used.")
    folder = next((one for one in engine_homes.postgres_folders() if engine_homes.has_postgres(one)), None)
    if folder:
        return Finding("PostgreSQL", GOOD, f"Programs are installed in {folder}; a private server will be started.")
    if engine_homes.packages_bring_postgres():
        return Finding("PostgreSQL", GOOD, "Comes with the Python packages; a private server will be started.")
    return _container_or_missing("PostgreSQL", "postgres")


def check_rabbitmq(environment: Mapping[str, str]) -> Finding:
    """By which way a RabbitMQ will be had."""
    if environment.get("BOXOFFICE_AMQP_URL", "").strip():
        return Finding("RabbitMQ", GOOD, "The broker of BOXOFFICE_AMQP_URL will be used.")
    found = engine_homes.newest_rabbitmq()
    unusable = _why_unusable(found[0]) if found else ""
    if found and not unusable:
        return Finding("RabbitMQ", GOOD, f"{found[0]} is installed; a private node will be started.")
    if engine_homes.apt_can_unpack():
        text = f"{unusable}The distribution's package will be unpacked under .boxoffice/engines, once, without root."
        return Finding("RabbitMQ", GOOD, text)
    return _container_or_missing("RabbitMQ", "rabbitmq", unusable)


def _why_unusable(version: str) -> str:
    if not engine_homes.rabbitmq_suits(version):
        return f"RabbitMQ {version} is older than {'.'.join(map(str, RABBITMQ_OLDEST))}. "
    return "" if shutil.which("erl") else f"RabbitMQ {version} is here, but Erlang (`erl`) is not on the path. "


def _container_or_missing(subject: str, engine: str, before: str = "") -> Finding:
    if not why_no_engine_answers():
        return Finding(subject, GOOD, f"{before}A container will be used.")
    ways = "; or ".join(install_hints.ways_to_get(engine))
    return Finding(subject, PROBLEM, f"{before}No {install_hints.LABELS[engine]} can be had here.", f"To do: {ways}.")


def check_docker(environment: Mapping[str, str]) -> Finding:
    """Whether a container engine answers a ping; it is only needed by who prefers it, or has nothing else."""
    reason = why_no_engine_answers()
    if not reason:
        return Finding("Docker", GOOD, "A container engine answers.")
    if environment.get("BOXOFFICE_ENGINES", "").strip() == "containers":
        text = f"BOXOFFICE_ENGINES asks for containers, and no container engine answers ({reason})."
        return Finding("Docker", WARNING, text, "Start Docker or Podman; else another way is taken.")
    return Finding("Docker", GOOD, "No container engine answers; none is needed.")


def look(environment: Mapping[str, str], project: Path, state: Path, *, with_ports: bool = True) -> list[Finding]:
    """All checks. One that breaks is itself a finding: a machine in trouble must not silence the others."""
    installed = (project / ".venv" / ".run").exists()
    checks: list[Callable[[], Finding | Iterable[Finding]]] = [
        check_python,
        *([] if installed else [check_venv]),
        lambda: check_user(environment),
        lambda: check_folder("project", project),
        lambda: check_folder("state", state),
        lambda: check_disk(state),
        *([] if installed else [lambda: check_disk(project, INSTALL_BYTES)]),
        check_memory,
        check_open_files,
        *([lambda: check_ports(environment, state)] if with_ports else []),
        lambda: check_postgres(environment),
        lambda: check_rabbitmq(environment),
        lambda: check_docker(environment),
    ]
    return [finding for check in checks for finding in _run(check)]


def _run(check: Callable[[], Finding | Iterable[Finding]]) -> list[Finding]:
    try:
        found = check()
        return [found] if isinstance(found, Finding) else list(found)
    except Exception as error:  # noqa: BLE001 - what cannot be looked at is told, and the other checks go on
        return [Finding("a check", WARNING, f"could not be made: {type(error).__name__}: {error}")]
