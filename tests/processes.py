"""Look at the processes of a state folder from outside."""

import contextlib
from pathlib import Path

import psutil

LOOPBACK = {"127.0.0.1", "::1"}


def processes_of(state_path: Path) -> list[psutil.Process]:
    """Every process that has the folder in its command line or its environment, with all children of those."""
    text, found = str(state_path), {}
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error):
            if process.pid != psutil.Process().pid and _mentions(process, text):
                found[process.pid] = process
                found.update({child.pid: child for child in process.children(recursive=True)})
    return [process for process in found.values() if not has_ended(process)]


def has_ended(process: psutil.Process) -> bool:
    """Whether it is gone, or a zombie: ended, and waiting for its parent (a container's init) to take note."""
    try:
        return not process.is_running() or process.status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True


def listening_addresses(processes: list[psutil.Process]) -> set[tuple[str, int]]:
    """Where these processes accept TCP connections."""
    pids = {process.pid for process in processes}
    listening = [
        found.laddr
        for found in psutil.net_connections(kind="tcp")
        if found.pid in pids and found.laddr and found.status == psutil.CONN_LISTEN
    ]
    return {(address.ip, address.port) for address in listening}


def _mentions(process: psutil.Process, text: str) -> bool:
    if any(text in part for part in process.cmdline()):
        return True
    return any(text in value for value in process.environ().values())
