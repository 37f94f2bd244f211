"""TCP ports: whether one is free, and which process has it."""

from __future__ import annotations

import contextlib
import os
import re
import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from deploy.machine.needs import LOOPBACK

PROC = Path("/proc")
LISTENING = "0A"
LSOF_SECONDS = 10


def is_free(port: int) -> bool:
    """Whether a server could listen on this port now, on 127.0.0.1 and on every address."""
    for address in (LOOPBACK, ""):
        with socket.socket() as candidate:
            # As servers do: a connection still in TIME_WAIT is no reason to refuse the port.
            candidate.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                candidate.bind((address, port))
            except (OSError, OverflowError):
                return False
    return True


class Owner(NamedTuple):
    """A process that listens."""

    pid: int
    name: str


def find_owner(port: int) -> Owner | None:
    """The process that listens on a port; None if there is none, or this user may not know it."""
    if (PROC / "net" / "tcp").exists():
        sockets = {f"socket:[{inode}]" for inode in _listening_inodes(port)}
        return next(_owners(sockets), None) if sockets else None
    return _ask_lsof(port)


def describe_owner(port: int) -> str:
    """The process that listens on a port in words; empty if unknown."""
    owner = find_owner(port)
    return f"{owner.name} (process {owner.pid})" if owner else ""


def _listening_inodes(port: int) -> Iterator[str]:
    for table in ("tcp", "tcp6"):
        with contextlib.suppress(OSError):
            for line in (PROC / "net" / table).read_text().splitlines()[1:]:
                fields = line.split()
                if fields[3] == LISTENING and int(fields[1].rpartition(":")[2], 16) == port:
                    yield fields[9]


def _owners(sockets: set[str]) -> Iterator[Owner]:
    for process in PROC.glob("[0-9]*"):
        # Other users' processes keep theirs to themselves, and any process may end while we look.
        with contextlib.suppress(OSError):
            if any(os.readlink(descriptor) in sockets for descriptor in (process / "fd").iterdir()):  # noqa: PTH115 - 3.9
                yield Owner(int(process.name), (process / "comm").read_text().strip())


def _ask_lsof(port: int) -> Owner | None:
    command = ["lsof", "-nP", f"-iTCP:{port}", "-sTCP:LISTEN", "-Fpc"]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=LSOF_SECONDS, check=False)  # noqa: S603
    except (OSError, subprocess.TimeoutExpired):
        return None
    found = re.search(r"^p(\d+)\nc(.+)$", done.stdout, re.MULTILINE)
    return Owner(int(found.group(1)), found.group(2)) if found else None
