"""Child processes that never outlive their launcher.

Each child has a pid file, and a mark in its environment that says whose child it is. A guard process watches a pipe
that the launcher holds: when the launcher is gone, however it went, the guard ends every child of that launcher. Should
the guard be killed as well, the next start does the same with all of them. The pid file tells in which order, and how
to ask; the mark finds what was killed before its pid file was written, and what a child has started itself.
"""

import contextlib
import os
import secrets
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO

import psutil

from deploy.local.state import PROJECT, StateFolder, read_json, write_json

LOG_LIMIT_BYTES = 20_000_000
ORPHAN_SECONDS = 5.0
CREATED_TOLERANCE_SECONDS = 2.0
ROUNDS = 3
MARK = "BOXOFFICE_CHILD_OF"
LAUNCH = f"{os.getpid()}-{secrets.token_hex(4)}"
"""Names this launcher. A guard that is late must not end the children of the next one."""
FIRST, LAST = 1, 3
"""Stages of stopping: what uses an engine ends first, the engines next, what an engine needs last."""


@dataclass(frozen=True)
class Account:
    """A user of this machine under which a child runs."""

    name: str
    uid: int
    gid: int


@dataclass
class Child:
    """A running child of this launcher."""

    name: str
    process: subprocess.Popen[bytes]
    pid_file: Path
    log: Path
    stop_signal: signal.Signals

    @property
    def pid(self) -> int:
        return self.process.pid

    def alive(self) -> bool:
        """Whether it runs. Reaps it, and forgets its pid file, once it has ended."""
        if self.process.poll() is None:
            return True
        self.pid_file.unlink(missing_ok=True)
        return False

    def ask_to_stop(self) -> None:
        with contextlib.suppress(ProcessLookupError):
            self.process.send_signal(self.stop_signal)

    def kill(self) -> None:
        """End it, and what it started, without asking."""
        family = _descendants(self.pid)
        with contextlib.suppress(ProcessLookupError):
            self.process.kill()
        with contextlib.suppress(subprocess.TimeoutExpired):
            self.process.wait(10)
        self.alive()
        _end_orphans(family)

    def stop(self, grace_seconds: float) -> bool:
        """Ask, wait, then kill. Returns whether it ended by itself within the grace."""
        if not self.alive():
            return True
        family = _descendants(self.pid)
        self.ask_to_stop()
        try:
            self.process.wait(grace_seconds)
            in_time = True
        except subprocess.TimeoutExpired:
            self.kill()
            in_time = False
        self.alive()
        _end_orphans(family)
        return in_time


def spawn(
    state: StateFolder,
    name: str,
    command: Sequence[str | Path],
    *,
    environment: Mapping[str, str],
    stage: int = FIRST,
    stop_signal: signal.Signals = signal.SIGTERM,
    account: Account | None = None,
    folder: Path = PROJECT,
) -> Child:
    """Start a child in a session of its own: Ctrl-C reaches only the launcher, which then stops all in order."""
    log = state.logs / f"{name}.log"
    with _open_log(log) as output:
        process = subprocess.Popen(  # noqa: S603 - the command is ours, not a user's text
            [str(part) for part in command],
            env={**environment, **marked(state)},
            cwd=folder,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
            user=account.uid if account else None,
            group=account.gid if account else None,
            extra_groups=[] if account else None,
            # Others may pass through the state folder; what a child writes there is not for them.
            umask=0o077,
        )
    pid_file = state.pids / f"{name}.json"
    _write_pid_file(pid_file, process.pid, stage, stop_signal)
    return Child(name, process, pid_file, log, stop_signal)


def marked(state: StateFolder) -> dict[str, str]:
    """What the environment of everything that this launcher starts for a state folder has in it."""
    return {MARK: f"{LAUNCH} {state.path}"}


def _open_log(log: Path) -> IO[bytes]:
    if log.exists() and log.stat().st_size > LOG_LIMIT_BYTES:
        log.replace(log.with_suffix(".log.1"))
    return log.open("ab")


def _write_pid_file(pid_file: Path, pid: int, stage: int, stop_signal: signal.Signals) -> None:
    with contextlib.suppress(psutil.NoSuchProcess):
        created = psutil.Process(pid).create_time()
        write_json(
            pid_file, {"pid": pid, "created": created, "stage": stage, "signal": int(stop_signal), "launch": LAUNCH}
        )


