"""A stack in the background: `boxoffice up --detach`, and its end by `boxoffice down`."""

import contextlib
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

import psutil

from boxoffice import reports
from deploy.local import status
from deploy.local.errors import LocalError
from deploy.local.processes import wait_until_gone
from deploy.local.stack import AlreadyRunning
from deploy.local.state import PROJECT, StateFolder

START_SECONDS = 900
"""The first start may download an engine over a slow line."""
STOP_SECONDS = 120
STEP_SECONDS = 0.1


def start(state: StateFolder, replicas: Sequence[str], report: reports.Progress) -> None:
    """Start `boxoffice up` in a session of its own; returns when it is ready. Raises LocalError if it is not, and
    AlreadyRunning if there is one."""
    state.create()
    if status.read(state) is not None:
        raise AlreadyRunning
    log = state.logs / "launcher.log"
    with log.open("wb") as output:
        launcher = subprocess.Popen(  # noqa: S603 - this very program
            [sys.executable, "-m", "boxoffice", "up", *(part for text in replicas for part in ("--replicas", text))],
            cwd=PROJECT,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    try:
        _follow(state, launcher, log, report)
    except KeyboardInterrupt:
        launcher.terminate()
        launcher.wait(STOP_SECONDS)
        raise


def stop(state: StateFolder) -> bool:
    """Stop a running stack and wait for its end; False if none runs. Raises LocalError if it does not end in time."""
    record = status.read(state)
    launcher = record.launcher() if record else None
    if launcher is None:
        return False
    with contextlib.suppress(psutil.NoSuchProcess):
        launcher.terminate()
    if not wait_until_gone(launcher.pid, STOP_SECONDS):
        raise LocalError(f"The stack (process {launcher.pid}) did not stop within {STOP_SECONDS} s.")
    return True


def _follow(state: StateFolder, launcher: subprocess.Popen[bytes], log: Path, report: reports.Progress) -> None:
    """Repeat the launcher's lines until it is ready."""
    lines = _new_lines(log)
    deadline = time.monotonic() + START_SECONDS
    while True:
        ended = launcher.poll() is not None
        record = status.read(state)
        ready = record is not None and record.phase == "ready"
        for line in next(lines):
            report.say(line)
        if ended:
            raise LocalError(f"It did not start. Log: {log}")
        if ready:
            report.say("It runs in the background. `boxoffice status` shows it, `boxoffice down` stops it.")
            return
        if time.monotonic() > deadline:
            raise LocalError(f"It is not ready after {START_SECONDS} s and goes on trying. Log: {log}")
        time.sleep(STEP_SECONDS)


def _new_lines(log: Path) -> Iterator[list[str]]:
    with log.open(errors="replace") as file:
        while True:
            yield file.read().splitlines()