def find_process(pid_file: Path) -> psutil.Process | None:
    """The process a pid file speaks of; None if it ended, even if its number was given to another one."""
    content = read_json(pid_file)
    try:
        process = psutil.Process(int(content["pid"]))
        same = abs(process.create_time() - float(content["created"])) < CREATED_TOLERANCE_SECONDS
        return process if same and process.status() != psutil.STATUS_ZOMBIE else None
    except (psutil.Error, KeyError, ValueError):
        return None


def _descendants(pid: int) -> list[psutil.Process]:
    try:
        return psutil.Process(pid).children(recursive=True)
    except psutil.Error:
        return []


def _end_orphans(family: list[psutil.Process]) -> None:
    """Erlang's port programs and PostgreSQL's backends end by themselves soon after their parent; wait for that."""
    _, stubborn = psutil.wait_procs(family, timeout=ORPHAN_SECONDS)
    for process in stubborn:
        with contextlib.suppress(psutil.Error):
            process.kill()
    psutil.wait_procs(stubborn, timeout=ORPHAN_SECONDS)


def end_leftovers(state: StateFolder, launch: str = "", grace_seconds: float = 10.0) -> list[str]:
    """End the children of launchers that are gone, stage by stage; returns their names.

    `launch` means those of that launcher only.
    """
    ended = [name for stage in range(FIRST, LAST + 1) for name in _end_stage(state, stage, launch, grace_seconds)]
    for _ in range(ROUNDS):
        # Again, because what was just being started when its launcher died shows its mark a moment later.
        strays = _find_marked(state, launch)
        if not strays:
            break
        ended.extend(process.name() for process in strays if process.is_running())
        _end_all(dict.fromkeys(strays, signal.SIGTERM), grace_seconds)
    return ended


def tidy_up(state: StateFolder, say: Callable[[str], None]) -> None:
    """What every start begins with: end what an interrupted one has left, and say so."""
    leftovers = end_leftovers(state)
    if leftovers:
        say(f"Ended what an interrupted run had left: {', '.join(leftovers)}.")


def _end_stage(state: StateFolder, stage: int, launch: str, grace_seconds: float) -> list[str]:
    files = [file for file in sorted(state.pids.glob("*.json")) if _is_of(file, stage, launch)]
    found = {file: process for file in files if (process := find_process(file))}
    family = [orphan for process in found.values() for orphan in _descendants(process.pid)]
    _end_all({process: read_json(file).get("signal", signal.SIGTERM) for file, process in found.items()}, grace_seconds)
    _end_orphans(family)
    for file in files:
        # The next launcher may have written its own meanwhile.
        if _is_of(file, stage, launch):
            file.unlink(missing_ok=True)
    return [file.stem for file in found]


def _is_of(file: Path, stage: int, launch: str) -> bool:
    content = read_json(file)
    return content.get("stage", FIRST) == stage and (not launch or content.get("launch") == launch)


def _end_all(processes: Mapping[psutil.Process, int], grace_seconds: float) -> None:
    for process, number in processes.items():
        with contextlib.suppress(psutil.Error):
            process.send_signal(number)
    _, stubborn = psutil.wait_procs(list(processes), timeout=grace_seconds)
    for process in stubborn:
        with contextlib.suppress(psutil.Error):
            process.kill()
    psutil.wait_procs(stubborn, timeout=ORPHAN_SECONDS)


def _find_marked(state: StateFolder, launch: str) -> list[psutil.Process]:
    found = []
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error, OSError):
            name, _, folder = process.environ().get(MARK, "").partition(" ")
            if folder == str(state.path) and launch in {"", name} and process.status() != psutil.STATUS_ZOMBIE:
                found.append(process)
    return found


class Guard:
    """The process that outlives a killed launcher just long enough to end what it left."""

    def __init__(self, state: StateFolder, *, remove_state: bool = False) -> None:
        arguments = [str(state.path), LAUNCH, *(["--remove-state"] if remove_state else [])]
        self._process = subprocess.Popen(  # noqa: S603 - our own module
            [sys.executable, "-m", "deploy.local.guard", *arguments],
            cwd=PROJECT,
            env={**os.environ, "PYTHONPATH": str(PROJECT)},
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )

    def close(self) -> None:
        """Let the guard look once more and end; waits at most a minute."""
        if self._process.stdin:
            self._process.stdin.close()
        try:
            self._process.wait(60)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()


def wait_until_gone(pid: int, timeout_seconds: float) -> bool:
    """Whether a process that is not our child ended in time."""
    deadline = time.monotonic() + timeout_seconds
    while time.monotonic() < deadline:
        if not psutil.pid_exists(pid) or psutil.Process(pid).status() == psutil.STATUS_ZOMBIE:
            return True
        time.sleep(0.1)
    return False
